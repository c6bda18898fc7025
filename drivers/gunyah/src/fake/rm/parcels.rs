//! The fake Resource Manager's parcels, checked in the order of the real one.

use crate::rm::memory::{MemHandle, MemoryRange};
use alloc::vec;
use alloc::vec::Vec;
use gunyah_abi::rm::memory::{
    AcceptFlags, AclEntry, AttrEntry, ListHeader, MemAcceptRequest, MemLookupRequest,
    MemNotifyRequest, MemReleaseRequest, MemoryRights, MemoryType, NotifyFlag, ParcelLists,
    ReleaseFlags, SglEntry, Transaction,
};
use gunyah_abi::rm::notification::MemShared;
use gunyah_abi::rm::{FIRST_DYNAMIC_VMID, MessageId, PRIMARY_VMID, RmError};
use zerocopy::byteorder::little_endian::U64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Where parcels are mapped in the guest, unless it says where.
const FIRST_BASE: u64 = 0xA000_0000;

/// A parcel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FakeParcel {
    /// Who made it.
    pub owner: u16,
    /// Kind of memory.
    pub kind: MemoryType,
    /// What the owner does.
    pub transaction: Transaction,
    /// What it is for.
    pub label: u32,
    /// The owner's tag.
    pub tag: u32,
    /// Whether it was filled with zeros.
    pub sanitized: bool,
    /// Who may do what.
    pub access: Vec<AclEntry>,
    /// Its ranges, in the owner's address space.
    pub ranges: Vec<MemoryRange>,
    /// How who must map.
    pub attributes: Vec<AttrEntry>,
    /// Where the guest has it.
    pub mapped: Option<Vec<MemoryRange>>,
}

impl FakeParcel {
    /// Memory that the guest's owner shares with it, both reading and writing.
    pub fn shared(label: u32, sizes: &[u64]) -> Self {
        let rights = MemoryRights::READ | MemoryRights::WRITE;
        let range = |(index, &size): (u64, _)| MemoryRange { base: 0x1_0000_0000 * index, size };
        Self {
            owner: PRIMARY_VMID,
            kind: MemoryType::Normal,
            transaction: Transaction::Share,
            label,
            tag: 0,
            sanitized: false,
            access: vec![
                AclEntry::new(PRIMARY_VMID, rights),
                AclEntry::new(FIRST_DYNAMIC_VMID, rights),
            ],
            ranges: (1..).zip(sizes).map(range).collect(),
            attributes: vec![],
            mapped: None,
        }
    }

    /// The content of its `MEM_SHARED`.
    pub fn announcement(&self, handle: MemHandle) -> Vec<u8> {
        let fixed = MemShared {
            handle: handle.0.into(),
            memory_type: self.kind.code(),
            transaction: self.transaction.code(),
            flags: self.sanitized.into(),
            owner: self.owner.into(),
            label: self.label.into(),
            tag: self.tag.into(),
            ..MemShared::default()
        };
        let sizes: Vec<U64> = self.ranges.iter().map(|range| range.size.into()).collect();
        let mut content = fixed.as_bytes().to_vec();
        let lists = [self.access.as_bytes(), sizes.as_bytes(), self.attributes.as_bytes()];
        for (count, list) in
            [self.access.len(), sizes.len(), self.attributes.len()].into_iter().zip(lists)
        {
            let header = ListHeader { count: (count as u16).into(), extra: 0.into() };
            content.extend(header.as_bytes());
            content.extend(list);
        }
        content
    }

    fn rights_of(&self, vmid: u16) -> Option<MemoryRights> {
        self.access.iter().find(|entry| entry.vmid.get() == vmid).map(AclEntry::rights)
    }

    /// Checks that a VM may have the memory filled with zeros.
    fn may_sanitize(&self, vmid: u16) -> Result<(), RmError> {
        let may_write = self.rights_of(vmid).is_some_and(|all| all.contains(MemoryRights::WRITE));
        let may = self.kind != MemoryType::Io && may_write;
        may.then_some(()).ok_or(RmError::ArgumentInvalid)
    }

    /// Where it is mapped: at the ranges given, which must fit, or from `next` on.
    fn place(
        &self,
        flags: AcceptFlags,
        given: &[SglEntry],
        mut next: u64,
    ) -> Result<Vec<MemoryRange>, RmError> {
        let contiguous = flags.contains(AcceptFlags::MAP_CONTIGUOUS);
        let sizes = self.ranges.iter().map(|range| range.size);
        let sizes: Vec<u64> = if contiguous { vec![sizes.sum()] } else { sizes.collect() };
        let ranges: Vec<MemoryRange> = if given.is_empty() {
            let at_next = |&size| {
                next += size;
                MemoryRange { base: next - size, size }
            };
            sizes.iter().map(at_next).collect()
        } else {
            let range = |one: &SglEntry| MemoryRange { base: one.ipa.get(), size: one.size.get() };
            given.iter().map(range).collect()
        };
        let fits = ranges.iter().map(|range| range.size).eq(sizes)
            && ranges.iter().all(|range| range.end().is_some())
            && flags.contains(AcceptFlags::DONE)
            && !(contiguous && self.kind == MemoryType::Io);
        fits.then_some(ranges).ok_or(RmError::ArgumentInvalid)
    }
}

/// All parcels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parcels {
    all: Vec<(MemHandle, FakeParcel)>,
    made: u32,
    /// Bytes set aside in the guest's address space so far.
    placed: u64,
    /// What owners other than the guest were told: `MEM_ACCEPTED` and `MEM_RELEASED`.
    pub told: Vec<(MessageId, MemHandle)>,
}

impl Parcels {
    /// The handle of the next parcel; the first is 0.
    pub fn next_handle(&self) -> MemHandle {
        MemHandle(self.made)
    }

    /// Makes a parcel.
    pub fn add(&mut self, parcel: FakeParcel) -> MemHandle {
        let handle = self.next_handle();
        self.made += 1;
        self.all.push((handle, parcel));
        handle
    }

    /// A parcel.
    pub fn get(&self, handle: MemHandle) -> Option<&FakeParcel> {
        self.all.iter().find(|(of, _)| *of == handle).map(|(_, parcel)| parcel)
    }

    /// Lets the owner take a parcel back (`MEM_RECLAIM`).
    ///
    /// # Errors
    ///
    /// `HANDLE_INVALID`; `MEM_INUSE` while the guest has it mapped.
    pub fn reclaim(&mut self, handle: MemHandle) -> Result<(), RmError> {
        match self.get(handle).ok_or(RmError::HandleInvalid)?.mapped {
            Some(_) => Err(RmError::MemInuse),
            None => {
                self.all.retain(|(of, _)| *of != handle);
                Ok(())
            }
        }
    }

    pub(super) fn answer(
        &mut self,
        vmid: u16,
        id: MessageId,
        content: &[u8],
    ) -> Result<Vec<u8>, RmError> {
        match id {
            MessageId::MEM_ACCEPT => self.accept(vmid, content),
            MessageId::MEM_RELEASE => self.release(vmid, content).map(|()| vec![]),
            MessageId::MEM_NOTIFY => self.notify(vmid, content).map(|()| vec![]),
            _ => self.look_up(vmid, content),
        }
    }

    fn find(&mut self, handle: u32) -> Result<&mut FakeParcel, RmError> {
        let found = self.all.iter_mut().find(|(of, _)| of.0 == handle);
        found.map(|(_, parcel)| parcel).ok_or(RmError::HandleInvalid)
    }

    fn accept(&mut self, vmid: u16, content: &[u8]) -> Result<Vec<u8>, RmError> {
        let (asked, lists) = fixed::<MemAcceptRequest>(content)?;
        let lists = ParcelLists::parse(lists).map_err(|_| RmError::MsgInvalid)?;
        let flags = AcceptFlags::from_bits_retain(asked.flags);
        let placed = self.placed;
        let parcel = self.find(asked.handle.get())?;
        let kind = (parcel.kind.code(), parcel.transaction.code());
        if kind != (asked.memory_type, asked.transaction) {
            return Err(RmError::ArgumentInvalid);
        }
        let conditions = [
            (AcceptFlags::VALIDATE_SANITIZED, parcel.sanitized),
            (AcceptFlags::VALIDATE_LABEL, parcel.label == asked.label.get()),
            (
                AcceptFlags::VALIDATE_ACL_ATTR,
                parcel.access == lists.access && parcel.attributes == lists.attributes,
            ),
        ];
        if conditions.iter().any(|(flag, holds)| flags.contains(*flag) && !holds) {
            return Err(RmError::ValidateFailed);
        }
        if flags.contains(AcceptFlags::MAP_OTHER) {
            return Err(RmError::Denied);
        }
        if lists.map_vmid != 0 {
            return Err(RmError::ArgumentInvalid);
        }
        parcel.rights_of(vmid).ok_or(RmError::VmidInvalid)?;
        if parcel.owner == vmid || parcel.mapped.is_some() {
            return Err(RmError::Denied);
        }
        if flags.contains(AcceptFlags::SANITIZE) {
            parcel.may_sanitize(vmid)?;
        }
        let chosen = lists.ranges.is_empty();
        let ranges = parcel.place(flags, lists.ranges, FIRST_BASE + placed)?;
        let mut reply = vec![];
        if chosen {
            reply.extend((ranges.len() as u32).to_le_bytes());
            for range in &ranges {
                reply.extend(SglEntry::new(range.base, range.size).as_bytes());
            }
        }
        let overlaps = |one: &MemoryRange, other: &MemoryRange| {
            one.base < other.base + other.size && other.base < one.base + one.size
        };
        let taken = self.all.iter().filter_map(|(_, parcel)| parcel.mapped.as_ref()).flatten();
        if taken.clone().any(|taken| ranges.iter().any(|range| overlaps(taken, range))) {
            return Err(RmError::Noresource);
        }
        if chosen {
            self.placed += ranges.iter().map(|range| range.size).sum::<u64>();
        }
        self.find(asked.handle.get())?.mapped = Some(ranges);
        Ok(reply)
    }

    fn release(&mut self, vmid: u16, content: &[u8]) -> Result<(), RmError> {
        let (asked, _) = fixed::<MemReleaseRequest>(content)?;
        let parcel = self.find(asked.handle.get())?;
        parcel.rights_of(vmid).ok_or(RmError::HandleInvalid)?;
        if parcel.owner == vmid {
            return Err(RmError::Denied);
        }
        if parcel.mapped.is_none() {
            return Err(RmError::MemReleased);
        }
        if ReleaseFlags::from_bits_retain(asked.flags).contains(ReleaseFlags::SANITIZE) {
            parcel.may_sanitize(vmid)?;
        }
        parcel.mapped = None;
        Ok(())
    }

    fn notify(&mut self, vmid: u16, content: &[u8]) -> Result<(), RmError> {
        let (asked, _) = fixed::<MemNotifyRequest>(content)?;
        let parcel = self.find(asked.handle.get())?;
        if parcel.tag != asked.tag.get() {
            return Err(RmError::ArgumentInvalid);
        }
        let (id, accepted) = match NotifyFlag::from(asked.flag) {
            NotifyFlag::Accepted => (MessageId::MEM_ACCEPTED, true),
            NotifyFlag::Released => (MessageId::MEM_RELEASED, false),
            NotifyFlag::Shared | NotifyFlag::Recall if parcel.owner != vmid => {
                return Err(RmError::Denied);
            }
            NotifyFlag::Shared | NotifyFlag::Recall => return Err(RmError::MsgInvalid),
            NotifyFlag::Unknown(_) => return Err(RmError::ArgumentInvalid),
        };
        parcel.rights_of(vmid).ok_or(RmError::HandleInvalid)?;
        match (accepted, parcel.mapped.is_some()) {
            (false, true) => Err(RmError::MemInuse),
            (true, false) => Err(RmError::MemReleased),
            _ => {
                self.told.push((id, MemHandle(asked.handle.get())));
                Ok(())
            }
        }
    }

    fn look_up(&self, vmid: u16, content: &[u8]) -> Result<Vec<u8>, RmError> {
        let (asked, lists) = fixed::<MemLookupRequest>(content)?;
        let lists = ParcelLists::parse(lists).map_err(|_| RmError::MsgInvalid)?;
        let matches = |parcel: &FakeParcel| {
            let ranges = parcel.ranges.iter().map(|range| SglEntry::new(range.base, range.size));
            parcel.owner == vmid
                && parcel.mapped.is_none()
                && parcel.kind.code() == asked.memory_type
                && parcel.access == lists.access
                && ranges.eq(lists.ranges.iter().copied())
                && parcel.attributes == lists.attributes
        };
        let found = self.all.iter().find(|(_, parcel)| matches(parcel));
        found.map(|(handle, _)| handle.0.to_le_bytes().to_vec()).ok_or(RmError::LookupFailed)
    }
}

fn fixed<F: FromBytes + KnownLayout + Immutable>(content: &[u8]) -> Result<(&F, &[u8]), RmError> {
    F::ref_from_prefix(content).map_err(|_| RmError::MsgInvalid)
}
