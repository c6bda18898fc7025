//! Trees of other systems boot; broken ones end in an error with a reason.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use super::{Lab, PROMPT, Scenario};
use crate::build::trees::{Capabilities, Trees};
use crate::handover;
use crate::host;
use crate::machine::Machine;
use crate::qemu::MachineOptions;

/// The scenarios of this theme.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("trees::overlay_alone", overlay_alone),
    Scenario::new("trees::overlay_file_for_the_built_in_base", overlay_file),
    Scenario::new("trees::primary_vm", primary_vm),
    Scenario::new("trees::secondary_vm_with_two_cpus", secondary_vm),
    Scenario::new("trees::linux_binding_v6", |lab| older_binding(lab, "legacy-v6.dts", "35, 36")),
    Scenario::new("trees::linux_binding_v2", |lab| older_binding(lab, "legacy-v2.dts", "960, 961")),
    Scenario::new("trees::launcher_of_today", launcher_of_today),
    Scenario::new("trees::vdevices_some_levels_deep", nested_vdevices),
    Scenario::new("trees::a_boot_cpu_that_is_not_the_first", second_cpu),
    Scenario::new("trees::tree_below_the_image", tree_below_image),
    Scenario::new("trees::broken_trees_are_named", broken_trees),
    Scenario::new("trees::misplaced_trees_are_named", misplaced_trees),
    Scenario::new("trees::eight_mebibytes_of_properties", eight_mebibytes),
];

/// One tree of each kind of defect.
const BROKEN: &[&str] = &[
    "phandle-cycle.dts",
    "cells-of-0.dts",
    "cells-of-9.dts",
    "memory-overlaps.dts",
    "memory-wraps.dts",
    "gic-twice.dts",
    "gic-in-memory.dts",
    "interrupt-twice.dts",
    "capability-of-one-cell.dts",
    "nodes-100-deep.dts",
    "timer-missing.dts",
    "overlay-fixup-to-nowhere.dtso",
    "overlay-target-symbol.dtso",
    "overlay-into-itself.dtso",
];
/// How the log tells the two ends: a device tree, or memory, that cannot be used.
const BROKEN_TREE: &str = "SYSTEM_RESET2 (type 0x80000001";
const BROKEN_MEMORY: &str = "SYSTEM_RESET2 (type 0x80000002";

fn test_tree(name: &str) -> PathBuf {
    host::workspace().join("kernel/dt/tests/trees").join(name)
}

fn with_tree(name: &str) -> MachineOptions {
    MachineOptions { tree: Some(test_tree(name)), ..MachineOptions::default() }
}

/// Asks for `vm`, expects these words in the answer and ends the machine.
fn expect_vm(mut billy: Machine, words: &[&str]) -> Result<()> {
    billy.shows("vm", words)?;
    billy.power_off()
}

fn overlay_alone(lab: &Lab) -> Result<()> {
    let options = MachineOptions::default();
    let overlay = Trees::compile(options.capabilities.choice())?.overlay;
    let billy = lab.boot(MachineOptions { handed_over: Some(overlay), ..options })?;
    expect_vm(billy, &["overlays, merged here with the built-in base tree", "VMID 0x80"])
}

fn overlay_file(lab: &Lab) -> Result<()> {
    let overlays = vec![test_tree("overlay-linear.dtbo")];
    let billy = lab.boot(MachineOptions { overlays, ..MachineOptions::default() })?;
    expect_vm(billy, &["overlays, merged here with the built-in base tree", "INTIDs 960, 961"])
}

/// The image lies where real systems have it, the tree below it.
fn primary_vm(lab: &Lab) -> Result<()> {
    let billy = lab.boot(MachineOptions {
        load_address: Some(0x4100_0000),
        tree_address: Some(0x40f0_0000),
        ..with_tree("rm-primary-vm.dtb")
    })?;
    expect_vm(billy, &["VMID 0x3", "one tree", "0x40000000..0x80000000", "CPUs        8", "Pl011"])
}

fn secondary_vm(lab: &Lab) -> Result<()> {
    let mut billy = lab.boot(with_tree("rm-secondary-vm-2cpu-doorbells-msgq.dtb"))?;
    let bells = billy.ask("bell list", PROMPT)?;
    let queues = billy.ask("msgq list", PROMPT)?;
    ensure!(bells.contains("answers on bell 4"), billy.failure("bells 3 and 4 are no pair"));
    ensure!(queues.contains("msgq 2: "), billy.failure("there is no message queue 2"));
    let interrupts = billy.ask("irq", PROMPT)?;
    for intid in ["960", "961", "962", "963", "964"] {
        ensure!(interrupts.contains(intid), billy.failure(&format!("INTID {intid} is not in use")));
    }
    expect_vm(billy, &["probe-svm, VMID 0x80", "CPUs        2", "1 doorbells in, 1 out"])
}

fn older_binding(lab: &Lab, name: &str, intids: &str) -> Result<()> {
    let billy = lab.boot(with_tree(name))?;
    expect_vm(billy, &[&format!("INTIDs {intids}"), "(100 MiB)", "CPUs        2"])
}

/// Four UARTs, two on each interrupt, and no Resource Manager.
fn launcher_of_today(lab: &Lab) -> Result<()> {
    let mut billy = lab.boot(with_tree("launcher-crosvm.dts"))?;
    let irq = billy.ask("irq", PROMPT)?;
    ensure!(irq.contains("32 edge") && irq.contains("uart"), billy.failure("no UART interrupts"));
    expect_vm(billy, &["crosvm-vm, VMID 0x80", "Ns16550a at 0x2e8", "Ns16550a at 0x3f8"])
}

/// The doorbells that the tree has for memory are there for the parcel that comes later.
fn nested_vdevices(lab: &Lab) -> Result<()> {
    let script = "share 16 0x4000\nexpect accepted 16\nattach 16\nexpect attached 16\n\
                  request 16 echo 1 text=hello\nexpect reply 16 echo 1 text=hello";
    let mut billy = lab.played_on(script, with_tree("nested-vdevices.dts"))?;
    billy.shows("log", &["/hypervisor/shm/ring: no memory yet"])?;
    billy.shows("ring list", &["ring 16 with VM 3: open"])?;
    expect_vm(billy, &["nested, VMID 0x80", "2 doorbells in, 2 out"])
}

/// Shared, private and software-generated interrupts reach the CPU that runs.
fn second_cpu(lab: &Lab) -> Result<()> {
    let script = "ring 3 5\nexpect bells 1 3";
    let mut billy = lab.played_on(script, with_tree("boot-cpu-1.dts"))?;
    billy.shows("fp", &["0 of 32 registers changed"])?;
    let irq = billy.ask("irq", PROMPT)?;
    for (intid, name) in [("8", "fp check"), ("27", "timer"), ("961", "rm rx"), ("962", "bell 3")] {
        let mut lines = irq.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let line = lines.find(|words| words.first() == Some(&intid)).unwrap_or_default();
        let came = line.get(2).is_some_and(|count| *count != "0");
        ensure!(came, billy.failure(&format!("INTID {intid} ({name}) did not come")));
    }
    expect_vm(billy, &["nested, VMID 0x80", "CPUs        3"])
}

fn tree_below_image(lab: &Lab) -> Result<()> {
    let billy = lab.boot(MachineOptions {
        load_address: Some(0x8220_0000),
        tree_address: Some(0x8000_0008),
        ..MachineOptions::default()
    })?;
    expect_vm(billy, &["billy, VMID 0x80"])
}

/// Starts with these bytes in the place of the trees; expects this end, and the log to say so.
fn refuse(lab: &Lab, handed_over: Vec<u8>, end: &str, reason: &str) -> Result<()> {
    let mut billy = lab.refused(handed_over)?;
    billy.wait_for_log(end)?;
    billy.wait_for_log(reason)
}

/// The error that the first line of a source says.
fn expected_error(source: &PathBuf) -> Result<String> {
    let text = fs::read_to_string(source).with_context(|| source.display().to_string())?;
    let line = text.lines().next().and_then(|line| line.strip_prefix("// error: "));
    Ok(line.context("no expected error in the first line")?.to_owned())
}

fn broken_trees(lab: &Lab) -> Result<()> {
    let base = host::workspace().join("qemu/dt/gunyah-vm.dtb");
    for name in BROKEN {
        let source = test_tree("broken").join(name);
        let binary = source.with_extension(match name.ends_with("so") {
            true => "dtbo",
            false => "dtb",
        });
        let files = match name.ends_with("so") {
            true => vec![base.clone(), binary],
            false => vec![binary],
        };
        let reason = format!("device tree: {}", expected_error(&source)?);
        refuse(lab, handover::read(&files)?, BROKEN_TREE, &reason).context(*name)?;
    }
    Ok(())
}

fn misplaced_trees(lab: &Lab) -> Result<()> {
    for (name, reason) in [
        ("reserved-over-image.dtb", "is reserved by buffer@90000000"),
        ("memory-elsewhere.dtb", "is not inside one range of /memory"),
        ("memory-without-the-tree.dtb", "is not in the memory that holds the image"),
    ] {
        let tree = handover::read(&[test_tree("broken").join(name)])?;
        refuse(lab, tree, BROKEN_MEMORY, reason).context(name)?;
    }
    Ok(())
}

fn eight_mebibytes(lab: &Lab) -> Result<()> {
    let trees = Trees::compile(Capabilities::Random(1))?;
    let huge = stuffed(trees.merged, 8 << 20);
    let reason = format!("byte 0x4: {} bytes long, at most 1048576 are accepted", huge.len());
    refuse(lab, huge, BROKEN_TREE, &reason)
}

/// The tree with a property of `size` bytes at the begin of its root node.
fn stuffed(tree: Vec<u8>, size: usize) -> Vec<u8> {
    let word = |at: usize| {
        let bytes = tree.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u32::from_be_bytes)
    };
    // The root's token and its empty name come first in the structure block.
    let place = word(8) as usize + 8;
    let mut property = Vec::with_capacity(size + 12);
    for cell in [3, size as u32, 0] {
        property.extend(u32::to_be_bytes(cell));
    }
    property.resize(size + 12, 0xa5);
    let mut stuffed = tree.clone();
    stuffed.splice(place..place, property);
    // totalsize, and size_dt_struct; the strings block moves if it is behind.
    for field in [4, 36, 12] {
        let moved = field != 12 || word(12) > word(8);
        let value = word(field) + if moved { size as u32 + 12 } else { 0 };
        stuffed[field..field + 4].copy_from_slice(&value.to_be_bytes());
    }
    stuffed
}
