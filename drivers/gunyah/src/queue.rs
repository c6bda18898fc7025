//! Message queues: an async sender and receiver that lose nothing, never poll.
//!
//! Each side waits for its vIRQ, whose handler calls `on_interrupt`: that sets a flag and wakes a task, nothing more. The
//! vIRQs must be configured as edges. The rules that keep every message:
//!
//! * Each end clears its flag *before* it asks the hypervisor, and sets it again when told that messages, or room, remain; so
//!   an edge that comes during the call is not lost. The flag starts set: the receiver drains what came before the vIRQ was
//!   enabled.
//! * A message that did not fit stays with the caller and is sent again after the vIRQ.
//! * Running hypervisors answer a receive into a buffer that is too small with success and size 0, for ever. The receiver
//!   never offers such a buffer, and takes the answer for a broken queue: one error, then no more calls.
//!
//! Outside tasks the `_blocking` methods call a closure that waits. It must let the vIRQ's handler run or, where there is
//! none yet, just return after some interrupt: the queue is then asked once more.

mod end;
mod receiver;
mod sender;

pub use receiver::MessageReceiver;
pub use sender::MessageSender;

use gunyah_abi::message_queue::{MAX_DEPTH, MAX_MESSAGE_SIZE};
use gunyah_abi::{CapabilityId, Error as HypercallError, Hypercall};
use thiserror::Error;

/// What a queue is like, as the device tree tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueConfig {
    /// The capability to send or receive with.
    pub capability: CapabilityId,
    /// Largest message in bytes, 1..=1023.
    pub max_message_size: u16,
    /// Messages the queue holds, 1..=255.
    pub depth: u16,
}

impl QueueConfig {
    /// Checks the limits of the hypervisor.
    ///
    /// # Errors
    ///
    /// [`QueueError::Config`].
    pub fn check(self) -> Result<Self, QueueError> {
        let size_fits = (1..=MAX_MESSAGE_SIZE).contains(&self.max_message_size);
        if size_fits && (1..=MAX_DEPTH).contains(&self.depth) {
            Ok(self)
        } else {
            Err(QueueError::Config {
                queue: self.capability,
                max_message_size: self.max_message_size,
                depth: self.depth,
            })
        }
    }
}

/// What can go wrong with a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum QueueError {
    /// No room now; the message was not sent.
    #[error("message queue {queue} is full")]
    Full {
        /// Which queue.
        queue: CapabilityId,
    },
    /// No message now.
    #[error("message queue {queue} is empty")]
    Empty {
        /// Which queue.
        queue: CapabilityId,
    },
    /// The hypervisor answered a receive with success and size 0, or with a size beyond the buffer.
    #[error("message queue {queue} is broken: the hypervisor delivered a message of {size} bytes")]
    Broken {
        /// Which queue.
        queue: CapabilityId,
        /// The size it gave.
        size: usize,
    },
    /// A message to send of no bytes, or of too many.
    #[error("message of {size} bytes for message queue {queue}, which takes 1 to {max}")]
    MessageSize {
        /// Which queue.
        queue: CapabilityId,
        /// The message's size in bytes.
        size: usize,
        /// The queue's largest message in bytes.
        max: usize,
    },
    /// A buffer to receive into that could not hold every message.
    #[error("buffer of {size} bytes for message queue {queue}, whose messages have up to {max}")]
    BufferSize {
        /// Which queue.
        queue: CapabilityId,
        /// The buffer's size in bytes.
        size: usize,
        /// The queue's largest message in bytes.
        max: usize,
    },
    /// Settings no queue can have.
    #[error("message queue {queue} cannot hold {depth} messages of {max_message_size} bytes")]
    Config {
        /// Which queue.
        queue: CapabilityId,
        /// Largest message in bytes.
        max_message_size: u16,
        /// Messages.
        depth: u16,
    },
    /// The hypervisor refused the call.
    #[error("{call} on message queue {queue} failed: {error}")]
    Refused {
        /// Which queue.
        queue: CapabilityId,
        /// The hypercall.
        call: Hypercall,
        /// What it answered.
        error: HypercallError,
    },
}

impl QueueError {
    /// Whether it goes away by waiting for the vIRQ.
    #[inline(always)]
    const fn is_wait(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::Empty { .. })
    }
}

/// What happened on one side of a queue since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueStatistics {
    /// Messages sent or received.
    pub messages: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// vIRQs.
    pub interrupts: u64,
    /// How often a message had to wait for room, or a receive call found the queue empty.
    pub waits: u64,
    /// Hypercalls that failed otherwise, broken answers included.
    pub errors: u64,
    /// Looks without a vIRQ that found messages, or room: vIRQs that were lost, or late.
    pub found: u64,
}
