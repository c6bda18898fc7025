//! What the guest printed and the script has not yet looked at.

use alloc::vec::Vec;

/// Bytes kept; older ones are forgotten.
const KEPT: usize = 64 * 1024;

/// The end of the guest's output.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    bytes: Vec<u8>,
    searched: usize,
}

impl Transcript {
    /// Adds output.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > 2 * KEPT {
            let forgotten = self.bytes.len() - KEPT;
            self.bytes.drain(..forgotten);
            self.searched = self.searched.saturating_sub(forgotten);
        }
    }

    /// Looks for `text`; if it is there, forgets everything up to its end.
    pub(super) fn consume(&mut self, text: &[u8]) -> bool {
        if text.is_empty() {
            return true;
        }
        let start = self.searched;
        let found = self.bytes[start..].windows(text.len()).position(|window| window == text);
        match found {
            Some(place) => {
                self.bytes.drain(..start + place + text.len());
                self.searched = 0;
                true
            }
            None => {
                self.searched = (self.bytes.len() + 1).saturating_sub(text.len()).max(start);
                false
            }
        }
    }

    /// Begins to look for another text.
    pub(super) fn rewind(&mut self) {
        self.searched = 0;
    }

    /// The last bytes, for a failure's message.
    pub(super) fn tail(&self, count: usize) -> &[u8] {
        &self.bytes[self.bytes.len().saturating_sub(count)..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_found_across_pieces_and_once() {
        let mut transcript = Transcript::default();
        for piece in ["boot\r\nbil", "ly", "> help\r\nbilly> "] {
            assert!(!transcript.consume(b"billy> "));
            transcript.extend(piece.as_bytes());
        }
        assert!(transcript.consume(b"billy> "));
        assert!(transcript.consume(b"billy> "));
        assert!(!transcript.consume(b"billy> "));
        transcript.rewind();
        assert_eq!(transcript.tail(9), b"");
    }

    #[test]
    fn a_new_text_is_looked_for_from_where_the_last_was_found() {
        let mut transcript = Transcript::default();
        transcript.extend(b"one two three");
        assert!(!transcript.consume(b"four"));
        transcript.rewind();
        assert!(transcript.consume(b"two"));
        transcript.rewind();
        assert!(!transcript.consume(b"one"));
        assert_eq!(transcript.tail(5), b"three");
    }

    #[test]
    fn memory_is_bounded() {
        let mut transcript = Transcript::default();
        for _ in 0..100 {
            transcript.extend(&[b'x'; 10_000]);
            assert!(!transcript.consume(b"never"));
        }
        assert!(transcript.bytes.len() <= 2 * KEPT);
        transcript.extend(b"end");
        assert!(transcript.consume(b"xend"));
    }
}
