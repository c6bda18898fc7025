//! What the fake Resource Manager knows of its two VMs: the guest and the primary VM that owns it.

use alloc::vec;
use alloc::vec::Vec;
use gunyah_abi::rm::payload::{HypResource, TextHeader, VmidRequest, padded};
use gunyah_abi::rm::{
    FIRST_DYNAMIC_VMID, MessageId, PRIMARY_VMID, ResourceType, RmError, SELF_VMID, VmState,
};
use zerocopy::{FromBytes, IntoBytes};

/// The guest's name.
const NAME: &[u8] = b"probe-svm";

/// Answers requests that change nothing.
pub fn answer(id: MessageId, content: &[u8]) -> Result<Vec<u8>, RmError> {
    match id {
        MessageId::VM_GET_ID => match target(content)? {
            SELF_VMID | FIRST_DYNAMIC_VMID => Ok(identity(NAME)),
            _ => Err(RmError::ArgumentInvalid),
        },
        MessageId::VM_GET_STATE => match target(content)? {
            SELF_VMID | FIRST_DYNAMIC_VMID => Ok(vec![VmState::Running.code(), 4, 0x34, 0x12]),
            PRIMARY_VMID => Ok(vec![VmState::Running.code(), 0, 0, 0]),
            _ => Err(RmError::ArgumentInvalid),
        },
        MessageId::VM_LOOKUP_NAME => Ok(found(text(content)? == NAME)),
        MessageId::VM_LOOKUP_URI => Ok(found(text(content)?.is_empty())),
        MessageId::VM_LOOKUP_GUID if content.len() != 16 => Err(RmError::MsgInvalid),
        MessageId::VM_LOOKUP_GUID => Ok(found(content == [0; 16])),
        MessageId::VM_GET_PEERS if !content.is_empty() => Err(RmError::MsgInvalid),
        MessageId::VM_GET_PEERS => Ok(vec![1, 0, 0, 0, PRIMARY_VMID as u8, 0, 0, 0]),
        MessageId::VM_GET_CRASH_MSG => match target(content)? {
            SELF_VMID | FIRST_DYNAMIC_VMID | PRIMARY_VMID => Err(RmError::Denied),
            _ => Err(RmError::ArgumentInvalid),
        },
        MessageId::VM_GET_HYP_RESOURCES => match target(content)? {
            PRIMARY_VMID => Ok(resources()),
            FIRST_DYNAMIC_VMID => Ok(vec![0; 4]),
            _ => Err(RmError::ArgumentInvalid),
        },
        _ => Err(RmError::Unimplemented),
    }
}

fn target(content: &[u8]) -> Result<u16, RmError> {
    let request = VmidRequest::read_from_bytes(content).map_err(|_| RmError::MsgInvalid)?;
    Ok(request.vmid.get())
}

fn text(content: &[u8]) -> Result<&[u8], RmError> {
    let (header, text) = TextHeader::ref_from_prefix(content).map_err(|_| RmError::MsgInvalid)?;
    let length = usize::from(header.length.get());
    if text.len() != padded(length) {
        return Err(RmError::MsgInvalid);
    }
    text.get(..length).ok_or(RmError::MsgInvalid)
}

/// A list of the guest, or an empty one.
fn found(found: bool) -> Vec<u8> {
    match found {
        true => vec![1, 0, 0, 0, FIRST_DYNAMIC_VMID as u8, 0, 0, 0],
        false => vec![0; 4],
    }
}

/// A doorbell with label 3 and a queue to send on with label 2.
fn resources() -> Vec<u8> {
    let entry = |kind: ResourceType, label: u32, cap: u32, virq: u32| HypResource {
        kind: kind.code(),
        partner_vmid: PRIMARY_VMID.into(),
        label: label.into(),
        cap_low: cap.into(),
        virq: virq.into(),
        ..HypResource::default()
    };
    let mut data = vec![2, 0, 0, 0];
    data.extend(entry(ResourceType::Doorbell, 3, 2, 962).as_bytes());
    data.extend(entry(ResourceType::MessageQueueSend, 2, 4, 963).as_bytes());
    data
}

/// The `VM_GET_ID` data of a VM as RM of 12/2023 gives it.
fn identity(name: &[u8]) -> Vec<u8> {
    let entries: [(u8, &[u8]); 3] = [(0, &[0; 16]), (2, name), (3, b"N/A")];
    let mut data = (entries.len() as u32).to_le_bytes().to_vec();
    for (kind, value) in entries {
        data.extend([kind, 0]);
        data.extend((value.len() as u16).to_le_bytes());
        data.extend(value);
        data.resize(padded(data.len()), 0);
    }
    data
}
