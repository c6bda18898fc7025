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
