//! Message queue object: bounded FIFO of whole messages, two vIRQ sources.

use alloc::vec;
use alloc::vec::Vec;

use gunyah_abi::message_queue::{MAX_DEPTH, MAX_MESSAGE_SIZE};

use crate::seam::{GuestFault, Virq, VirtualInterrupts};

/// Why a send or a receive did not move a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueError {
    /// The queue holds `depth` messages.
    Full,
    /// The queue holds no message.
    Empty,
    /// The message is empty or longer than the queue takes.
    Size,
    /// The receive buffer is shorter than the message.
    BufferTooSmall,
    /// The caller's buffer is not accessible.
    Fault(GuestFault),
}

/// Why a threshold was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThresholdOutOfRange;

/// A not-empty threshold as `msgqueue_configure_receive` takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotEmptyThreshold {
    /// Leave it as it is, but evaluate it again.
    Keep,
    /// The queue's depth; not evaluated at once.
    Depth,
    /// That many messages.
    Messages(u32),
}

/// A message queue.
#[derive(Debug)]
pub struct MessageQueue {
    /// The sender's interrupt: the queue stopped being full.
    pub tx_virq: Option<Virq>,
    /// The receiver's interrupt: the queue stopped being empty.
    pub rx_virq: Option<Virq>,
    /// No message fits any receiver's buffer: what a script makes of a queue to break it.
    pub broken: bool,
    storage: Vec<u8>,
    sizes: Vec<u16>,
    depth: u16,
    max_size: u16,
    head: u16,
    count: u16,
    not_full_threshold: u16,
    not_empty_threshold: u16,
}

impl MessageQueue {
    /// An empty queue for `depth` messages of up to `max_size` bytes; `None` if either is out of range
    /// ([`MAX_DEPTH`], [`MAX_MESSAGE_SIZE`]).
    #[must_use]
    pub fn new(depth: u16, max_size: u16) -> Option<Self> {
        if !(1..=MAX_DEPTH).contains(&depth) || !(1..=MAX_MESSAGE_SIZE).contains(&max_size) {
            return None;
        }
        Some(Self {
            tx_virq: None,
            rx_virq: None,
            broken: false,
            storage: vec![0; usize::from(depth) * usize::from(max_size)],
            sizes: vec![0; usize::from(depth)],
            depth,
            max_size,
            head: 0,
            count: 0,
            not_full_threshold: depth - 1,
            not_empty_threshold: 1,
        })
    }

    /// Messages in the queue.
    #[must_use]
    pub fn count(&self) -> u16 {
        self.count
    }

    /// Messages the queue can hold.
    #[must_use]
    pub fn depth(&self) -> u16 {
        self.depth
    }

    /// Bytes a message can have.
    #[must_use]
    pub fn max_size(&self) -> u16 {
        self.max_size
    }

    /// Whether the queue holds as many messages as it can.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.count == self.depth
    }

    /// Queues a message of `size` bytes, which `copy` writes into the queue.
    ///
    /// Raises the receiver's interrupt if `push` is set or the count has reached the not-empty threshold. Returns
    /// whether there is room for another one.
    ///
    /// # Errors
    ///
    /// [`QueueError::Full`] before anything else, then [`QueueError::Size`], then what `copy` says. Nothing is queued.
    pub fn send(
        &mut self,
        size: u64,
        push: bool,
        copy: impl FnOnce(&mut [u8]) -> Result<(), GuestFault>,
        interrupts: &mut dyn VirtualInterrupts,
    ) -> Result<bool, QueueError> {
        if self.is_full() {
            return Err(QueueError::Full);
        }
        let size = u16::try_from(size)
            .ok()
            .filter(|size| (1..=self.max_size).contains(size))
            .ok_or(QueueError::Size)?;
        let slot = (self.head + self.count) % self.depth;
        copy(&mut self.slot(slot)[..usize::from(size)]).map_err(QueueError::Fault)?;
        self.sizes[usize::from(slot)] = size;
        self.count += 1;
        if push || self.count == self.not_empty_threshold {
            assert(interrupts, self.rx_virq);
        }
        Ok(!self.is_full())
    }

    /// Queues `message`, for senders inside the shim; see [`Self::send`].
    ///
    /// # Errors
    ///
    /// [`QueueError::Full`] or [`QueueError::Size`].
    pub fn send_bytes(
        &mut self,
        message: &[u8],
        interrupts: &mut dyn VirtualInterrupts,
    ) -> Result<bool, QueueError> {
        let copy = |slot: &mut [u8]| {
            slot.copy_from_slice(message);
            Ok(())
        };
        self.send(message.len() as u64, false, copy, interrupts)
    }

    /// Takes the oldest message, which `copy` reads out of the queue; `room` is the receiver's buffer size.
    ///
    /// Raises the sender's interrupt if the count has reached the not-full threshold. Returns the message's size and
    /// whether there are more.
    ///
    /// # Errors
    ///
    /// [`QueueError::Empty`], then [`QueueError::BufferTooSmall`], then what `copy` says; the message stays queued.
    pub fn receive(
        &mut self,
        room: u64,
        copy: impl FnOnce(&[u8]) -> Result<(), GuestFault>,
        interrupts: &mut dyn VirtualInterrupts,
    ) -> Result<(u16, bool), QueueError> {
        if self.count == 0 {
            return Err(QueueError::Empty);
        }
        let size = self.sizes[usize::from(self.head)];
        if room < u64::from(size) || self.broken {
            return Err(QueueError::BufferTooSmall);
        }
        let head = self.head;
        copy(&self.slot(head)[..usize::from(size)]).map_err(QueueError::Fault)?;
        self.head = (self.head + 1) % self.depth;
        self.count -= 1;
        if self.count == self.not_full_threshold {
            assert(interrupts, self.tx_virq);
        }
        Ok((size, self.count > 0))
    }

    /// Takes the oldest message, for receivers inside the shim.
    pub fn receive_bytes(&mut self, interrupts: &mut dyn VirtualInterrupts) -> Option<Vec<u8>> {
        let mut message = Vec::new();
        let copy = |bytes: &[u8]| {
            message.extend_from_slice(bytes);
            Ok(())
        };
        self.receive(u64::MAX, copy, interrupts).ok()?;
        Some(message)
    }

    /// Drops all messages. If there were any, raises the sender's interrupt and drops the receiver's.
    pub fn flush(&mut self, interrupts: &mut dyn VirtualInterrupts) {
        if self.count == 0 {
            return;
        }
        self.head = 0;
        self.count = 0;
        assert(interrupts, self.tx_virq);
        clear(interrupts, self.rx_virq);
    }

    /// Sets the not-full threshold (`None` keeps it) and evaluates it again.
    ///
    /// # Errors
    ///
    /// The threshold is not below the depth.
    pub fn configure_send(
        &mut self,
        threshold: Option<u32>,
        interrupts: &mut dyn VirtualInterrupts,
    ) -> Result<(), ThresholdOutOfRange> {
        if let Some(threshold) = threshold {
            self.not_full_threshold = u16::try_from(threshold)
                .ok()
                .filter(|threshold| *threshold < self.depth)
                .ok_or(ThresholdOutOfRange)?;
        }
        evaluate(interrupts, self.tx_virq, self.is_tx_pending());
        Ok(())
    }

    /// Sets the not-empty threshold and, except in the depth form, evaluates it again.
    ///
    /// # Errors
    ///
    /// The threshold is zero or above the depth.
    pub fn configure_receive(
        &mut self,
        threshold: NotEmptyThreshold,
        interrupts: &mut dyn VirtualInterrupts,
    ) -> Result<(), ThresholdOutOfRange> {
        match threshold {
            NotEmptyThreshold::Depth => {
                self.not_empty_threshold = self.depth;
                return Ok(());
            }
            NotEmptyThreshold::Keep => {}
            NotEmptyThreshold::Messages(messages) => {
                self.not_empty_threshold = u16::try_from(messages)
                    .ok()
                    .filter(|messages| (1..=self.depth).contains(messages))
                    .ok_or(ThresholdOutOfRange)?;
            }
        }
        evaluate(interrupts, self.rx_virq, self.is_rx_pending());
        Ok(())
    }

    /// Whether the sender's source is pending, for level interrupts: almost always, since it means "not full".
    #[must_use]
    pub fn is_tx_pending(&self) -> bool {
        self.count <= self.not_full_threshold
    }

    /// Whether the receiver's source is pending, for level interrupts.
    #[must_use]
    pub fn is_rx_pending(&self) -> bool {
        self.count >= self.not_empty_threshold
    }

    /// Returns to the state at creation, without interrupts.
    pub fn restart(&mut self) {
        self.head = 0;
        self.count = 0;
        self.not_full_threshold = self.depth - 1;
        self.not_empty_threshold = 1;
    }

    fn slot(&mut self, slot: u16) -> &mut [u8] {
        let size = usize::from(self.max_size);
        let start = usize::from(slot) * size;
        &mut self.storage[start..start + size]
    }
}

fn assert(interrupts: &mut dyn VirtualInterrupts, virq: Option<Virq>) {
    if let Some(virq) = virq {
        interrupts.assert(virq);
    }
}

fn clear(interrupts: &mut dyn VirtualInterrupts, virq: Option<Virq>) {
    if let Some(virq) = virq {
        interrupts.clear(virq);
    }
}

fn evaluate(interrupts: &mut dyn VirtualInterrupts, virq: Option<Virq>, pending: bool) {
    if pending {
        assert(interrupts, virq);
    } else {
        clear(interrupts, virq);
    }
}

#[cfg(test)]
mod tests;
