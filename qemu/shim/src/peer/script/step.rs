//! Reading one line: its step, and the condition that a step waits for.

use alloc::string::String;

use super::words::{Words, bounded, optional};
use super::{Condition, ExitKind, Problem, Script, Verb, channel, fault, frame, memory, ring};
use crate::machine_file::words::split;
use crate::peer::CHUNK;

/// Milliseconds that `expect` waits unless told otherwise.
const EXPECT_MS: u64 = 10_000;

/// Reads a line.
pub(super) fn verb(line: &str) -> Result<Verb, Problem> {
    let mut words = Words(split(line)?.into_iter());
    let first = words.text("a step")?;
    let verb = match first.as_str() {
        "wait" => Verb::Await { condition: condition(&mut words)?, within_ms: None },
        "expect" => {
            let condition = condition(&mut words)?;
            let within_ms = match words.0.next() {
                None => EXPECT_MS,
                Some(word) if word == "within" => words.number("milliseconds")?,
                Some(word) => return Err(Problem::TooMuch(word)),
            };
            Verb::Await { condition, within_ms: Some(within_ms) }
        }
        "ring" => Verb::Ring {
            label: words.number("label")?,
            flags: words.number("flags")?,
            count: words.count()?,
        },
        "burst" => Verb::Burst {
            label: words.number("label")?,
            flags: words.number("flags")?,
            count: bounded(words.text("count")?)?,
        },
        "send" => Verb::Send {
            label: words.number("label")?,
            text: words.text("text")?,
            count: words.count()?,
        },
        "type" => Verb::Type(words.text("text")?),
        "flood" => Verb::Flood {
            bytes: bounded(words.text("bytes")?)?,
            chunk: match words.0.next() {
                None => CHUNK,
                Some(word) => bounded(word)?.max(1) as usize,
            },
        },
        "silent" => Verb::Silent(words.switch()?),
        "hold" => Verb::Hold { label: words.number("label")?, held: words.switch()? },
        "open" | "late-open" => Verb::Open(true),
        "close" => Verb::Open(false),
        "never-open" => Verb::NeverOpen,
        "repeat" => {
            Verb::Repeat { count: bounded(words.text("count")?)?, block: Script::default() }
        }
        "begin" => Verb::Begin(Script::default()),
        "log" => Verb::Log(words.text("text")?),
        "fail" => Verb::Fail(words.text("text")?),
        "stop" => Verb::Stop,
        _ => match further(&first, &mut words)? {
            Some(verb) => verb,
            None => return Err(Problem::Unknown(first)),
        },
    };
    words.finish()?;
    Ok(verb)
}

/// The steps that have a file of their own.
fn further(first: &str, words: &mut Words) -> Result<Option<Verb>, Problem> {
    if let Some(step) = memory::step(first, words)? {
        return Ok(Some(Verb::Memory(step)));
    }
    if let Some(step) = channel::step(first, words)? {
        return Ok(Some(Verb::Channel(step)));
    }
    if let Some(step) = ring::step(first, words)? {
        return Ok(Some(Verb::SharedRing(step)));
    }
    if let Some(step) = frame::step(first, words)? {
        return Ok(Some(Verb::Frame(step)));
    }
    Ok(fault::mischief(first, words)?.map(Verb::Misbehave))
}

/// The conditions that have a file of their own.
fn further_condition(first: &str, words: &mut Words) -> Result<Option<Condition>, Problem> {
    if let Some(condition) = memory::condition(first, words)? {
        return Ok(Some(Condition::Memory(condition)));
    }
    if let Some(condition) = ring::condition(first, words)? {
        return Ok(Some(Condition::Ring(condition)));
    }
    Ok(frame::condition(first, words)?.map(Condition::Frame))
}

fn condition(words: &mut Words) -> Result<Condition, Problem> {
    let word = words.text("a condition")?;
    Ok(match word.as_str() {
        "console" => Condition::Console(words.text("text")?),
        "open" => Condition::Open,
        "closed" => Condition::Closed,
        "bells" => Condition::Bells { count: words.number("count")?, label: optional(words)? },
        "messages" => Condition::Messages(words.number("count")?),
        "message" => Condition::Message {
            label: words.number("label")?,
            text: words.text("text")?,
            count: optional(words)?.unwrap_or(1),
        },
        "exit" => Condition::Exit {
            kind: exit_kind(words.text("kind of exit")?)?,
            code: optional(words)?,
        },
        "nothing" => Condition::Nothing(words.number("label")?),
        "idle" => Condition::Idle,
        "ms" => Condition::Milliseconds(words.number("milliseconds")?),
        _ => match further_condition(&word, words)? {
            Some(condition) => condition,
            None => return Err(Problem::Unknown(word)),
        },
    })
}

fn exit_kind(word: String) -> Result<ExitKind, Problem> {
    Ok(match word.as_str() {
        "off" => ExitKind::Off,
        "reset" => ExitKind::Reset,
        "reset2" => ExitKind::Reset2,
        "vm-exit" => ExitKind::VmExit,
        _ => {
            return Err(Problem::Word { word, wanted: "kind of exit" });
        }
    })
}
