//! Takes escape sequences and carriage returns out of a terminal's byte stream.

/// A stripper that keeps its state from one piece of the stream to the next.
#[derive(Default)]
pub struct PlainText {
    state: State,
    partial: Vec<u8>,
}

#[derive(Clone, Copy, Default)]
enum State {
    #[default]
    Text,
    Escape,
    ControlSequence,
}

impl PlainText {
    /// The plain text in the next piece. A character cut in two comes with its second part.
    pub fn feed(&mut self, input: &[u8]) -> String {
        for &byte in input {
            self.state = match (self.state, byte) {
                (State::Text, 0x1b) => State::Escape,
                (State::Text, b'\r') => State::Text,
                (State::Text, _) => {
                    self.partial.push(byte);
                    State::Text
                }
                (State::Escape, b'[') => State::ControlSequence,
                (State::Escape, _) => State::Text,
                (State::ControlSequence, 0x40..=0x7e) => State::Text,
                (State::ControlSequence, _) => State::ControlSequence,
            };
        }
        self.take_whole_characters()
    }

    fn take_whole_characters(&mut self) -> String {
        let cut = match std::str::from_utf8(&self.partial) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => self.partial.len(),
        };
        let rest = self.partial.split_off(cut);
        let whole = std::mem::replace(&mut self.partial, rest);
        String::from_utf8_lossy(&whole).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(pieces: &[&[u8]]) -> String {
        let mut plain = PlainText::default();
        pieces.iter().map(|piece| plain.feed(piece)).collect()
    }

    #[test]
    fn escape_sequences_vanish_wherever_they_are_cut() {
        let whole = b"a\x1b[1;31mred\x1b[0m\r\nb\x1b7c";
        for cut in 0..whole.len() {
            let (first, second) = whole.split_at(cut);
            assert_eq!(plain(&[first, second]), "ared\nbc", "cut at {cut}");
        }
    }

    #[test]
    fn characters_cut_in_two_come_whole() {
        let text = "gr\u{fc}n \u{2603}".as_bytes();
        for cut in 0..text.len() {
            let (first, second) = text.split_at(cut);
            assert_eq!(plain(&[first, second]).as_bytes(), text, "cut at {cut}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_do_not_stop_the_rest() {
        assert_eq!(plain(&[b"a\xffb", b"c"]), "a\u{fffd}bc");
    }
}
