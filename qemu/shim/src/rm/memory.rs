//! Memory parcels: memory of the peer that a VM may map, and where it has it.
//!
//! The peer makes a parcel and tells the VM (`owner`); the VM accepts it, which changes its stage 2, and releases it
//! (`borrower`). `place` finds guest physical addresses. A buffer that the VM's tree names is a parcel that is accepted
//! before the VM starts. Each parcel is for one VM of the machine; its owner is always the peer, under any VMID.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec;
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
    /// What the owner gave with its first word of the parcel; none: nothing yet.
    tag: Option<u32>,
    /// Whether the borrower asked for zeros when the owner takes the memory back.
    clear_on_reclaim: bool,
    /// Whether RM counts it as the borrower's: mapped, or a part of its places is set aside.
    accepted: bool,
    /// The ranges set aside for it: one for each of the owner's or, if `contiguous`, one for all; none if RM lies about it.
    places: Vec<SglEntry>,
    contiguous: bool,
    /// Whether it is mapped at its places.
    mapped: bool,
}

impl Memory {
    /// The parcel with this handle, whosever.
    fn any(&self, handle: u32) -> Result<usize, RmError> {
        let meant = |parcel: &Parcel| parcel.handle == Some(handle);
        self.parcels.iter().position(meant).ok_or(RmError::HandleInvalid)
    }

    /// The parcel with this handle that is for the VM.
    fn find(&self, vm: VmIndex, handle: u32) -> Result<usize, RmError> {
        let found = self.any(handle)?;
        if self.parcels[found].vm == vm { Ok(found) } else { Err(RmError::HandleInvalid) }
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
        let placed = parcels.flat_map(|parcel| &parcel.places).map(place::range);
        spaces.flat_map(|space| space.taken.iter().cloned()).chain(placed).collect()
    }

    /// Maps a parcel at its places, all or nothing.
    fn map(&mut self, parcel: usize, stage2: &mut dyn Stage2) -> Result<(), RmError> {
        let parcel = &mut self.parcels[parcel];
        let rights = MapRights {
            write: parcel.offer.rights.contains(MemoryRights::WRITE),
            execute: parcel.offer.rights.contains(MemoryRights::EXECUTE),
        };
        let mut offset = 0;
        for (index, range) in parcel.places.iter().enumerate() {
            let (ipa, end) = (range.ipa.get(), offset + range.size.get());
            if let Err(error) = stage2.map(parcel.vm, ipa, &parcel.pages, offset..end, rights) {
                log::warn!("rm: {error}");
                for mapped in parcel.places.iter().take(index) {
                    stage2.unmap(parcel.vm, mapped.ipa.get());
                }
                return Err(RmError::MapFailed);
            }
            offset = end;
        }
        (parcel.accepted, parcel.mapped) = (true, true);
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
            self.parcels[index].places = vec![SglEntry::new(ipa, parcel.pages.size())];
            self.map(index, stage2)?;
        }
        Ok(())
    }

    /// The VM is reset: it has no parcel any more, and what was given to it is gone.
    pub(super) fn stop(&mut self, vm: VmIndex, stage2: &mut dyn Stage2) {
        for index in 0..self.parcels.len() {
            let parcel = &mut self.parcels[index];
            if parcel.vm == vm && parcel.accepted {
                parcel.release(stage2);
                if parcel.offer.named_at.is_none() {
                    self.happened(index, MemoryAction::Released);
                }
            }
        }
        self.parcels.retain(|parcel| parcel.vm != vm || parcel.handle.is_some());
    }
}

impl Parcel {
    /// Whoever tells of it has to know its tag, as soon as it has one.
    fn check_tag(&self, tag: u32) -> Result<(), RmError> {
        match self.tag {
            Some(own) if own != tag => Err(RmError::ArgumentInvalid),
            _ => Ok(()),
        }
    }

    /// Unmaps it; its places are free again.
    fn release(&mut self, stage2: &mut dyn Stage2) {
        for range in self.places.drain(..).filter(|_| self.mapped) {
            stage2.unmap(self.vm, range.ipa.get());
        }
        (self.accepted, self.mapped, self.contiguous) = (false, false, false);
    }
}
