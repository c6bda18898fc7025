//! Every way out and the exit status that tells it.

use anyhow::{Result, ensure};

use super::{Lab, PROMPT, Scenario};
use crate::build::trees::{Capabilities, Trees};
use crate::qemu::{MachineOptions, Outcome};

/// The scenarios of this theme.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("ends::poweroff", power_off),
    Scenario::new("ends::reboot_starts_again", reboot),
    Scenario::new("ends::reboot_without_reboot", no_reboot),
    Scenario::new("ends::without_psci_the_resource_manager_is_asked", no_psci),
    Scenario::new("ends::panic", panic),
    Scenario::new("ends::no_device_tree", no_tree),
    Scenario::new("ends::device_tree_cut_short", short_tree),
    Scenario::new("ends::overlay_without_target", no_target),
];

fn power_off(lab: &Lab) -> Result<()> {
    let script = "expect console \"billy> \" within 60000\ntype \"poweroff\\r\"\n\
                  expect console \"end: all that came is answered\\r\\n\"\n\
                  expect closed\nexpect exit off\n";
    lab.scripted(script)?.expect_exit(Outcome::End)?;
    Ok(())
}

fn reboot(lab: &Lab) -> Result<()> {
    let mut billy = lab.boot(MachineOptions::default())?;
    for _ in 0..2 {
        billy.ask("reboot", "console: open")?;
        billy.expect(PROMPT)?;
    }
    billy.ask("uptime", PROMPT)?;
    billy.power_off()
}

fn no_reboot(lab: &Lab) -> Result<()> {
    let mut billy = lab.boot(MachineOptions { no_reboot: true, ..MachineOptions::default() })?;
    billy.send("reboot\r");
    billy.expect_exit(Outcome::End)?;
    Ok(())
}

fn no_psci(lab: &Lab) -> Result<()> {
    let no_psci = || MachineOptions {
        tune: Some(|file| file.options.no_psci = true),
        ..MachineOptions::default()
    };
    let mut billy = lab.boot(no_psci())?;
    billy.ask("reboot", "console: open")?;
    billy.expect(PROMPT)?;
    billy.wait_for_log("VM_EXIT (code 0, flags 0x1)")?;
    billy.send("poweroff\r");
    billy.expect_exit(Outcome::End)?;
    billy.wait_for_log("VM_EXIT (code 0, flags 0x0)")
}

fn panic(lab: &Lab) -> Result<()> {
    let mut billy = lab.boot(MachineOptions::default())?;
    billy.send("panic\r");
    billy.expect("backtrace")?;
    let backtrace = billy.expect_exit(Outcome::Failure)?;
    ensure!(
        backtrace.matches("billy+0x").count() >= 2,
        billy.failure("no code addresses in the backtrace")
    );
    Ok(())
}

/// The end that stands for a device tree that cannot be used.
const BROKEN_TREE: &str = "SYSTEM_RESET2 (type 0x80000001";

/// Starts with these bytes in the place of the trees and expects the failure code.
fn refuse(lab: &Lab, handed_over: Vec<u8>) -> Result<()> {
    lab.refused(handed_over)?.wait_for_log(BROKEN_TREE)
}

fn no_tree(lab: &Lab) -> Result<()> {
    refuse(lab, b"This is no device tree, whatever the register says.".to_vec())
}

fn short_tree(lab: &Lab) -> Result<()> {
    let mut tree = Trees::compile(Capabilities::Random(1))?.merged;
    let half = tree.len() / 2;
    tree[half..].fill(0);
    refuse(lab, tree)
}

fn no_target(lab: &Lab) -> Result<()> {
    let mut trees = Trees::compile(Capabilities::Random(1))?;
    let target = b"/chosen\0";
    let at = trees.overlay.windows(target.len()).position(|window| window == target);
    let at = at.ok_or_else(|| anyhow::anyhow!("the overlay has no /chosen any more"))?;
    trees.overlay[at..at + target.len()].copy_from_slice(b"/broken\0");
    refuse(lab, trees.concatenated())
}
