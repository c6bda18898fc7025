//! Memory parcels: memory of the peer that a VM may map, and where it has it mapped.
//!
//! The peer makes a parcel and tells the VM (`owner`); the VM accepts it, which changes its stage 2, and releases it
//! (`borrower`). `place` finds guest physical addresses. A buffer that the VM's tree names is a parcel that is accepted
//! before the VM starts. Each parcel is for one VM of the machine; its owner is always the peer, under any VMID.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use gunyah_abi::rm::RmError;
use gunyah_abi::rm::memory::{
    AclEntry, AttrEntry, MemoryAttribute, MemoryRights, MemoryType, NotifyFlag, SglEntry,
    Transaction,
};

use crate::pages::Pages;
use crate::seam::{MapRights, Stage2};
use crate::vm::VmIndex;

pub(super) mod borrower;
mod owner;
mod place;

pub use owner::{Announcement, Offer};

/// What happened to parcels and the peer has not yet looked at; older events are forgotten.
const KEPT_EVENTS: usize = 1024;

/// What a VM did with a parcel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryAction {
    /// Mapped it (`MEM_ACCEPT`).
    Accepted,
    /// Unmapped it (`MEM_RELEASE`, or the VM was reset).
    Released,
    /// Told the owner something (`MEM_NOTIFY`).
    Told(NotifyFlag, u32),
}

/// All parcels, and what the VMs have at which guest physical addresses.
#[derive(Debug, Default)]
pub(super) struct Memory {
    parcels: Vec<Parcel>,
    spaces: Vec<Space>,
    events: VecDeque<(VmIndex, u32, MemoryAction)>,
}

/// What a VM has besides parcels.
#[derive(Debug)]
struct Space {
    vm: VmIndex,
    vmid: u16,
    taken: Vec<Range<u64>>,
}

#[derive(Debug)]
struct Parcel {
    /// None once the memory is the borrower's own: donated and accepted.
    handle: Option<u32>,
    vm: VmIndex,
    offer: Offer,
    access: Vec<AclEntry>,
    attributes: Vec<AttrEntry>,
    pages: Arc<Pages>,
    /// Whether the borrower asked for zeros when the owner takes the memory back.
    clear_on_reclaim: bool,
    accepted: bool,
    /// Where it is mapped: nowhere, if RM lies about it.
    mapped: Vec<SglEntry>,
}

impl Memory {
    fn find(&self, vm: VmIndex, handle: u32) -> Result<usize, RmError> {
        let meant = |parcel: &Parcel| parcel.vm == vm && parcel.handle == Some(handle);
        self.parcels.iter().position(meant).ok_or(RmError::HandleInvalid)
    }

    fn happened(&mut self, parcel: usize, action: MemoryAction) {
        if self.events.len() == KEPT_EVENTS {
            self.events.pop_front();
        }
        let Parcel { vm, offer, .. } = &self.parcels[parcel];
        log::debug!("rm: memory parcel {:#x}: {action:?}", offer.label);
        self.events.push_back((*vm, offer.label, action));
    }

    /// All that the VM has anywhere: RAM, devices, parcels.
    fn taken(&self, vm: VmIndex) -> Vec<Range<u64>> {
        let spaces = self.spaces.iter().filter(|space| space.vm == vm);
        let parcels = self.parcels.iter().filter(|parcel| parcel.vm == vm);
        let mapped = parcels.flat_map(|parcel| &parcel.mapped).map(place::range);
        spaces.flat_map(|space| space.taken.iter().cloned()).chain(mapped).collect()
    }

    /// Maps a parcel at these ranges, all or nothing.
    fn map(
        &mut self,
        parcel: usize,
        ranges: &[SglEntry],
        stage2: &mut dyn Stage2,
    ) -> Result<(), RmError> {
        let parcel = &mut self.parcels[parcel];
        let rights = MapRights {
            write: parcel.offer.rights.contains(MemoryRights::WRITE),
            execute: parcel.offer.rights.contains(MemoryRights::EXECUTE),
        };
        let mut offset = 0;
        for range in ranges {
            let (ipa, end) = (range.ipa.get(), offset + range.size.get());
            if let Err(error) = stage2.map(parcel.vm, ipa, &parcel.pages, offset..end, rights) {
                log::warn!("rm: {error}");
                parcel.unmap(stage2);
                return Err(RmError::MapFailed);
            }
            parcel.mapped.push(*range);
            offset = end;
        }
        parcel.accepted = true;
        Ok(())
    }

    /// Accepts the parcels that the VM's tree names, as RM does before the VM starts. They hold zeros.
    pub(super) fn start(&mut self, vm: VmIndex, stage2: &mut dyn Stage2) -> Result<(), RmError> {
        for index in 0..self.parcels.len() {
            let parcel = &self.parcels[index];
            let Some(ipa) = parcel.offer.named_at.filter(|_| parcel.vm == vm && !parcel.accepted)
            else {
                continue;
            };
            parcel.pages.clear();
            let all = SglEntry::new(ipa, parcel.pages.size());
            self.map(index, &[all], stage2)?;
        }
        Ok(())
    }

    /// The VM is reset: it has no parcel any more, and what was given to it is gone.
    pub(super) fn stop(&mut self, vm: VmIndex, stage2: &mut dyn Stage2) {
        for index in 0..self.parcels.len() {
            let parcel = &mut self.parcels[index];
            if parcel.vm == vm && parcel.accepted {
                parcel.unmap(stage2);
                if parcel.offer.named_at.is_none() {
                    self.happened(index, MemoryAction::Released);
                }
            }
        }
        self.parcels.retain(|parcel| parcel.vm != vm || parcel.handle.is_some());
    }
}

impl Parcel {
    fn unmap(&mut self, stage2: &mut dyn Stage2) {
        for range in self.mapped.drain(..) {
            stage2.unmap(self.vm, range.ipa.get());
        }
        self.accepted = false;
    }
}
