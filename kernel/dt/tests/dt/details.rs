//! Single rules, each on a small tree.

use crate::support::{cells, changed, child, dtb, good, node, platform, set, text, tree};
use billy_dt::{
    AddressRange, CpuStatus, DtError, EnableMethod, Interrupt, QueueDirection, Trigger,
};
use dtoolkit::fdt::Fdt;
use dtoolkit::model::{DeviceTree, DeviceTreeNode};
use gunyah_abi::CapabilityId;

#[test]
fn the_binding_of_the_linux_series_v6() {
    let platform = platform(&[&tree("legacy-v6.dtb")]);
    assert_eq!(platform.hypervisor.unwrap().compatible, "gunyah-hypervisor-1.0");
    let manager = platform.resource_manager.unwrap();
    let edge = |intid| Interrupt { intid, trigger: Trigger::Edge };
    assert_eq!((manager.tx.capability.0, manager.tx.interrupt), (0, edge(35)));
    assert_eq!((manager.rx.capability.0, manager.rx.interrupt), (1, edge(36)));
    assert_eq!((manager.tx.message_size, manager.tx.depth), (240, 8));
    assert_eq!((manager.rx.message_size, manager.rx.depth), (240, 8));
    assert_eq!(platform.identity, None);
    assert_eq!(platform.cpus.len(), 2);
    assert_eq!(platform.memory, [AddressRange { start: 0x8000_0000, size: 0x640_0000 }]);
    assert_eq!(platform.kaslr_seed, Some(0x0bad_cafe_1234_5678));
    assert_eq!(platform.bootargs.as_deref(), Some("console=hvc0"));
}

#[test]
fn the_binding_of_the_linux_series_before() {
    let platform = platform(&[&tree("legacy-v2.dtb")]);
    assert_eq!(platform.hypervisor.unwrap().compatible, "qcom,gunyah-hypervisor-1.0");
    let manager = platform.resource_manager.unwrap();
    assert_eq!(manager.path, "/hypervisor/qcom,resource-manager-rpc@0000000000000001");
    assert_eq!((manager.tx.capability.0, manager.rx.capability.0), (1, 2));
    assert_eq!((manager.tx.interrupt.intid, manager.rx.interrupt.intid), (960, 961));
    assert_eq!(platform.memory, [AddressRange { start: 0x8000_0000, size: 0x640_0000 }]);
}

#[test]
fn the_order_of_nodes_and_properties_means_nothing() {
    fn reversed(node: &DeviceTreeNode) -> DeviceTreeNode {
        use dtoolkit::{Node, Property};
        let mut copy = DeviceTreeNode::new_unchecked(node.name());
        let properties: Vec<_> = node.properties().collect();
        for property in properties.into_iter().rev() {
            set(&mut copy, property.name(), property.value().to_vec());
        }
        let children: Vec<_> = node.children().collect();
        children.into_iter().rev().for_each(|child| copy.add_child(reversed(child)));
        copy
    }
    for name in
        ["merged-linear.dtb", "rm-primary-vm.dtb", "rm-secondary-vm-2cpu-doorbells-msgq.dtb"]
    {
        let bytes = tree(name);
        let mut other = DeviceTree::from_fdt(&Fdt::new(&bytes).unwrap());
        other.root = reversed(&other.root);
        assert_eq!(platform(&[&other.to_dtb()]), platform(&[&bytes]), "{name}");
    }
}

#[test]
fn the_image_chooses_among_ranges_of_memory() {
    let platform = changed(|root| {
        let reg = cells(&[0, 0x4000_2000, 0, 0x3_0000, 0, 0x8000_0800, 0, 0x400_0000]);
        set(child(root, "memory"), "reg", reg);
    });
    let place = |start, size| AddressRange { start, size };
    let tree = place(0x83e0_0000, 0x1000);
    let chosen = platform.check_placement(place(0x8000_1000, 0x10_0000), tree);
    assert_eq!(chosen, Ok(place(0x8000_1000, 0x3ff_f000)));
    let error = |image, tree| platform.check_placement(image, tree).unwrap_err().to_string();
    assert_eq!(
        error(place(0x8000_0800, 0x10_0000), tree),
        "the image at 0x80000800..0x80100800 is not inside one range of /memory"
    );
    assert_eq!(
        error(place(0x8000_1000, 0x10_0000), place(0x4001_0000, 0x1000)),
        "the device tree at 0x40010000..0x40011000 is not in the memory that holds the image"
    );
}

#[test]
fn memory_reservations_count_as_reserved() {
    let mut tree = good();
    tree.memory_reservations
        .push(dtoolkit::memreserve::MemoryReservation::new(0x8000_0000, 0x1000));
    let platform = platform(&[&tree.to_dtb()]);
    let range = AddressRange { start: 0x8000_0000, size: 0x1000 };
    assert_eq!(platform.reserved[0].range, range);
    assert!(!platform.reserved[0].no_map);
    let image = AddressRange { start: 0x8000_0000, size: 0x10_0000 };
    let clear = AddressRange { start: 0x8000_1000, size: 0x10_0000 };
    let elsewhere = AddressRange { start: 0x8200_0000, size: 0x1000 };
    assert!(platform.check_placement(clear, elsewhere).is_ok());
    let error = platform.check_placement(image, elsewhere).unwrap_err();
    assert!(matches!(error, DtError::Placement { what: "image", .. }));
    assert_eq!(
        error.to_string(),
        "the image at 0x80000000..0x80100000 is reserved by memory reservation"
    );
}

#[test]
fn queues_in_one_direction_and_peers() {
    let platform = changed(|root| {
        let hypervisor = child(root, "hypervisor");
        let queue = |way: &str, cap, spi| {
            node(
                &format!("queue@{cap:x}"),
                &[
                    ("compatible", text("qcom,gunyah-message-queue\0qcom,gunyah-capability")),
                    ("reg", cells(&[0xabcd, cap])),
                    ("interrupts", cells(&[0, spi, 4])),
                    (way, vec![]),
                    ("tx_message_size", cells(&[1023])),
                    ("tx_queue_depth", cells(&[255])),
                    ("label", cells(&[cap])),
                ],
                [],
            )
        };
        hypervisor.add_child(queue("is-receiver", 8, 40));
        hypervisor.add_child(queue("is-sender", 7, 41));
        let pair = child(hypervisor, "msgq@5");
        set(pair, "peer", text("vm-name:other"));
        set(pair, "qcom,peer-vmid", cells(&[0x81]));
        set(pair, "qcom,tx-message-size", cells(&[16]));
        set(pair, "qcom,rx-queue-depth", cells(&[4]));
        let identity = child(hypervisor, "qcom,gunyah-vm");
        set(identity, "qcom,peers", text("vm-name:other\0vm-uri:x"));
        set(identity, "qcom,vm-uri", text("vmuid/b"));
        set(identity, "qcom,vm-guid", text("01234567-89ab-cdef-0123-456789abcdef"));
    });
    let [sender, receiver] = &platform.queues[..] else { panic!("two queues") };
    assert_eq!(
        (sender.direction, receiver.direction),
        (QueueDirection::Sender, QueueDirection::Receiver)
    );
    assert_eq!(receiver.end.capability.0, 0xabcd_0000_0008);
    assert_eq!(receiver.end.interrupt, Interrupt { intid: 72, trigger: Trigger::Level });
    assert_eq!((receiver.end.message_size, receiver.end.depth), (1023, 255));
    let pair = &platform.queue_pairs[0];
    assert_eq!((pair.peer.as_deref(), pair.peer_vmid), (Some("vm-name:other"), Some(0x81)));
    assert_eq!((pair.tx.message_size, pair.tx.depth), (16, 8));
    assert_eq!((pair.rx.message_size, pair.rx.depth), (240, 4));
    let identity = platform.identity.unwrap();
    assert_eq!(identity.peers, ["vm-name:other", "vm-uri:x"]);
    assert_eq!(identity.uri.as_deref(), Some("vmuid/b"));
    assert_eq!(identity.guid.as_deref(), Some("01234567-89ab-cdef-0123-456789abcdef"));
}

#[test]
fn what_is_disabled_is_not_there() {
    let platform = changed(|root| {
        set(child(child(root, "hypervisor"), "bell-rx@2"), "status", text("disabled"));
        set(child(child(root, "hypervisor"), "msgq@5"), "status", text("fail-x"));
        set(child(child(root, "hypervisor"), "bell-tx@3"), "status", text("okay"));
        let cpus = child(root, "cpus");
        for (n, status) in [(1, "disabled"), (2, "fail"), (3, "ok")] {
            cpus.add_child(node(
                &format!("cpu@{n}"),
                &[
                    ("device_type", text("cpu")),
                    ("reg", cells(&[n])),
                    ("enable-method", text("qcom,gunyah-hvc")),
                    ("qcom,gunyah-capability", cells(&[7, n])),
                    ("status", text(status)),
                ],
                [],
            ));
        }
    });
    assert_eq!(platform.doorbells, []);
    assert_eq!(platform.queue_pairs, []);
    assert_eq!(platform.doorbell_sources.len(), 1);
    let states: Vec<_> = platform.cpus.iter().map(|cpu| cpu.status).collect();
    use CpuStatus::{Disabled, Failed, Okay};
    assert_eq!(states, [Okay, Disabled, Failed, Okay]);
    let method = EnableMethod::GunyahHypercall(Some(CapabilityId(0x7_0000_0003)));
    assert_eq!(platform.cpus[3].enable_method, Some(method));

    let platform = changed(|root| set(child(root, "hypervisor"), "status", text("disabled")));
    assert_eq!((platform.hypervisor, platform.resource_manager), (None, None));
}

#[test]
fn uarts_behind_buses_aliases_and_other_interrupt_controllers() {
    let uart = |name: &str, reg: &[u32], spi| {
        let properties = [
            ("compatible", text("ns16550a")),
            ("reg", cells(reg)),
            ("interrupts", cells(&[0, spi, 4])),
        ];
        node(name, &properties, [])
    };
    let platform = changed(|root| {
        // A bus that moves addresses, inside one that passes them on, and one that keeps them.
        let mut inner = node(
            "inner",
            &[
                ("#address-cells", cells(&[1])),
                ("#size-cells", cells(&[1])),
                ("ranges", cells(&[0x1000, 1, 0x2000_0000, 0x1000])),
            ],
            [uart("serial@1100", &[0x1100, 0x100], 50), uart("serial@5000", &[0x5000, 0x100], 51)],
        );
        let shift = inner.child_mut("serial@1100").unwrap();
        set(shift, "reg-shift", cells(&[2]));
        set(shift, "reg-io-width", cells(&[4]));
        let two = [("#address-cells", cells(&[2])), ("#size-cells", cells(&[2]))];
        let mut outer = node("outer", &two, [inner]);
        set(&mut outer, "ranges", vec![]);
        root.add_child(outer);
        root.add_child(node("closed", &two, [uart("serial@0", &[0, 0, 0, 8], 52)]));
        // An interrupt that goes elsewhere, by inheritance; one that a doorbell stands for.
        let mut elsewhere = node("elsewhere", &two, [uart("serial@3f8", &[0, 0x3f8, 0, 8], 53)]);
        set(&mut elsewhere, "ranges", vec![]);
        set(&mut elsewhere, "interrupt-parent", cells(&[0x77]));
        root.add_child(elsewhere);
        root.add_child(uart("serial@2f8", &[0, 0x2f8, 0, 8], 930));
        root.add_child(node("aliases", &[("serial0", text("/outer/inner/serial@1100"))], []));
        set(child(root, "chosen"), "stdout-path", text("serial0:115200n8"));
    });
    let found: Vec<_> = platform
        .uarts
        .iter()
        .map(|uart| (uart.registers.start, uart.interrupt.map(|i| i.intid), uart.is_stdout))
        .collect();
    assert_eq!(
        found,
        [(0x2f8, Some(962), false), (0x3f8, None, false), (0x1_2000_0100, Some(82), true),]
    );
    assert_eq!((platform.uarts[2].reg_shift, platform.uarts[2].reg_io_width), (2, 4));
    assert_eq!((platform.uarts[0].reg_shift, platform.uarts[0].reg_io_width), (0, 1));
    assert_eq!(platform.stdout_path.as_deref(), Some("serial0:115200n8"));
}

#[test]
fn an_initial_ram_disk() {
    let platform = changed(|root| {
        set(child(root, "chosen"), "linux,initrd-start", cells(&[0x8100_0000]));
        set(child(root, "chosen"), "linux,initrd-end", cells(&[0, 0x8200_0000]));
    });
    assert_eq!(platform.initrd, Some(AddressRange { start: 0x8100_0000, size: 0x100_0000 }));
}

#[test]
fn several_redistributor_ranges() {
    let platform = changed(|root| {
        let gic = child(root, "intc@3fff0000");
        set(gic, "#redistributor-regions", cells(&[2]));
        set(gic, "redistributor-stride", cells(&[0, 0x4_0000]));
        let ranges = [[0, 0x3fff_0000, 0, 0x1_0000], [0, 0x3f00_0000, 0, 0x8_0000]];
        let more = [[0, 0x3e00_0000, 0, 0x8_0000], [0, 0x3d00_0000, 0, 0x2000]];
        set(gic, "reg", cells([ranges, more].concat().as_flattened()));
    });
    let starts: Vec<_> = platform.gic.redistributors.iter().map(|range| range.start).collect();
    assert_eq!(starts, [0x3f00_0000, 0x3e00_0000]);
    assert_eq!(platform.gic.redistributor_stride, 0x4_0000);
}

#[test]
fn a_tree_without_a_hypervisor_is_a_platform_too() {
    let bytes = {
        let mut tree = good();
        tree.root.remove_child("hypervisor");
        tree.root.remove_child("psci");
        tree.to_dtb()
    };
    let platform = platform(&[&bytes]);
    assert_eq!((platform.hypervisor, platform.resource_manager), (None, None));
    assert_eq!((platform.identity, platform.psci), (None, None));
}

#[test]
fn overlays_with_labels_phandles_and_nested_nodes() {
    // The base has a symbol for its GIC and phandle 1; the overlay brings phandles of its own,
    // which must move out of the way together with what refers to them.
    let mut base = DeviceTree::from_fdt(&Fdt::new(&tree("gunyah-vm.dtb")).unwrap());
    base.root.add_child(node("__symbols__", &[("gic", text("/intc@3fff0000"))], []));
    let rm = tree("overlay-linear.dtbo");
    let buffer = [
        ("reg", cells(&[0, 0x9000_0000, 0, 0x1000])),
        ("no-map", vec![]),
        ("phandle", cells(&[1])),
    ];
    let shm = [("compatible", text("qcom,shared-memory")), ("memory-region", cells(&[1]))];
    let overlay = dtb(node(
        "",
        &[],
        [
            node(
                "fragment@0",
                &[("target", cells(&[u32::MAX]))],
                [node("__overlay__", &[("redistributor-stride", cells(&[0, 0x3_0000]))], [])],
            ),
            node(
                "fragment@1",
                &[("target-path", text("/"))],
                [node(
                    "__overlay__",
                    &[],
                    [
                        node("reserved-memory", &[], [node("buffer@90000000", &buffer, [])]),
                        node("hypervisor", &[], [node("shm", &shm, [])]),
                        node("cpus", &[], [node("cpu@0", &[("status", text("okay"))], [])]),
                    ],
                )],
            ),
            node("__fixups__", &[("gic", text("/fragment@0:target:0"))], []),
            node(
                "__local_fixups__",
                &[],
                [node(
                    "fragment@1",
                    &[],
                    [node(
                        "__overlay__",
                        &[],
                        [node(
                            "hypervisor",
                            &[],
                            [node("shm", &[("memory-region", cells(&[0]))], [])],
                        )],
                    )],
                )],
            ),
        ],
    ));
    let found = platform(&[&base.to_dtb(), &rm, &overlay]);
    assert_eq!(found.gic.redistributor_stride, 0x3_0000);
    assert_eq!(found.shared_buffers[0].ranges[0].start, 0x9000_0000);
    assert_eq!(found.cpus.len(), 1);
    // All else is as it is without the second overlay.
    let mut before = platform(&[&base.to_dtb(), &rm]);
    before.gic = found.gic.clone();
    before.reserved = found.reserved.clone();
    before.shared_buffers = found.shared_buffers.clone();
    assert_eq!(found, before);
}

#[test]
fn a_launcher_of_today_asks_for_no_resource_manager() {
    let platform = platform(&[&tree("launcher-crosvm.dtb")]);
    assert_eq!(platform.resource_manager, None);
    assert_eq!(platform.identity.as_ref().map(|vm| vm.vmid), Some(0x80));
    let uarts: Vec<_> = platform
        .uarts
        .iter()
        .map(|uart| (uart.registers.start, uart.interrupt.unwrap().intid, uart.is_stdout))
        .collect();
    let expected = [(0x2e8, 34, false), (0x2f8, 34, false), (0x3e8, 32, false), (0x3f8, 32, true)];
    assert_eq!(uarts, expected);
}

#[test]
fn a_launcher_that_gives_nothing_but_memory_and_a_gic_is_enough() {
    let platform = platform(&[&tree("launcher-sample-vm.dtb")]);
    assert_eq!((&platform.resource_manager, platform.psci), (&None, None));
    assert_eq!((platform.uarts.len(), platform.doorbells.len()), (0, 0));
    let identity = platform.identity.as_ref().unwrap();
    assert_eq!((identity.vmid, identity.owner), (0x80, Some(3)));
    assert_eq!(identity.image_name.as_deref(), Some("linux_vm_0"));
    let memory: Vec<_> = platform.memory.iter().map(|range| (range.start, range.size)).collect();
    assert_eq!(memory, [(0x8000_0000, 0x640_0000)]);
    assert_eq!(platform.gic.distributor.start, 0x3fff_0000);
    assert_eq!(platform.cpus.len(), 1);
}
