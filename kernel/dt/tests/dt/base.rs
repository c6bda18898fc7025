//! The base tree against what the real Resource Manager asks of one.

use crate::support::tree;
use dtoolkit::fdt::Fdt;
use dtoolkit::model::{DeviceTree, DeviceTreeNode};
use dtoolkit::{Node, Property};

fn parsed(name: &str) -> DeviceTree {
    DeviceTree::from_fdt(&Fdt::new(&tree(name)).unwrap())
}

fn at<'t>(tree: &'t DeviceTree, path: &str) -> &'t DeviceTreeNode {
    tree.find_node(path).unwrap_or_else(|| panic!("no node {path}"))
}

fn cells(node: &DeviceTreeNode, name: &str) -> Vec<u32> {
    let property = node.property(name).unwrap_or_else(|| panic!("{}: no {name}", node.name()));
    let cells = property.value().chunks(4).map(|cell| u32::from_be_bytes(cell.try_into().unwrap()));
    cells.collect()
}

fn text<'t>(node: &'t DeviceTreeNode, name: &str) -> &'t str {
    let property = node.property(name).unwrap_or_else(|| panic!("{}: no {name}", node.name()));
    property.value_as::<&str>().unwrap()
}

#[test]
fn what_the_resource_manager_adds_is_not_there() {
    let base = parsed("gunyah-vm.dtb");
    for name in ["hypervisor", "memory", "reserved-memory", "vsoc"] {
        assert!(base.root.child(name).is_none(), "/{name}");
    }
    let is_memory = |node: &DeviceTreeNode| {
        node.property("device_type").is_some_and(|value| value.value() == b"memory\0")
    };
    assert!(!base.root.children().any(is_memory));
    assert!(base.root.child("chosen").is_some());
}

#[test]
fn the_configuration_leads_to_what_there_is() {
    let base = parsed("gunyah-vm.dtb");
    let config = at(&base, "/gunyah-vm-config");
    assert!((1..80).contains(&text(config, "image-name").len()));
    let memory = at(&base, "/gunyah-vm-config/memory");
    let [address, size] =
        ["#address-cells", "#size-cells"].map(|name| cells(config, name)[0] as usize);
    let start = cells(memory, "base-address");
    assert_eq!(start.len(), address);
    assert_eq!(start[1] % 0x20_0000, 0, "aligned to 2 MiB");
    for name in ["size-min", "size-max"] {
        assert!(memory.property(name).is_none_or(|value| value.value().len() == 4 * size));
    }
    let gic = at(&base, text(at(&base, "/gunyah-vm-config/interrupts"), "config"));
    assert_eq!(text(gic, "compatible"), "arm,gic-v3");
    assert!(gic.property("interrupt-controller").is_some());
    assert_eq!(cells(&base.root, "interrupt-parent"), cells(gic, "phandle"));
    let vcpus = at(&base, "/gunyah-vm-config/vcpus");
    let cpus = at(&base, text(vcpus, "config"));
    // A VM whose vCPUs the host runs needs PSCI; any other idle states as well.
    assert!(cpus.children().all(|cpu| text(cpu, "enable-method") == "psci"));
    assert_eq!(text(vcpus, "affinity"), "proxy");
    assert!(
        at(&base, "/psci").property("compatible").unwrap().value().starts_with(b"arm,psci-1.0")
    );
}

#[test]
fn the_devices_are_asked_for_as_a_real_resource_manager_has_accepted() {
    let (base, accepted) =
        (parsed("gunyah-vm.dtb"), parsed("rm-secondary-vm-2cpu-doorbells-msgq.dtb"));
    let path = "/gunyah-vm-config/vdevices";
    let (ours, theirs) = (at(&base, path), at(&accepted, path));
    assert_eq!(text(ours, "generate"), text(theirs, "generate"));
    assert_eq!(ours.children().count(), theirs.children().count());
    for theirs in theirs.children() {
        let ours = ours.child(theirs.name()).unwrap();
        assert_eq!(ours.properties().count(), theirs.properties().count(), "{}", ours.name());
        for property in theirs.properties().filter(|property| property.name() != "qcom,label") {
            let our = ours.property(property.name()).map(|property| property.value().to_vec());
            assert_eq!(
                our.as_deref(),
                Some(property.value()),
                "{}: {}",
                ours.name(),
                property.name()
            );
        }
        assert_eq!(cells(ours, "qcom,label").len(), 1);
    }
    for path in ["/timer", "/psci"] {
        assert_eq!(at(&base, path), at(&accepted, path));
    }
}
