//! The request under way: which reply it awaits, and that reply once it is there.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use gunyah_abi::rm::{MAX_PACKET_SIZE, MessageId};
use spin::mutex::{SpinMutex, SpinMutexGuard};

/// A reply is awaited; the sequence number is in bits 47:32, the message id in bits 31:0.
const AWAITED: u64 = 1 << 63;

/// It has arrived.
const ARRIVED: u64 = 1 << 62;

fn awaited(sequence: u16, id: MessageId) -> u64 {
    AWAITED | u64::from(sequence) << 32 | u64::from(id.0)
}

/// What became of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It was awaited.
    Delivered,
    /// Another one is awaited.
    Mismatched,
    /// None is awaited, or no longer.
    Late,
}

/// Where drainer and requester meet.
#[derive(Debug)]
pub struct Exchange {
    state: AtomicU64,
    /// The reply's content; its memory is kept from one request to the next.
    content: SpinMutex<Vec<u8>>,
}

/// Ends the exchange when its request ends, also by being dropped.
pub struct Awaiting<'a>(&'a Exchange);

impl Exchange {
    /// Makes one that awaits nothing.
    pub fn new() -> Self {
        Self {
            state: AtomicU64::new(0),
            content: SpinMutex::new(Vec::with_capacity(MAX_PACKET_SIZE)),
        }
    }

    /// Begins to await a reply.
    pub fn begin(&self, sequence: u16, id: MessageId) -> Awaiting<'_> {
        self.state.store(awaited(sequence, id), Ordering::Release);
        Awaiting(self)
    }

    /// Awaits nothing any more.
    pub fn end(&self) {
        self.state.store(0, Ordering::Release);
    }

    /// Hands a reply over, if it is the awaited one and the first of its kind.
    pub fn deliver(&self, sequence: u16, id: MessageId, content: &[u8]) -> Delivery {
        let (state, expected) = (self.state.load(Ordering::Acquire), awaited(sequence, id));
        if state != expected {
            return match state & (AWAITED | ARRIVED) {
                AWAITED => Delivery::Mismatched,
                _ => Delivery::Late,
            };
        }
        let mut kept = self.content.lock();
        kept.clear();
        kept.extend_from_slice(content);
        drop(kept);
        match self.state.compare_exchange(
            expected,
            expected | ARRIVED,
            Ordering::AcqRel,
            Ordering::Relaxed,
        ) {
            Ok(_) => Delivery::Delivered,
            Err(_) => Delivery::Late,
        }
    }

    /// Whether the awaited reply is there.
    pub fn arrived(&self) -> bool {
        self.state.load(Ordering::Acquire) & ARRIVED != 0
    }

    /// The reply's content.
    pub fn content(&self) -> SpinMutexGuard<'_, Vec<u8>> {
        self.content.lock()
    }
}

impl Drop for Awaiting<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_awaited_reply_is_delivered_and_only_once() {
        let exchange = Exchange::new();
        let (id, other) = (MessageId::VM_GET_VMID, MessageId::VM_GET_OWNER);
        assert_eq!(exchange.deliver(1, id, b"early"), Delivery::Late);
        let awaiting = exchange.begin(1, id);
        assert_eq!(exchange.deliver(2, id, b"?"), Delivery::Mismatched);
        assert_eq!(exchange.deliver(1, other, b"?"), Delivery::Mismatched);
        assert!(!exchange.arrived());
        assert_eq!(exchange.deliver(1, id, b"reply"), Delivery::Delivered);
        assert!(exchange.arrived());
        assert_eq!(exchange.deliver(1, id, b"again"), Delivery::Late);
        assert_eq!(*exchange.content(), b"reply");
        drop(awaiting);
        assert!(!exchange.arrived());
        assert_eq!(exchange.deliver(1, id, b"late"), Delivery::Late);
    }
}
