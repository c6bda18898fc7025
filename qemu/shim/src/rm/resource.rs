//! What a VM shares with others, as `VM_GET_HYP_RESOURCES` tells it.

use gunyah_abi::rm::notification::VmStatus;
use gunyah_abi::rm::payload::{HypResource, StateReply};
use gunyah_abi::rm::{MessageId, PRIMARY_VMID, ResourceType, RmError};
use zerocopy::IntoBytes;

use super::ResourceManager;
use crate::object::Objects;
use crate::seam::VirtualInterrupts;
use crate::vm::VmIndex;

/// An entry of that reply; `virq` is the INTID, if it has one.
#[must_use]
pub fn entry(
    kind: ResourceType,
    partner: u16,
    label: u32,
    cap: u64,
    virq: Option<u32>,
) -> HypResource {
    HypResource {
        kind: kind.code(),
        partner_vmid: partner.into(),
        label: label.into(),
        cap_low: (cap as u32).into(),
        cap_high: ((cap >> 32) as u32).into(),
        virq: virq.unwrap_or(HypResource::NO_VIRQ).into(),
        ..HypResource::default()
    }
}

impl ResourceManager {
    /// The VM shares something more, or something again, with another VM. It is told by nobody: see [`Self::send_status`].
    ///
    /// # Errors
    ///
    /// `ARGUMENT_INVALID` if RM does not serve the VM.
    pub fn add_resource(&mut self, vm: VmIndex, resource: HypResource) -> Result<(), RmError> {
        let link = self.link_of(vm).ok_or(RmError::ArgumentInvalid)?;
        self.links[link].resources.push(resource);
        Ok(())
    }

    /// The VM does not share what it had this capability for any longer.
    pub fn remove_resource(&mut self, vm: VmIndex, capability: u64) {
        if let Some(link) = self.link_of(vm) {
            let is_other = |resource: &HypResource| resource.capability().0 != capability;
            self.links[link].resources.retain(is_other);
        }
    }

    /// Whether there is a VM of that id beside those of the machine: the primary VM, one that a script told about, or
    /// one that somebody shares something with.
    pub(super) fn is_stranger(&self, vmid: u16) -> bool {
        let mut resources = self.links.iter().flat_map(|link| &link.resources);
        vmid == PRIMARY_VMID
            || self.strangers.contains_key(&vmid)
            || resources.any(|resource| resource.partner_vmid.get() == vmid)
    }

    /// A VM that is none of the machine changes its state, which RM tells its peer (`VM_STATUS`).
    ///
    /// # Errors
    ///
    /// Those of [`Self::send_notification`].
    pub fn send_status(
        &mut self,
        vm: VmIndex,
        vmid: u16,
        state: StateReply,
        objects: &mut Objects,
        interrupts: &mut dyn VirtualInterrupts,
    ) -> Result<(), RmError> {
        self.strangers.insert(vmid, state);
        let news = VmStatus {
            vmid: vmid.into(),
            reserved: 0.into(),
            vm_state: state.vm_state,
            os_state: state.os_state,
            app_status: state.app_status,
        };
        let content = news.as_bytes().to_vec();
        self.send_notification(vm, MessageId::VM_STATUS, content, objects, interrupts)
    }
}
