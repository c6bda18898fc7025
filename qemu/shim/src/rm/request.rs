//! Answers to requests, by message id. A new request is a line in [`answer`] and a function.

use alloc::vec::Vec;

use gunyah_abi::rm::payload::{
    ConsoleWriteHeader, CountReply, IdEntry, SetStatusRequest, StateReply, TextHeader,
    VmExitRequest, VmidRequest, WordReply, id_type, padded,
};
use gunyah_abi::rm::{
    FIRST_DYNAMIC_VMID, HOST_TYPE_QEMU, MAX_CRASH_MESSAGE, MessageId, OsState, PRIMARY_VMID,
    RmError, SELF_VMID, VmState, exit_code,
};
use zerocopy::{FromBytes, IntoBytes};

use super::{Message, Owner, ResourceManager, console};
use crate::vm::{Vm, VmEnd};

/// What becomes of a request.
pub(super) enum Answer {
    /// Success, with the data that follows the error word.
    Reply(Vec<u8>),
    /// A reply that holds only the error word.
    Refuse(RmError),
    /// The caller ends; it gets no reply.
    End(VmEnd),
}

impl From<Result<Vec<u8>, RmError>> for Answer {
    fn from(result: Result<Vec<u8>, RmError>) -> Self {
        result.map_or_else(Self::Refuse, Self::Reply)
    }
}

impl From<Result<(), RmError>> for Answer {
    fn from(result: Result<(), RmError>) -> Self {
        result.map(|()| Vec::new()).into()
    }
}

/// The request's content, which must be exactly a `T`.
fn exactly<T: FromBytes>(content: &[u8]) -> Result<T, RmError> {
    T::read_from_bytes(content).map_err(|_| RmError::MsgInvalid)
}

/// A request that must have no content.
fn empty(content: &[u8]) -> Result<(), RmError> {
    if content.is_empty() { Ok(()) } else { Err(RmError::MsgInvalid) }
}

pub(super) fn answer(
    rm: &mut ResourceManager,
    caller: usize,
    message: &Message,
    vms: &[Vm],
    owner: &mut dyn Owner,
) -> Answer {
    let Some(vm) = vms.get(rm.links[caller].vm.0) else {
        return Answer::Refuse(RmError::ArgumentInvalid);
    };
    let content = message.content.as_slice();
    let word = |value: u32| empty(content).map(|()| word_reply(value));
    match message.id {
        MessageId::VM_GET_ID => get_id(vm, content).into(),
        MessageId::VM_GET_OWNER => word(vm.owner.into()).into(),
        MessageId::VM_GET_STATE => get_state(rm, caller, vms, content).into(),
        MessageId::VM_GET_VMID => word(vm.vmid.into()).into(),
        MessageId::VM_GET_HYP_RESOURCES => get_resources(rm, caller, vms, content).into(),
        MessageId::VM_HOST_GET_TYPE => word(HOST_TYPE_QEMU).into(),
        MessageId::VM_SET_STATUS => set_status(rm, caller, vm, content).into(),
        MessageId::VM_EXIT => exit(content),
        MessageId::VM_SET_CRASH_MSG => set_crash_message(rm, caller, content).into(),
        MessageId::CONSOLE_OPEN | MessageId::CONSOLE_CLOSE => exactly::<VmidRequest>(content)
            .and_then(|request| {
                let open = message.id == MessageId::CONSOLE_OPEN;
                console::set_open(rm, caller, request.vmid.get(), open, vms)
            })
            .into(),
        MessageId::CONSOLE_FLUSH => exactly::<VmidRequest>(content)
            .and_then(|request| console::flush(rm, caller, request.vmid.get(), vms))
            .into(),
        MessageId::CONSOLE_WRITE => console_write(content)
            .and_then(|(target, bytes)| console::write(rm, caller, target, bytes, vms, owner))
            .into(),
        _ => Answer::Refuse(RmError::Unimplemented),
    }
}

fn word_reply(value: u32) -> Vec<u8> {
    let reply = WordReply { value: value.into() };
    reply.as_bytes().to_vec()
}

fn console_write(content: &[u8]) -> Result<(u16, &[u8]), RmError> {
    let (header, bytes) =
        ConsoleWriteHeader::ref_from_prefix(content).map_err(|_| RmError::MsgInvalid)?;
    if bytes.len() != usize::from(header.length.get()) {
        return Err(RmError::MsgInvalid);
    }
    Ok((header.target.get(), bytes))
}

fn get_id(vm: &Vm, content: &[u8]) -> Result<Vec<u8>, RmError> {
    let target = exactly::<VmidRequest>(content)?.vmid.get();
    if target != SELF_VMID && target != vm.vmid {
        return Err(RmError::ArgumentInvalid);
    }
    let entries: [(u8, &[u8]); 3] = [
        (id_type::GUID, &[0; 16]),
        (id_type::NAME, vm.name.as_bytes()),
        (id_type::SIGNING_AUTHORITY, b"N/A"),
    ];
    let count = CountReply { count: (entries.len() as u32).into() };
    let mut reply = count.as_bytes().to_vec();
    for (kind, data) in entries {
        let entry = IdEntry { kind, reserved: 0, size: (data.len() as u16).into() };
        reply.extend_from_slice(entry.as_bytes());
        reply.extend_from_slice(data);
        reply.resize(padded(reply.len()), 0);
    }
    Ok(reply)
}

fn get_state(
    rm: &ResourceManager,
    caller: usize,
    vms: &[Vm],
    content: &[u8],
) -> Result<Vec<u8>, RmError> {
    let target = exactly::<VmidRequest>(content)?.vmid.get();
    let named = |link: &&super::Link| vms.get(link.vm.0).is_some_and(|vm| vm.vmid == target);
    let link = match target {
        SELF_VMID => Some(&rm.links[caller]),
        _ => rm.links.iter().find(named),
    };
    let (vm_state, os_state, app_status) = match link {
        Some(link) => {
            let vm = vms.get(link.vm.0).ok_or(RmError::ArgumentInvalid)?;
            (vm.state, link.os_state, link.app_status)
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

/// The caller's devices shared with another VM. "Self" is no other VM.
fn get_resources(
    rm: &ResourceManager,
    caller: usize,
    vms: &[Vm],
    content: &[u8],
) -> Result<Vec<u8>, RmError> {
    let target = exactly::<VmidRequest>(content)?.vmid.get();
    let known = target == PRIMARY_VMID || vms.iter().any(|vm| vm.vmid == target);
    if target == SELF_VMID || !known {
        return Err(RmError::ArgumentInvalid);
    }
    let resources = rm.links[caller].resources.iter();
    let shared: Vec<_> =
        resources.filter(|resource| resource.partner_vmid.get() == target).collect();
    let count = CountReply { count: (shared.len() as u32).into() };
    let mut reply = count.as_bytes().to_vec();
    for resource in shared {
        reply.extend_from_slice(resource.as_bytes());
    }
    Ok(reply)
}

/// Only secondary VMs with a static VMID have a status of their own.
fn set_status(
    rm: &mut ResourceManager,
    caller: usize,
    vm: &Vm,
    content: &[u8],
) -> Result<(), RmError> {
    let status: SetStatusRequest = exactly(content)?;
    if vm.vmid == PRIMARY_VMID || vm.vmid >= FIRST_DYNAMIC_VMID {
        return Err(RmError::Denied);
    }
    let link = &mut rm.links[caller];
    link.os_state = OsState::from(status.os_state);
    link.app_status = status.app_status.get();
    Ok(())
}

fn exit(content: &[u8]) -> Answer {
    let known = |request: &VmExitRequest| {
        matches!(
            request.code,
            exit_code::NORMAL
                | exit_code::SOFTWARE_ERROR
                | exit_code::BUS_ERROR
                | exit_code::DEVICE_ERROR
        )
    };
    match exactly::<VmExitRequest>(content) {
        Ok(request) if known(&request) => {
            Answer::End(VmEnd::Exit { flags: request.flags.get(), code: request.code })
        }
        _ => Answer::Refuse(RmError::MsgInvalid),
    }
}

fn set_crash_message(
    rm: &mut ResourceManager,
    caller: usize,
    content: &[u8],
) -> Result<(), RmError> {
    let (header, text) = TextHeader::ref_from_prefix(content).map_err(|_| RmError::MsgInvalid)?;
    let length = usize::from(header.length.get());
    if text.len() != padded(length) {
        return Err(RmError::MsgInvalid);
    }
    let text = text.get(..length.min(MAX_CRASH_MESSAGE));
    rm.links[caller].crash_message = text.unwrap_or_default().to_vec();
    Ok(())
}
