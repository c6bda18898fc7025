//! Requests about VMs: who and how they are, what they share; no changes.

use alloc::vec::Vec;

use gunyah_abi::rm::payload::{
    CountReply, HypResource, IdEntry, LookupGuidRequest, StateReply, TextHeader, VmidRequest,
    id_type, padded,
};
use gunyah_abi::rm::{OsState, PRIMARY_VMID, ResourceType, RmError, SELF_VMID, VmState};
use zerocopy::{FromBytes, IntoBytes};

use super::request::{empty, exactly};
use super::{Link, ResourceManager};
use crate::vm::Vm;

/// A number of entries, and the entries.
fn list<T: IntoBytes + zerocopy::Immutable>(entries: &[T]) -> Vec<u8> {
    let count = CountReply { count: (entries.len() as u32).into() };
    let mut reply = count.as_bytes().to_vec();
    entries.iter().for_each(|entry| reply.extend_from_slice(entry.as_bytes()));
    reply
}

/// `VM_GET_ID`: "self" and the caller's own VMID mean the same.
pub(super) fn get_id(vm: &Vm, vms: &[Vm], content: &[u8]) -> Result<Vec<u8>, RmError> {
    let target = exactly::<VmidRequest>(content)?.vmid.get();
    let vm = match target {
        SELF_VMID => vm,
        _ => vms.iter().find(|vm| vm.vmid == target).ok_or(RmError::ArgumentInvalid)?,
    };
    let uri = vm.uri.as_ref().map(|uri| (id_type::URI, uri.as_bytes()));
    let rest = [(id_type::NAME, vm.name.as_bytes()), (id_type::SIGNING_AUTHORITY, b"N/A")];
    let entries = [(id_type::GUID, vm.guid.as_slice())].into_iter().chain(uri).chain(rest);
    let count = CountReply { count: (entries.clone().count() as u32).into() };
    let mut reply = count.as_bytes().to_vec();
    for (kind, data) in entries {
        let entry = IdEntry { kind, reserved: 0, size: (data.len() as u16).into() };
        reply.extend_from_slice(entry.as_bytes());
        reply.extend_from_slice(data);
        reply.resize(padded(reply.len()), 0);
    }
    Ok(reply)
}

/// A length, and as much text, padded with zeros to a multiple of 4.
pub(super) fn text(content: &[u8]) -> Result<&[u8], RmError> {
    let (header, text) = TextHeader::ref_from_prefix(content).map_err(|_| RmError::MsgInvalid)?;
    let length = usize::from(header.length.get());
    if text.len() != padded(length) {
        return Err(RmError::MsgInvalid);
    }
    text.get(..length).ok_or(RmError::MsgInvalid)
}

fn lookup(vms: &[Vm], is_meant: impl Fn(&Vm) -> bool) -> Vec<u8> {
    let found = vms.iter().filter(|vm| is_meant(vm)).map(|vm| VmidRequest::new(vm.vmid));
    list(&found.collect::<Vec<_>>())
}

/// `VM_LOOKUP_URI`.
pub(super) fn lookup_uri(vms: &[Vm], content: &[u8]) -> Result<Vec<u8>, RmError> {
    let wanted = text(content)?;
    Ok(lookup(vms, |vm| vm.uri.as_ref().is_some_and(|uri| uri.as_bytes() == wanted)))
}

/// `VM_LOOKUP_GUID`: exactly 16 bytes.
pub(super) fn lookup_guid(vms: &[Vm], content: &[u8]) -> Result<Vec<u8>, RmError> {
    let wanted: LookupGuidRequest = exactly(content)?;
    Ok(lookup(vms, |vm| vm.guid == wanted.guid))
}

/// `VM_LOOKUP_NAME`.
pub(super) fn lookup_name(vms: &[Vm], content: &[u8]) -> Result<Vec<u8>, RmError> {
    let wanted = text(content)?;
    Ok(lookup(vms, |vm| vm.name.as_bytes() == wanted))
}

/// `VM_GET_STATE`. Of the primary VM no more is known than that it runs.
pub(super) fn get_state(
    rm: &ResourceManager,
    caller: usize,
    vms: &[Vm],
    content: &[u8],
) -> Result<Vec<u8>, RmError> {
    let target = exactly::<VmidRequest>(content)?.vmid.get();
    let link = match target {
        SELF_VMID => Some(&rm.links[caller]),
        _ => rm.links.iter().find(|link| link.vmid(vms) == Some(target)),
    };
    let (vm_state, os_state, app_status) = match link {
        Some(link) => {
            let vm = vms.get(link.vm.0).ok_or(RmError::ArgumentInvalid)?;
            (vm.state, link.os_state, link.app_status)
        }
        None if let Some(state) = rm.strangers.get(&target) => {
            return Ok(state.as_bytes().to_vec());
        }
        None if target == PRIMARY_VMID => (VmState::Running, OsState::None, 0),
        None => return Err(RmError::ArgumentInvalid),
    };
    let reply = StateReply {
        vm_state: vm_state.code(),
        os_state: os_state.code(),
        app_status: app_status.into(),
    };
    Ok(reply.as_bytes().to_vec())
}

/// `VM_GET_CRASH_MSG`: only for the owner, so nobody gets its own. To others the VM does not exist.
pub(super) fn get_crash_message(
    rm: &ResourceManager,
    vm: &Vm,
    vms: &[Vm],
    content: &[u8],
) -> Result<Vec<u8>, RmError> {
    let target = exactly::<VmidRequest>(content)?.vmid.get();
    let is_meant = |asked: &Vm| asked.vmid == target && asked.owner == vm.vmid;
    let index = vms.iter().position(is_meant).ok_or(RmError::VmidInvalid)?;
    let message = rm.crash_message(crate::vm::VmIndex(index));
    let mut reply = TextHeader::new(message.len() as u16).as_bytes().to_vec();
    reply.extend_from_slice(message);
    reply.resize(padded(reply.len()), 0);
    Ok(reply)
}

/// `VM_GET_HYP_RESOURCES`: what the caller shares with another VM, and that VM's vCPUs if the caller owns it. "Self" is no
/// other VM.
pub(super) fn get_resources(
    rm: &ResourceManager,
    caller: usize,
    vm: &Vm,
    vms: &[Vm],
    content: &[u8],
) -> Result<Vec<u8>, RmError> {
    let target = exactly::<VmidRequest>(content)?.vmid.get();
    let partner = vms.iter().find(|vm| vm.vmid == target);
    if target == SELF_VMID || (partner.is_none() && !rm.is_stranger(target)) {
        return Err(RmError::ArgumentInvalid);
    }
    let resources = rm.links[caller].resources.iter().copied();
    let shared = resources.filter(|resource| resource.partner_vmid.get() == target);
    let owned = partner.filter(|partner| partner.owner == vm.vmid);
    let vcpus = owned.into_iter().flat_map(|owned| (0..owned.vcpus.len()).map(|n| vcpu(owned, n)));
    Ok(list(&shared.chain(vcpus).collect::<Vec<_>>()))
}

/// A vCPU that no proxy schedules: it has no interrupt that would wake its owner.
fn vcpu(vm: &Vm, index: usize) -> HypResource {
    HypResource {
        kind: ResourceType::Vcpu.code(),
        partner_vmid: vm.vmid.into(),
        label: (index as u32).into(),
        cap_low: u32::MAX.into(),
        cap_high: u32::MAX.into(),
        virq: HypResource::NO_VIRQ.into(),
        ..HypResource::default()
    }
}

/// `VM_GET_PEERS`: each VM that the caller shares something with, once.
pub(super) fn get_peers(link: &Link, content: &[u8]) -> Result<Vec<u8>, RmError> {
    empty(content)?;
    let peers: Vec<zerocopy::little_endian::U32> =
        link.peers().into_iter().map(|vmid| u32::from(vmid).into()).collect();
    Ok(list(&peers))
}

impl Link {
    /// VMID of the VM at this end.
    pub(super) fn vmid(&self, vms: &[Vm]) -> Option<u16> {
        vms.get(self.vm.0).map(|vm| vm.vmid)
    }

    /// The VMs at the other ends of its channels, each once.
    pub(super) fn peers(&self) -> Vec<u16> {
        let mut peers: Vec<u16> =
            self.resources.iter().map(|resource| resource.partner_vmid.get()).collect();
        peers.sort_unstable();
        peers.dedup();
        peers
    }
}
