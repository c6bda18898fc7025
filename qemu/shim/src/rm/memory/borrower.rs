//! What a VM asks of RM about memory of others.

use alloc::vec::Vec;

use gunyah_abi::rm::RmError;
use gunyah_abi::rm::memory::{
    AcceptFlags, MemAcceptReply, MemAcceptRequest, MemLookupRequest, MemNotifyRequest,
    MemReleaseRequest, NotifyFlag, ParcelLists, ReleaseFlags, SglEntry,
};
use zerocopy::{FromBytes, IntoBytes};

use super::{Memory, MemoryAction, MemoryRights, MemoryType, Parcel, Transaction, place};
use crate::rm::request::exactly;
use crate::seam::Stage2;
use crate::vm::VmIndex;

/// `MEM_ACCEPT`: maps a parcel where the VM says, or where RM chooses.
pub(in crate::rm) fn accept(
    memory: &mut Memory,
    vm: VmIndex,
    content: &[u8],
    stage2: &mut dyn Stage2,
) -> Result<Vec<u8>, RmError> {
    let (request, lists) =
        MemAcceptRequest::ref_from_prefix(content).map_err(|_| RmError::MsgInvalid)?;
    let lists = ParcelLists::parse(lists).map_err(|_| RmError::MsgInvalid)?;
    let flags = AcceptFlags::from_bits(request.flags).ok_or(RmError::ArgumentInvalid)?;
    if flags.contains(AcceptFlags::MAP_OTHER) {
        return Err(RmError::Denied);
    }
    let index = memory.find(vm, request.handle.get())?;
    let parcel = &memory.parcels[index];
    parcel.validate(request, &lists, flags)?;
    if parcel.accepted {
        return Err(RmError::MemInuse);
    }
    let taken = memory.taken(vm);
    let size = parcel.pages.size();
    let (places, is_true) = if !lists.ranges.is_empty() {
        if !place::are_pages(lists.ranges, size) {
            return Err(RmError::ArgumentInvalid);
        }
        if !place::are_free(lists.ranges, &taken) {
            return Err(RmError::MapFailed);
        }
        (lists.ranges.to_vec(), true)
    } else if let Some(ipa) = parcel.offer.said_at {
        let said = place::in_a_row(ipa, &parcel.sizes(flags));
        let is_true = place::are_pages(&said, size) && place::are_free(&said, &taken);
        (said, is_true)
    } else {
        (place::choose(&parcel.sizes(flags), &taken).ok_or(RmError::MapFailed)?, true)
    };
    if flags.contains(AcceptFlags::DONE) {
        memory.map(index, if is_true { &places } else { &[] }, stage2)?;
        let parcel = &mut memory.parcels[index];
        parcel.clear_on_reclaim = flags.contains(AcceptFlags::SANITIZE);
        if parcel.offer.transaction == Transaction::Donate {
            parcel.handle = None;
        }
        memory.happened(index, MemoryAction::Accepted);
    }
    Ok(if lists.ranges.is_empty() { reply(&places) } else { Vec::new() })
}

fn reply(places: &[SglEntry]) -> Vec<u8> {
    let count = u16::try_from(places.len()).unwrap_or(u16::MAX);
    let header = MemAcceptReply { count: count.into(), ..MemAcceptReply::default() };
    [header.as_bytes(), places.as_bytes()].concat()
}

impl Parcel {
    fn validate(
        &self,
        request: &MemAcceptRequest,
        lists: &ParcelLists<'_>,
        flags: AcceptFlags,
    ) -> Result<(), RmError> {
        let Self { offer, access, attributes, .. } = self;
        let same_lists = || {
            same(lists.access, access, |entry| (entry.vmid.get(), entry.rights))
                && same(lists.attributes, attributes, |entry| {
                    (entry.vmid.get(), entry.attribute.get())
                })
        };
        let valid = request.memory_type == offer.memory_type.code()
            && request.transaction == offer.transaction.code()
            && (!flags.contains(AcceptFlags::VALIDATE_SANITIZED) || offer.sanitized)
            && (!flags.contains(AcceptFlags::VALIDATE_LABEL) || request.label.get() == offer.label)
            && (!flags.contains(AcceptFlags::VALIDATE_ACL_ATTR) || same_lists());
        if valid { Ok(()) } else { Err(RmError::ValidateFailed) }
    }

    /// The sizes of the ranges that the VM gets.
    fn sizes(&self, flags: AcceptFlags) -> Vec<u64> {
        match flags.contains(AcceptFlags::MAP_CONTIGUOUS) {
            true => alloc::vec![self.pages.size()],
            false => self.offer.sizes.clone(),
        }
    }
}

/// Whether two lists hold the same entries, in any order.
fn same<T, K: Ord>(one: &[T], other: &[T], key: impl Fn(&T) -> K) -> bool {
    let sorted = |entries: &[T]| {
        let mut keys: Vec<K> = entries.iter().map(&key).collect();
        keys.sort_unstable();
        keys
    };
    sorted(one) == sorted(other)
}

/// `MEM_RELEASE`: unmaps a parcel.
pub(in crate::rm) fn release(
    memory: &mut Memory,
    vm: VmIndex,
    content: &[u8],
    stage2: &mut dyn Stage2,
) -> Result<(), RmError> {
    let request: MemReleaseRequest = exactly(content)?;
    let flags = ReleaseFlags::from_bits(request.flags).ok_or(RmError::ArgumentInvalid)?;
    let index = memory.find(vm, request.handle.get())?;
    let parcel = &mut memory.parcels[index];
    if !parcel.accepted {
        return Err(RmError::MemReleased);
    }
    if flags.contains(ReleaseFlags::SANITIZE) {
        let may_write = parcel.offer.rights.contains(MemoryRights::WRITE);
        if !may_write || parcel.offer.memory_type != MemoryType::Normal {
            return Err(RmError::ArgumentInvalid);
        }
        parcel.pages.clear();
    }
    parcel.unmap(stage2);
    memory.happened(index, MemoryAction::Released);
    Ok(())
}

/// `MEM_RECLAIM`: for the owner only, and no VM is one.
pub(in crate::rm) fn reclaim(memory: &Memory, vm: VmIndex, content: &[u8]) -> RmError {
    match exactly::<MemReleaseRequest>(content) {
        Err(error) => error,
        Ok(request) => memory.find(vm, request.handle.get()).err().unwrap_or(RmError::Denied),
    }
}

/// `MEM_NOTIFY`: tells the owner that the VM has the parcel, or has it no longer. What an owner tells, no VM may.
pub(in crate::rm) fn notify(
    memory: &mut Memory,
    vm: VmIndex,
    content: &[u8],
) -> Result<(), RmError> {
    let (request, _) =
        MemNotifyRequest::ref_from_prefix(content).map_err(|_| RmError::MsgInvalid)?;
    let flag = NotifyFlag::from(request.flag);
    match flag {
        NotifyFlag::Unknown(_) => return Err(RmError::ArgumentInvalid),
        NotifyFlag::Shared | NotifyFlag::Recall => {
            memory.find(vm, request.handle.get())?;
            return Err(RmError::Denied);
        }
        NotifyFlag::Accepted | NotifyFlag::Released => {}
    }
    let request: MemNotifyRequest = exactly(content)?;
    let index = memory.find(vm, request.handle.get())?;
    match (flag, memory.parcels[index].accepted) {
        (NotifyFlag::Accepted, false) => Err(RmError::MemReleased),
        (NotifyFlag::Released, true) => Err(RmError::MemInuse),
        _ => {
            memory.happened(index, MemoryAction::Told(flag, request.tag.get()));
            Ok(())
        }
    }
}

/// `MEM_LOOKUP_SGL`: finds parcels that the caller owns, and no VM owns any.
pub(in crate::rm) fn lookup(content: &[u8]) -> RmError {
    let request = MemLookupRequest::ref_from_prefix(content);
    match request.map(|(_, lists)| ParcelLists::parse(lists)) {
        Ok(Ok(_)) => RmError::LookupFailed,
        _ => RmError::MsgInvalid,
    }
}
