//! Answers to requests, by id: a new one is a line in [`answer`], a function.

use alloc::vec::Vec;

use gunyah_abi::rm::notification::VmStatus;
use gunyah_abi::rm::payload::{
    ConsoleWriteHeader, SetStatusRequest, VmExitRequest, VmidRequest, WordReply,
};
use gunyah_abi::rm::{
    FIRST_DYNAMIC_VMID, HOST_TYPE_QEMU, MAX_CRASH_MESSAGE, MessageId, OsState, PRIMARY_VMID,
    RmError, exit_code,
};
use zerocopy::{FromBytes, IntoBytes};

use super::memory::borrower;
use super::{Message, Owner, ResourceManager, console, information};
use crate::seam::Stage2;
use crate::vm::{Vm, VmEnd};

/// What becomes of a request.
pub(super) enum Answer {
    /// Success, with the data that follows the error word.
    Reply(Vec<u8>),
    /// A reply that holds only the error word.
    Refuse(RmError),
    /// None at all.
    Silence,
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
pub(super) fn exactly<T: FromBytes>(content: &[u8]) -> Result<T, RmError> {
    T::read_from_bytes(content).map_err(|_| RmError::MsgInvalid)
}

/// A request that must have no content.
pub(super) fn empty(content: &[u8]) -> Result<(), RmError> {
    if content.is_empty() { Ok(()) } else { Err(RmError::MsgInvalid) }
}

pub(super) fn answer(
    rm: &mut ResourceManager,
    caller: usize,
    message: &Message,
    vms: &[Vm],
    owner: &mut dyn Owner,
    stage2: &mut dyn Stage2,
) -> Answer {
    let Some(vm) = vms.get(rm.links[caller].vm.0) else {
        return Answer::Refuse(RmError::ArgumentInvalid);
    };
    let content = message.content.as_slice();
    let (index, memory) = (rm.links[caller].vm, &mut rm.memory);
    let word = |value: u32| empty(content).map(|()| word_reply(value));
    match message.id {
        MessageId::VM_GET_ID => information::get_id(vm, vms, content).into(),
        MessageId::VM_LOOKUP_URI => information::lookup_uri(vms, content).into(),
        MessageId::VM_LOOKUP_GUID => information::lookup_guid(vms, content).into(),
        MessageId::VM_LOOKUP_NAME => information::lookup_name(vms, content).into(),
        MessageId::VM_GET_OWNER => word(vm.owner.into()).into(),
        MessageId::VM_GET_STATE => information::get_state(rm, caller, vms, content).into(),
        MessageId::VM_GET_CRASH_MSG => information::get_crash_message(rm, vm, vms, content).into(),
        MessageId::VM_GET_VMID => word(vm.vmid.into()).into(),
        MessageId::VM_GET_HYP_RESOURCES => {
            information::get_resources(rm, caller, vm, vms, content).into()
        }
        MessageId::VM_GET_PEERS => information::get_peers(&rm.links[caller], content).into(),
        MessageId::VM_HOST_GET_TYPE => word(HOST_TYPE_QEMU).into(),
        MessageId::MEM_ACCEPT => borrower::accept(memory, index, content, stage2).into(),
        MessageId::MEM_RELEASE => borrower::release(memory, index, content, stage2).into(),
        MessageId::MEM_RECLAIM => Answer::Refuse(borrower::reclaim(memory, content)),
        MessageId::MEM_NOTIFY => borrower::notify(memory, index, content).into(),
        MessageId::MEM_LOOKUP_SGL => Answer::Refuse(borrower::lookup(content)),
        MessageId::VM_SET_STATUS => set_status(rm, caller, vm, vms, content).into(),
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
        MessageId::CONSOLE_WRITE => match console_write(content) {
            Ok((_, bytes)) if bytes.len() > usize::from(rm.behaviour.longest_write) => {
                Answer::Silence
            }
            Ok((target, bytes)) => match console::write(rm, caller, target, bytes, vms, owner) {
                Err(RmError::Nomem) if rm.behaviour.silent_without_memory => Answer::Silence,
                result => result.into(),
            },
            Err(error) => Answer::Refuse(error),
        },
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

/// Only secondary VMs with a static VMID have a status of their own; their peers hear of it.
fn set_status(
    rm: &mut ResourceManager,
    caller: usize,
    vm: &Vm,
    vms: &[Vm],
    content: &[u8],
) -> Result<(), RmError> {
    let status: SetStatusRequest = exactly(content)?;
    if vm.vmid == PRIMARY_VMID || vm.vmid >= FIRST_DYNAMIC_VMID {
        return Err(RmError::Denied);
    }
    let link = &mut rm.links[caller];
    link.os_state = OsState::from(status.os_state);
    link.app_status = status.app_status.get();
    let peers = link.peers();
    let news = VmStatus {
        vmid: vm.vmid.into(),
        reserved: 0.into(),
        vm_state: vm.state.code(),
        os_state: status.os_state,
        app_status: status.app_status,
    };
    for link in 0..rm.links.len() {
        if rm.links[link].vmid(vms).is_some_and(|vmid| peers.contains(&vmid)) {
            rm.notify(link, MessageId::VM_STATUS, news.as_bytes().to_vec())?;
        }
    }
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
    let text = information::text(content)?;
    let kept = text.get(..MAX_CRASH_MESSAGE).unwrap_or(text);
    rm.links[caller].crash_message = kept.to_vec();
    Ok(())
}
