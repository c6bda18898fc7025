//! The script's steps with memory that the peer owns.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use gunyah_abi::rm::SELF_VMID;
use gunyah_abi::rm::memory::{
    MAX_LIST_ENTRIES, MemoryAttribute, MemoryRights, MemoryType, NotifyFlag, Transaction,
};

use super::words::{Words, convert, optional};
use super::{Problem, fault::hexadecimal};
use crate::rm::{Announcement, MemoryAction, Offer};

/// A step with memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::peer) enum MemoryStep {
    /// Makes a parcel, owned by the guest's owner unless named; tells the guest, unless there is nothing to tell.
    Offer { offer: Offer, announcement: Option<Announcement> },
    /// Tells the guest of a parcel, the truth or not.
    Announce { label: u32, announcement: Announcement },
    /// Asks the guest for a parcel, of which nothing may have been told before.
    Recall { label: u32, tag: Option<u32> },
    /// Takes a parcel back, or is refused.
    Reclaim { label: u32, refused: bool },
    /// Takes a parcel away without a word, as when its owner dies.
    Seize { label: u32 },
    /// Writes bytes into a parcel.
    Write { label: u32, offset: u64, bytes: Vec<u8> },
}

/// Something that becomes true of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::peer) enum MemoryCondition {
    /// The guest did that with the parcel; any tag will do if there is none.
    Did { label: u32, action: MemoryAction, any_tag: bool },
    /// The parcel holds these bytes.
    Holds { label: u32, offset: u64, bytes: Vec<u8> },
}

/// Reads the words after `first`; `None` if `first` is no step of this kind.
pub(super) fn step(first: &str, words: &mut Words) -> Result<Option<MemoryStep>, Problem> {
    let transaction = match first {
        "donate" => Transaction::Donate,
        "lend" => Transaction::Lend,
        "share" => Transaction::Share,
        "announce" => {
            let label = words.number("label")?;
            return Ok(Some(MemoryStep::Announce { label, announcement: announcement(words)? }));
        }
        "recall" => {
            let label = words.number("label")?;
            return Ok(Some(MemoryStep::Recall { label, tag: optional(words)? }));
        }
        "reclaim" => {
            let label = words.number("label")?;
            let refused = match words.0.next() {
                None => false,
                Some(word) if word == "refused" => true,
                Some(word) => return Err(Problem::TooMuch(word)),
            };
            return Ok(Some(MemoryStep::Reclaim { label, refused }));
        }
        "seize" => return Ok(Some(MemoryStep::Seize { label: words.number("label")? })),
        "poke" | "write" => {
            let (label, offset) = (words.number("label")?, words.number("offset")?);
            let bytes = content(words, first == "poke")?;
            return Ok(Some(MemoryStep::Write { label, offset, bytes }));
        }
        _ => return Ok(None),
    };
    let (label, size) = (words.number("label")?, words.number("bytes")?);
    offer(words, Offer::new(SELF_VMID, label, transaction, size)).map(Some)
}

/// A word of four bytes, or bytes in hexadecimal.
fn content(words: &mut Words, word: bool) -> Result<Vec<u8>, Problem> {
    match word {
        true => Ok(words.number::<u32>("value")?.to_le_bytes().to_vec()),
        false => hexadecimal(words.text("bytes")?),
    }
}

/// Reads the words after `first`; `None` if `first` is no condition of this kind.
pub(super) fn condition(
    first: &str,
    words: &mut Words,
) -> Result<Option<MemoryCondition>, Problem> {
    let (label, action) = match first {
        "accepted" => (words.number("label")?, MemoryAction::Accepted),
        "released" => (words.number("label")?, MemoryAction::Released),
        "told" => {
            let label = words.number("label")?;
            let word = words.text("`accepted` or `released`")?;
            let flag = match word.as_str() {
                "accepted" => NotifyFlag::Accepted,
                "released" => NotifyFlag::Released,
                _ => return Err(Problem::Word { word, wanted: "`accepted` or `released`" }),
            };
            let tag: Option<u32> = optional(words)?;
            let (any_tag, action) = (tag.is_none(), MemoryAction::Told(flag, tag.unwrap_or(0)));
            return Ok(Some(MemoryCondition::Did { label, action, any_tag }));
        }
        "word" | "bytes" => {
            let (label, offset) = (words.number("label")?, words.number("offset")?);
            let bytes = content(words, first == "word")?;
            return Ok(Some(MemoryCondition::Holds { label, offset, bytes }));
        }
        _ => return Ok(None),
    };
    Ok(Some(MemoryCondition::Did { label, action, any_tag: false }))
}

fn offer(words: &mut Words, mut offer: Offer) -> Result<MemoryStep, Problem> {
    let mut announcement = Some(Announcement::default());
    for word in words.0.by_ref() {
        match word.split_once('=').unwrap_or((&word, "")) {
            ("quiet", "") => announcement = None,
            ("sanitized", "") => offer.sanitized = true,
            ("owner", value) => offer.owner = number(value)?,
            ("at", value) => offer.said_at = Some(number(value)?),
            ("ranges", value) => {
                let count: u16 = number(value)?;
                let size = offer.sizes.iter().sum::<u64>();
                if count == 0 || usize::from(count) > MAX_LIST_ENTRIES {
                    return Err(wrong(value, "number of ranges"));
                }
                offer.sizes = vec![size / u64::from(count); usize::from(count)];
            }
            ("rights", value) => offer.rights = rights(value)?,
            ("attribute", value) => offer.attribute = attribute(value)?,
            ("type", value) => offer.memory_type = memory_type(value)?,
            ("tag", value) => {
                let tag = number(value)?;
                announcement = Some(Announcement { tag, ..Announcement::default() });
            }
            _ => return Err(Problem::Word { word, wanted: "option of the step" }),
        }
    }
    Ok(MemoryStep::Offer { offer, announcement })
}

fn announcement(words: &mut Words) -> Result<Announcement, Problem> {
    let mut said = Announcement::default();
    for word in words.0.by_ref() {
        match word.split_once('=').unwrap_or((&word, "")) {
            ("handle", value) => said.handle = Some(number(value)?),
            ("owner", value) => said.owner = Some(number(value)?),
            ("label", value) => said.label = Some(number(value)?),
            ("vmid", value) => said.vmid = Some(number(value)?),
            ("size", value) => said.size = Some(number(value)?),
            ("tag", value) => said.tag = number(value)?,
            ("rights", value) => said.rights = Some(rights(value)?),
            ("attribute", value) => said.attribute = Some(attribute(value)?),
            ("type", value) => said.memory_type = Some(memory_type(value)?),
            ("transaction", value) => said.transaction = Some(transaction(value)?),
            _ => return Err(Problem::Word { word, wanted: "option of the step" }),
        }
    }
    Ok(said)
}

fn wrong(word: &str, wanted: &'static str) -> Problem {
    Problem::Word { word: word.into(), wanted }
}

fn number<T: TryFrom<u64>>(word: &str) -> Result<T, Problem> {
    convert(String::from(word), "number that fits")
}

/// Letters of `rwx`.
fn rights(word: &str) -> Result<MemoryRights, Problem> {
    let one = |letter| match letter {
        'r' => Some(MemoryRights::READ),
        'w' => Some(MemoryRights::WRITE),
        'x' => Some(MemoryRights::EXECUTE),
        _ => None,
    };
    let all: Option<MemoryRights> = word.chars().map(one).collect();
    all.ok_or_else(|| wrong(word, "row of the letters `rwx`"))
}

fn attribute(word: &str) -> Result<MemoryAttribute, Problem> {
    Ok(match word {
        "normal" => MemoryAttribute::Normal,
        "device" => MemoryAttribute::Device,
        "uncached" => MemoryAttribute::Uncached,
        "cached" => MemoryAttribute::Cached,
        _ => MemoryAttribute::from(number::<u16>(word)?),
    })
}

fn memory_type(word: &str) -> Result<MemoryType, Problem> {
    Ok(match word {
        "normal" => MemoryType::Normal,
        "io" => MemoryType::Io,
        _ => MemoryType::from(number::<u8>(word)?),
    })
}

fn transaction(word: &str) -> Result<Transaction, Problem> {
    Ok(match word {
        "donate" => Transaction::Donate,
        "lend" => Transaction::Lend,
        "share" => Transaction::Share,
        _ => Transaction::from(number::<u8>(word)?),
    })
}
