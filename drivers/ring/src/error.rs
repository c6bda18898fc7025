//! What can go wrong on a ring.

use core::fmt;
use embedded_io::{Error, ErrorKind};
use thiserror::Error;

/// A field that the other side writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Version of the layout.
    Version,
    /// Bytes or messages.
    Mode,
    /// Size of the data area.
    Capacity,
    /// The session that the other side says it has seen of us.
    Seen,
    /// Index behind the last byte produced.
    Head,
    /// Index behind the last byte consumed.
    Tail,
    /// Length of a message.
    Length,
    /// The word behind the length of a message, which is 0.
    Reserved,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Version => "version",
            Self::Mode => "mode",
            Self::Capacity => "capacity",
            Self::Seen => "session seen",
            Self::Head => "head",
            Self::Tail => "tail",
            Self::Length => "message length",
            Self::Reserved => "reserved word of a message",
        })
    }
}

/// Why an operation on a ring failed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum RingError {
    /// The buffer has no room for a ring.
    #[error("shared buffer of {size} bytes is too small for a ring, which takes {minimum}")]
    BufferTooSmall {
        /// Bytes there are.
        size: usize,
        /// Bytes there must be: [`MINIMUM_SIZE`](crate::MINIMUM_SIZE).
        minimum: usize,
    },
    /// The buffer does not begin at a cache line.
    #[error("shared buffer at {address:#x} is not aligned to a cache line of 64 bytes")]
    Unaligned {
        /// Where it begins.
        address: usize,
    },
    /// The other side wrote what no peer may write. This half is closed: each further call gives the same error.
    #[error("the peer's {field} is invalid: {value:#x}")]
    Corrupt {
        /// Where.
        field: Field,
        /// What was read there.
        value: u32,
    },
    /// The other side has started anew. What was under way is lost, the direction is empty, and can be used.
    #[error("the peer has restarted (session {session})")]
    PeerReset {
        /// Its new session.
        session: u16,
    },
    /// The other side has detached. It may come back; until then nothing can be sent or received.
    #[error("the peer has detached from the ring")]
    PeerGone,
    /// The message is longer than the ring can ever take.
    #[error("message of {length} bytes is longer than the ring's limit of {limit}")]
    MessageTooLong {
        /// Bytes of the message.
        length: usize,
        /// Bytes a message can have.
        limit: usize,
    },
    /// The message at the front does not fit into the buffer given; it stays where it is.
    #[error("message of {length} bytes does not fit into a buffer of {buffer}")]
    TargetTooSmall {
        /// Bytes of the message.
        length: usize,
        /// Bytes of the buffer.
        buffer: usize,
    },
    /// Messages were asked of a direction of bytes, or the reverse.
    #[error("operation is for the other mode of a ring")]
    WrongMode,
    /// Pages of the buffer were taken away, so that what was read is nobody's.
    #[error("the shared memory was taken away")]
    MemoryGone,
    /// Whoever waited has given up.
    #[error("nobody answered the bell")]
    GaveUp,
}

impl Error for RingError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Corrupt { .. } => ErrorKind::InvalidData,
            Self::PeerReset { .. } => ErrorKind::ConnectionReset,
            Self::PeerGone => ErrorKind::NotConnected,
            Self::MemoryGone => ErrorKind::BrokenPipe,
            Self::GaveUp => ErrorKind::TimedOut,
            Self::BufferTooSmall { .. } | Self::TargetTooSmall { .. } => ErrorKind::OutOfMemory,
            Self::Unaligned { .. } | Self::MessageTooLong { .. } | Self::WrongMode => {
                ErrorKind::InvalidInput
            }
        }
    }
}
