//! What a VM asks of RM about memory of others.

use alloc::vec::Vec;

use gunyah_abi::rm::RmError;
use gunyah_abi::rm::memory::{
    AcceptFlags, AclEntry, MemAcceptReply, MemAcceptRequest, MemLookupRequest, MemNotifyRequest,
    MemReleaseRequest, NotifyFlag, ParcelLists, ReleaseFlags, SglEntry,
};
use zerocopy::{FromBytes, IntoBytes};

use super::{Memory, MemoryAction, MemoryRights, MemoryType, Parcel, Transaction, place};
use crate::seam::Stage2;
use crate::vm::VmIndex;

/// `MEM_ACCEPT`: maps a parcel where the VM says, or where RM chooses. The checks are RM's, in its order.
///
/// Each call sets places aside, for as many of the ranges that have none yet as the VM gives places, or for all; with
/// [`AcceptFlags::DONE`] all must have one, and are mapped.
pub(in crate::rm) fn accept(
    memory: &mut Memory,
    vm: VmIndex,
    content: &[u8],
    stage2: &mut dyn Stage2,
) -> Result<Vec<u8>, RmError> {
    let (request, lists) =
        MemAcceptRequest::ref_from_prefix(content).map_err(|_| RmError::MsgInvalid)?;
    let lists = ParcelLists::parse(lists).map_err(|_| RmError::MsgInvalid)?;
    let flags = AcceptFlags::from_bits_retain(request.flags);
    let index = memory.any(request.handle.get())?;
    let taken = memory.taken(vm);
    let parcel = &mut memory.parcels[index];
    parcel.validate(request, &lists, flags)?;
    if flags.contains(AcceptFlags::MAP_OTHER) {
        return Err(RmError::Denied);
    }
    if lists.map_vmid != 0 {
        return Err(RmError::ArgumentInvalid);
    }
    if parcel.vm != vm {
        return Err(RmError::VmidInvalid);
    }
    if parcel.mapped {
        return Err(RmError::Denied);
    }
    let contiguous = flags.contains(AcceptFlags::MAP_CONTIGUOUS);
    let is_memory = parcel.offer.memory_type == MemoryType::Normal;
    if contiguous && !(is_memory && (parcel.places.is_empty() || parcel.contiguous)) {
        return Err(RmError::ArgumentInvalid);
    }
    if flags.contains(AcceptFlags::SANITIZE) {
        parcel.clear_on_reclaim()?;
    }
    let sizes = parcel.sizes(contiguous || parcel.contiguous);
    let rest = sizes.get(parcel.places.len()..).unwrap_or_default();
    let (places, is_true) = if !lists.ranges.is_empty() {
        place::check(lists.ranges, rest, taken)?;
        (lists.ranges.to_vec(), true)
    } else if let Some(ipa) = parcel.offer.said_at {
        let said = place::in_a_row(ipa, rest);
        let is_true = place::check(&said, rest, taken).is_ok();
        (said, is_true)
    } else {
        (place::choose(rest, &taken).ok_or(RmError::Noresource)?, true)
    };
    let (before, done) = (parcel.places.len(), flags.contains(AcceptFlags::DONE));
    if done && places.len() != rest.len() {
        return Err(RmError::ArgumentInvalid);
    }
    parcel.places.extend_from_slice(if is_true { &places } else { &[] });
    if done {
        if let Err(error) = memory.map(index, stage2) {
            memory.parcels[index].places.truncate(before);
            return Err(error);
        }
        if memory.parcels[index].offer.transaction == Transaction::Donate {
            memory.parcels[index].handle = None;
        }
        memory.happened(index, MemoryAction::Accepted);
    }
    let parcel = &mut memory.parcels[index];
    (parcel.accepted, parcel.contiguous) = (true, contiguous || parcel.contiguous);
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
        if (request.memory_type, request.transaction)
            != (offer.memory_type.code(), offer.transaction.code())
        {
            return Err(RmError::ArgumentInvalid);
        }
        let who = |entry: &AclEntry| (entry.vmid.get(), entry.rights);
        let same_lists = || {
            lists.access.iter().map(who).eq(access.iter().map(who))
                && lists.attributes == attributes
        };
        let valid = (!flags.contains(AcceptFlags::VALIDATE_SANITIZED) || offer.sanitized)
            && (!flags.contains(AcceptFlags::VALIDATE_LABEL) || request.label.get() == offer.label)
            && (!flags.contains(AcceptFlags::VALIDATE_ACL_ATTR) || same_lists());
        if valid { Ok(()) } else { Err(RmError::ValidateFailed) }
    }

    /// The sizes of the ranges that the VM gets.
    fn sizes(&self, contiguous: bool) -> Vec<u64> {
        match contiguous {
            true => alloc::vec![self.pages.size()],
            false => self.offer.sizes.clone(),
        }
    }

    /// The VM wants the owner to get zeros back, and must be able to write them itself.
    fn clear_on_reclaim(&mut self) -> Result<(), RmError> {
        let may_write = self.offer.rights.contains(MemoryRights::WRITE);
        if !may_write || self.offer.memory_type != MemoryType::Normal {
            return Err(RmError::ArgumentInvalid);
        }
        self.clear_on_reclaim = true;
        Ok(())
    }
}

/// `MEM_RELEASE`: unmaps a parcel.
pub(in crate::rm) fn release(
    memory: &mut Memory,
    vm: VmIndex,
    content: &[u8],
    stage2: &mut dyn Stage2,
) -> Result<(), RmError> {
    let (request, _) =
        MemReleaseRequest::ref_from_prefix(content).map_err(|_| RmError::MsgInvalid)?;
    let index = memory.find(vm, request.handle.get())?;
    let parcel = &mut memory.parcels[index];
    if !parcel.accepted {
        return Err(RmError::MemReleased);
    }
    if ReleaseFlags::from_bits_retain(request.flags).contains(ReleaseFlags::SANITIZE) {
        parcel.clear_on_reclaim()?;
    }
    parcel.release(stage2);
    memory.happened(index, MemoryAction::Released);
    Ok(())
}

/// `MEM_RECLAIM`: for the owner only, and no VM is one.
pub(in crate::rm) fn reclaim(memory: &Memory, content: &[u8]) -> RmError {
    match MemReleaseRequest::ref_from_prefix(content) {
        Err(_) => RmError::MsgInvalid,
        Ok((request, _)) => memory.any(request.handle.get()).err().unwrap_or(RmError::Denied),
    }
}

/// `MEM_NOTIFY`: tells the owner that the VM has the parcel, or has it not. What an owner tells, no VM may.
pub(in crate::rm) fn notify(
    memory: &mut Memory,
    vm: VmIndex,
    content: &[u8],
) -> Result<(), RmError> {
    let (request, _) =
        MemNotifyRequest::ref_from_prefix(content).map_err(|_| RmError::MsgInvalid)?;
    let index = memory.any(request.handle.get())?;
    let parcel = &memory.parcels[index];
    let tag = request.tag.get();
    parcel.check_tag(tag)?;
    let flag = NotifyFlag::from(request.flag);
    match (flag, parcel.accepted) {
        (NotifyFlag::Unknown(_), _) => Err(RmError::ArgumentInvalid),
        (NotifyFlag::Shared | NotifyFlag::Recall, _) => Err(RmError::Denied),
        _ if parcel.vm != vm => Err(RmError::HandleInvalid),
        (NotifyFlag::Accepted, false) => Err(RmError::MemReleased),
        (NotifyFlag::Released, true) => Err(RmError::MemInuse),
        (NotifyFlag::Accepted, true) | (NotifyFlag::Released, false) => {
            memory.happened(index, MemoryAction::Told(flag, tag));
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
