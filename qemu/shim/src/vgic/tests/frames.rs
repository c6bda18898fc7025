//! Register by register: values at reset, bits that stay, what is not there.

use super::cpu::*;
use crate::vgic::{Config, Frame, Vgic, distributor::Distributor, redistributor::Redistributor};

#[test]
fn fixed_values() {
    let mut gicd = Distributor::new(2);
    for (offset, value) in [
        (0x0000, 0x50),
        (0x0004, 0x0349_001F),
        (0x0008, 0x4700_0070),
        (0x000C, 0),
        (0x0010, 0),
        (0xFFE8, 0x30),
        // SGIs and PPIs are at the redistributor, with affinity routing.
        (0x0080, 0),
        (0x0C00, 0),
        (0x0C04, 0),
        (0x0800, 0),
        (0x0D04, 0),
        (0x0E08, 0),
        (0x0F00, 0),
    ] {
        assert_eq!(gicd.read(offset, 4), value, "GICD {offset:#x}");
        gicd.write(offset, 4, 0xFFFF_FFF0);
        assert_eq!(gicd.read(offset, 4), value, "GICD {offset:#x} after a write");
    }
    for (index, last, typer) in
        [(0, false, 0), (0, true, 0x10), (3, true, 0x3_0000_0310), (17, false, 0x101_0000_1100)]
    {
        let mut gicr = Redistributor::new(index, last);
        for (offset, value) in [
            (0x0000, 0),
            (0x0004, 0x4700_0070),
            (0x0008, typer & 0xFFFF_FFFF),
            (0x000C, typer >> 32),
            (0xFFE8, 0x30),
            (0x1_0C00, 0xAAAA_AAAA),
            (0x1_FFE8, 0),
        ] {
            assert_eq!(gicr.read(offset, 4), value, "GICR {offset:#x}");
            gicr.write(offset, 4, 0xFFFF_FFFF);
            assert_eq!(gicr.read(offset, 4), value, "GICR {offset:#x} after a write");
        }
        assert_eq!(gicr.read(0x0008, 8), typer);
    }
}

#[test]
fn writable_bits() {
    let mut gicd = Distributor::new(2);
    let all = 0xFFFF_FFFF;
    for (offset, written, read) in [
        (0x0000, all, 0x53),
        (0x0000, 0x12, 0x52),
        (0x0000, 0, 0x50),
        (0x0084, 0x1234_5678, 0x1234_5678),
        (0x00FC, all, 0x0FFF_FFFF),
        (0x0104, 0x0000_0003, 0x0000_0003),
        (0x0104, 0x8000_0000, 0x8000_0003),
        (0x0184, 0x0000_0001, 0x8000_0002),
        (0x017C, all, 0x0FFF_FFFF),
        (0x01FC, all, 0),
        (0x0304, 0x0000_0101, 0x0000_0101),
        (0x0384, 0x0000_0001, 0x0000_0100),
        (0x0420, 0xFF07_81A3, 0xF800_80A0),
        (0x07F8, all, 0xF8F8_F8F8),
        (0x07FC, all, 0),
        (0x0C08, all, 0xAAAA_AAAA),
        (0x0CFC, all, 0x00AA_AAAA),
        (0x0C08, 0x0000_0008, 0x0000_0008),
        (0x6100, 0x8012_3456, 0x0012_3456),
        (0x6104, 0xFFFF_FF12, 0x0000_0012),
        (0x7FD8, 0x0000_0001, 0x0000_0001),
        (0x7FE0, all, 0),
        (0x60F8, all, 0),
        (0x0040, 40, 0),
        (0x0048, 40, 0),
    ] {
        gicd.write(offset, 4, written);
        assert_eq!(gicd.read(offset, 4), read, "GICD {offset:#x} after {written:#x}");
    }
    assert_eq!(gicd.read(0x6100, 8), 0x12_0012_3456);
    gicd.write(0x6100, 8, u64::MAX);
    assert_eq!(gicd.read(0x6100, 8), 0xFF_00FF_FFFF);
    gicd.write(0x6100, 4, 0);
    assert_eq!(gicd.read(0x6100, 8), 0xFF_0000_0000);

    let mut gicr = Redistributor::new(0, true);
    for (offset, written, read) in [
        (0x0014, 0x0, 0x0),
        (0x0014, 0x2, 0x6),
        (0x0014, 0x4, 0x0),
        (0x1_0080, all, all),
        (0x1_0100, 0x0800_0001, 0x0800_0001),
        (0x1_0180, 0x0000_0001, 0x0800_0000),
        (0x1_0104, all, 0),
        (0x1_0200, 0x0000_0004, 0x0000_0004),
        (0x1_0280, 0x0000_0004, 0),
        (0x1_0300, 0x0000_0004, 0x0000_0004),
        (0x1_0380, 0x0000_0004, 0),
        (0x1_0418, all, 0xF8F8_F8F8),
        (0x1_0420, all, 0),
        (0x1_0C00, 0, 0xAAAA_AAAA),
        (0x1_0C04, 0x0080_0000, 0x0080_0000),
        (0x1_0C08, all, 0),
    ] {
        gicr.write(offset, 4, written);
        assert_eq!(gicr.read(offset, 4), read, "GICR {offset:#x} after {written:#x}");
    }
}

#[test]
fn set_and_clear_pairs_read_alike() {
    let mut gicd = Distributor::new(1);
    for (set, clear) in [(0x100, 0x180), (0x200, 0x280), (0x300, 0x380)] {
        gicd.write(set + 8, 4, 0xF0F0);
        gicd.write(clear + 8, 4, 0x00F0);
        assert_eq!((gicd.read(set + 8, 4), gicd.read(clear + 8, 4)), (0xF000, 0xF000));
    }
}

#[test]
fn access_sizes() {
    let mut gicd = Distributor::new(1);
    // Priorities byte by byte.
    for (byte, value) in [(0, 0x11), (1, 0x22), (2, 0x33), (3, 0xFF)] {
        gicd.write(0x7C0 + byte, 1, value);
    }
    assert_eq!(gicd.read(0x7C0, 4), 0xF830_2010);
    assert_eq!(gicd.read(0x7C2, 1), 0x30);
    // Nothing else takes bytes, half-words, double words, or a misaligned access.
    for (offset, size) in [
        (0x084, 1),
        (0x084, 2),
        (0x088, 8),
        (0x085, 4),
        (0x7C0, 2),
        (0x7C0, 8),
        (0x7C1, 4),
        (0xC40, 1),
        (0x6104, 8),
        (0x6102, 4),
        (0x6100, 2),
        (0x6100, 1),
        (0x0000, 8),
        (0x0000, 1),
        (0x0004, 2),
        (0x0084, 0),
        (0x0084, 3),
        (0x0084, 255),
    ] {
        let before: Vec<_> = (0..0x8000).step_by(4).map(|offset| gicd.read(offset, 4)).collect();
        gicd.write(offset, size, u64::MAX);
        let after: Vec<_> = (0..0x8000).step_by(4).map(|offset| gicd.read(offset, 4)).collect();
        assert!(before == after, "{size} bytes at {offset:#x}");
        assert_eq!(gicd.read(offset, size), 0, "{size} bytes at {offset:#x}");
    }
    // Message-based SPIs take half-words too.
    gicd.write(0x040, 2, 100);
    assert_eq!(gicd.read(0x20C, 4), 1 << 4);
    gicd.write(0x048, 2, 100);
    assert_eq!(gicd.read(0x20C, 4), 0);
}

#[test]
fn the_address_map() {
    let config = Config::gunyah(2, 4);
    assert_eq!((config.gicd_base, config.gicr_base), (0x3FFF_0000, 0x3FFB_0000));
    assert_eq!(Config::gunyah(1, 4).gicr_base, 0x3FFD_0000);
    let vgic = Vgic::new(config);
    for (ipa, frame) in [
        (0x3FFF_0000, Some(Frame::Distributor { offset: 0 })),
        (0x3FFF_FFFF, Some(Frame::Distributor { offset: 0xFFFF })),
        (0x4000_0000, None),
        (0x3FFA_FFFF, None),
        (0x3FFB_0000, Some(Frame::Redistributor { vcpu: 0, offset: 0 })),
        (0x3FFD_0100, Some(Frame::Redistributor { vcpu: 1, offset: 0x100 })),
        (0x3FFE_FFFF, Some(Frame::Redistributor { vcpu: 1, offset: 0x1_FFFF })),
        (0, None),
        (u64::MAX, None),
    ] {
        assert_eq!(vgic.frame(ipa), frame, "{ipa:#x}");
    }
    let elsewhere = Config {
        vcpus: 500,
        list_registers: 99,
        gicd_base: u64::MAX - 0xFFFF,
        gicr_base: u64::MAX - 1,
    };
    let mut vgic = Vgic::new(elsewhere);
    assert_eq!((vgic.config().vcpus, vgic.config().list_registers), (128, 16));
    assert_eq!(vgic.mmio_read(u64::MAX - 0xFFFF, 4), Some(0x50));
    assert_eq!(vgic.mmio_read(0x1000, 4), None);
    assert_eq!(vgic.mmio_write(0x1000, 4, 0), None);
}

#[test]
fn frames_of_a_vm_are_reachable_by_ipa() {
    let mut vm = Vm::cold(2, 4);
    vm.write_private(1, SGI_FRAME + ISENABLER, 1 << 20);
    assert_eq!(vm.read_private(1, SGI_FRAME + ISENABLER), 1 << 20);
    assert_eq!(vm.read_private(0, SGI_FRAME + ISENABLER), 0);
    assert_eq!((vm.read_private(0, 0x8), vm.read_private(1, 0x8)), (0, 0x110));
}
