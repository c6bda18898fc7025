//! Steps that make and take away what is shared, and tell how VMs are.

use alloc::string::String;

use gunyah_abi::rm::payload::StateReply;
use gunyah_abi::rm::{OsState, VmState};

use super::Problem;
use super::words::{Words, convert};

/// A step with channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::peer) enum ChannelStep {
    /// Makes something; the peer is the VM's owner if none is named.
    Add { kind: ChannelKind, label: u32, peer: Option<u16> },
    /// Takes it away.
    Remove { kind: ChannelKind, label: u32 },
    /// Another VM changes its state.
    Status { vmid: u16, state: StateReply },
    /// The owner asks the guest to shut down.
    Shutdown { reason: u32 },
}

/// What is made or taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::peer) enum ChannelKind {
    /// A doorbell that the guest receives.
    Doorbell,
    /// A doorbell that the guest rings.
    Source { can_clear: bool },
    /// Two queues.
    QueuePair { depth: u16, size: u16 },
    /// A doorbell, a source, and shared memory.
    Ring { bytes: u64 },
}

/// Reads the words after `first`; `None` if `first` is no step of this kind.
pub(super) fn step(first: &str, words: &mut Words) -> Result<Option<ChannelStep>, Problem> {
    Ok(Some(match first {
        "add" => add(words)?,
        "remove" => {
            let kind = match kind(words)?.as_str() {
                "doorbell" => ChannelKind::Doorbell,
                "source" => ChannelKind::Source { can_clear: false },
                "queue-pair" => ChannelKind::QueuePair { depth: 0, size: 0 },
                _ => ChannelKind::Ring { bytes: 0 },
            };
            ChannelStep::Remove { kind, label: words.number("label")? }
        }
        "status" => {
            let vmid = words.number("VMID")?;
            let vm_state = state(words.text("state")?, |code| VmState::from(code).name(), "state")?;
            let rest = words.0.next();
            let os_state =
                rest.map(|word| state(word, |code| OsState::from(code).name(), "OS state"));
            let app_status: Option<u16> =
                words.0.next().map(|word| convert(word, "status")).transpose()?;
            let state = StateReply {
                vm_state,
                os_state: os_state.transpose()?.unwrap_or_default(),
                app_status: app_status.unwrap_or_default().into(),
            };
            ChannelStep::Status { vmid, state }
        }
        "shutdown" => {
            let reason = words.0.next().map(|word| convert(word, "reason")).transpose()?;
            ChannelStep::Shutdown { reason: reason.unwrap_or_default() }
        }
        _ => return Ok(None),
    }))
}

fn kind(words: &mut Words) -> Result<String, Problem> {
    let wanted = "`doorbell`, `source`, `queue-pair` or `ring`";
    let word = words.text(wanted)?;
    match word.as_str() {
        "doorbell" | "source" | "queue-pair" | "ring" => Ok(word),
        _ => Err(Problem::Word { word, wanted }),
    }
}

fn add(words: &mut Words) -> Result<ChannelStep, Problem> {
    let word = kind(words)?;
    let label = words.number("label")?;
    let mut kind = match word.as_str() {
        "doorbell" => ChannelKind::Doorbell,
        "source" => ChannelKind::Source { can_clear: false },
        "queue-pair" => ChannelKind::QueuePair { depth: 8, size: 240 },
        _ => ChannelKind::Ring { bytes: words.number("bytes")? },
    };
    let mut peer = None;
    for word in words.0.by_ref() {
        let number = |value: &str| convert(String::from(value), "number that fits");
        match (word.split_once('=').unwrap_or((&word, "")), &mut kind) {
            (("peer", value), _) => peer = Some(number(value)?),
            (("can-clear", ""), ChannelKind::Source { can_clear }) => *can_clear = true,
            (("depth", value), ChannelKind::QueuePair { depth, .. }) => *depth = number(value)?,
            (("size", value), ChannelKind::QueuePair { size, .. }) => *size = number(value)?,
            _ => return Err(Problem::Word { word, wanted: "option of the step" }),
        }
    }
    Ok(ChannelStep::Add { kind, label, peer })
}

/// A state's code, from its name or as it stands.
fn state(
    word: String,
    name: impl Fn(u8) -> Option<&'static str>,
    wanted: &'static str,
) -> Result<u8, Problem> {
    match (0..=u8::MAX).find(|code| name(*code) == Some(&word)) {
        Some(code) => Ok(code),
        None => convert(word, wanted),
    }
}
