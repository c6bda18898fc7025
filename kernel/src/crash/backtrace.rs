//! Return addresses by frame pointers, without trusting the stack.
//!
//! Each frame record is two words, the caller's frame pointer and the return address (AAPCS64
//! 6.4.6). A record is read only where it lies whole and aligned inside a known stack, and each
//! must lie above the one before, so that a broken chain ends the walk and never loops or faults.

use core::ops::Range;

/// The stacks that frame records may lie in, and how to read them.
#[derive(Clone, Debug)]
pub struct Stacks {
    /// Stacks in the order in which a walk may pass from one to the next.
    pub ranges: [Range<u64>; 3],
    /// Reads the word at an address inside `ranges`.
    pub read: fn(u64) -> u64,
}

impl Stacks {
    /// Walks the frame records from `frame_pointer`, innermost first.
    pub fn walk(&self, frame_pointer: u64) -> Walk<'_> {
        Walk { stacks: self, next: frame_pointer, stack: None }
    }

    fn holding(&self, record: u64) -> Option<usize> {
        let holds = |range: &Range<u64>| {
            range.start <= record && record.checked_add(16).is_some_and(|end| end <= range.end)
        };
        self.ranges.iter().position(holds)
    }
}

impl Walk<'_> {
    /// Whether what comes next lies on another stack: that of the code that an exception
    /// interrupted.
    pub fn changes_stack(&self) -> bool {
        self.stack.is_some_and(|stack| self.stacks.holding(self.next).is_some_and(|s| s != stack))
    }
}

/// An iterator over return addresses.
#[derive(Debug)]
pub struct Walk<'a> {
    stacks: &'a Stacks,
    next: u64,
    stack: Option<usize>,
}

impl Iterator for Walk<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let record = self.next;
        if !record.is_multiple_of(8) {
            return None;
        }
        let stack = self.stacks.holding(record)?;
        if self.stack.is_some_and(|previous| stack < previous) {
            return None;
        }
        self.stack = Some(stack);
        let caller = (self.stacks.read)(record);
        let address = (self.stacks.read)(record + 8);
        if address == 0 {
            return None;
        }
        // Within one stack the chain goes up; a record elsewhere belongs to an interrupted stack.
        let onwards = caller > record || !self.stacks.ranges[stack].contains(&caller);
        self.next = if onwards { caller } else { 0 };
        Some(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stack of words in a static table, addressed from 0x1000.
    fn read(address: u64) -> u64 {
        const WORDS: [u64; 8] = [0x1010, 0xa, 0x1030, 0xb, 0x1020, 0xc, 0, 0xd];
        WORDS[((address - 0x1000) / 8) as usize]
    }

    const STACKS: Stacks = Stacks { ranges: [0..0, 0..0, 0x1000..0x1040], read };

    #[test]
    fn follows_the_chain_outwards() {
        assert_eq!(STACKS.walk(0x1000).collect::<Vec<_>>(), [0xa, 0xb, 0xd]);
    }

    #[test]
    fn stops_at_whatever_is_no_record() {
        assert_eq!(STACKS.walk(0x1001).count(), 0);
        assert_eq!(STACKS.walk(0x1038).count(), 0);
        assert_eq!(STACKS.walk(0).count(), 0);
        assert_eq!(STACKS.walk(u64::MAX - 7).count(), 0);
    }

    #[test]
    fn a_chain_that_turns_back_ends() {
        fn cycle(address: u64) -> u64 {
            if address.is_multiple_of(16) { 0x1000 } else { 0xe }
        }
        let stacks = Stacks { ranges: [0..0, 0..0, 0x1000..0x1040], read: cycle };
        assert_eq!(stacks.walk(0x1010).collect::<Vec<_>>(), [0xe]);
        // Between two stacks a chain may pass once, from the first to the second.
        let stacks = Stacks { ranges: [0..0, 0x2000..0x2040, 0x1000..0x1040], read: cycle };
        assert_eq!(stacks.walk(0x2000).collect::<Vec<_>>(), [0xe, 0xe]);
        let mut walk = stacks.walk(0x2000);
        assert!(!walk.changes_stack());
        walk.next();
        assert!(walk.changes_stack());
        walk.next();
        assert!(!walk.changes_stack());
    }
}
