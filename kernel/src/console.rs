//! The console: on which line the shell is.
//!
//! Unless the command line asks for something else, that is the Resource Manager's console, and
//! where there is none, or it is refused, the UART that the tree names. Without either the kernel
//! runs all the same; its log stays in the ring.
//!
//! The choice is made here, as plain data. `serial` brings up a UART, `terminal` is either line to
//! the shell, `session` runs it.

#[cfg(target_os = "none")]
pub mod serial;
#[cfg(target_os = "none")]
pub mod session;
#[cfg(target_os = "none")]
pub mod terminal;

use crate::dt::{Platform, Uart, UartKind};
use alloc::vec::Vec;
use thiserror::Error;

/// What `console=` on the command line asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wish {
    /// Whatever there is.
    #[default]
    Any,
    /// `rm`: the Resource Manager's console.
    ResourceManager,
    /// `uart`, or `ttyS*` for a 16550, `ttyAMA*` and `pl011` for a PL011.
    Uart(Option<UartKind>),
    /// `none`.
    Nothing,
}

/// A value of `console=` that means nothing to this kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("console={0} is unknown: rm, uart, ttyS0, ttyAMA0, pl011 and none are not")]
pub struct UnknownConsole<'a>(&'a str);

impl Wish {
    /// Reads the command line; the last `console=` counts, options behind a comma do not.
    ///
    /// The number behind `ttyS` and `ttyAMA` is not looked at: it is the order in which another
    /// kernel finds UARTs. Which one is meant, `stdout-path` tells.
    ///
    /// # Errors
    ///
    /// A value that means nothing.
    pub fn of(bootargs: Option<&str>) -> Result<Self, UnknownConsole<'_>> {
        let words = bootargs.unwrap_or_default().split_whitespace();
        let Some(value) = words.filter_map(|word| word.strip_prefix("console=")).next_back() else {
            return Ok(Self::Any);
        };
        let name = value.split(',').next().unwrap_or_default();
        match name.trim_end_matches(|c: char| c.is_ascii_digit()) {
            "rm" => Ok(Self::ResourceManager),
            "uart" => Ok(Self::Uart(None)),
            "ttyS" => Ok(Self::Uart(Some(UartKind::Ns16550a))),
            "ttyAMA" => Ok(Self::Uart(Some(UartKind::Pl011))),
            _ if name == "pl011" => Ok(Self::Uart(Some(UartKind::Pl011))),
            "none" => Ok(Self::Nothing),
            _ => Err(UnknownConsole(name)),
        }
    }

    /// Whether one of `candidates` is what was wished for.
    pub fn is_granted_by(self, candidates: &[Candidate<'_>]) -> bool {
        candidates.iter().any(|candidate| match (self, candidate) {
            (Self::Any, _) | (Self::ResourceManager, Candidate::ResourceManager) => true,
            (Self::Uart(kind), Candidate::Uart(uart)) => kind.is_none_or(|kind| kind == uart.kind),
            _ => false,
        }) || matches!(self, Self::Any | Self::Nothing)
    }
}

/// A line that the shell can be on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Candidate<'a> {
    /// The Resource Manager's console.
    ResourceManager,
    /// A UART.
    Uart(&'a Uart),
}

/// The lines to try, in order: first what is wished for, then what there is else.
pub fn candidates(platform: &Platform, wish: Wish) -> Vec<Candidate<'_>> {
    let manager = platform.resource_manager.as_ref().map(|_| Candidate::ResourceManager);
    let uart = |kind| preferred_uart(platform, kind).map(Candidate::Uart);
    let order = match wish {
        Wish::Nothing => [None, None, None],
        Wish::Any | Wish::ResourceManager => [manager, uart(None), None],
        Wish::Uart(kind) => [uart(kind), manager, uart(None)],
    };
    let mut candidates = Vec::with_capacity(order.len());
    for candidate in order.into_iter().flatten() {
        if !candidates.contains(&candidate) {
            candidates.push(candidate);
        }
    }
    candidates
}

/// The UART that `stdout-path` leads to, else the first one, of this kind if one is given.
pub fn preferred_uart(platform: &Platform, kind: Option<UartKind>) -> Option<&Uart> {
    let mut right = platform.uarts.iter().filter(|uart| kind.is_none_or(|kind| uart.kind == kind));
    right.clone().find(|uart| uart.is_stdout).or_else(|| right.next())
}

#[cfg(test)]
mod tests;
