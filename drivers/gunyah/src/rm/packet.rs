//! Cutting messages into packets, and putting them together again.

use alloc::vec::Vec;
use gunyah_abi::rm::{
    HEADER_SIZE, HeaderError, MAX_CONTENT, MAX_EXTRA_FRAGMENTS, MAX_PACKET_CONTENT,
    MAX_PACKET_SIZE, MessageId, PacketHeader, PacketType, extra_fragments,
};
use zerocopy::IntoBytes;

/// Room for one packet, aligned so that it is cleared and filled in few steps.
#[derive(Clone, Debug)]
#[repr(C, align(16))]
pub struct PacketBuffer([u8; MAX_PACKET_SIZE]);

impl PacketBuffer {
    /// Makes an empty one.
    #[inline]
    pub const fn new() -> Self {
        Self([0; MAX_PACKET_SIZE])
    }
}

impl Default for PacketBuffer {
    fn default() -> Self {
        Self::new()
    }
}

/// Cuts a message into packets. The content is a fixed part and a variable one, so that nobody needs to join them.
#[derive(Debug)]
pub struct Fragmenter<'a> {
    kind: PacketType,
    extra_fragments: u8,
    sequence: u16,
    id: MessageId,
    /// Packets still to be made, this one included.
    left: u8,
    /// What of the content they carry.
    fixed: &'a [u8],
    variable: &'a [u8],
}

impl<'a> Fragmenter<'a> {
    /// Begins a message; `None` if its content is over [`MAX_CONTENT`].
    #[inline]
    pub fn new(
        kind: PacketType,
        sequence: u16,
        id: MessageId,
        fixed: &'a [u8],
        variable: &'a [u8],
    ) -> Option<Self> {
        let extra_fragments = extra_fragments(fixed.len().saturating_add(variable.len()))?;
        Some(Self {
            kind,
            extra_fragments,
            sequence,
            id,
            left: extra_fragments + 1,
            fixed,
            variable,
        })
    }

    /// Sets the sequence number; not for a message that has begun to be sent.
    #[inline]
    pub(crate) fn set_sequence(&mut self, sequence: u16) {
        self.sequence = sequence;
    }

    /// Whether all packets are done.
    #[inline]
    pub fn is_finished(&self) -> bool {
        self.left == 0
    }

    /// Writes the next packet; the same one until [`Self::advance`].
    #[inline]
    pub fn packet<'b>(&self, buffer: &'b mut PacketBuffer) -> &'b [u8] {
        let first = self.left > self.extra_fragments;
        let kind = if first { self.kind } else { PacketType::Continuation };
        let header = PacketHeader::new(kind, self.extra_fragments, self.sequence, self.id);
        let (start, room) = buffer.0.split_at_mut(HEADER_SIZE);
        start.copy_from_slice(header.as_bytes());
        let (room, fixed) = fill(room, self.fixed);
        let (_, variable) = fill(room, self.variable);
        buffer.0.get(..HEADER_SIZE + fixed + variable).unwrap_or_default()
    }

    /// Goes on to the next packet.
    #[inline]
    pub fn advance(&mut self) {
        self.left = self.left.saturating_sub(1);
        if self.left > 0 {
            let fixed = self.fixed.len().min(MAX_PACKET_CONTENT);
            self.fixed = self.fixed.get(fixed..).unwrap_or_default();
            self.variable = self.variable.get(MAX_PACKET_CONTENT - fixed..).unwrap_or_default();
        }
    }
}

/// Copies what fits of `part`; returns the room left and how much was copied.
#[inline(always)]
fn fill<'r>(room: &'r mut [u8], part: &[u8]) -> (&'r mut [u8], usize) {
    if part.is_empty() {
        return (room, 0);
    }
    let length = part.len().min(room.len());
    let (target, left) = room.split_at_mut(length);
    target.copy_from_slice(part.get(..length).unwrap_or_default());
    (left, length)
}

/// A message, whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Request, reply or notification.
    pub kind: PacketType,
    /// Sequence number.
    pub sequence: u16,
    /// Message id.
    pub id: MessageId,
    /// Everything after the headers.
    pub content: &'a [u8],
}

/// Packets that were dropped, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DropCounts {
    /// Shorter than a header.
    pub short: u64,
    /// Of another version of the protocol.
    pub version: u64,
    /// With another header size.
    pub header_size: u64,
    /// Continuation of a message that never began.
    pub orphan: u64,
    /// Continuation with another sequence number, id or fragment count than the message under way.
    pub out_of_sequence: u64,
    /// Incomplete message discarded because another began.
    pub interrupted: u64,
    /// More fragments or content than the protocol allows.
    pub too_long: u64,
    /// No memory to keep a fragment.
    pub no_memory: u64,
}

impl DropCounts {
    /// Returns the sum of all reasons.
    pub fn total(&self) -> u64 {
        self.short
            + self.version
            + self.header_size
            + self.orphan
            + self.out_of_sequence
            + self.interrupted
            + self.too_long
            + self.no_memory
    }
}

/// Puts packets together. A message of one packet is passed on without copying.
#[derive(Debug, Default)]
pub struct Reassembler {
    /// The first packet's header while a message is incomplete.
    first: Option<PacketHeader>,
    /// Continuations still to come.
    missing: u8,
    content: Vec<u8>,
    drops: DropCounts,
}

impl Reassembler {
    /// Makes one with no message under way.
    pub const fn new() -> Self {
        Self {
            first: None,
            missing: 0,
            content: Vec::new(),
            drops: DropCounts {
                short: 0,
                version: 0,
                header_size: 0,
                orphan: 0,
                out_of_sequence: 0,
                interrupted: 0,
                too_long: 0,
                no_memory: 0,
            },
        }
    }

    /// Takes a packet and returns the message it completes, if it does. A packet that does not fit is dropped and counted.
    #[inline]
    pub fn push<'a>(&'a mut self, packet: &'a [u8]) -> Option<Message<'a>> {
        let (header, content) = match PacketHeader::parse(packet) {
            Ok(parsed) => parsed,
            Err(error) => {
                *match error {
                    HeaderError::Short(_) => &mut self.drops.short,
                    HeaderError::Version(_) => &mut self.drops.version,
                    HeaderError::HeaderWords(_) => &mut self.drops.header_size,
                } += 1;
                return None;
            }
        };
        if header.packet_type() == PacketType::Continuation {
            return self.continuation(header, content);
        }
        self.interrupt();
        if header.extra_fragments() > MAX_EXTRA_FRAGMENTS || content.len() > MAX_CONTENT {
            self.drops.too_long += 1;
            return None;
        }
        if header.extra_fragments() == 0 {
            return Some(message(header, content));
        }
        self.content.clear();
        if self.append(content) {
            self.first = Some(*header);
            self.missing = header.extra_fragments();
        }
        None
    }

    /// Gives up the message under way, if there is one, since another begins.
    #[inline]
    pub(crate) fn interrupt(&mut self) {
        if self.first.take().is_some() {
            self.drops.interrupted += 1;
        }
    }

    fn continuation(&mut self, header: &PacketHeader, content: &[u8]) -> Option<Message<'_>> {
        let Some(first) = self.first else {
            self.drops.orphan += 1;
            return None;
        };
        if header.sequence != first.sequence
            || header.id != first.id
            || header.extra_fragments() != first.extra_fragments()
        {
            self.drops.out_of_sequence += 1;
            return None;
        }
        if !self.append(content) {
            self.first = None;
            return None;
        }
        self.missing = self.missing.saturating_sub(1);
        if self.missing > 0 {
            return None;
        }
        self.first = None;
        Some(message(&first, &self.content))
    }

    /// Keeps a fragment's content, or counts why not.
    fn append(&mut self, content: &[u8]) -> bool {
        if self.content.len() + content.len() > MAX_CONTENT {
            self.drops.too_long += 1;
            return false;
        }
        if self.content.try_reserve(content.len()).is_err() {
            self.drops.no_memory += 1;
            return false;
        }
        self.content.extend_from_slice(content);
        true
    }

    /// What was dropped so far.
    pub fn drops(&self) -> DropCounts {
        self.drops
    }
}

fn message<'a>(header: &PacketHeader, content: &'a [u8]) -> Message<'a> {
    Message {
        kind: header.packet_type(),
        sequence: header.sequence.get(),
        id: header.message_id(),
        content,
    }
}

/// Bytes of content that `packets` packets carry.
pub const fn content_of(packets: usize) -> usize {
    packets * MAX_PACKET_CONTENT
}
