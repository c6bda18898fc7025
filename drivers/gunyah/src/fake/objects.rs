//! The fake hypervisor's message queues and doorbells.

use super::Virq;
use crate::hypercalls::{Received, Threshold};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use gunyah_abi::Error;

/// Right to send.
pub const SEND: u32 = 1;
/// Right to receive.
pub const RECEIVE: u32 = 2;
/// The bits that are rights.
pub const RIGHTS: u32 = SEND | RECEIVE;
/// Asked for together with rights: the object must be a queue.
pub const QUEUE: u32 = 1 << 8;
/// Asked for together with rights: the object must be a doorbell.
pub const DOORBELL: u32 = 1 << 9;
/// Asks for nothing.
pub const ANY: u32 = 0;

/// What a capability can name.
pub enum Object {
    /// A message queue.
    Queue(FakeQueue),
    /// A doorbell.
    Doorbell(FakeDoorbell),
}

impl Object {
    /// Checks the type asked for by [`QUEUE`] or [`DOORBELL`].
    pub fn check_type(&self, asked: u32) -> Result<(), Error> {
        match self {
            Self::Queue(_) if asked & DOORBELL != 0 => Err(Error::CspaceWrongObjectType),
            Self::Doorbell(_) if asked & QUEUE != 0 => Err(Error::CspaceWrongObjectType),
            _ => Ok(()),
        }
    }

    /// Whether an interrupt of this object, configured as a level, is asserted.
    pub fn level(&self, virq: Virq) -> bool {
        match self {
            Self::Queue(queue) => queue.level(virq),
            Self::Doorbell(doorbell) => doorbell.virq == virq && doorbell.pending(),
        }
    }
}

/// A message queue.
pub struct FakeQueue {
    messages: VecDeque<Vec<u8>>,
    depth: usize,
    max_message_size: usize,
    not_full_threshold: usize,
    not_empty_threshold: usize,
    tx_virq: Virq,
    rx_virq: Virq,
}

impl FakeQueue {
    pub fn new(depth: u16, max_message_size: u16, tx_virq: Virq, rx_virq: Virq) -> Self {
        let depth = usize::from(depth);
        Self {
            messages: VecDeque::new(),
            depth,
            max_message_size: usize::from(max_message_size),
            not_full_threshold: depth - 1,
            not_empty_threshold: 1,
            tx_virq,
            rx_virq,
        }
    }

    pub fn len(&self) -> usize {
        self.messages.len()
    }

    fn level(&self, virq: Virq) -> bool {
        (virq == self.tx_virq && self.len() <= self.not_full_threshold)
            || (virq == self.rx_virq && self.len() >= self.not_empty_threshold)
    }

    /// Returns whether the queue is still not full, and the interrupt to assert.
    pub fn send(
        &mut self,
        message: &[u8],
        push: bool,
        documented_errors: bool,
    ) -> Result<(bool, Option<Virq>), Error> {
        let size_fits = (1..=self.max_message_size).contains(&message.len());
        if documented_errors && !size_fits {
            return Err(Error::ArgumentSize);
        }
        if self.len() == self.depth {
            return Err(Error::MsgqueueFull);
        }
        if !size_fits {
            return Ok((true, None));
        }
        self.messages.push_back(message.to_vec());
        let interrupt = push || self.len() == self.not_empty_threshold;
        let not_full = self.len() < self.depth;
        Ok((not_full, interrupt.then_some(self.rx_virq)))
    }

    /// Returns what was received, and the interrupt to assert.
    pub fn receive(
        &mut self,
        buffer: &mut [u8],
        documented_errors: bool,
    ) -> Result<(Received, Option<Virq>), Error> {
        let message = self.messages.front().ok_or(Error::MsgqueueEmpty)?;
        let size = message.len();
        let Some(target) = buffer.get_mut(..size) else {
            if documented_errors {
                return Err(Error::AddrOverflow);
            }
            let nothing = Received { size: 0, not_empty: true };
            return Ok((nothing, None));
        };
        target.copy_from_slice(message);
        self.messages.pop_front();
        let received = Received { size, not_empty: self.len() > 0 };
        let interrupt = self.len() == self.not_full_threshold;
        Ok((received, interrupt.then_some(self.tx_virq)))
    }

    /// Returns the interrupt to assert. (The code also clears RX.)
    pub fn flush(&mut self) -> Option<Virq> {
        let had_messages = self.len() > 0;
        self.messages.clear();
        had_messages.then_some(self.tx_virq)
    }

    pub fn configure_send(&mut self, threshold: Threshold) -> Result<Option<Virq>, Error> {
        match threshold {
            Threshold::Keep => {}
            Threshold::Messages(messages) if usize::from(messages) < self.depth => {
                self.not_full_threshold = usize::from(messages);
            }
            _ => return Err(Error::ArgumentInvalid),
        }
        Ok((self.len() <= self.not_full_threshold).then_some(self.tx_virq))
    }

    pub fn configure_receive(&mut self, threshold: Threshold) -> Result<Option<Virq>, Error> {
        match threshold {
            Threshold::Keep => {}
            Threshold::Messages(messages) if (1..=self.depth).contains(&usize::from(messages)) => {
                self.not_empty_threshold = usize::from(messages);
            }
            Threshold::Depth => {
                self.not_empty_threshold = self.depth;
                return Ok(None);
            }
            Threshold::Messages(_) => return Err(Error::ArgumentInvalid),
        }
        Ok((self.len() >= self.not_empty_threshold).then_some(self.rx_virq))
    }
}

/// A doorbell.
pub struct FakeDoorbell {
    flags: u64,
    enable: u64,
    ack: u64,
    virq: Virq,
}

impl FakeDoorbell {
    pub fn new(virq: Virq) -> Self {
        Self { flags: 0, enable: u64::MAX, ack: 0, virq }
    }

    fn pending(&self) -> bool {
        self.flags & self.enable != 0
    }

    /// Returns the old flags and the interrupt to assert: always one, also for flags that are masked or none.
    pub fn send(&mut self, flags: u64) -> (u64, Option<Virq>) {
        let old = self.flags;
        self.flags |= flags;
        if self.pending() {
            self.flags &= !self.ack;
        }
        (old, Some(self.virq))
    }

    pub fn receive(&mut self, clear: u64) -> Result<u64, Error> {
        if clear == 0 {
            return Err(Error::ArgumentInvalid);
        }
        let old = self.flags;
        self.flags &= !clear;
        Ok(old)
    }

    /// Returns the interrupt to assert, if something enabled has become pending.
    pub fn mask(&mut self, enable: u64, ack: u64) -> Option<Virq> {
        let before = self.pending();
        (self.enable, self.ack) = (enable, ack);
        let asserted = self.pending() && !before;
        if asserted {
            self.flags &= !self.ack;
        }
        asserted.then_some(self.virq)
    }

    pub fn reset(&mut self) {
        *self = Self::new(self.virq);
    }
}
