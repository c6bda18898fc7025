//! Stage 2: which guest physical addresses reach which memory.

use aarch64_paging::{
    MapError, Mapping,
    descriptor::{PhysicalAddress, Stage2Attributes, VirtualAddress},
    idmap::IdTranslation,
    paging::{Constraints, MemoryRegion, Stage2},
};
use alloc::{sync::Arc, vec::Vec};
use billy_shim::{
    pages::Pages,
    seam::{self, MapRights},
    vm::VmIndex,
};
use core::{arch::asm, mem::ManuallyDrop, ops::Range};

/// 36-bit IPA, walk from level 1, write-back inner shareable walks, 4 KiB granule, 36-bit output.
const VTCR: u64 = 28 | 1 << 6 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 16 | 1 << 31;
/// First address that is no IPA.
const IPA_END: u64 = 1 << 36;

/// Normal memory, write-back, that may be read.
const NORMAL: Stage2Attributes = Stage2Attributes::VALID
    .union(Stage2Attributes::MEMATTR_NORMAL_OUTER_WB)
    .union(Stage2Attributes::MEMATTR_NORMAL_INNER_WB)
    .union(Stage2Attributes::SH_INNER)
    .union(Stage2Attributes::S2AP_ACCESS_RO)
    .union(Stage2Attributes::ACCESS_FLAG);

/// The stage-2 tables of one VM, never dropped: the hardware may walk them to the end.
pub struct AddressSpace {
    mapping: ManuallyDrop<Mapping<IdTranslation<Stage2Attributes>, Stage2>>,
    /// What is mapped besides RAM: it lives as long as the guest can reach it.
    shared: Vec<Shared>,
}

/// Memory that is the guest's until it is unmapped.
struct Shared {
    ipa: u64,
    size: u64,
    _pages: Arc<Pages>,
}

impl AddressSpace {
    /// An address space in which nothing is mapped.
    pub fn new() -> Self {
        let mapping = Mapping::new(IdTranslation::new(), 1, Stage2);
        Self { mapping: ManuallyDrop::new(mapping), shared: Vec::new() }
    }

    /// Maps `size` bytes of RAM at `physical` to the guest physical address `ipa`.
    pub fn map_memory(&mut self, ipa: u64, physical: u64, size: u64) -> Result<(), MapError> {
        let flags = NORMAL | Stage2Attributes::S2AP_ACCESS_RW;
        self.set(ipa, physical, size, flags, Constraints::empty())
    }

    fn set(
        &mut self,
        ipa: u64,
        physical: u64,
        size: u64,
        flags: Stage2Attributes,
        constraints: Constraints,
    ) -> Result<(), MapError> {
        let end = ipa.checked_add(size).filter(|end| *end <= IPA_END);
        let end = end.ok_or(MapError::InvalidVirtualAddress(VirtualAddress(ipa as usize)))?;
        let region = MemoryRegion::new(ipa as usize, end as usize);
        self.mapping.map_range(&region, PhysicalAddress(physical as usize), flags, constraints)
    }

    /// Makes this the address space that the guest runs in.
    pub fn activate(&self) {
        // SAFETY: stage 2 does not apply to EL2; the tables are identity mapped, normal memory.
        unsafe {
            asm!("msr vtcr_el2, {}", "isb", in(reg) VTCR, options(nostack, preserves_flags));
            self.mapping.activate();
        }
        forget_translations();
    }
}

/// Drops all that the hardware remembers of the guest's translations.
fn forget_translations() {
    // SAFETY: cache and TLB maintenance changes no memory.
    unsafe {
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

impl seam::Stage2 for AddressSpace {
    fn map(
        &mut self,
        _vm: VmIndex,
        ipa: u64,
        pages: &Arc<Pages>,
        part: Range<u64>,
        rights: MapRights,
    ) -> Result<(), seam::MapError> {
        let size = part.end.saturating_sub(part.start);
        let error = seam::MapError { ipa, size };
        let overlaps = |other: &Shared| ipa < other.ipa + other.size && other.ipa < ipa + size;
        if ipa > IPA_END || part.end > pages.size() || self.shared.iter().any(overlaps) {
            return Err(error);
        }
        let mut flags = NORMAL;
        if rights.write {
            flags |= Stage2Attributes::S2AP_ACCESS_RW;
        }
        flags.set(Stage2Attributes::XN, !rights.execute);
        let physical = pages.address() + part.start;
        // Blocks would have to be split, or tables joined, when a part is unmapped.
        self.set(ipa, physical, size, flags, Constraints::NO_BLOCK_MAPPINGS).map_err(|_| error)?;
        self.shared.push(Shared { ipa, size, _pages: pages.clone() });
        Ok(())
    }

    fn unmap(&mut self, _vm: VmIndex, ipa: u64) {
        let Some(place) = self.shared.iter().position(|shared| shared.ipa == ipa) else {
            log::error!("nothing is mapped at IPA {ipa:#x}");
            return;
        };
        let shared = self.shared.swap_remove(place);
        let none = Stage2Attributes::empty();
        let unmapped = self.set(ipa, 0, shared.size, none, Constraints::NO_BLOCK_MAPPINGS);
        // Whole pages were mapped there, which can be unmapped.
        unmapped.expect("pages to be unmapped");
        forget_translations();
        self.mapping.compact_subtables();
    }
}
