//! Nodes that the Resource Manager generates, in all the shapes it gives them.

use crate::support::{cells, changed, child, node, set, text};
use billy_dt::{AddressRange, Platform};
use dtoolkit::model::DeviceTreeNode;
use gunyah_abi::CapabilityId;

#[test]
fn shared_buffers_and_their_doorbells() {
    let buffer = |at: &str, phandle| {
        let base = u32::from_str_radix(at, 16).unwrap();
        node(
            &format!("buffer@{at}"),
            &[
                ("reg", cells(&[0, base, 0, 0x3000])),
                ("no-map", vec![]),
                ("phandle", cells(&[phandle])),
                ("qcom,shared-memory", vec![]),
                ("qcom,rm-mem-handle", cells(&[phandle - 0x21])),
            ],
            [],
        )
    };
    let platform = changed(|root| {
        // Used before and after the nodes that they refer to.
        let reserved = child(root, "reserved-memory");
        reserved.add_child(buffer("90000000", 0x21));
        reserved.add_child(buffer("8f000000", 0x22));
        let hypervisor = child(root, "hypervisor");
        set(child(hypervisor, "bell-rx@2"), "phandle", cells(&[0x23]));
        set(child(hypervisor, "bell-tx@3"), "linux,phandle", cells(&[0x24]));
        hypervisor.add_child(node(
            "one",
            &[
                ("compatible", text("qcom,gunyah-shm-doorbell")),
                ("memory-region", cells(&[0x21])),
                ("rx-doorbell", cells(&[0x23])),
                ("tx-doorbell", cells(&[0x24])),
                ("peer", cells(&[3])),
                ("qcom,label", cells(&[9])),
            ],
            [],
        ));
        hypervisor.add_child(node(
            "two",
            &[
                ("compatible", text("qcom,shared-memory")),
                ("buffer", cells(&[0x22])),
                ("dma_base", cells(&[1, 2])),
                ("label", cells(&[5])),
            ],
            [],
        ));
    });
    let [two, one] = &platform.shared_buffers[..] else { panic!("two buffers") };
    assert_eq!(one.ranges, [AddressRange { start: 0x9000_0000, size: 0x3000 }]);
    assert_eq!((one.tx_doorbell, one.rx_doorbell), (Some(CapabilityId(3)), Some(CapabilityId(2))));
    assert_eq!((one.label, one.peer, one.dma_base), (Some(9), Some(3), None));
    assert_eq!((one.parcel, two.parcel), (Some(0), Some(1)));
    assert_eq!(two.ranges, [AddressRange { start: 0x8f00_0000, size: 0x3000 }]);
    assert_eq!((two.tx_doorbell, two.rx_doorbell), (None, None));
    assert_eq!((two.label, two.peer, two.dma_base), (Some(5), None, Some(0x1_0000_0002)));
    assert_eq!(two.path, "/hypervisor/two");

    let names: Vec<_> = platform.reserved.iter().map(|range| range.name.as_str()).collect();
    assert_eq!(names, ["buffer@8f000000", "buffer@90000000"]);
    assert!(platform.reserved.iter().all(|range| range.no_map));
}

#[test]
fn a_shared_buffer_may_have_no_memory_yet() {
    // As the Resource Manager writes a `shm` vdevice whose memory is optional and whose parcel
    // nobody shared: without `buffer` and `memory-region`.
    let platform = changed(|root| {
        let hypervisor = child(root, "hypervisor");
        set(child(hypervisor, "bell-rx@2"), "phandle", cells(&[0x23]));
        set(child(hypervisor, "bell-tx@3"), "phandle", cells(&[0x24]));
        let shm = [
            ("compatible", text("qcom,gunyah-shm-doorbell")),
            ("peer", cells(&[3])),
            ("rx-doorbell", cells(&[0x23])),
            ("tx-doorbell", cells(&[0x24])),
            ("qcom,label", cells(&[9])),
        ];
        hypervisor.add_child(node("shm", &shm, []));
    });
    let [buffer] = &platform.shared_buffers[..] else { panic!("one buffer") };
    assert_eq!((buffer.ranges.as_slice(), buffer.parcel), (&[][..], None));
    assert_eq!((buffer.label, buffer.peer), (Some(9), Some(3)));
    let bells = (buffer.tx_doorbell, buffer.rx_doorbell);
    assert_eq!(bells, (Some(CapabilityId(3)), Some(CapabilityId(2))));
    assert_eq!((platform.doorbells.len(), platform.doorbell_sources.len()), (1, 1));
}

#[test]
fn a_shared_buffer_is_all_that_its_parcel_has() {
    // As the Resource Manager writes a parcel that it accepted without MAP_CONTIGUOUS: every
    // mapping in one `reg`, in the order of the parcel.
    let buffer = |reg: &[u32]| {
        let platform = changed(|root| {
            let memory = [("reg", cells(reg)), ("no-map", vec![]), ("phandle", cells(&[0x21]))];
            child(root, "reserved-memory").add_child(node("buffer@90000000", &memory, []));
            let shm =
                [("compatible", text("qcom,shared-memory")), ("memory-region", cells(&[0x21]))];
            child(root, "hypervisor").add_child(node("shm", &shm, []));
        });
        let reserved: Vec<_> = platform.reserved.iter().map(|range| range.range.start).collect();
        (platform.shared_buffers.into_iter().next().unwrap().ranges, reserved)
    };
    let range = |start, size| AddressRange { start, size };
    let (ranges, reserved) =
        buffer(&[0, 0x9100_0000, 0, 0x2000, 0, 0x9000_0000, 0, 0x1000, 0, 0x9200_0000, 0, 0x3000]);
    assert_eq!(
        ranges,
        [range(0x9100_0000, 0x2000), range(0x9000_0000, 0x1000), range(0x9200_0000, 0x3000)]
    );
    assert_eq!(reserved, [0x9000_0000, 0x9100_0000, 0x9200_0000]);
    // One behind the other is one.
    let (ranges, reserved) =
        buffer(&[0, 0x9000_0000, 0, 0x2000, 0, 0x9000_2000, 0, 0x1000, 0, 0x9000_3000, 0, 0x1000]);
    assert_eq!(ranges, [range(0x9000_0000, 0x4000)]);
    assert_eq!(reserved, [0x9000_0000, 0x9000_2000, 0x9000_3000]);
    // But not in the opposite order.
    let (ranges, _) = buffer(&[0, 0x9000_2000, 0, 0x1000, 0, 0x9000_0000, 0, 0x2000]);
    assert_eq!(ranges, [range(0x9000_2000, 0x1000), range(0x9000_0000, 0x2000)]);
}

#[test]
fn capabilities_below_a_parent_without_cells() {
    // As the Resource Manager nests what a `generate` path names: the nodes on the way have no
    // `#address-cells`, whose default is 2, nor `#size-cells`, whose default is 1.
    let nest = |root: &mut DeviceTreeNode| {
        let hypervisor = child(root, "hypervisor");
        let mut nested = |name: &str, below: &str| {
            let moved = hypervisor.remove_child(name).unwrap();
            hypervisor.add_child(node(below, &[], [node("x", &[], [moved])]));
        };
        nested("bell-rx@2", "bells");
        nested("bell-tx@3", "sources");
        nested("msgq@5", "queues");
        nested("rm-rpc@1", "manager");
    };
    let (nested, flat) = (changed(nest), changed(|_| ()));
    let capability = |platform: &Platform| {
        let manager = platform.resource_manager.as_ref().unwrap();
        let pair = &platform.queue_pairs[0];
        let ends = [&manager.tx, &manager.rx, &pair.tx, &pair.rx].map(|end| end.capability);
        (ends, platform.doorbells[0].capability, platform.doorbell_sources[0].capability)
    };
    assert_eq!(capability(&nested), capability(&flat));
    assert_eq!(nested.doorbells[0].path, "/hypervisor/bells/x/bell-rx@2");

    let platform = changed(|root| {
        set(child(root, "hypervisor"), "#address-cells", cells(&[1]));
        set(child(root, "hypervisor"), "#size-cells", cells(&[1]));
    });
    assert_eq!(capability(&platform), capability(&flat));
}
