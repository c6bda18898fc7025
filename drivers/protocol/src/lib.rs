//! Requests and replies between VMs, the same on every transport.
//!
//! A message of a transport (a message queue, a ring) is one *frame*: an 8-byte header and a payload in postcard
//! encoding. A peer sends a request to a service by number; the service answers with the same service number and request
//! id: some parts or none, then one reply or one error reply. Replies come in any order.
//!
//! | module | what lives there |
//! |---|---|
//! | [`frame`] | the header, and what can be wrong with it |
//! | [`payload`] | postcard, with errors that name the field |
//! | [`error`] | error replies |
//! | [`service`] | numbers and messages of the services that are shipped |
//!
//! Nothing here allocates or needs a kernel; both ends use it.
//!
//! # Examples
//!
//! A peer asks the echo service, and takes the reply apart:
//!
//! ```
//! use billy_protocol::service::{ECHO, echo::Echo};
//! use billy_protocol::{ErrorReply, Frame, Kind, decode};
//!
//! let mut message = [0; 240];
//! let request = Frame { kind: Kind::Request, service: ECHO, request: 7, payload: &[] };
//! let size = request.encode(&Echo { data: b"hello" }, &mut message)?;
//! # message[1] = Kind::Reply as u8;
//! // ... sent on a message queue or a ring, and answered there ...
//! let reply = Frame::parse(&message[..size])?;
//! assert_eq!((reply.service, reply.request), (ECHO, 7));
//! match reply.kind {
//!     Kind::Reply => assert_eq!(decode::<Echo<'_>>(reply.payload)?.data, b"hello"),
//!     Kind::Error => panic!("refused: {}", decode::<ErrorReply<'_>>(reply.payload)?),
//!     kind => panic!("not expected: {kind:?}"),
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]

pub mod error;
pub mod frame;
pub mod payload;
pub mod service;

pub use error::{ErrorCode, ErrorReply};
pub use frame::{Frame, FrameError, HEADER_SIZE, Kind};
pub use payload::{DecodeError, EncodeError, Entries, decode};

/// Requests that one channel may have outstanding; what is beyond is answered [`ErrorCode::Busy`].
pub const MAX_OUTSTANDING: usize = 4;
