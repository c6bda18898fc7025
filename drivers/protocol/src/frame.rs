//! The header of every message, and what can be wrong with it.
//!
//! | bytes | what |
//! |---|---|
//! | 0 | version, [`VERSION`] |
//! | 1 | [`Kind`] |
//! | 2..4 | number of the service, little endian |
//! | 4..8 | request id, little endian: chosen by who asks, not used for two requests at once |
//! | 8.. | payload |

use crate::payload::{self, EncodeError};
use serde::Serialize;
use thiserror::Error;
use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    little_endian::{U16, U32},
};

/// The version of this framing.
pub const VERSION: u8 = 1;
/// Bytes of the header.
pub const HEADER_SIZE: usize = size_of::<Header>();

#[derive(Clone, Copy, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
struct Header {
    version: u8,
    kind: u8,
    service: U16,
    request: U32,
}

const _: () = assert!(HEADER_SIZE == 8);

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A question.
    Request = 1,
    /// The answer, or its last part.
    Reply = 2,
    /// The refusal; its payload is an [`crate::ErrorReply`].
    Error = 3,
    /// A part of the answer; more follows.
    Part = 4,
    /// Whoever asked wants no more of the request with this id. No payload. It is answered with the error
    /// [`crate::ErrorCode::Cancelled`], or not at all if the request was answered meanwhile.
    Cancel = 5,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Request, Self::Reply, Self::Error, Self::Part, Self::Cancel]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// A message, taken apart. Only the header is checked; the payload is the service's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it is.
    pub kind: Kind,
    /// To or from which service.
    pub service: u16,
    /// Of which request.
    pub request: u32,
    /// The rest.
    pub payload: &'a [u8],
}

/// Why a message is no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// No room for a header.
    #[error("a message of {size} bytes has no room for a header")]
    Short {
        /// The message's size in bytes.
        size: usize,
    },
    /// Another version.
    #[error("version {version} is not {VERSION}")]
    Version {
        /// The version it has.
        version: u8,
        /// The service it names.
        service: u16,
        /// Its request id.
        request: u32,
    },
    /// A kind that is not in [`Kind`].
    #[error("kind {kind} is none there is")]
    Kind {
        /// The kind it has.
        kind: u8,
        /// The service it names.
        service: u16,
        /// Its request id.
        request: u32,
    },
}

impl FrameError {
    /// Where an error reply goes, service and request id: None if the header could not be read.
    pub fn reply_to(&self) -> Option<(u16, u32)> {
        match *self {
            Self::Short { .. } => None,
            Self::Version { service, request, .. } | Self::Kind { service, request, .. } => {
                Some((service, request))
            }
        }
    }

    /// The field of the header that is wrong.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Short { .. } => "header",
            Self::Version { .. } => "version",
            Self::Kind { .. } => "kind",
        }
    }
}

impl<'a> Frame<'a> {
    /// Takes a message apart.
    ///
    /// # Errors
    ///
    /// See [`FrameError`].
    #[inline]
    pub fn parse(message: &'a [u8]) -> Result<Self, FrameError> {
        let Ok((header, payload)) = Header::read_from_prefix(message) else {
            return Err(FrameError::Short { size: message.len() });
        };
        let (version, service, request) =
            (header.version, header.service.get(), header.request.get());
        if version != VERSION {
            return Err(FrameError::Version { version, service, request });
        }
        let Some(kind) = Kind::from_byte(header.kind) else {
            return Err(FrameError::Kind { kind: header.kind, service, request });
        };
        Ok(Self { kind, service, request, payload })
    }

    /// Puts a message together in `buffer`: this header and payload. Returns its size in bytes.
    ///
    /// # Errors
    ///
    /// [`EncodeError::Room`].
    pub fn write(&self, buffer: &mut [u8]) -> Result<usize, EncodeError> {
        let room = self.write_header(buffer)?;
        let target = room.get_mut(..self.payload.len()).ok_or(EncodeError::Room)?;
        target.copy_from_slice(self.payload);
        Ok(HEADER_SIZE + self.payload.len())
    }

    /// Puts a message together in `buffer`: this header, and `value` in place of the payload. Returns its size in bytes.
    ///
    /// # Errors
    ///
    /// [`EncodeError`].
    pub fn encode<T: Serialize + ?Sized>(
        &self,
        value: &T,
        buffer: &mut [u8],
    ) -> Result<usize, EncodeError> {
        let room = self.write_header(buffer)?;
        Ok(HEADER_SIZE + payload::encode(value, room)?)
    }

    /// Writes the header; returns the room behind it.
    fn write_header<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b mut [u8], EncodeError> {
        let header = Header {
            version: VERSION,
            kind: self.kind as u8,
            service: self.service.into(),
            request: self.request.into(),
        };
        let (target, rest) = Header::mut_from_prefix(buffer).map_err(|_| EncodeError::Room)?;
        *target = header;
        Ok(rest)
    }
}
