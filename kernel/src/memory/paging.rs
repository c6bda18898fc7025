//! The final page tables: the plan, mapped W^X.

use super::{Kind, Region};
use aarch64_paging::{
    MapError, Mapping,
    descriptor::{El1Attributes, PhysicalAddress},
    idmap::IdTranslation,
    paging::{Constraints, El1And0, MemoryRegion, VaRange},
};
use core::arch::asm;

/// Tables of three levels: 39 bits.
const ROOT_LEVEL: usize = 1;
/// `SCTLR_EL1.WXN`: what is writable is never executable.
const WXN: u64 = 1 << 19;

/// The kernel's address space. It is never dropped while in use.
pub struct AddressSpace(Mapping<IdTranslation<El1Attributes>, El1And0>);

impl AddressSpace {
    /// Builds the tables for `plan`, from the heap.
    ///
    /// # Errors
    ///
    /// Whatever aarch64-paging refuses.
    pub fn new(plan: &[Region]) -> Result<Self, MapError> {
        let translation = IdTranslation::new();
        let mut mapping =
            Mapping::with_asid_and_va_range(translation, 0, ROOT_LEVEL, El1And0, VaRange::Lower);
        for region in plan {
            let (start, end) = (region.range.start as usize, region.range.end as usize);
            mapping.map_range(
                &MemoryRegion::new(start, end),
                PhysicalAddress(start),
                attributes(region.kind),
                Constraints::empty(),
            )?;
        }
        Ok(Self(mapping))
    }

    /// Switches to these tables, for good.
    ///
    /// # Safety
    ///
    /// The plan covers the running image, its stacks and all memory in use.
    pub unsafe fn activate(self) {
        // SAFETY: the caller's promise; the tables are leaked, so they outlive their use.
        unsafe {
            self.0.activate();
            asm!(
                "tlbi vmalle1", "dsb nsh", "isb",
                "mrs {sctlr}, sctlr_el1",
                "orr {sctlr}, {sctlr}, {wxn}",
                "msr sctlr_el1, {sctlr}", "isb",
                sctlr = out(reg) _,
                wxn = in(reg) WXN,
                options(nostack, preserves_flags)
            );
        }
        core::mem::forget(self);
    }
}

/// Attribute index 0 is Device-nGnRE and 1 normal write-back, as the boot code set `MAIR_EL1`.
fn attributes(kind: Kind) -> El1Attributes {
    let common = El1Attributes::VALID | El1Attributes::ACCESSED | El1Attributes::UXN;
    let normal = common | El1Attributes::ATTRIBUTE_INDEX_1 | El1Attributes::INNER_SHAREABLE;
    match kind {
        Kind::Code => normal | El1Attributes::READ_ONLY,
        Kind::Constant => normal | El1Attributes::READ_ONLY | El1Attributes::PXN,
        Kind::Data | Kind::Heap => normal | El1Attributes::PXN,
        Kind::Device => common | El1Attributes::ATTRIBUTE_INDEX_0 | El1Attributes::PXN,
    }
}
