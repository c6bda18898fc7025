//! The request under way: which reply it awaits, and that reply.

use alloc::vec::Vec;
use core::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use gunyah_abi::rm::{MAX_PACKET_SIZE, MessageId, PacketHeader, PacketType};
use spin::mutex::{SpinMutex, SpinMutexGuard};
use zerocopy::IntoBytes;

/// No reply is awaited.
const NONE: u64 = 0;

/// The reply has arrived. A bit that is clear in the first byte of every packet of version 1.
const ARRIVED: u64 = 1 << 7;

/// The header of a reply of one packet, as the packet's first eight bytes in little-endian order.
fn reply_header(sequence: u16, id: MessageId) -> u64 {
    let header = PacketHeader::new(PacketType::Reply, 0, sequence, id);
    header.as_bytes().first_chunk().map_or(NONE, |bytes| u64::from_le_bytes(*bytes))
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

/// Where drainer, requester and the watch over requests meet.
#[derive(Debug)]
pub struct Exchange {
    /// NONE, or the header of the awaited reply, if that is one packet; with ARRIVED once it has been delivered.
    state: AtomicU64,
    /// How often the requester is to have looked for the reply, though no interrupt came.
    looks: AtomicU32,
    /// The reply's content; its memory is kept from one request to the next.
    content: SpinMutex<Vec<u8>>,
}

impl Exchange {
    /// Makes one that awaits nothing.
    pub fn new() -> Self {
        Self {
            state: AtomicU64::new(NONE),
            looks: AtomicU32::new(0),
            content: SpinMutex::new(Vec::with_capacity(MAX_PACKET_SIZE)),
        }
    }

    /// Begins to await a reply.
    #[inline]
    pub fn begin(&self, sequence: u16, id: MessageId) {
        self.looks.store(0, Relaxed);
        self.state.store(reply_header(sequence, id), SeqCst);
    }

    /// Awaits nothing any more.
    #[inline]
    pub fn end(&self) {
        self.state.store(NONE, SeqCst);
    }

    /// What tells the request under way from others; `None` if there is none.
    pub fn under_way(&self) -> Option<u64> {
        Some(self.state.load(SeqCst)).filter(|state| *state != NONE)
    }

    /// Whether these are the first bytes of the awaited reply, and that is one packet.
    #[inline]
    pub fn awaits_packet(&self, header: u64) -> bool {
        self.state.load(SeqCst) == header
    }

    /// Whether the reply is the awaited one.
    pub fn awaits(&self, sequence: u16, id: MessageId) -> bool {
        self.awaits_packet(reply_header(sequence, id))
    }

    /// Hands a reply over, if it is the awaited one and the first of its kind.
    pub fn deliver(&self, sequence: u16, id: MessageId, content: &[u8]) -> Delivery {
        let expected = reply_header(sequence, id);
        match self.state.load(SeqCst) {
            state if state == expected => {}
            state if state == NONE || state & ARRIVED != 0 => return Delivery::Late,
            _ => return Delivery::Mismatched,
        }
        let mut kept = self.content.lock();
        kept.clear();
        kept.extend_from_slice(content);
        drop(kept);
        match self.state.compare_exchange(expected, expected | ARRIVED, SeqCst, Relaxed) {
            Ok(_) => Delivery::Delivered,
            Err(_) => Delivery::Late,
        }
    }

    /// Whether the awaited reply was delivered.
    #[inline]
    pub fn arrived(&self) -> bool {
        self.state.load(SeqCst) & ARRIVED != 0
    }

    /// The reply's content.
    pub fn content(&self) -> SpinMutexGuard<'_, Vec<u8>> {
        self.content.lock()
    }

    /// Has the requester look for its reply so many times more. It must be woken, too.
    pub fn ask_for_looks(&self, looks: u32) {
        self.looks.fetch_add(looks, Relaxed);
    }

    /// How often it was to look so far.
    #[inline]
    pub fn looks(&self) -> u32 {
        self.looks.load(Relaxed)
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
        exchange.begin(1, id);
        assert_eq!(exchange.deliver(2, id, b"?"), Delivery::Mismatched);
        assert_eq!(exchange.deliver(1, other, b"?"), Delivery::Mismatched);
        assert!(!exchange.arrived() && exchange.awaits(1, id) && !exchange.awaits(2, id));
        assert_eq!(exchange.deliver(1, id, b"reply"), Delivery::Delivered);
        assert!(exchange.arrived() && !exchange.awaits(1, id));
        assert_eq!(exchange.deliver(1, id, b"again"), Delivery::Late);
        assert_eq!(*exchange.content(), b"reply");
        exchange.end();
        assert!(!exchange.arrived());
        assert_eq!(exchange.deliver(1, id, b"late"), Delivery::Late);
    }

    #[test]
    fn a_packet_is_known_by_its_first_bytes() {
        let exchange = Exchange::new();
        exchange.begin(0x1234, MessageId(0x5600_0024));
        let awaits = |bytes: [u8; 8]| exchange.awaits_packet(u64::from_le_bytes(bytes));
        let packet = [0x21, 0x02, 0x34, 0x12, 0x24, 0, 0, 0x56];
        assert!(awaits(packet));
        for byte in 0..packet.len() {
            let mut other = packet;
            other[byte] ^= 0x80;
            assert!(!awaits(other), "byte {byte}");
        }
    }
}
