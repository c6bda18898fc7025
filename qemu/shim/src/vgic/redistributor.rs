//! One vCPU's redistributor: the RD and SGI frames, 64 KiB each.

use super::{
    affinity,
    bank::Bank,
    registers::{ArrayAccess, IIDR, PIDR2, PIDR2_OFFSET},
};

/// Bytes one redistributor takes: the RD frame and, right behind it, the SGI frame.
pub const REDISTRIBUTOR_SIZE: u64 = 2 * FRAME_SIZE;

const FRAME_SIZE: u64 = 0x1_0000;

const IIDR_OFFSET: u64 = 0x0004;
const TYPER_OFFSET: u64 = 0x0008;
const TYPER_HIGH_OFFSET: u64 = 0x000C;
const WAKER_OFFSET: u64 = 0x0014;

const TYPER_LAST: u64 = 1 << 4;
const WAKER_PROCESSOR_SLEEP: u64 = 1 << 1;
const WAKER_CHILDREN_ASLEEP: u64 = 1 << 2;

/// The redistributor of one vCPU, with its private interrupts.
///
/// There are no LPIs; GICR_CTLR has no writable bit, and RWP and UWP always read 0.
#[derive(Debug)]
pub struct Redistributor {
    pub(super) bank: Bank,
    asleep: bool,
    index: usize,
    last: bool,
}

impl Redistributor {
    /// Makes the redistributor of vCPU `index`, asleep as after reset.
    ///
    /// `last` says that no further redistributor follows in the address map (GICR_TYPER.Last).
    pub fn new(index: usize, last: bool) -> Self {
        Self { bank: Bank::private(), asleep: true, index, last }
    }

    /// Whether GICR_WAKER says that the vCPU takes no interrupts.
    pub fn is_asleep(&self) -> bool {
        self.asleep
    }

    /// Returns to the reset state.
    pub(super) fn reset(&mut self) {
        self.bank.reset();
        self.asleep = true;
    }

    /// Reads `size` bytes at `offset` of the two frames. What is not there, or not of that size, reads 0.
    pub fn read(&mut self, offset: u64, size: u8) -> u64 {
        match (offset, size) {
            (IIDR_OFFSET, 4) => IIDR.into(),
            (TYPER_OFFSET, 8) => self.typer(),
            (TYPER_OFFSET, 4) => self.typer() & 0xFFFF_FFFF,
            (TYPER_HIGH_OFFSET, 4) => self.typer() >> 32,
            (WAKER_OFFSET, 4) if self.asleep => WAKER_PROCESSOR_SLEEP | WAKER_CHILDREN_ASLEEP,
            (PIDR2_OFFSET, 4) => PIDR2.into(),
            _ => Self::sgi_access(offset, size).map_or(0, |access| access.read(&self.bank)),
        }
    }

    /// Writes `size` bytes at `offset` of the two frames. What is not there, or not of that size, ignores it.
    pub fn write(&mut self, offset: u64, size: u8, value: u64) {
        if (offset, size) == (WAKER_OFFSET, 4) {
            self.asleep = value & WAKER_PROCESSOR_SLEEP != 0;
        } else if let Some(access) = Self::sgi_access(offset, size) {
            access.write(&mut self.bank, value);
        }
    }

    fn sgi_access(offset: u64, size: u8) -> Option<ArrayAccess> {
        ArrayAccess::decode(offset.checked_sub(FRAME_SIZE)?, size)
            .filter(|access| access.first < super::bank::BANK_SIZE)
    }

    /// GICR_TYPER: affinity, processor number, Last; no LPIs of either kind.
    fn typer(&self) -> u64 {
        u64::from(affinity::of_vcpu(self.index)) << 32
            | (self.index as u64 & 0xFFFF) << 8
            | if self.last { TYPER_LAST } else { 0 }
    }
}
