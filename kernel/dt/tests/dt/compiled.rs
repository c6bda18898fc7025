//! The checked-in trees against their sources, where there is a compiler.

use crate::broken;
use crate::support::{path, platform, tree};
use dtoolkit::{fdt::Fdt, model::DeviceTree};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Compiles a source that lies in `folder`; `None` without a compiler.
fn compile(folder: &Path, source: &str) -> Option<Vec<u8>> {
    let mut dtc = Command::new("dtc");
    dtc.args(["-q", "-f", "-I", "dts", "-O", "dtb", "-"]).current_dir(folder);
    let started = dtc.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut running = match started {
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        started => started.expect("dtc starts"),
    };
    running.stdin.take().unwrap().write_all(source.as_bytes()).expect("dtc reads");
    let output = running.wait_with_output().expect("dtc ends");
    assert!(output.status.success(), "dtc refuses:\n{source}");
    Some(output.stdout)
}

fn sources() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../qemu/dt"))
}

/// Returns the overlay's source with capability ids put in.
fn overlay(capabilities: [u64; 6]) -> String {
    let template = std::fs::read_to_string(sources().join("overlay.dts")).unwrap();
    let names = ["rm-tx", "rm-rx", "bell-rx", "bell-tx", "queue-tx", "queue-rx"];
    let mut text = template;
    for (name, id) in names.into_iter().zip(capabilities) {
        let cells = format!("{:#x} {:#x}", id >> 32, id & 0xffff_ffff);
        text = text.replace(&format!("@{name}:unit@"), &format!("{id:x}"));
        text = text.replace(&format!("@{name}@"), &cells);
    }
    text
}

#[test]
fn base_tree_and_overlay_are_those_of_the_sources() {
    let base = std::fs::read_to_string(sources().join("gunyah-vm.dts")).unwrap();
    let Some(base) = compile(&sources(), &base) else { return };
    let built_in = tree("gunyah-vm.dtb");
    let parsed = |tree: &[u8]| DeviceTree::from_fdt(&Fdt::new(tree).unwrap());
    assert_eq!(parsed(&base), parsed(&built_in), "qemu/dt/gunyah-vm.dtb is to be compiled again");
    let linear = compile(&sources(), &overlay([0, 1, 2, 3, 4, 5])).unwrap();
    assert_eq!(platform(&[&base, &linear]), platform(&[&tree("merged-linear.dtb")]));
    assert_eq!(
        platform(&[&tree("gunyah-vm.dtb"), &tree("overlay-linear.dtbo")]),
        platform(&[&base, &linear])
    );
}

#[test]
fn trees_of_other_systems_are_those_of_the_sources() {
    for name in [
        "legacy-v6",
        "legacy-v2",
        "launcher-crosvm",
        "launcher-sample-vm",
        "nested-vdevices",
        "boot-cpu-1",
    ] {
        let source = std::fs::read_to_string(path(&format!("{name}.dts"))).unwrap();
        let Some(compiled) = compile(&path(""), &source) else { return };
        assert_eq!(platform(&[&compiled]), platform(&[&tree(&format!("{name}.dtb"))]));
    }
}

#[test]
fn the_overlay_takes_scrambled_capabilities() {
    let base = tree("gunyah-vm.dtb");
    let ids = [0x7c2f_0a11_d3e9_5b40, 0x7c2f_0a11_d3e9_5b44, u64::MAX, 0x1_0000_0000, 0, 1 << 63];
    let Some(scrambled) = compile(&sources(), &overlay(ids)) else { return };
    let found = platform(&[&base, &scrambled]);
    let manager = found.resource_manager.unwrap();
    assert_eq!((manager.tx.capability.0, manager.rx.capability.0), (ids[0], ids[1]));
    assert_eq!(manager.path, "/hypervisor/rm-rpc@7c2f0a11d3e95b44");
    assert_eq!(found.doorbells[0].capability.0, ids[2]);
    assert_eq!(found.doorbell_sources[0].capability.0, ids[3]);
    assert_eq!(found.queue_pairs[0].tx.capability.0, ids[4]);
    assert_eq!(found.queue_pairs[0].rx.capability.0, ids[5]);
}

#[test]
fn broken_trees_are_those_of_the_sources() {
    let folder = path("broken");
    for (name, expected, _) in broken::all() {
        let source = folder.join(&name).with_extension(match name.ends_with(".dtbo") {
            true => "dtso",
            false => "dts",
        });
        let text = std::fs::read_to_string(source).unwrap();
        let Some(bytes) = compile(&folder, &text) else { return };
        assert_eq!(broken::error_of(&name, &bytes), expected, "{name} compiled again");
    }
}
