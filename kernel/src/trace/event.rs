//! One event: packed into a word, unpacked, and in words.

use core::fmt;
use gunyah_abi::{Error, Hypercall};

/// Kinds as they are stored.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum Kind {
    Interrupt = 1,
    Hypercall = 2,
    Refused = 3,
    Woken = 4,
}

impl Kind {
    /// Bits 0–31 value, 32–39 number, 40–47 kind: constants that take one instruction each.
    #[inline(always)]
    pub(super) const fn pack(self, number: u16, value: u32) -> u64 {
        (self as u64) << 40 | (number as u64 & 0xff) << 32 | value as u64
    }
}

/// An event of the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The virtual counter when it was recorded.
    pub ticks: u64,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// This INTID was acknowledged.
    Interrupt(u32),
    /// A hypercall returned.
    Hypercall {
        /// Which.
        call: Hypercall,
        /// On what.
        capability: u64,
        /// Low half of its first result, or the error.
        result: Result<u32, Error>,
    },
    /// This task was woken.
    Woken(&'static str),
    /// A word that no recording writes.
    Unknown(u64),
}

impl What {
    pub(super) fn decode(what: u64, capability: u64, task: Option<&'static str>) -> Self {
        const INTERRUPT: u64 = Kind::Interrupt as u64;
        const HYPERCALL: u64 = Kind::Hypercall as u64;
        const REFUSED: u64 = Kind::Refused as u64;
        const WOKEN: u64 = Kind::Woken as u64;
        let value = what as u32;
        let call = Hypercall::from((what >> 32 & 0xff) as u16);
        match (what >> 40, task) {
            (INTERRUPT, _) => Self::Interrupt(value),
            (HYPERCALL, _) => Self::Hypercall { call, capability, result: Ok(value) },
            (REFUSED, _) => {
                let error = Error::from(i64::from(value.cast_signed()));
                Self::Hypercall { call, capability, result: Err(error) }
            }
            (WOKEN, Some(task)) => Self::Woken(task),
            _ => Self::Unknown(what),
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupt(intid) => write!(f, "interrupt {intid}"),
            Self::Hypercall { call, capability, result } => {
                match call.name() {
                    Some(name) => write!(f, "{name} {capability:#x}")?,
                    None => write!(f, "hypercall {call} {capability:#x}")?,
                }
                match result {
                    Ok(value) => write!(f, " = {value:#x}"),
                    Err(error) => write!(f, " refused: {error}"),
                }
            }
            Self::Woken(task) => write!(f, "woken {task}"),
            Self::Unknown(word) => write!(f, "unknown event {word:#x}"),
        }
    }
}
