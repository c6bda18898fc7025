//! The trees that the real Resource Manager made.

use crate::support::{form, platform, tree};
use billy_dt::{
    AddressRange, Cpu, CpuStatus, Doorbell, DoorbellSource, EnableMethod, Form, Gic, Hypervisor,
    Interrupt, Platform, PsciConduit, QueueEnd, QueuePair, Trigger, Uart, UartKind, VmIdentity,
    pair_doorbells,
};
use gunyah_abi::CapabilityId;

fn cpu(mpidr: u64) -> Cpu {
    Cpu { mpidr, enable_method: Some(EnableMethod::Psci), status: CpuStatus::Okay }
}

fn edge(intid: u32) -> Interrupt {
    Interrupt { intid, trigger: Trigger::Edge }
}

fn level(intid: u32) -> Interrupt {
    Interrupt { intid, trigger: Trigger::Level }
}

fn queue_end(capability: u64, intid: u32) -> QueueEnd {
    let capability = CapabilityId(capability);
    QueueEnd { capability, interrupt: edge(intid), message_size: 240, depth: 8 }
}

fn range(start: u64, size: u64) -> AddressRange {
    AddressRange { start, size }
}

#[test]
fn secondary_vm() {
    let tree = tree("rm-secondary-vm-2cpu-doorbells-msgq.dtb");
    let expected = Platform {
        memory: vec![range(0x8000_0000, 0x400_0000)],
        reserved: vec![],
        cpus: vec![cpu(0), cpu(1)],
        gic: Gic {
            distributor: range(0x3fff_0000, 0x1_0000),
            redistributors: vec![range(0x3ffb_0000, 0x4_0000)],
            redistributor_stride: 0x2_0000,
        },
        virtual_timer: level(27),
        psci: Some(PsciConduit::Hvc),
        hypervisor: Some(Hypervisor { compatible: "gunyah-hypervisor" }),
        identity: Some(VmIdentity {
            vmid: 0x80,
            owner: Some(3),
            vendor: Some("Qualcomm".into()),
            image_name: Some("probe-svm".into()),
            uri: None,
            guid: None,
            peers: vec![],
        }),
        resource_manager: Some(QueuePair {
            path: "/hypervisor/rm-rpc@1".into(),
            label: None,
            peer: None,
            peer_vmid: None,
            tx: queue_end(0, 960),
            rx: queue_end(1, 961),
        }),
        doorbells: vec![Doorbell {
            path: "/hypervisor/bell-rx@2".into(),
            label: Some(3),
            capability: CapabilityId(2),
            interrupt: edge(962),
        }],
        doorbell_sources: vec![DoorbellSource {
            path: "/hypervisor/bell-tx@3".into(),
            label: Some(4),
            capability: CapabilityId(3),
        }],
        queue_pairs: vec![QueuePair {
            path: "/hypervisor/msgq@5".into(),
            label: Some(2),
            peer: None,
            peer_vmid: None,
            tx: queue_end(4, 963),
            rx: queue_end(5, 964),
        }],
        queues: vec![],
        shared_buffers: vec![],
        uarts: vec![Uart {
            path: "/uart@1c090000".into(),
            kind: UartKind::Pl011,
            registers: range(0x1c09_0000, 0x1000),
            reg_shift: 0,
            reg_io_width: 4,
            interrupt: Some(level(37)),
            is_stdout: true,
        }],
        clock: None,
        bootargs: Some("test=1".into()),
        stdout_path: Some("/uart@1c090000".into()),
        initrd: None,
        kaslr_seed: Some(0xf1a9_94e6_3ee5_6857),
    };
    let found = platform(&[&tree]);
    assert_eq!(found, expected);
    assert_eq!(form(&[&tree]), Form::Merged);
    assert_eq!(pair_doorbells(&found.doorbells, &found.doorbell_sources), [Some(0)]);
}

#[test]
fn primary_vm() {
    let expected = Platform {
        memory: vec![range(0x4000_0000, 0x4000_0000)],
        reserved: vec![],
        cpus: (0..8).map(cpu).collect(),
        gic: Gic {
            distributor: range(0x800_0000, 0x1_0000),
            redistributors: vec![range(0x80a_0000, 0xf6_0000)],
            redistributor_stride: 0x2_0000,
        },
        virtual_timer: level(27),
        psci: Some(PsciConduit::Smc),
        hypervisor: Some(Hypervisor { compatible: "qcom,gunyah-hypervisor-1.0" }),
        identity: Some(VmIdentity {
            vmid: 3,
            owner: None,
            vendor: Some("Qualcomm".into()),
            image_name: None,
            uri: None,
            guid: None,
            peers: vec![],
        }),
        resource_manager: Some(QueuePair {
            path: "/hypervisor/qcom,resource-manager-rpc@0000000000000000".into(),
            label: None,
            peer: None,
            peer_vmid: None,
            tx: queue_end(0, 960),
            rx: queue_end(1, 961),
        }),
        doorbells: vec![],
        doorbell_sources: vec![],
        queue_pairs: vec![],
        queues: vec![],
        shared_buffers: vec![],
        uarts: vec![Uart {
            path: "/pl011@9000000".into(),
            kind: UartKind::Pl011,
            registers: range(0x900_0000, 0x1000),
            reg_shift: 0,
            reg_io_width: 4,
            interrupt: Some(level(33)),
            is_stdout: true,
        }],
        clock: Some(range(0x901_0000, 0x1000)),
        bootargs: Some("none".into()),
        stdout_path: Some("/pl011@9000000".into()),
        initrd: None,
        kaslr_seed: Some(0x2a53_148f_0f51_3fd1),
    };
    assert_eq!(platform(&[&tree("rm-primary-vm.dtb")]), expected);
}

#[test]
fn the_image_and_the_tree_must_be_in_memory() {
    let platform = platform(&[&tree("rm-secondary-vm-2cpu-doorbells-msgq.dtb")]);
    let image = range(0x8000_0000, 0x10_0000);
    let tree = range(0x83f0_0000, 0x1000);
    assert_eq!(platform.check_placement(image, tree), Ok(range(0x8000_0000, 0x400_0000)));
    assert_eq!(platform.memory_with(&image), Some(range(0x8000_0000, 0x400_0000)));

    let fails = |image, tree| platform.check_placement(image, tree).unwrap_err().to_string();
    assert_eq!(
        fails(range(0x4000_0000, 0x1000), tree),
        "the image at 0x40000000..0x40001000 is not inside one range of /memory"
    );
    assert_eq!(
        fails(image, range(0x83ff_f000, 0x2000)),
        "the device tree at 0x83fff000..0x84001000 is not in the memory that holds the image"
    );
    assert_eq!(
        fails(image, range(0x800f_f000, 0x2000)),
        "the device tree at 0x800ff000..0x80101000 overlaps the image"
    );
    // In the image's last page, though not over the image's last byte.
    assert_eq!(
        fails(range(0x8000_0000, 0xf_f800), range(0x800f_f900, 0x100)),
        "the device tree at 0x800ff900..0x800ffa00 overlaps the image"
    );
}
