//! Interrupts that stand for physical ones: the virtual timer.

use super::cpu::*;
use crate::vgic::{VgicError, list::ListRegister};

const TIMER: u32 = 27;

fn with_timer() -> Vm {
    let mut vm = Vm::new(1, 4);
    vm.write_private(0, SGI_FRAME + ISENABLER, 1 << TIMER);
    vm
}

#[test]
fn eoi_ends_the_physical_interrupt_too() {
    let mut vm = with_timer();
    for round in 1..4 {
        vm.during_exit(|vm| vm.vgic.assert_hw(0, TIMER, 27).unwrap());
        // Pending, HW, group 1, priority 0, physical INTID 27.
        assert_eq!(vm.cpus[0].lrs[0], 0x7000_001B_0000_001B);
        assert_eq!(vm.ack(0), Some(TIMER));
        vm.during_exit(|_| {});
        assert_eq!(vm.cpus[0].lrs[0], 0xB000_001B_0000_001B);
        vm.eoi(0);
        assert_eq!(vm.deactivated, vec![27; round]);
        vm.during_exit(|_| {});
        assert_eq!(vm.listed(0), []);
    }
    assert_eq!(vm.maintenances, 0);
}

#[test]
fn a_disabled_timer_keeps_its_physical_interrupt_active() {
    let mut vm = with_timer();
    vm.during_exit(|vm| vm.vgic.assert_hw(0, TIMER, 27).unwrap());
    vm.write_private(0, SGI_FRAME + ICENABLER, 1 << TIMER);
    assert_eq!((vm.listed(0), vm.deactivated.len()), (vec![], 0));
    vm.write_private(0, SGI_FRAME + ISENABLER, 1 << TIMER);
    assert_eq!(vm.drain(0), [TIMER]);
    assert_eq!(vm.deactivated, [27]);
}

#[test]
fn clearing_it_by_software_releases_the_physical_interrupt() {
    let mut vm = with_timer();
    vm.during_exit(|vm| vm.vgic.assert_hw(0, TIMER, 27).unwrap());
    vm.write_private(0, SGI_FRAME + ICPENDR, 1 << TIMER);
    assert_eq!((vm.listed(0), vm.deactivated.clone()), (vec![], vec![27]));

    vm.during_exit(|vm| vm.vgic.assert_hw(0, TIMER, 27).unwrap());
    vm.ack(0);
    vm.write_private(0, SGI_FRAME + ICACTIVER, 1 << TIMER);
    assert_eq!((vm.listed(0), vm.deactivated.clone()), (vec![], vec![27, 27]));

    vm.during_exit(|vm| vm.vgic.assert_hw(0, TIMER, 27).unwrap());
    vm.during_exit(|vm| vm.vgic.withdraw_hw(0, TIMER));
    assert_eq!((vm.listed(0), vm.deactivated.clone()), (vec![], vec![27, 27, 27]));

    vm.during_exit(|vm| vm.vgic.assert_hw(0, TIMER, 27).unwrap());
    vm.during_exit(|vm| vm.vgic.reset());
    assert_eq!(vm.deactivated, [27, 27, 27, 27]);
}

#[test]
fn withdrawing_comes_too_late_once_taken() {
    let mut vm = with_timer();
    vm.during_exit(|vm| vm.vgic.assert_hw(0, TIMER, 27).unwrap());
    vm.ack(0);
    vm.during_exit(|vm| vm.vgic.withdraw_hw(0, TIMER));
    assert_eq!((vm.listed(0), vm.deactivated.len()), (vec![(TIMER, false, true)], 0));
    vm.eoi(0);
    assert_eq!(vm.deactivated, [27]);
}

#[test]
fn a_software_pending_timer_has_no_link() {
    let mut vm = with_timer();
    vm.write_private(0, SGI_FRAME + ISPENDR, 1 << TIMER);
    assert_eq!(vm.ack(0), Some(TIMER));
    // The real one fires while the software one is active.
    vm.during_exit(|vm| vm.vgic.assert_hw(0, TIMER, 27).unwrap());
    assert_eq!(vm.listed(0), [(TIMER, false, true)]);
    vm.eoi(0);
    assert_eq!(vm.deactivated, []);
    assert_eq!(vm.drain(0), [TIMER]);
    assert_eq!(vm.deactivated, [27]);
}

#[test]
fn a_link_ends_with_its_instance() {
    let mut vm = with_timer();
    vm.during_exit(|vm| vm.vgic.assert_hw(0, TIMER, 27).unwrap());
    assert_eq!(vm.ack(0), Some(TIMER));
    vm.during_exit(|_| {});
    vm.eoi(0);
    assert_eq!(vm.deactivated, [27]);
    vm.write_private(0, SGI_FRAME + ISPENDR, 1 << TIMER);
    assert_eq!(vm.ack(0), Some(TIMER));
    vm.write_private(0, SGI_FRAME + ICACTIVER, 1 << TIMER);
    assert_eq!((vm.listed(0), vm.deactivated.clone()), (vec![], vec![27]));
}

#[test]
fn links_of_spis_are_released_too() {
    let mut vm = Vm::new(1, 4);
    vm.set_up(100, false, 0x80);
    vm.during_exit(|vm| vm.vgic.assert_hw(0, 100, 40).unwrap());
    vm.exit(0);
    vm.vgic.mmio_write(GICD + ICPENDR + 12, 4, 1 << 4).unwrap();
    vm.enter(0);
    vm.exit(0);
    assert_eq!((vm.vgic.take_release(0), vm.vgic.take_release(0)), (Some(40), None));
    vm.enter(0);
    vm.during_exit(|vm| vm.vgic.assert_hw(0, 100, 41).unwrap());
    assert_eq!(vm.ack(0), Some(100));
    vm.during_exit(|vm| vm.vgic.reset());
    assert_eq!(vm.deactivated, [41]);
}

#[test]
fn an_edge_during_an_active_link_waits_for_its_end() {
    let mut vm = with_timer();
    let edges = vm.read_private(0, SGI_FRAME + ICFGR + 4);
    vm.write_private(0, SGI_FRAME + ICFGR + 4, edges | 2 << (2 * (TIMER - 16)));
    vm.during_exit(|vm| vm.vgic.assert_hw(0, TIMER, 27).unwrap());
    vm.ack(0);
    vm.write_private(0, SGI_FRAME + ISPENDR, 1 << TIMER);
    assert_eq!(vm.listed(0), [(TIMER, false, true)]);
    vm.eoi(0);
    vm.during_exit(|_| {});
    assert_eq!(vm.drain(0), [TIMER]);
    assert_eq!(vm.deactivated, [27], "the second had no physical interrupt behind it");
}

#[test]
fn links_and_private_lines_need_sensible_numbers() {
    let mut vm = Vm::new(1, 4);
    let vgic = &mut vm.vgic;
    for (vcpu, intid, physical) in
        [(1, 27, 27), (0, 1020, 27), (0, u32::MAX, 27), (0, 27, 1020), (0, 27, 70_000)]
    {
        let error = VgicError::NotLinkable { vcpu, intid, physical };
        assert_eq!(vgic.assert_hw(vcpu, intid, physical), Err(error));
    }
    for (vcpu, intid) in [(1, 27), (0, 15), (0, 32)] {
        let error = VgicError::NotPrivate { vcpu, intid };
        assert_eq!(vgic.set_private_level(vcpu, intid, true), Err(error));
    }
    for intid in [0, 31, 1020, 1023, 4096, u32::MAX] {
        assert_eq!(vgic.assert(intid), Err(VgicError::NotShared(intid)));
    }
    assert_eq!(vgic.assert(31).unwrap_err().to_string(), "asserting INTID 31, which is no SPI",);
}

#[test]
fn the_encoding_is_the_architectures() {
    let mut vm = Vm::new(1, 4);
    vm.set_up(960, true, 0xA0);
    vm.set_up(961, false, 0xA8);
    vm.wanting.insert(961);
    vm.assert(960);
    vm.assert(961);
    // State 01, group 1; the level has the EOI bit.
    assert_eq!(vm.cpus[0].lrs, [0x50A0_0000_0000_03C0, 0x50A8_0200_0000_03C1, 0, 0]);
    let lr = ListRegister(vm.cpus[0].lrs[1]);
    assert_eq!((lr.intid(), lr.priority(), lr.is_group1()), (961, 0xA8, true));
}
