//! Compatible strings of the nodes RM puts into a VM's device tree.
//!
//! The Resource Manager builds an overlay, applies it itself, and hands the VM one merged tree. Match nodes by these
//! strings only: node names are free (`<generate path>@<capability>`), property order is arbitrary, unknown properties are
//! common. Capability ids in `reg` take two cells each; of two interrupts the first is TX, the second RX. Interrupts
//! without a fixed number are SPIs from INTID 960 up, edge triggered.

/// The hypervisor node, parent of all others.
pub const HYPERVISOR: &[&str] = &[
    "gunyah-hypervisor",
    "gunyah-hypervisor-1.0",
    "qcom,gunyah-hypervisor",
    "qcom,gunyah-hypervisor-1.0",
];

/// The Resource Manager's queue pair: `reg` = TX cap, RX cap; two interrupts; `qcom,{tx,rx}-{message-size,queue-depth}`.
pub const RESOURCE_MANAGER: &[&str] = &[
    "gunyah-resource-manager",
    "gunyah-resource-manager-1-0",
    "qcom,resource-manager",
    "qcom,resource-manager-1-0",
];

/// A substring that also marks a Resource Manager node.
pub const RESOURCE_MANAGER_SUBSTRING: &str = "resource-manager";

/// The VM's identity: `qcom,vmid`, `qcom,owner-vmid`, `qcom,vendor`, `qcom,image-name`.
pub const VM_ID: &[&str] = &["qcom,gunyah-vm-id", "qcom,gunyah-vm-id-1.0"];

/// A message queue (single: one cap, `is-sender` or `is-receiver`) or a pair (two caps). RM's node has this string too.
pub const MESSAGE_QUEUE: &str = "qcom,gunyah-message-queue";

/// Any node whose `reg` holds capability ids.
pub const CAPABILITY: &str = "qcom,gunyah-capability";

/// A doorbell to receive from: one cap, one interrupt, `qcom,label`.
pub const DOORBELL: &str = "qcom,gunyah-doorbell";

/// A doorbell to ring: one cap, `qcom,label`.
pub const DOORBELL_SOURCE: &str = "qcom,gunyah-doorbell-source";

/// A shared buffer: `memory-region` and `buffer` phandles, `peer`, `qcom,label`.
pub const SHARED_MEMORY: &str = "qcom,shared-memory";

/// A shared buffer with a doorbell in each direction: also `tx-doorbell` and `rx-doorbell` phandles.
pub const SHARED_MEMORY_DOORBELL: &str = "qcom,gunyah-shm-doorbell";
