//! What the fake Resource Manager knows of the guest, its owner, and peers.

use alloc::vec;
use alloc::vec::Vec;
use gunyah_abi::rm::notification::VmStatus;
use gunyah_abi::rm::payload::{HypResource, SetStatusRequest, TextHeader, VmidRequest, padded};
use gunyah_abi::rm::{
    FIRST_DYNAMIC_VMID, MessageId, OsState, PRIMARY_VMID, ResourceType, RmError, SELF_VMID, VmState,
};
use zerocopy::{FromBytes, IntoBytes};

/// The guest's name.
const NAME: &[u8] = b"probe-svm";
/// The guest's URI.
const URI: &[u8] = b"vm:probe";

/// What is known of VMs, for a test to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The guest's VMID: at first the first dynamic one; a static one, 4..=31, may set its status.
    pub vmid: u16,
    /// What the guest says of its operating system and its application.
    pub own: (OsState, u16),
    /// Peers and how they are; the owner is one.
    pub peers: Vec<VmStatus>,
    /// What the guest shares with its peers: at first a doorbell with label 3 and a queue to send on with label 2.
    pub resources: Vec<HypResource>,
}

impl Default for Facts {
    fn default() -> Self {
        let mut facts = Self {
            vmid: FIRST_DYNAMIC_VMID,
            own: (OsState::Run, 0x1234),
            peers: vec![],
            resources: vec![
                Self::resource(ResourceType::Doorbell, 3, 2, 962),
                Self::resource(ResourceType::MessageQueueSend, 2, 4, 963),
            ],
        };
        facts.set_peer(PRIMARY_VMID, VmState::Running, OsState::None, 0);
        facts
    }
}

impl Facts {
    /// Makes a resource that the guest shares with its owner.
    pub fn resource(kind: ResourceType, label: u32, cap: u32, virq: u32) -> HypResource {
        HypResource {
            kind: kind.code(),
            partner_vmid: PRIMARY_VMID.into(),
            label: label.into(),
            cap_low: cap.into(),
            virq: virq.into(),
            ..HypResource::default()
        }
    }

    /// Lets a VM be in another state, and makes it a peer.
    pub fn set_peer(&mut self, vmid: u16, vm: VmState, os: OsState, application: u16) -> VmStatus {
        let status = VmStatus {
            vmid: vmid.into(),
            reserved: 0.into(),
            vm_state: vm.code(),
            os_state: os.code(),
            app_status: application.into(),
        };
        self.peers.retain(|peer| peer.vmid.get() != vmid);
        self.peers.push(status);
        status
    }

    pub(super) fn set_status(&mut self, content: &[u8]) -> Result<Vec<u8>, RmError> {
        let status = SetStatusRequest::read_from_bytes(content).map_err(|_| RmError::MsgInvalid)?;
        if !(4..=31).contains(&self.vmid) {
            return Err(RmError::Denied);
        }
        self.own = (OsState::from(status.os_state), status.app_status.get());
        Ok(vec![])
    }

    /// Answers requests that change nothing.
    pub(super) fn answer(&self, id: MessageId, content: &[u8]) -> Result<Vec<u8>, RmError> {
        match id {
            MessageId::VM_GET_ID => match target(content)? {
                vmid if self.is_guest(vmid) => Ok(identity(NAME)),
                _ => Err(RmError::ArgumentInvalid),
            },
            MessageId::VM_GET_STATE => self.state(target(content)?),
            MessageId::VM_LOOKUP_NAME => Ok(self.found(text(content)? == NAME)),
            MessageId::VM_LOOKUP_URI => Ok(self.found(text(content)? == URI)),
            MessageId::VM_LOOKUP_GUID if content.len() != 16 => Err(RmError::MsgInvalid),
            MessageId::VM_LOOKUP_GUID => Ok(self.found(content == [0; 16])),
            MessageId::VM_GET_PEERS if !content.is_empty() => Err(RmError::MsgInvalid),
            MessageId::VM_GET_PEERS => {
                Ok(list(self.peers.iter().map(|peer| vmid_entry(peer.vmid.get()))))
            }
            MessageId::VM_GET_CRASH_MSG => target(content).and(Err(RmError::VmidInvalid)),
            MessageId::VM_GET_HYP_RESOURCES => self.resources_with(target(content)?),
            _ => Err(RmError::Unimplemented),
        }
    }

    fn is_guest(&self, vmid: u16) -> bool {
        vmid == SELF_VMID || vmid == self.vmid
    }

    fn state(&self, vmid: u16) -> Result<Vec<u8>, RmError> {
        if self.is_guest(vmid) {
            let [low, high] = self.own.1.to_le_bytes();
            return Ok(vec![VmState::Running.code(), self.own.0.code(), low, high]);
        }
        let peer = self.peers.iter().find(|peer| peer.vmid.get() == vmid);
        let state = peer.and_then(|peer| peer.as_bytes().get(4..));
        state.map(<[u8]>::to_vec).ok_or(RmError::ArgumentInvalid)
    }

    fn resources_with(&self, partner: u16) -> Result<Vec<u8>, RmError> {
        if partner != self.vmid && !self.peers.iter().any(|peer| peer.vmid.get() == partner) {
            return Err(RmError::ArgumentInvalid);
        }
        let shared = self.resources.iter().filter(|one| one.partner_vmid.get() == partner);
        Ok(list(shared.map(|one| one.as_bytes().to_vec())))
    }

    /// A list of the guest, or an empty one.
    fn found(&self, found: bool) -> Vec<u8> {
        list(found.then(|| vmid_entry(self.vmid)).into_iter())
    }
}

/// A count and its entries.
fn list(entries: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let entries: Vec<_> = entries.collect();
    [(entries.len() as u32).to_le_bytes().to_vec(), entries.concat()].concat()
}

fn vmid_entry(vmid: u16) -> Vec<u8> {
    u32::from(vmid).to_le_bytes().to_vec()
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
