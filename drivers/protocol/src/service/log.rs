//! The log service: reads the log, and follows it.

use serde::{Deserialize, Serialize};

/// Asks for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// How much of what was logged so far, in bytes: that much of its end, from the start of a line on.
    pub bytes: u32,
    /// Whether to go on with what is logged from now on, until the request is cancelled.
    pub follow: bool,
}

/// A piece of the log: each part, and the reply, which may be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece<'a> {
    /// Bytes between the piece before and this one that were overwritten before they could be sent.
    pub lost: u64,
    /// The piece; lines are not kept together.
    #[serde(with = "serde_bytes", borrow)]
    pub text: &'a [u8],
}
