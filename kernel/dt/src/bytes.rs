//! Looks for bytes eight at a time: a tree is mostly short strings.

/// A word with `byte` in each of its bytes.
const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

const HIGH: u64 = each(0x80);

/// Returns the index of the first byte that `marks` sets the highest bit of. It is given words
/// whose lowest byte is the first, and may be wrong about bytes above the lowest one it marks.
#[inline(always)]
fn first_marked(bytes: &[u8], marks: impl Fn(u64) -> u64) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut index = 0;
    for &word in words {
        let marked = marks(u64::from_le_bytes(word)) & HIGH;
        if marked != 0 {
            return Some(index + marked.trailing_zeros() as usize / 8);
        }
        index += 8;
    }
    let word = rest.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
    let place = (marks(word) & HIGH).trailing_zeros() as usize / 8;
    (place < rest.len()).then_some(index + place)
}

#[inline(always)]
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(each(1)) & !word
}

/// Marks what is no ASCII character from `!` to `~`: 0x80 and up, 0x7f, and 0x20 and down.
#[inline(always)]
fn not_graphic(word: u64) -> u64 {
    word | word.wrapping_add(each(0x80 - 0x7f)) | !word.wrapping_add(each(0x80 - b'!'))
}

/// Returns the index of the first zero byte.
pub(super) fn first_zero(bytes: &[u8]) -> Option<usize> {
    first_marked(bytes, zeros)
}

/// Returns the index of the first byte that cannot be in a node name: it is not graphic, or a
/// slash.
pub(super) fn first_outside_name(bytes: &[u8]) -> Option<usize> {
    first_marked(bytes, |word| not_graphic(word) | zeros(word ^ each(b'/')))
}

/// Returns the index of the first byte that is neither zero nor graphic.
pub(super) fn first_outside_strings(bytes: &[u8]) -> Option<usize> {
    // The sum has the highest bit set for every byte but zero and those above 0x80.
    first_marked(bytes, |word| not_graphic(word) & (word | word.wrapping_add(each(0x7f))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn agrees(bytes: &[u8]) {
        let graphic = |byte: &u8| byte.is_ascii_graphic();
        assert_eq!(first_zero(bytes), bytes.iter().position(|&byte| byte == 0));
        let name = bytes.iter().position(|byte| !graphic(byte) || *byte == b'/');
        assert_eq!(first_outside_name(bytes), name, "{bytes:x?}");
        let strings = bytes.iter().position(|byte| !graphic(byte) && *byte != 0);
        assert_eq!(first_outside_strings(bytes), strings, "{bytes:x?}");
    }

    #[test]
    fn every_byte_is_judged_alike_at_every_place() {
        for byte in 0..=255 {
            for length in 1..20 {
                for place in 0..length {
                    for around in *b"a\0/" {
                        let mut bytes = vec![around; length];
                        bytes[place] = byte;
                        agrees(&bytes);
                    }
                }
            }
        }
        agrees(&[]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_as_one_by_one(bytes: Vec<u8>) {
            agrees(&bytes);
        }
    }
}
