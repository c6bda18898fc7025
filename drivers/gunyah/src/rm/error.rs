//! Why a request to the Resource Manager failed.

use super::memory::MemHandle;
use crate::queue::QueueError;
use core::fmt;
use core::time::Duration;
use gunyah_abi::Hypercall;
use gunyah_abi::rm::{MessageId, RmError};
use thiserror::Error;

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A VM, by its VMID; 0 is the caller itself.
    Vm(u16),
    /// A memory parcel.
    Parcel(MemHandle),
}

/// A request, as errors name it: its id and, where it has one, what it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestName {
    /// The message id.
    pub id: MessageId,
    /// What it is about.
    pub target: Option<Target>,
}

impl fmt::Display for RequestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.target {
            Some(Target::Vm(vmid)) => write!(f, "{} (target {vmid})", self.id),
            Some(Target::Parcel(handle)) => write!(f, "{} ({handle})", self.id),
            None => self.id.fmt(f),
        }
    }
}

/// A failed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// RM answered with an error.
    #[error("RM refused {request}: {error}")]
    Refused {
        /// The request.
        request: RequestName,
        /// The error word.
        error: RmError,
    },
    /// RM did not answer in time. Whether it did what was asked is unknown.
    #[error("RM did not answer {request} within {} ms", after.as_millis() as u64)]
    Timeout {
        /// The request.
        request: RequestName,
        /// The time given.
        after: Duration,
    },
    /// The reply is shorter than its error word, or than its form demands.
    #[error("RM's reply to {request} is too short: {length} bytes, {needed} needed")]
    ReplyTooShort {
        /// The request.
        request: RequestName,
        /// Bytes of content that came.
        length: usize,
        /// Bytes needed.
        needed: usize,
    },
    /// The reply has its form, but says what cannot be.
    #[error("RM's reply to {request} makes no sense: {what}")]
    ReplyInvalid {
        /// The request.
        request: RequestName,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The request's content, or a list in it, is longer than RM takes; it was not sent.
    #[error("{request} with {length} bytes of content is more than RM takes")]
    TooLong {
        /// The request.
        request: RequestName,
        /// Bytes of content.
        length: usize,
    },
    /// The queue to RM failed.
    #[error("{request} could not be sent to RM: {error}")]
    Queue {
        /// The request.
        request: RequestName,
        /// What the queue said.
        error: QueueError,
    },
    /// A blocking call came while a task has a request outstanding.
    #[error("a task has a request to RM outstanding")]
    Busy,
    /// RM's queue broke while a blocking call waited.
    #[error("RM's replies cannot be received: {0}")]
    Receive(QueueError),
}

impl RequestError {
    /// Returns RM's own error, if it answered with one.
    pub fn refusal(&self) -> Option<RmError> {
        match self {
            Self::Refused { error, .. } => Some(*error),
            _ => None,
        }
    }

    /// Whether RM may have done what was asked, though its answer was not received, or not understood.
    pub fn is_doubtful(&self) -> bool {
        match self {
            Self::Timeout { .. } | Self::ReplyTooShort { .. } | Self::ReplyInvalid { .. } => true,
            Self::Queue { error: QueueError::Refused { call, .. }, .. } => {
                *call == Hypercall::MsgqueueReceive
            }
            _ => false,
        }
    }
}

impl embedded_io::Error for RequestError {
    fn kind(&self) -> embedded_io::ErrorKind {
        use embedded_io::ErrorKind;
        match self {
            Self::Refused { error, .. } => match error {
                RmError::Denied => ErrorKind::PermissionDenied,
                RmError::Nomem | RmError::Noresource => ErrorKind::OutOfMemory,
                RmError::ArgumentInvalid => ErrorKind::NotFound,
                RmError::Unimplemented => ErrorKind::Unsupported,
                _ => ErrorKind::Other,
            },
            Self::Timeout { .. } => ErrorKind::TimedOut,
            Self::ReplyTooShort { .. } | Self::ReplyInvalid { .. } => ErrorKind::InvalidData,
            Self::TooLong { .. } => ErrorKind::InvalidInput,
            Self::Queue { .. } | Self::Receive(_) => ErrorKind::BrokenPipe,
            Self::Busy => ErrorKind::Interrupted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn errors_name_what_was_done_to_what() {
        let request = RequestName { id: MessageId::CONSOLE_OPEN, target: Some(Target::Vm(0)) };
        let error = RequestError::Refused { request, error: RmError::ArgumentInvalid };
        assert_eq!(error.to_string(), "RM refused CONSOLE_OPEN (target 0): ARGUMENT_INVALID (6)");
        let request = RequestName { id: MessageId::VM_GET_VMID, target: None };
        let after = Duration::from_secs(5);
        assert_eq!(
            RequestError::Timeout { request, after }.to_string(),
            "RM did not answer VM_GET_VMID within 5000 ms"
        );
    }
}
