//! What the hypervisor and its resource manager gave this virtual machine.

use super::{AddressRange, Interrupt};
use alloc::string::String;
use alloc::vec::Vec;
use gunyah_abi::CapabilityId;

/// The Gunyah hypervisor, as far as the tree tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hypervisor {
    /// The compatible string by which its node was recognised.
    pub compatible: &'static str,
}

/// Who this virtual machine is (node `qcom,gunyah-vm-id`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VmIdentity {
    /// Its VMID.
    pub vmid: u16,
    /// The VMID of the virtual machine that started it.
    pub owner: Option<u16>,
    /// Who made the resource manager.
    pub vendor: Option<String>,
    /// The name of its image.
    pub image_name: Option<String>,
    /// Its URI.
    pub uri: Option<String>,
    /// Its GUID, as text in the form 8-4-4-4-12.
    pub guid: Option<String>,
    /// The virtual machines at the other ends of its message queues.
    pub peers: Vec<String>,
}

/// One end of a message queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueEnd {
    /// Its capability.
    pub capability: CapabilityId,
    /// What announces that it can be used again (sender) or has something (receiver).
    pub interrupt: Interrupt,
    /// Bytes of the longest message, 1 to 1023; the resource manager's default is 240.
    pub message_size: u16,
    /// Messages that it holds, 1 to 255; the resource manager's default is 8.
    pub depth: u16,
}

/// A message queue to a peer and one back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuePair {
    /// Path of its node.
    pub path: String,
    /// What whoever configured the virtual machine calls it.
    pub label: Option<u32>,
    /// Name, URI or GUID of the peer.
    pub peer: Option<String>,
    /// VMID of the peer.
    pub peer_vmid: Option<u16>,
    /// The queue that this virtual machine sends on.
    pub tx: QueueEnd,
    /// The queue that it receives from.
    pub rx: QueueEnd,
}

/// Which way messages go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueDirection {
    /// This virtual machine sends.
    Sender,
    /// This virtual machine receives.
    Receiver,
}

/// A message queue in one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageQueue {
    /// Path of its node.
    pub path: String,
    /// What whoever configured the virtual machine calls it.
    pub label: Option<u32>,
    /// Name, URI or GUID of the peer.
    pub peer: Option<String>,
    /// VMID of the peer.
    pub peer_vmid: Option<u16>,
    /// Which way messages go.
    pub direction: QueueDirection,
    /// This virtual machine's end.
    pub end: QueueEnd,
}

/// The receiving end of a doorbell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doorbell {
    /// Path of its node.
    pub path: String,
    /// What whoever configured the virtual machine calls it.
    pub label: Option<u32>,
    /// Its capability.
    pub capability: CapabilityId,
    /// What rings.
    pub interrupt: Interrupt,
}

/// The sending end of a doorbell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoorbellSource {
    /// Path of its node.
    pub path: String,
    /// What whoever configured the virtual machine calls it.
    pub label: Option<u32>,
    /// Its capability.
    pub capability: CapabilityId,
}

/// Memory shared with another virtual machine (`qcom,shared-memory` or
/// `qcom,gunyah-shm-doorbell`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedBuffer {
    /// Path of its node.
    pub path: String,
    /// What whoever configured the virtual machine calls it.
    pub label: Option<u32>,
    /// Where it is, from its first byte to its last: the entry of `/reserved-memory` it refers to.
    /// Several ranges if the Resource Manager mapped its parcel in pieces, none if there is no
    /// memory yet.
    pub ranges: Vec<AddressRange>,
    /// The Resource Manager's handle of the memory parcel, which it accepted for this VM.
    pub parcel: Option<u32>,
    /// VMID of the virtual machine on the other side.
    pub peer: Option<u16>,
    /// Capability of the doorbell source that tells the other side.
    pub tx_doorbell: Option<CapabilityId>,
    /// Capability of the doorbell by which the other side tells this one.
    pub rx_doorbell: Option<CapabilityId>,
    /// The address of the buffer on its bus, where it has one.
    pub dma_base: Option<u64>,
}
