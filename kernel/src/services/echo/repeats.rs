//! Tells whether the messages that come are the same ones over and over.
//!
//! A mark is set on one message and moved on after ever longer distances, so that it comes to lie
//! in a cycle of any length up to the longest distance. Then the cycle is what lies between two
//! comings of the marked message. Nothing is stored but two numbers.

/// Messages that come again before the next is too much.
pub const LIMIT: u32 = 1000;
/// The longest distance, and so the longest cycle that is found.
const LONGEST: u32 = 1024;

/// What came, as far as that needs to be known.
#[derive(Debug, Default)]
pub struct Repeats {
    mark: u64,
    /// Messages since the mark, and what they were.
    distance: u32,
    digest: u64,
    /// Messages after which the mark is moved on.
    patience: u32,
    /// The last cycle: its length, and its messages.
    cycle: Option<(u32, u64)>,
    /// Messages that were part of the same cycle, in a row.
    repeated: u32,
    dropped: u32,
}

impl Repeats {
    /// Takes note of a message; tells whether it came too often.
    pub fn is_enough(&mut self, message: &[u8]) -> bool {
        let fingerprint = fingerprint(message);
        self.distance += 1;
        self.digest = self.digest.rotate_left(7) ^ fingerprint;
        if fingerprint == self.mark {
            let cycle = Some((self.distance, self.digest));
            let goes_on = self.cycle == cycle;
            self.repeated = if goes_on { self.repeated.saturating_add(self.distance) } else { 0 };
            (self.cycle, self.distance, self.digest) = (cycle, 0, 0);
        } else if self.distance > self.patience {
            self.patience = if self.patience >= LONGEST { 1 } else { self.patience * 2 + 1 };
            *self = Self { mark: fingerprint, patience: self.patience, ..Self::default() };
        }
        let enough = self.repeated >= LIMIT && self.distance == 0;
        self.dropped = if enough { self.dropped.saturating_add(1) } else { self.dropped };
        enough
    }

    /// Whether the message before was the first in a row to come too often.
    pub fn is_first(&self) -> bool {
        self.dropped == 1
    }
}

/// A number for length, beginning and end, which is what differs where messages differ.
fn fingerprint(message: &[u8]) -> u64 {
    let word = |bytes: Option<&[u8; 8]>| bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let (first, last) = (word(message.first_chunk()), word(message.last_chunk()));
    let short = if message.len() < 8 {
        message.iter().fold(0, |word, byte| word << 8 | u64::from(*byte))
    } else {
        0
    };
    first ^ last.rotate_left(29) ^ short ^ (message.len() as u64) << 48 ^ 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes back from another echo, with so many messages under way; how many are sent until
    /// all is quiet.
    fn ping_pong(under_way: u32) -> u32 {
        let mut messages: Vec<_> = (0..under_way).map(|n| format!("message {n}")).collect();
        let (mut repeats, mut sent) = (Repeats::default(), 0);
        while !messages.is_empty() {
            let message = messages.remove(0);
            if !repeats.is_enough(message.as_bytes()) {
                messages.push(message);
                sent += 1;
            }
            assert!(sent < 1_000_000, "{messages:?}");
        }
        sent
    }

    #[test]
    fn a_ping_pong_ends() {
        for under_way in [1, 2, 3, 8, 18, 100] {
            let sent = ping_pong(under_way);
            assert!(sent >= LIMIT, "{sent} for {under_way}");
            assert!(sent <= under_way * 4 * LIMIT, "{sent} for {under_way}");
        }
    }

    #[test]
    fn other_messages_are_never_too_many() {
        let mut repeats = Repeats::default();
        for n in 0..100_000_u32 {
            // Every second one is the same.
            assert!(!repeats.is_enough(b"status?"));
            assert!(!repeats.is_enough(format!("value {n}").as_bytes()));
        }
    }

    #[test]
    fn another_message_ends_the_row() {
        let mut repeats = Repeats::default();
        let count = (0..2 * LIMIT).filter(|_| repeats.is_enough(b"again")).count();
        assert!((990..=1000).contains(&count), "{count}");
        assert!(!repeats.is_enough(b"something else"));
        assert!(!repeats.is_enough(b"again"));
        assert!(!repeats.is_enough(b"again"));
    }
}
