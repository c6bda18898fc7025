//! The script's steps with rings in shared memory.

use alloc::string::String;

use shared_ring::Mode;

use super::Problem;
use super::words::{Words, bounded};

/// A step with a ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::peer) enum RingStep {
    /// Comes to the ring.
    Attach { label: u32, mode: Mode },
    /// Goes from it.
    Detach { label: u32 },
    /// Sends messages, or the text's bytes.
    Push { label: u32, text: String, count: u64 },
    /// Sends bytes of the pattern.
    Stream { label: u32, bytes: u64 },
}

/// Something that becomes true of a ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::peer) enum RingCondition {
    /// The guest uses it, or does not.
    Attached { label: u32, attached: bool },
    /// So many bytes of the pattern came.
    Streamed { label: u32, bytes: u64 },
}

/// Reads the words after `first`; `None` if `first` is no step of this kind.
pub(super) fn step(first: &str, words: &mut Words) -> Result<Option<RingStep>, Problem> {
    Ok(Some(match first {
        "attach" => RingStep::Attach {
            label: words.number("label")?,
            mode: match words.0.next() {
                None => Mode::Messages,
                Some(word) if word == "bytes" => Mode::Bytes,
                Some(word) => return Err(Problem::TooMuch(word)),
            },
        },
        "detach" => RingStep::Detach { label: words.number("label")? },
        "push" => RingStep::Push {
            label: words.number("label")?,
            text: words.text("text")?,
            count: words.count()?,
        },
        "stream" => RingStep::Stream {
            label: words.number("label")?,
            bytes: bounded(words.text("bytes")?)?,
        },
        _ => return Ok(None),
    }))
}

/// Reads the words after `first`; `None` if `first` is no condition of this kind.
pub(super) fn condition(first: &str, words: &mut Words) -> Result<Option<RingCondition>, Problem> {
    Ok(Some(match first {
        "attached" | "detached" => {
            RingCondition::Attached { label: words.number("label")?, attached: first == "attached" }
        }
        "streamed" => RingCondition::Streamed {
            label: words.number("label")?,
            bytes: bounded(words.text("bytes")?)?,
        },
        _ => return Ok(None),
    }))
}
