//! The final page tables: the plan, mapped W^X, and changes while in use.
//!
//! `aarch64-paging` knows that the tables are live: it writes descriptors before it invalidates
//! TLB entries, waits for both, and refuses what would need break-before-make. So the only change
//! of a valid descriptor made here goes by way of an invalid one.

use super::{
    PAGE, Region,
    attributes::{attributes, shared},
};
use crate::memory::shared::{Access, MapFailure, Mapper};
use aarch64_paging::{
    MapError,
    descriptor::El1Attributes,
    idmap::IdTranslation,
    paging::{Constraints, El1And0, MemoryRegion, VaRange},
};
use alloc::{sync::Arc, vec::Vec};
use billy_boot::ExceptionFrame;
use billy_paging::Tables;
use core::{
    arch::asm,
    ops::Range,
    ptr::NonNull,
    sync::atomic::{AtomicBool, Ordering},
};
use spin::Mutex;

/// Tables of three levels: 39 bits.
const ROOT_LEVEL: usize = 1;
/// `SCTLR_EL1.WXN`: what is writable is never executable.
const WXN: u64 = 1 << 19;

/// The tables in use. Tasks change them; the abort handler only tries the lock, since what it
/// answers to are accesses to shared memory, and none is made under the lock.
static LIVE: Mutex<Option<Live>> = Mutex::new(None);

/// What stands in for shared pages that the hypervisor took away. What is in it means nothing.
#[repr(C, align(4096))]
struct Substitute([u8; PAGE as usize]);

#[unsafe(link_section = ".noinit")]
static mut SUBSTITUTE: Substitute = Substitute([0; PAGE as usize]);

struct Live {
    space: AddressSpace,
    windows: Vec<Window>,
}

/// Shared memory that is mapped.
struct Window {
    range: Range<u64>,
    access: Access,
    gone: Arc<AtomicBool>,
}

/// The kernel's address space. It is never dropped while in use.
pub struct AddressSpace(Tables);

impl AddressSpace {
    /// Builds the tables for `plan`, from the heap.
    ///
    /// # Errors
    ///
    /// Whatever aarch64-paging refuses.
    pub fn new(plan: &[Region]) -> Result<Self, MapError> {
        let translation = IdTranslation::new();
        let mut mapping =
            Tables::with_asid_and_va_range(translation, 0, ROOT_LEVEL, El1And0, VaRange::Lower);
        for region in plan {
            let Region { range, kind } = region;
            let none = Constraints::empty();
            billy_paging::map(&mut mapping, range, range.start, attributes(*kind), none)?;
        }
        Ok(Self(mapping))
    }

    /// Switches to these tables, for good, and keeps them for what is mapped later.
    ///
    /// # Safety
    ///
    /// The plan covers the running image, its stacks and all memory in use.
    pub unsafe fn activate(self) {
        // SAFETY: the caller's promise; the tables are kept in a static from here on.
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
        *LIVE.lock() = Some(Live { space: self, windows: Vec::new() });
    }

    /// Maps the pages of `range` to those from `to` on, which nothing valid is replaced by.
    fn map(
        &mut self,
        range: &Range<u64>,
        to: u64,
        attributes: El1Attributes,
    ) -> Result<(), MapError> {
        billy_paging::map(&mut self.0, range, to, attributes, Constraints::NO_BLOCK_MAPPINGS)
    }

    fn unmap(&mut self, range: &Range<u64>) -> Result<(), MapError> {
        self.map(range, 0, El1Attributes::empty())
    }

    /// The first address of `range` that is mapped.
    fn mapped(&self, range: &Range<u64>) -> Result<Option<u64>, MapError> {
        let mut found = None;
        let walk = self.0.walk_range(&memory_region(range), &mut |part, descriptor, _| {
            if descriptor.is_valid() {
                found = Some(part.start().0 as u64);
                return Err(());
            }
            Ok(())
        });
        if found.is_some() { Ok(found) } else { walk.map(|()| None) }
    }
}

/// The tables in use, as [`SharedMaps`](crate::memory::shared::SharedMaps) change them.
pub struct LiveTables;

impl Mapper for LiveTables {
    fn map(
        &self,
        range: &Range<u64>,
        access: Access,
        gone: &Arc<AtomicBool>,
    ) -> Result<NonNull<u8>, MapFailure> {
        let mut live = LIVE.lock();
        let Live { space, windows } = live.as_mut().ok_or(MapFailure::NotReady)?;
        match space.mapped(range) {
            Ok(None) => {}
            Ok(Some(address)) => return Err(MapFailure::Mapped(address)),
            Err(_) => return Err(MapFailure::Refused),
        }
        let start = NonNull::new(core::ptr::with_exposed_provenance_mut(range.start as usize));
        let start = start.ok_or(MapFailure::Refused)?;
        space.map(range, range.start, shared(access)).map_err(|_| MapFailure::Refused)?;
        windows.push(Window { range: range.clone(), access, gone: gone.clone() });
        Ok(start)
    }

    fn unmap(&self, range: &Range<u64>) {
        let mut live = LIVE.lock();
        let Some(Live { space, windows }) = live.as_mut() else { return };
        windows.retain(|window| window.range != *range);
        if let Err(error) = space.unmap(range) {
            log::error!(target: "mem", "cannot unmap {:#x}..{:#x}: {error}", range.start, range.end);
        }
        // Else tables without an entry would pile up, one for each place a peer ever shared.
        space.0.compact_subtables();
    }
}

/// Answers an abort of an access to shared memory whose page the hypervisor took away: a private
/// page is mapped in its place and the region marked as gone. The access is then made again.
/// False for every other exception.
pub fn survive_abort(frame: &ExceptionFrame) -> bool {
    let fault = frame.far;
    let page = fault / PAGE * PAGE..(fault / PAGE + 1) * PAGE;
    if !is_lost_page(frame.esr) {
        return false;
    }
    let Some(mut live) = LIVE.try_lock() else { return false };
    let Some(Live { space, windows }) = live.as_mut() else { return false };
    let Some(window) = windows.iter().find(|window| window.range.contains(&fault)) else {
        return false;
    };
    let substitute = &raw const SUBSTITUTE as u64;
    let mut substituted = false;
    let walk = space.0.walk_range(&memory_region(&page), &mut |_, descriptor, _| {
        substituted = descriptor.output_address().0 as u64 == substitute;
        Ok(())
    });
    if walk.is_err() || substituted || space.unmap(&page).is_err() {
        return false;
    }
    window.gone.store(true, Ordering::Relaxed);
    space.map(&page, substitute, shared(window.access)).is_ok()
}

/// An external data abort of this level, with a valid address: what Gunyah answers an access to
/// an IPA with where nothing is.
fn is_lost_page(esr: u64) -> bool {
    const DATA_ABORT: u64 = 0x25;
    const ADDRESS_INVALID: u64 = 1 << 10;
    const EXTERNAL: u64 = 0x10;
    esr >> 26 == DATA_ABORT && esr & ADDRESS_INVALID == 0 && esr & 0x3f == EXTERNAL
}

fn memory_region(range: &Range<u64>) -> MemoryRegion {
    MemoryRegion::new(range.start as usize, range.end as usize)
}
