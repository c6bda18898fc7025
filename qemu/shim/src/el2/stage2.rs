//! Stage 2: which guest physical addresses reach which memory.

use aarch64_paging::{
    MapError, Mapping,
    descriptor::{PhysicalAddress, Stage2Attributes},
    idmap::IdTranslation,
    paging::{Constraints, MemoryRegion, Stage2},
};
use core::{arch::asm, mem::ManuallyDrop};

/// 36-bit IPA, walk from level 1, write-back inner shareable walks, 4 KiB granule, 36-bit output.
const VTCR: u64 = 28 | 1 << 6 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 16 | 1 << 31;
/// First address that is no IPA.
const IPA_END: u64 = 1 << 36;

/// The stage-2 tables of one VM, never dropped: the hardware may walk them to the end.
pub struct AddressSpace {
    mapping: ManuallyDrop<Mapping<IdTranslation<Stage2Attributes>, Stage2>>,
}

impl AddressSpace {
    /// An address space in which nothing is mapped.
    pub fn new() -> Self {
        Self { mapping: ManuallyDrop::new(Mapping::new(IdTranslation::new(), 1, Stage2)) }
    }

    /// Maps `size` bytes of normal memory at `physical` to the guest physical address `ipa`.
    pub fn map_memory(&mut self, ipa: u64, physical: u64, size: u64) -> Result<(), MapError> {
        let end = ipa.checked_add(size).filter(|end| *end <= IPA_END);
        let Some(end) = end else {
            return Err(MapError::InvalidVirtualAddress(
                aarch64_paging::descriptor::VirtualAddress(ipa as usize),
            ));
        };
        self.mapping.map_range(
            &MemoryRegion::new(ipa as usize, end as usize),
            PhysicalAddress(physical as usize),
            Stage2Attributes::VALID
                | Stage2Attributes::MEMATTR_NORMAL_OUTER_WB
                | Stage2Attributes::MEMATTR_NORMAL_INNER_WB
                | Stage2Attributes::SH_INNER
                | Stage2Attributes::S2AP_ACCESS_RW
                | Stage2Attributes::ACCESS_FLAG,
            Constraints::empty(),
        )
    }

    /// Makes this the address space that the guest runs in.
    pub fn activate(&self) {
        // SAFETY: stage 2 does not apply to EL2; the tables are identity mapped, normal memory.
        unsafe {
            asm!("msr vtcr_el2, {}", "isb", in(reg) VTCR, options(nostack, preserves_flags));
            self.mapping.activate();
            asm!(
                "dsb ishst",
                "tlbi vmalls12e1is",
                "dsb ish",
                "ic ialluis",
                "dsb ish",
                "isb",
                options(nostack, preserves_flags)
            );
        }
    }
}
