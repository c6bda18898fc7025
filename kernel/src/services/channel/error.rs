//! What is wrong with a channel, or with what came on it.

use crate::services::transport::TransportError;
use billy_protocol::{FrameError, Kind};
use gunyah::queue::QueueError;
use thiserror::Error;

/// Messages in a row that are no requests, after which a channel is closed.
pub const MAX_DEFECTS: u32 = 16;

/// Why a message of a peer is no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Defect {
    /// It is no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// It is larger than any request.
    #[error("a message of {size} bytes, where {max} are the most")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// Bytes of the largest message that is read.
        max: usize,
    },
    /// It is an answer.
    #[error("{0:?} to a request that was never made")]
    Answer(Kind),
}

/// Why a channel is served no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ChannelError {
    /// It was ended in order, by [`super::Channel::end`].
    #[error("ended")]
    Ended,
    /// The transport says why.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The peer does not speak this protocol.
    #[error("closed: {MAX_DEFECTS} messages in a row were no requests, the last: {0}")]
    Defects(Defect),
    /// No error reply fits into a message.
    #[error("messages of {size} bytes are too small for services")]
    Narrow {
        /// The largest message in bytes.
        size: usize,
    },
}

impl ChannelError {
    /// Whether serving again makes no sense.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Transport(TransportError::Queue(error)) => {
                matches!(error, QueueError::Broken { .. })
            }
            Self::Transport(_) | Self::Ended | Self::Defects(_) | Self::Narrow { .. } => true,
        }
    }
}
