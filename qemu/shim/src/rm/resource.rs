//! What a VM shares with others, as `VM_GET_HYP_RESOURCES` tells it.

use gunyah_abi::rm::ResourceType;
use gunyah_abi::rm::payload::HypResource;

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
