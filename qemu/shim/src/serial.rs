//! Input of the serial line, held until the peer takes it.

use heapless::Deque;

/// How many received bytes are held.
const CAPACITY: usize = 64;

/// The receiving half of a UART, which interrupts as long as there is something and it may.
pub trait Receiver {
    /// Takes a byte, if one has arrived.
    fn receive(&mut self) -> Option<u8>;

    /// Lets it interrupt, or not.
    fn set_interrupt(&mut self, enabled: bool);
}

/// What has arrived and nobody has taken.
#[derive(Debug, Default)]
pub struct SerialInput {
    held: Deque<u8, CAPACITY>,
}

impl SerialInput {
    /// Collects what has arrived, to be called when the line interrupts. What does not fit is left
    /// on the line, without an interrupt: it is held back there until somebody reads.
    pub fn collect(&mut self, line: &mut impl Receiver) {
        while !self.held.is_full() {
            let Some(byte) = line.receive() else { break };
            let _ = self.held.push_back(byte);
        }
        line.set_interrupt(!self.held.is_full());
    }

    /// Takes what has arrived, at most `buffer.len()` bytes, and returns how many.
    ///
    /// What arrives later interrupts: nothing is collected here beyond what is returned, or it
    /// would wait for an interrupt that has no reason to come.
    pub fn read(&mut self, line: &mut impl Receiver, buffer: &mut [u8]) -> usize {
        let mut count = 0;
        for place in buffer {
            let Some(byte) = self.held.pop_front().or_else(|| line.receive()) else { break };
            *place = byte;
            count += 1;
        }
        line.set_interrupt(!self.held.is_full());
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// A line on which bytes wait.
    #[derive(Default)]
    struct Line {
        waiting: VecDeque<u8>,
        enabled: bool,
    }

    impl Line {
        fn interrupts(&self) -> bool {
            self.enabled && !self.waiting.is_empty()
        }
    }

    impl Receiver for Line {
        fn receive(&mut self) -> Option<u8> {
            self.waiting.pop_front()
        }

        fn set_interrupt(&mut self, enabled: bool) {
            self.enabled = enabled;
        }
    }

    /// Reads `size` bytes at a time as long as something is returned or the line interrupts.
    fn read_all(input: &mut SerialInput, line: &mut Line, size: usize) -> Vec<u8> {
        let (mut all, mut buffer) = (Vec::new(), vec![0; size]);
        loop {
            let count = input.read(line, &mut buffer);
            all.extend(&buffer[..count]);
            if line.interrupts() {
                input.collect(line);
            } else if count == 0 {
                return all;
            }
        }
    }

    #[test]
    fn what_arrives_before_a_read_is_returned_by_it_or_interrupts_after_it() {
        for (size, arriving) in [(1, 1), (1, 200), (16, 16), (16, 17), (16, 1000), (228, 200)] {
            let sent: Vec<u8> = (0..arriving).map(|n: u32| n as u8).collect();
            let mut line = Line { waiting: sent.iter().copied().collect(), enabled: true };
            // No interrupt was taken before the read: they came in between.
            let mut input = SerialInput::default();
            assert_eq!(read_all(&mut input, &mut line, size), sent, "{arriving} by {size}");
            assert!(input.held.is_empty() && line.enabled);
        }
    }

    #[test]
    fn the_line_holds_back_what_nobody_reads() {
        let mut line = Line { waiting: (0..100).collect(), enabled: true };
        let mut input = SerialInput::default();
        input.collect(&mut line);
        assert_eq!((line.waiting.len(), line.interrupts()), (100 - CAPACITY, false));
        let mut first = [0; 10];
        assert_eq!(input.read(&mut line, &mut first), 10);
        assert_eq!(first, core::array::from_fn(|n| n as u8));
        assert!(line.interrupts());
        assert_eq!(read_all(&mut input, &mut line, 16), (10..100).collect::<Vec<u8>>());
    }
}
