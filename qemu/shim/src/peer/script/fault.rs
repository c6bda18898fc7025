//! The script's steps that make the hypervisor and RM misbehave.

use alloc::string::String;
use alloc::vec::Vec;

use gunyah_abi::rm::{MessageId, RmError};
use gunyah_abi::{Error, Hypercall};

use super::Problem;
use super::words::{Words, bounded, convert};
use crate::fault::InterruptFault;
use crate::rm::Fault;

/// A step that makes something go wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::peer) enum Mischief {
    /// Messages of that id go wrong.
    Rm { id: MessageId, fault: Fault, count: u64 },
    /// A packet from RM, as it stands.
    Packet(Vec<u8>),
    /// A notification from RM.
    Notify { id: MessageId, text: String },
    /// The queue on which the guest receives from this label, or from RM, is broken, or no longer.
    Break { label: Option<u32>, broken: bool },
    /// The interrupt goes wrong the next times that it comes.
    Interrupt { intid: u32, fault: InterruptFault, count: u64 },
    /// The interrupt comes without a cause.
    Raise { intid: u32, count: u64 },
    /// The hypercall answers errors, or its own again.
    Hypercall { hypercall: Hypercall, answer: Option<(Error, u64)> },
}

/// Reads the words after `first`; `None` if `first` is no step of this kind.
pub(super) fn mischief(first: &str, words: &mut Words) -> Result<Option<Mischief>, Problem> {
    Ok(Some(match first {
        "rm" => {
            let id = message_id(words.text("message")?)?;
            let fault = fault(words)?;
            Mischief::Rm { id, fault, count: words.count()? }
        }
        "packet" => Mischief::Packet(hexadecimal(words.text("bytes")?)?),
        "notify" => {
            let id = message_id(words.text("message")?)?;
            Mischief::Notify { id, text: words.0.next().unwrap_or_default() }
        }
        "broken" => {
            let label = words.text("label or `rm`")?;
            let label = match label.as_str() {
                "rm" => None,
                _ => Some(convert(label, "label")?),
            };
            Mischief::Break { label, broken: words.switch()? }
        }
        "irq" => {
            let intid = words.number("INTID")?;
            let word = words.text("`lose`, `double` or `raise`")?;
            let count = words.count()?;
            match word.as_str() {
                "lose" => Mischief::Interrupt { intid, fault: InterruptFault::Lose, count },
                "double" => Mischief::Interrupt { intid, fault: InterruptFault::Double, count },
                "raise" => Mischief::Raise { intid, count },
                _ => return Err(Problem::Word { word, wanted: "`lose`, `double` or `raise`" }),
            }
        }
        "hypercall" => {
            let hypercall = hypercall(words.text("hypercall")?)?;
            let word = words.text("error code")?;
            let answer = match word.as_str() {
                "off" => None,
                _ => Some((error(word)?, words.count_or_every()?)),
            };
            Mischief::Hypercall { hypercall, answer }
        }
        _ => return Ok(None),
    }))
}

impl Words {
    fn count_or_every(&mut self) -> Result<u64, Problem> {
        match self.0.next() {
            None => Ok(1),
            Some(word) if word == "every" => Ok(u64::MAX),
            Some(word) => bounded(word),
        }
    }
}

fn fault(words: &mut Words) -> Result<Fault, Problem> {
    let word = words.text("fault")?;
    Ok(match word.as_str() {
        "refuse" => Fault::Refuse(RmError::from(words.number::<u32>("error code")?)),
        "drop" => Fault::Drop,
        "lose" => Fault::Lose,
        "twice" => Fault::Twice,
        "cut" => Fault::Cut(words.number("bytes")?),
        "pad" => Fault::Pad(usize::from(words.number::<u16>("bytes")?)),
        "reverse" => Fault::Reverse,
        "skip" => Fault::Skip(words.number("packet")?),
        "repeat" => Fault::Repeat(words.number("packet")?),
        "announce" => Fault::Announce(words.number::<u8>("fragments")? & 0x3f),
        "version" => Fault::Version(words.number("byte")?),
        "sequence" => Fault::Sequence(words.number("number")?),
        "id" => Fault::Id(message_id(words.text("message")?)?),
        _ => return Err(Problem::Word { word, wanted: "fault" }),
    })
}

/// A message by name, `CONSOLE_CHARS`, or by number.
fn message_id(word: String) -> Result<MessageId, Problem> {
    match MessageId::from_name(&word) {
        Some(id) => Ok(id),
        None => convert(word, "message").map(MessageId),
    }
}

/// A hypercall by name, `msgqueue_send`, or by number.
fn hypercall(word: String) -> Result<Hypercall, Problem> {
    let name = word.to_ascii_uppercase();
    let named = (0..=gunyah_abi::hypercall::LAST_HYPERCALL).map(Hypercall::from);
    match named.into_iter().find(|hypercall| hypercall.name() == Some(&name)) {
        Some(hypercall) => Ok(hypercall),
        None => convert(word, "hypercall").map(|number: u16| Hypercall::from(number)),
    }
}

/// An error code, which may be negative but not 0.
fn error(word: String) -> Result<Error, Problem> {
    let code = word.parse().ok().and_then(Error::from_code);
    code.ok_or(Problem::Word { word, wanted: "error code" })
}

/// Bytes as pairs of hexadecimal digits; blanks and dots between them are for the reader.
pub(super) fn hexadecimal(word: String) -> Result<Vec<u8>, Problem> {
    let digits: Option<Vec<u8>> = word
        .chars()
        .filter(|character| !character.is_whitespace() && *character != '.')
        .map(|character| character.to_digit(16).map(|digit| digit as u8))
        .collect();
    let digits = digits.filter(|digits| !digits.is_empty() && digits.len() % 2 == 0);
    let digits = digits.ok_or(Problem::Word { word, wanted: "row of bytes" })?;
    Ok(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}
