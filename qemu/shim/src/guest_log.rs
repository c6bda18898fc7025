//! The guest's log, found in its memory after it failed.
//!
//! Billy keeps what it logged in a ring that anybody with its memory can read: the bytes `BILLYLOG`, the ring's size
//! and the number of bytes ever written as little-endian 64-bit words, then the ring. So a failure that came before
//! there was a console can still be read.

use alloc::string::String;

const MAGIC: &[u8; 8] = b"BILLYLOG";
const HEADER: usize = 24;
/// The ring lies at a multiple of this.
const ALIGNMENT: usize = 8;
/// No ring is larger.
const LARGEST: u64 = 1 << 20;

/// Finds the log in `memory`, looking from `start` (an offset) on first and in what lies before that last, and returns
/// its text, oldest line first. A line cut by the ring's wrapping is left out.
#[must_use]
pub fn find(memory: &[u8], start: usize) -> Option<String> {
    let start = (start - start % ALIGNMENT).min(memory.len());
    let candidates = (start..memory.len()).step_by(ALIGNMENT).chain((0..start).step_by(ALIGNMENT));
    for place in candidates {
        if memory.get(place..place + MAGIC.len()) == Some(MAGIC)
            && let Some(text) = memory.get(place..).and_then(read)
        {
            return Some(text);
        }
    }
    None
}

/// Reads the log at the beginning of `memory`; `None` if this cannot be one.
fn read(memory: &[u8]) -> Option<String> {
    let word = |at: usize| memory.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
    let (size, written) = (word(8)?, word(16)?);
    if !size.is_power_of_two() || size > LARGEST || written == 0 {
        return None;
    }
    let size = usize::try_from(size).ok()?;
    let ring = memory.get(HEADER..HEADER + size)?;
    let end = usize::try_from(written).ok()?;
    let mut text = alloc::vec::Vec::with_capacity(size.min(end));
    if end > size {
        let (newer, older) = ring.split_at(end % size);
        let first_line = older.iter().chain(newer).position(|byte| *byte == b'\n')? + 1;
        text.extend(older.iter().chain(newer).skip(first_line));
    } else {
        text.extend(ring.get(..end)?);
    }
    Some(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    fn log(size: u64, written: u64, ring: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(size.to_le_bytes());
        bytes.extend(written.to_le_bytes());
        bytes.extend(ring);
        bytes
    }

    #[test]
    fn a_log_is_found_wherever_it_lies() {
        let mut memory = vec![0; 4096];
        memory[1000..1040].copy_from_slice(&log(16, 6, b"hello\n          "));
        for start in [0, 1000, 1008, 4096, usize::MAX] {
            assert_eq!(find(&memory, start).as_deref(), Some("hello\n"));
        }
        memory[1000] = b'b';
        assert_eq!(find(&memory, 0), None);
    }

    #[test]
    fn what_only_looks_like_a_log_is_passed_over() {
        let mut memory = Vec::new();
        for (size, written) in [(0, 1), (15, 1), (1 << 40, 1), (16, 0)] {
            memory.extend(log(size, written, b"no              "));
        }
        memory.extend(log(16, 4, b"yes\n            "));
        assert_eq!(find(&memory, 0).as_deref(), Some("yes\n"));
        memory.truncate(memory.len() - 1);
        assert_eq!(find(&memory, 0), None);
    }

    #[test]
    fn a_ring_that_wrapped_begins_with_a_whole_line() {
        // "one\ntwo\nthree\nfour\n", 19 bytes, of which the first three were overwritten.
        assert_eq!(
            find(&log(16, 19, b"ur\n\ntwo\nthree\nfo"), 0).as_deref(),
            Some("two\nthree\nfour\n")
        );
    }
}
