//! What the peer does as owner of memory: offers, tells, recalls, takes back.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use gunyah_abi::rm::memory::{CreateFlags, MAX_LIST_ENTRIES, PAGE_SIZE, list_bytes};
use gunyah_abi::rm::notification::{MemRecall, MemShared};
use gunyah_abi::rm::{MessageId, RmError};
use zerocopy::IntoBytes;
use zerocopy::little_endian::U64;

use super::{
    AclEntry, AttrEntry, MemoryAction, MemoryAttribute, MemoryRights, MemoryType, Pages, Parcel,
    Space, Transaction,
};
use crate::object::Objects;
use crate::rm::ResourceManager;
use crate::seam::{Stage2, VirtualInterrupts};
use crate::vm::VmIndex;

/// Bytes of memory that parcels take together at most.
const MOST_MEMORY: u64 = 8 << 20;

/// Memory that is to become a parcel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// VMID of the owner.
    pub owner: u16,
    /// By the owner's choice.
    pub label: u32,
    /// What kind of memory.
    pub memory_type: MemoryType,
    /// What the owner does with it.
    pub transaction: Transaction,
    /// Whether it is to be filled with zeros first; that it is, is told.
    pub sanitized: bool,
    /// What the VM may do with it.
    pub rights: MemoryRights,
    /// How the VM must map it.
    pub attribute: MemoryAttribute,
    /// The ranges' sizes in bytes.
    pub sizes: Vec<u64>,
    /// The handle that it is to have; none: the lowest free one.
    pub handle: Option<u32>,
    /// IPA at which the VM has it before it starts, named by its tree.
    pub named_at: Option<u64>,
    /// IPA at which RM says that it put it, if it may choose: the truth only if nothing else is there.
    pub said_at: Option<u64>,
}

/// What `MEM_SHARED` says of a parcel other than the truth.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announcement {
    /// The handle.
    pub handle: Option<u32>,
    /// VMID of the owner.
    pub owner: Option<u16>,
    /// The label.
    pub label: Option<u32>,
    /// What kind of memory.
    pub memory_type: Option<MemoryType>,
    /// What the owner does with it.
    pub transaction: Option<Transaction>,
    /// What the VM may do with it.
    pub rights: Option<MemoryRights>,
    /// How the VM must map it.
    pub attribute: Option<MemoryAttribute>,
    /// Who may use it, in place of the VM.
    pub vmid: Option<u16>,
    /// The size of each range.
    pub size: Option<u64>,
    /// By the owner's choice.
    pub tag: u32,
}

impl Offer {
    /// Memory of `size` bytes in one range to read and write, cached.
    #[must_use]
    pub fn new(owner: u16, label: u32, transaction: Transaction, size: u64) -> Self {
        Self {
            owner,
            label,
            memory_type: MemoryType::Normal,
            transaction,
            sanitized: false,
            rights: MemoryRights::READ | MemoryRights::WRITE,
            attribute: MemoryAttribute::Normal,
            sizes: vec![size],
            handle: None,
            named_at: None,
            said_at: None,
        }
    }

    /// The access list: sharing, the owner keeps its access.
    fn access(&self, vmid: u16, rights: MemoryRights) -> Vec<AclEntry> {
        let mut access = vec![AclEntry::new(vmid, rights)];
        if self.transaction == Transaction::Share {
            let all = MemoryRights::READ | MemoryRights::WRITE;
            access.push(AclEntry::new(self.owner, all));
        }
        access
    }
}

impl ResourceManager {
    /// Begins to give memory to a VM, which has something at these IPAs already.
    pub fn add_space(&mut self, vm: VmIndex, vmid: u16, taken: Vec<Range<u64>>) {
        self.memory.spaces.push(Space { vm, vmid, taken });
    }

    /// The peer makes a parcel for a VM; returns its handle.
    ///
    /// # Errors
    ///
    /// `ARGUMENT_INVALID` for sizes that are not of whole pages, too many ranges, an unknown VM, or a handle that is taken;
    /// `NOMEM`.
    pub fn offer_memory(&mut self, vm: VmIndex, offer: Offer) -> Result<u32, RmError> {
        let memory = &mut self.memory;
        let space = memory.spaces.iter().find(|space| space.vm == vm);
        let vmid = space.ok_or(RmError::ArgumentInvalid)?.vmid;
        let whole = |size: &u64| *size > 0 && size.is_multiple_of(PAGE_SIZE);
        let size = offer.sizes.iter().try_fold(0_u64, |sum, size| sum.checked_add(*size));
        let size = size.filter(|size| *size > 0 && offer.sizes.iter().all(whole));
        let size = size.ok_or(RmError::ArgumentInvalid)?;
        if offer.sizes.len() > MAX_LIST_ENTRIES {
            return Err(RmError::ArgumentInvalid);
        }
        // The allocator gives powers of two.
        let cost = |size: u64| size.checked_next_power_of_two().unwrap_or(u64::MAX);
        let used = memory.parcels.iter().map(|parcel| cost(parcel.pages.size()));
        if cost(size) > MOST_MEMORY.saturating_sub(used.sum()) {
            return Err(RmError::Nomem);
        }
        let pages = Pages::zeroed(size).ok_or(RmError::Nomem)?;
        let free = |handle: &u32| memory.parcels.iter().all(|other| other.handle != Some(*handle));
        let handle = match offer.handle {
            Some(handle) => Some(handle).filter(free),
            None => (0..).find(free),
        };
        let handle = handle.ok_or(RmError::ArgumentInvalid)?;
        memory.parcels.push(Parcel {
            handle: Some(handle),
            vm,
            access: offer.access(vmid, offer.rights),
            attributes: vec![AttrEntry::new(vmid, offer.attribute)],
            offer,
            pages,
            tag: None,
            clear_on_reclaim: false,
            accepted: false,
            places: Vec::new(),
            contiguous: false,
            mapped: false,
        });
        Ok(handle)
    }

    /// The peer has RM tell the VM of a parcel (`MEM_SHARED`), the truth or not. The first tag stays with the parcel.
    ///
    /// # Errors
    ///
    /// `HANDLE_INVALID`; those of [`Self::send_notification`].
    pub fn announce_memory(
        &mut self,
        vm: VmIndex,
        handle: u32,
        announcement: &Announcement,
        objects: &mut Objects,
        interrupts: &mut dyn VirtualInterrupts,
    ) -> Result<(), RmError> {
        let found = self.memory.find(vm, handle)?;
        let parcel = &mut self.memory.parcels[found];
        parcel.tag.get_or_insert(announcement.tag);
        let Parcel { offer, .. } = parcel;
        let own = parcel.attributes.first().map_or(0, |entry| entry.vmid.get());
        let vmid = announcement.vmid.unwrap_or(own);
        let flags = if offer.sanitized { CreateFlags::SANITIZE } else { CreateFlags::empty() };
        let fixed = MemShared {
            handle: announcement.handle.unwrap_or(handle).into(),
            memory_type: announcement.memory_type.unwrap_or(offer.memory_type).code(),
            transaction: announcement.transaction.unwrap_or(offer.transaction).code(),
            flags: flags.bits(),
            owner: announcement.owner.unwrap_or(offer.owner).into(),
            label: announcement.label.unwrap_or(offer.label).into(),
            tag: announcement.tag.into(),
            ..MemShared::default()
        };
        let access = offer.access(vmid, announcement.rights.unwrap_or(offer.rights));
        let size = |size: &u64| U64::new(announcement.size.unwrap_or(*size));
        let sizes: Vec<U64> = offer.sizes.iter().map(size).collect();
        let attribute = announcement.attribute.unwrap_or(offer.attribute);
        let mut content = fixed.as_bytes().to_vec();
        let mut sink = |part: &[u8]| content.extend_from_slice(part);
        list_bytes(&access, 0, &mut sink)
            .and_then(|()| list_bytes(&sizes, 0, &mut sink))
            .and_then(|()| list_bytes(&[AttrEntry::new(vmid, attribute)], 0, &mut sink))
            .map_err(|_| RmError::MsgInvalid)?;
        self.send_notification(vm, MessageId::MEM_SHARED, content, objects, interrupts)
    }

    /// The peer has RM ask the VM for the parcel (`MEM_RECALL`). Of one that the VM's tree names it may have told with `tag`
    /// before the VM started.
    ///
    /// # Errors
    ///
    /// `HANDLE_INVALID`; `ARGUMENT_INVALID` if the parcel has another tag; those of [`Self::send_notification`].
    pub fn recall_memory(
        &mut self,
        vm: VmIndex,
        handle: u32,
        tag: Option<u32>,
        objects: &mut Objects,
        interrupts: &mut dyn VirtualInterrupts,
    ) -> Result<(), RmError> {
        let found = self.memory.find(vm, handle)?;
        let parcel = &mut self.memory.parcels[found];
        if let Some(tag) = tag {
            parcel.check_tag(tag)?;
            parcel.tag = Some(tag);
        }
        let tag = parcel.tag.unwrap_or_default();
        let recall = MemRecall { handle: handle.into(), tag: tag.into() };
        let content = recall.as_bytes().to_vec();
        self.send_notification(vm, MessageId::MEM_RECALL, content, objects, interrupts)
    }

    /// The peer takes a parcel back: its handle and memory are gone.
    ///
    /// # Errors
    ///
    /// `HANDLE_INVALID`; `MEM_INUSE` while the VM has it accepted.
    pub fn reclaim_memory(&mut self, vm: VmIndex, handle: u32) -> Result<(), RmError> {
        let index = self.memory.find(vm, handle)?;
        if self.memory.parcels[index].accepted {
            return Err(RmError::MemInuse);
        }
        let parcel = self.memory.parcels.remove(index);
        if parcel.clear_on_reclaim {
            parcel.pages.clear();
        }
        Ok(())
    }

    /// The hypervisor takes a parcel away from VM and owner, as no RM does.
    ///
    /// # Errors
    ///
    /// `HANDLE_INVALID`.
    pub fn seize_memory(
        &mut self,
        vm: VmIndex,
        handle: u32,
        stage2: &mut dyn Stage2,
    ) -> Result<(), RmError> {
        let index = self.memory.find(vm, handle)?;
        self.memory.parcels.remove(index).release(stage2);
        Ok(())
    }

    /// The handle of the newest parcel with this label.
    #[must_use]
    pub fn parcel_handle(&self, vm: VmIndex, label: u32) -> Option<u32> {
        let meant = |parcel: &&Parcel| parcel.vm == vm && parcel.offer.label == label;
        self.memory.parcels.iter().rev().filter(meant).find_map(|parcel| parcel.handle)
    }

    /// The VMID that owns the newest parcel with this label.
    #[must_use]
    pub fn parcel_owner(&self, vm: VmIndex, label: u32) -> Option<u16> {
        let meant = |parcel: &&Parcel| parcel.vm == vm && parcel.offer.label == label;
        self.memory.parcels.iter().rev().find(meant).map(|parcel| parcel.offer.owner)
    }

    /// The memory of the newest parcel with this label, as far as its owner has access: what the VM has alone, the owner has
    /// not.
    #[must_use]
    pub fn parcel_memory(&self, vm: VmIndex, label: u32) -> Option<&Arc<Pages>> {
        let meant = |parcel: &&Parcel| parcel.vm == vm && parcel.offer.label == label;
        let parcel = self.memory.parcels.iter().rev().find(meant)?;
        let shared = parcel.offer.transaction == Transaction::Share || !parcel.accepted;
        shared.then_some(&parcel.pages)
    }

    /// Where the VM has the newest parcel with this label: IPA and bytes of each range.
    #[must_use]
    pub fn parcel_places(&self, vm: VmIndex, label: u32) -> Vec<(u64, u64)> {
        let meant = |parcel: &&Parcel| parcel.vm == vm && parcel.offer.label == label;
        let parcel = self.memory.parcels.iter().rev().find(meant);
        let parcel = parcel.filter(|parcel| parcel.mapped);
        let mapped = parcel.map(|parcel| parcel.places.as_slice()).unwrap_or_default();
        mapped.iter().map(|range| (range.ipa.get(), range.size.get())).collect()
    }

    /// Takes the oldest event that the peer of the VM has not seen: a parcel's label, and what became of it.
    pub fn take_memory_event(&mut self, vm: VmIndex) -> Option<(u32, MemoryAction)> {
        let events = &mut self.memory.events;
        let place = events.iter().position(|(whose, ..)| *whose == vm)?;
        events.remove(place).map(|(_, label, action)| (label, action))
    }
}
