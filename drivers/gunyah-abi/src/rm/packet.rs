//! One packet of the protocol: an 8-byte header and up to 232 bytes of content.

use super::MessageId;
use zerocopy::byteorder::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of a packet's header.
pub const HEADER_SIZE: usize = 8;

/// Bytes of content in one packet at most.
pub const MAX_PACKET_CONTENT: usize = 232;

/// Bytes of a packet at most.
pub const MAX_PACKET_SIZE: usize = HEADER_SIZE + MAX_PACKET_CONTENT;

/// Fragments a message may have after its first packet.
pub const MAX_EXTRA_FRAGMENTS: u8 = 62;

/// Bytes of content in one message at most.
pub const MAX_CONTENT: usize = MAX_PACKET_CONTENT * (MAX_EXTRA_FRAGMENTS as usize + 1);

/// Bytes one `CONSOLE_WRITE` may carry. One more, and RM drops the request without a reply.
pub const MAX_CONSOLE_WRITE: usize = MAX_CONTENT - 4;

/// Bytes one `CONSOLE_WRITE` may carry in a single packet.
pub const MAX_SINGLE_CONSOLE_WRITE: usize = MAX_PACKET_CONTENT - 4;

/// First byte of every packet: version 1 in bits 3:0, a header of two 32-bit words in bits 7:4.
pub const VERSION_AND_HEADER_WORDS: u8 = 0x21;

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PacketType {
    /// A further fragment of the message begun before.
    Continuation = 0,
    /// First packet of a request.
    Request = 1,
    /// First packet of a reply.
    Reply = 2,
    /// First packet of a notification.
    Notification = 3,
}

/// Header of every packet, little endian.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct PacketHeader {
    /// Bits 3:0 API version, bits 7:4 header size in 32-bit words.
    pub version_and_header_words: u8,
    /// Bits 1:0 type, bits 7:2 number of fragments after the first packet, the same in all packets of a message.
    pub type_and_fragments: u8,
    /// Sequence number, copied from request to reply.
    pub sequence: U16,
    /// Message id.
    pub id: U32,
}

const _: () = assert!(size_of::<PacketHeader>() == HEADER_SIZE);

/// Why bytes are no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// Shorter than a header, with this many bytes.
    Short(usize),
    /// Another API version.
    Version(u8),
    /// Another header size, in 32-bit words.
    HeaderWords(u8),
}

impl PacketHeader {
    /// Composes a header.
    #[inline]
    pub const fn new(kind: PacketType, extra_fragments: u8, sequence: u16, id: MessageId) -> Self {
        Self {
            version_and_header_words: VERSION_AND_HEADER_WORDS,
            type_and_fragments: kind as u8 | extra_fragments << 2,
            sequence: U16::new(sequence),
            id: U32::new(id.0),
        }
    }

    /// Splits a packet into header and content.
    ///
    /// # Errors
    ///
    /// What is wrong with the header, if it is not a header of version 1.
    #[inline]
    pub fn parse(packet: &[u8]) -> Result<(&Self, &[u8]), HeaderError> {
        let Ok((header, content)) = Self::ref_from_prefix(packet) else {
            return Err(HeaderError::Short(packet.len()));
        };
        if header.version_and_header_words == VERSION_AND_HEADER_WORDS {
            return Ok((header, content));
        }
        match header.version_and_header_words & 0xF {
            1 => Err(HeaderError::HeaderWords(header.version_and_header_words >> 4)),
            version => Err(HeaderError::Version(version)),
        }
    }

    /// What the packet is.
    #[inline]
    pub const fn packet_type(&self) -> PacketType {
        match self.type_and_fragments & 0b11 {
            0 => PacketType::Continuation,
            1 => PacketType::Request,
            2 => PacketType::Reply,
            _ => PacketType::Notification,
        }
    }

    /// How many fragments the message has after its first packet, 0..=63; RM never makes more than
    /// [`MAX_EXTRA_FRAGMENTS`].
    #[inline]
    pub const fn extra_fragments(&self) -> u8 {
        self.type_and_fragments >> 2
    }

    /// The message id.
    #[inline]
    pub const fn message_id(&self) -> MessageId {
        MessageId(self.id.get())
    }
}

/// Returns how many fragments after the first packet a content of `length` bytes needs, `None` if it is over
/// [`MAX_CONTENT`].
///
/// # Examples
///
/// ```
/// use gunyah_abi::rm::extra_fragments;
/// assert_eq!(extra_fragments(232), Some(0));
/// assert_eq!(extra_fragments(300), Some(1));
/// assert_eq!(extra_fragments(14_617), None);
/// ```
pub const fn extra_fragments(length: usize) -> Option<u8> {
    if length > MAX_CONTENT {
        None
    } else {
        Some((length.saturating_sub(1) / MAX_PACKET_CONTENT) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_those_of_rm() {
        assert_eq!(MAX_PACKET_SIZE, 240);
        assert_eq!(MAX_CONTENT, 14_616);
        assert_eq!(MAX_CONSOLE_WRITE, 14_612);
        assert_eq!(MAX_SINGLE_CONSOLE_WRITE, 228);
        assert_eq!(extra_fragments(0), Some(0));
        assert_eq!(extra_fragments(233), Some(1));
        assert_eq!(extra_fragments(MAX_CONTENT), Some(62));
    }

    #[test]
    fn header_fields_sit_where_the_protocol_has_them() {
        let header = PacketHeader::new(PacketType::Reply, 62, 0x1234, MessageId::CONSOLE_WRITE);
        assert_eq!(header.as_bytes(), [0x21, 0xFA, 0x34, 0x12, 0x83, 0, 0, 0x56]);
        let (parsed, content) =
            PacketHeader::parse(&[0x21, 0xFA, 0x34, 0x12, 0x83, 0, 0, 0x56, 9]).unwrap();
        assert_eq!(parsed, &header);
        assert_eq!(parsed.packet_type(), PacketType::Reply);
        assert_eq!(parsed.extra_fragments(), 62);
        assert_eq!(parsed.message_id(), MessageId::CONSOLE_WRITE);
        assert_eq!(content, [9]);
    }

    #[test]
    fn other_headers_are_named() {
        assert_eq!(PacketHeader::parse(&[0x21; 7]), Err(HeaderError::Short(7)));
        assert_eq!(PacketHeader::parse(&[0x22; 8]), Err(HeaderError::Version(2)));
        assert_eq!(PacketHeader::parse(&[0x31; 8]), Err(HeaderError::HeaderWords(3)));
    }
}
