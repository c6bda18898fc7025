//! A receive FIFO that is sixteen bytes deep, or one while it is turned off.

use alloc::collections::VecDeque;

/// Bytes in the FIFO at most.
const DEPTH: usize = 16;

/// Received bytes that the guest has not read.
#[derive(Debug, Default)]
pub(super) struct ReceiveFifo {
    bytes: VecDeque<u8>,
    enabled: bool,
}

impl ReceiveFifo {
    /// Turns the FIFO on or off; what it holds is lost if that is a change.
    pub(super) fn enable(&mut self, enabled: bool) {
        if core::mem::replace(&mut self.enabled, enabled) != enabled {
            self.bytes.clear();
        }
    }

    pub(super) fn is_enabled(&self) -> bool {
        self.enabled
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }

    pub(super) fn room(&self) -> usize {
        let depth = if self.enabled { DEPTH } else { 1 };
        depth.saturating_sub(self.bytes.len())
    }

    /// Takes a byte; `false` if it is lost for want of room.
    pub(super) fn push(&mut self, byte: u8) -> bool {
        let fits = self.room() > 0;
        if fits {
            self.bytes.push_back(byte);
        }
        fits
    }

    pub(super) fn pop(&mut self) -> Option<u8> {
        self.bytes.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}
