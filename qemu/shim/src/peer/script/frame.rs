//! The script's steps with framed requests, over queues and rings.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use billy_protocol::service::entropy::{self, Source};
use billy_protocol::service::{self, time};
use billy_protocol::{ErrorCode, decode, payload};

use super::words::{Words, bounded, convert};
use super::{Problem, fault::hexadecimal};
use crate::machine_file::words::number;

/// A step with frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::peer) enum FrameStep {
    /// Asks a service, more than once with ids that count up.
    Request { label: u32, service: u16, id: u32, payload: Vec<u8>, times: u64 },
    /// Takes a request back.
    Cancel { label: u32, service: u16, id: u32 },
    /// Sends any message.
    Raw { label: u32, message: Vec<u8>, count: u64 },
}

/// An answer that comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::peer) enum FrameCondition {
    /// A reply or, not `last`, a part of one.
    Reply { label: u32, service: u16, id: u32, payload: Expected, last: bool },
    /// An error reply; any will do if no code or field is given.
    Refusal { label: u32, service: u16, id: u32, code: Option<ErrorCode>, field: Option<String> },
    /// So many replies and error replies.
    Answers { label: u32, count: u64 },
}

/// What an answer holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::peer) enum Expected {
    /// Anything.
    Any,
    /// These bytes.
    Bytes(Vec<u8>),
    /// A time, with a date in that range or without one.
    Date(Option<RangeInclusive<u64>>),
    /// So many random bytes from there.
    Random(usize, Source),
}

impl Expected {
    pub(in crate::peer) fn is_met_by(&self, payload: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Bytes(bytes) => bytes == payload,
            Self::Date(range) => match (range, decode::<time::Reply>(payload)) {
                (Some(range), Ok(time::Reply { wall_clock: Some(date), .. })) => {
                    range.contains(&date)
                }
                (None, Ok(reply)) => reply.wall_clock.is_none(),
                _ => false,
            },
            Self::Random(count, source) => {
                decode::<entropy::Reply<'_>>(payload).is_ok_and(|reply| {
                    let alike = reply.data.iter().all(|byte| reply.data.first() == Some(byte));
                    reply.data.len() == *count && reply.source == *source && !alike
                })
            }
        }
    }
}

/// Reads the words after `first`; `None` if `first` is no step of this kind.
pub(super) fn step(first: &str, words: &mut Words) -> Result<Option<FrameStep>, Problem> {
    Ok(Some(match first {
        "request" => {
            let (label, service, id) = address(words)?;
            let mut times = 1;
            let mut content = Vec::new();
            for word in words.0.by_ref() {
                match word.strip_prefix("times=") {
                    Some(count) => times = bounded(count.into())?,
                    None => content = payload_of(word)?,
                }
            }
            FrameStep::Request { label, service, id, payload: content, times }
        }
        "cancel" => {
            let (label, service, id) = address(words)?;
            FrameStep::Cancel { label, service, id }
        }
        "frame" => FrameStep::Raw {
            label: words.number("label")?,
            message: hexadecimal(words.text("bytes")?)?,
            count: words.count()?,
        },
        _ => return Ok(None),
    }))
}

/// Reads the words after `first`; `None` if `first` is no condition of this kind.
pub(super) fn condition(first: &str, words: &mut Words) -> Result<Option<FrameCondition>, Problem> {
    Ok(Some(match first {
        "reply" | "part" => {
            let (label, service, id) = address(words)?;
            let payload = more(words).map_or(Ok(Expected::Any), expected)?;
            FrameCondition::Reply { label, service, id, payload, last: first == "reply" }
        }
        "refusal" => {
            let (label, service, id) = address(words)?;
            let code = more(words).map(code).transpose()?;
            let field = more(words);
            FrameCondition::Refusal { label, service, id, code, field }
        }
        "answers" => {
            let label = words.number("label")?;
            FrameCondition::Answers { label, count: bounded(words.text("count")?)? }
        }
        _ => return Ok(None),
    }))
}

/// Label, service and request id.
fn address(words: &mut Words) -> Result<(u32, u16, u32), Problem> {
    let label = words.number("label")?;
    let word = words.text("service")?;
    let service = match word.as_str() {
        "directory" => service::DIRECTORY,
        "echo" => service::ECHO,
        "time" => service::TIME,
        "entropy" => service::ENTROPY,
        "stats" => service::STATS,
        "log" => service::LOG,
        _ => convert(word, "service")?,
    };
    Ok((label, service, words.number("request id")?))
}

/// The next word, unless the line ends or goes on with `within`.
fn more(words: &mut Words) -> Option<String> {
    match words.0.as_slice().first() {
        Some(word) if word != "within" => words.0.next(),
        _ => None,
    }
}

/// `text=` and a text, which gets its length before it, or bytes in hexadecimal.
fn payload_of(word: String) -> Result<Vec<u8>, Problem> {
    let Some(text) = word.strip_prefix("text=") else {
        return hexadecimal(word);
    };
    let mut buffer = vec![0; text.len() + 8];
    match payload::encode(text, &mut buffer) {
        Ok(length) => {
            buffer.truncate(length);
            Ok(buffer)
        }
        Err(_) => Err(Problem::Word { word, wanted: "payload" }),
    }
}

/// A payload, or what is known of one.
fn expected(word: String) -> Result<Expected, Problem> {
    let known = match word.split_once('=') {
        Some(("date", "none")) => Some(Expected::Date(None)),
        Some(("date", range)) => range.split_once("..").and_then(|(from, to)| {
            let (from, to) = (number(from)?, number(to)?);
            Some(Expected::Date(Some(from..=to)))
        }),
        Some(("random", random)) => random.split_once(':').and_then(|(count, source)| {
            let source = match source {
                "trng" => Source::Trng,
                "hypervisor" => Source::Hypervisor,
                _ => return None,
            };
            Some(Expected::Random(number(count)?.try_into().ok()?, source))
        }),
        _ => return payload_of(word).map(Expected::Bytes),
    };
    known.ok_or(Problem::Word { word, wanted: "payload" })
}

/// An error code by name, `busy`, or by number.
fn code(word: String) -> Result<ErrorCode, Problem> {
    let named = (0..=u8::MAX).map(ErrorCode).find(|code| code.name() == Some(&word));
    match named {
        Some(code) => Ok(code),
        None => convert(word, "error code").map(ErrorCode),
    }
}
