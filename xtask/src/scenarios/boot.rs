//! From reset to the prompt: both forms of the tree, anywhere in memory.

use anyhow::Result;

use super::{Lab, Scenario};
use crate::build::CapabilityOptions;
use crate::qemu::MachineOptions;

/// The scenarios of this theme.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("boot::base_and_overlay", |lab| power_off(lab, options(false, LOW))),
    Scenario::new("boot::base_and_overlay_loaded_higher", |lab| {
        power_off(lab, options(false, HIGH))
    }),
    Scenario::new("boot::merged_tree", |lab| power_off(lab, options(true, LOW))),
    Scenario::new("boot::merged_tree_loaded_higher", |lab| power_off(lab, options(true, HIGH))),
    Scenario::new("boot::capabilities_counted_from_zero", linear_capabilities),
    Scenario::new("boot::capabilities_from_other_seeds", other_seeds),
];

const LOW: u64 = 0x8000_0000;
/// Not a power of two above the start of RAM, so that no bit of the address can hide.
const HIGH: u64 = 0x81a0_0000;

fn options(merged: bool, load_address: u64) -> MachineOptions {
    MachineOptions { merged, load_address: Some(load_address), ..MachineOptions::default() }
}

fn power_off(lab: &Lab, options: MachineOptions) -> Result<()> {
    lab.boot(options)?.power_off()
}

fn linear_capabilities(lab: &Lab) -> Result<()> {
    let capabilities = CapabilityOptions { linear_caps: true, ..CapabilityOptions::default() };
    power_off(lab, MachineOptions { capabilities, ..MachineOptions::default() })
}

fn other_seeds(lab: &Lab) -> Result<()> {
    for seed in [2, u64::MAX] {
        let capabilities = CapabilityOptions { seed, ..CapabilityOptions::default() };
        power_off(lab, MachineOptions { capabilities, ..MachineOptions::default() })?;
    }
    Ok(())
}
