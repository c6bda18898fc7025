//! What the author of a service writes.

use super::reply::Reply;
use billy_protocol::{DecodeError, EncodeError, ErrorCode};
use core::fmt;
use serde::Deserialize;
use thiserror::Error;

/// Where a service is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// On every channel that is there for services: see [`super::Directory`].
    Everywhere,
    /// On message queues and rings with this label.
    Label(u32),
    /// On message queues and rings to the VM with this VMID.
    Peer(u16),
}

impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everywhere => f.write_str("everywhere"),
            Self::Label(label) => write!(f, "label {label}"),
            Self::Peer(vmid) => write!(f, "VM {vmid}"),
        }
    }
}

/// Proof that a request was answered; [`Reply`] gives it.
#[derive(Debug)]
pub struct Done(pub(super) ());

/// How a request was answered, or why it was not.
pub type Answer = Result<Done, Refusal>;

/// Why a request is refused; becomes an error reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{code}, {field}: {detail}")]
pub struct Refusal {
    /// What kind of refusal.
    pub code: ErrorCode,
    /// The field of the request that is wrong; empty if none is to blame.
    pub field: &'static str,
    /// What is wrong with it, in words.
    pub detail: &'static str,
}

impl Refusal {
    /// No field is to blame.
    pub const fn new(code: ErrorCode, detail: &'static str) -> Self {
        Self { code, field: "", detail }
    }

    /// A field's value is not what it may be.
    pub const fn out_of_range(field: &'static str, detail: &'static str) -> Self {
        Self { code: ErrorCode::OutOfRange, field, detail }
    }
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        Self { code: ErrorCode::Malformed, field: error.field(), detail: error.detail() }
    }
}

impl From<EncodeError> for Refusal {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::Room => Self::new(ErrorCode::TooLarge, "for a message of this channel"),
            EncodeError::Value => Self::new(ErrorCode::Failed, "the reply has no encoding"),
        }
    }
}

/// A service: what answers requests of one kind, for any number of channels at once.
///
/// Requests come decoded; one that cannot be was refused already, with the name of the field.
pub trait Service {
    /// The payload of a request, a struct.
    type Request<'a>: Deserialize<'a>;

    /// The number that requests carry: [`billy_protocol::service::FIRST_OWN`] or above.
    fn number(&self) -> u16;

    /// The name, for lists.
    fn name(&self) -> &'static str;

    /// Where it is offered.
    fn bindings(&self) -> &[Binding] {
        &[Binding::Everywhere]
    }

    /// Answers a request: sends a reply, in parts if there is much to say, or refuses.
    ///
    /// May wait for anything; other requests are served meanwhile. It is dropped where it waits
    /// when the peer cancels the request or the channel is closed.
    fn serve<'a>(
        &self,
        request: Self::Request<'a>,
        reply: Reply<'a>,
    ) -> impl Future<Output = Answer>;
}
