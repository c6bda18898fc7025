//! The image as nobody's guest: started by QEMU itself, without the shim.

use std::process::Command;

use anyhow::Result;

use super::{Lab, Scenario};
use crate::qemu::Outcome;

/// The scenarios of this theme.
pub const SCENARIOS: &[Scenario] = &[Scenario::new("bare::entered_at_el2", entered_at_el2)];

/// It says so on the UART of QEMU's own tree, and powers off by that tree's conduit.
fn entered_at_el2(lab: &Lab) -> Result<()> {
    let mut qemu = Command::new("qemu-system-aarch64");
    qemu.args(["-M", "virt,virtualization=on,gic-version=3", "-m", "512M"])
        .args(["-cpu", &lab.cpu.to_string()])
        .args(["-nic", "none", "-display", "none", "-monitor", "none", "-serial", "stdio"])
        .arg("-kernel")
        .arg(&lab.artefacts.image);
    let mut billy = lab.spawn(qemu)?;
    billy.expect("entered at EL2")?;
    billy.expect_exit(Outcome::End)?;
    Ok(())
}
