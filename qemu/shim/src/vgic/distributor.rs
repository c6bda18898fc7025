//! The distributor: the shared interrupts of a VM and the GICD frame.

use alloc::{vec, vec::Vec};

use super::{
    affinity,
    bank::{BANK_SIZE, Bank, Groups, bits_of},
    registers::{ArrayAccess, Field, IIDR, PIDR2, PIDR2_OFFSET},
};

/// Bytes of the GICD frame.
pub const DISTRIBUTOR_SIZE: u64 = 0x1_0000;

/// GICD_TYPER: 1020 INTIDs of 10 bits, message-based SPIs, Aff3 valid, no LPIs, no 1-of-N routing.
pub const TYPER: u32 = 0x0349_001F;

/// The first SPI.
pub const SPI_START: u32 = 32;
/// The first INTID above the SPIs; 1020 to 1023 are special.
pub const SPI_END: u32 = 1020;

const CTLR_ENABLE_GROUP0: u64 = 1 << 0;
const CTLR_ENABLE_GROUP1: u64 = 1 << 1;
/// ARE and DS: affinity routing on, one security state. RWP (bit 31) always reads 0.
const CTLR_FIXED: u64 = 1 << 4 | 1 << 6;

const CTLR_OFFSET: u64 = 0x0000;
const TYPER_OFFSET: u64 = 0x0004;
const IIDR_OFFSET: u64 = 0x0008;
const SETSPI_NSR_OFFSET: u64 = 0x0040;
const CLRSPI_NSR_OFFSET: u64 = 0x0048;
const IROUTER_OFFSET: u64 = 0x6000;

const SHARED_BANKS: usize = 31;
/// Bank 31 of the architecture ends with INTID 1019.
const LAST_BANK_IMPLEMENTED: u32 = 0x0FFF_FFFF;

/// The distributor of one VM.
#[derive(Debug)]
pub struct Distributor {
    groups: Groups,
    /// `banks[n]` begins with INTID 32(n+1).
    banks: Vec<Bank>,
    /// Packed affinities of the SPIs.
    routes: Vec<u32>,
    /// Bit n: `banks[n]` may hold something pending or active.
    busy: u32,
    vcpus: usize,
}

impl Distributor {
    /// Makes the distributor of a VM of `vcpus` vCPUs in its reset state: all disabled, all routed to vCPU 0.
    pub fn new(vcpus: usize) -> Self {
        let mut banks = vec![Bank::shared(u32::MAX); SHARED_BANKS];
        if let Some(last) = banks.last_mut() {
            last.implemented = LAST_BANK_IMPLEMENTED;
        }
        Self {
            groups: Groups::default(),
            banks,
            routes: vec![0; (SPI_END - SPI_START) as usize],
            busy: 0,
            vcpus,
        }
    }

    /// Returns to the reset state.
    pub(super) fn reset(&mut self) {
        self.groups = Groups::default();
        self.banks.iter_mut().for_each(Bank::reset);
        self.routes.fill(0);
        // Banks may still hold physical interrupts to release; the next sweep sorts that out.
        self.busy = u32::MAX >> 1;
    }

    /// Reads `size` bytes at `offset` of the frame. What is not there, or not of that size, reads 0.
    pub fn read(&mut self, offset: u64, size: u8) -> u64 {
        match (offset, size) {
            (CTLR_OFFSET, 4) => self.ctlr(),
            (TYPER_OFFSET, 4) => TYPER.into(),
            (IIDR_OFFSET, 4) => IIDR.into(),
            (PIDR2_OFFSET, 4) => PIDR2.into(),
            _ => {
                if let Some((route, shift)) = self.router(offset, size) {
                    let value = affinity::to_router(*route) >> shift;
                    return if size == 8 { value } else { value & 0xFFFF_FFFF };
                }
                ArrayAccess::decode(offset, size)
                    .and_then(|access| {
                        Some(access.read(self.banks.get(bank_index(access.first)?)?))
                    })
                    .unwrap_or(0)
            }
        }
    }

    /// Writes `size` bytes at `offset` of the frame. What is not there, or not of that size, ignores it.
    pub fn write(&mut self, offset: u64, size: u8, value: u64) {
        match (offset, size) {
            (CTLR_OFFSET, 4) => {
                self.groups = Groups {
                    group0: value & CTLR_ENABLE_GROUP0 != 0,
                    group1: value & CTLR_ENABLE_GROUP1 != 0,
                };
            }
            (SETSPI_NSR_OFFSET, 2 | 4) => {
                self.update(value as u32 & 0x3FF, Bank::set_message);
            }
            (CLRSPI_NSR_OFFSET, 2 | 4) => {
                self.update(value as u32 & 0x3FF, Bank::clear_message);
            }
            _ => {
                if let Some((route, shift)) = self.router(offset, size) {
                    let kept = if size == 8 { 0 } else { !(0xFFFF_FFFF << shift) };
                    let value = if size == 8 { value } else { (value & 0xFFFF_FFFF) << shift };
                    *route = affinity::from_router(affinity::to_router(*route) & kept | value);
                } else if let Some(access) = ArrayAccess::decode(offset, size) {
                    self.write_array(access, value);
                }
            }
        }
    }

    fn write_array(&mut self, access: ArrayAccess, value: u64) {
        let Some(index) = bank_index(access.first) else {
            return;
        };
        let Some(bank) = self.banks.get_mut(index) else {
            return;
        };
        let was_active = bank.active;
        access.write(bank, value);
        if access.field == Field::SetActive {
            for bit in bits_of(bank.active & !was_active) {
                let route = self.routes.get(index * BANK_SIZE as usize + bit as usize);
                let target = route.and_then(|route| affinity::to_vcpu(*route, self.vcpus));
                if let Some(holder) = bank.active_on.get_mut(bit as usize) {
                    *holder = target.unwrap_or(0) as u8;
                }
            }
        }
        self.busy |= 1 << index;
    }

    /// The route an IROUTER access means, and the bit position within the 64-bit register at which it starts.
    fn router(&mut self, offset: u64, size: u8) -> Option<(&mut u32, u32)> {
        let into = offset.checked_sub(IROUTER_OFFSET)?;
        if !matches!(size, 4 | 8) || !into.is_multiple_of(size.into()) {
            return None;
        }
        let index = usize::try_from(into / 8).ok()?.checked_sub(SPI_START as usize)?;
        Some((self.routes.get_mut(index)?, (into % 8 * 8) as u32))
    }

    fn ctlr(&self) -> u64 {
        let mut value = CTLR_FIXED;
        if self.groups.group0 {
            value |= CTLR_ENABLE_GROUP0;
        }
        if self.groups.group1 {
            value |= CTLR_ENABLE_GROUP1;
        }
        value
    }

    /// The interrupt groups that are forwarded.
    pub(super) fn groups(&self) -> Groups {
        self.groups
    }

    /// The bank of an SPI and its bit there.
    pub(super) fn bank(&self, intid: u32) -> Option<(&Bank, u32)> {
        let bit = 1 << (intid % BANK_SIZE);
        let bank = self.banks.get(bank_index(intid)?)?;
        (bank.implemented & bit != 0).then_some((bank, bit))
    }

    /// Changes the state of an SPI through its bank, which is given the SPI's bit. `false`: no such SPI.
    pub(super) fn update(&mut self, intid: u32, change: impl FnOnce(&mut Bank, u32)) -> bool {
        let bit = 1 << (intid % BANK_SIZE);
        let Some(index) = bank_index(intid) else {
            return false;
        };
        let Some(bank) = self.banks.get_mut(index).filter(|bank| bank.implemented & bit != 0)
        else {
            return false;
        };
        change(bank, bit);
        self.busy |= 1 << index;
        true
    }

    /// The vCPU an SPI is routed to, or `None` if its route names no vCPU of this VM.
    pub(super) fn target(&self, intid: u32) -> Option<usize> {
        let route = self.routes.get(intid.checked_sub(SPI_START)? as usize)?;
        affinity::to_vcpu(*route, self.vcpus)
    }

    /// The banks that may hold something pending or active, each with its first INTID.
    pub(super) fn busy_banks(&self) -> impl Iterator<Item = (u32, &Bank)> {
        bits_of(self.busy)
            .filter_map(|index| Some((first_of(index), self.banks.get(index as usize)?)))
    }

    /// As [`Self::busy_banks`], for changes; banks found idle are left out from now on.
    pub(super) fn sweep(&mut self, mut visit: impl FnMut(u32, &mut Bank)) {
        for index in bits_of(self.busy) {
            let Some(bank) = self.banks.get_mut(index as usize) else {
                continue;
            };
            visit(first_of(index), bank);
            if bank.is_idle() && bank.release == 0 {
                self.busy &= !(1 << index);
            }
        }
    }

    /// Takes the next physical INTID to deactivate.
    pub(super) fn take_release(&mut self) -> Option<u32> {
        bits_of(self.busy).find_map(|index| self.banks.get_mut(index as usize)?.take_release())
    }

    /// All banks, each with its first INTID.
    pub(super) fn banks(&self) -> impl Iterator<Item = (u32, &Bank)> {
        (0..).map(first_of).zip(&self.banks)
    }
}

fn bank_index(intid: u32) -> Option<usize> {
    ((intid / BANK_SIZE) as usize).checked_sub(1)
}

fn first_of(index: u32) -> u32 {
    (index + 1) * BANK_SIZE
}
