//! More interrupts than list registers, priorities, preemption, several vCPUs.

use super::cpu::*;
use crate::vgic::list::{HCR_EN, HCR_LRENPIE, HCR_NPIE};

#[test]
fn the_most_urgent_come_first() {
    let mut vm = Vm::new(1, 4);
    let order = [(40, 0x90), (41, 0x10), (900, 0x50), (300, 0x10), (77, 0xF0)];
    vm.during_exit(|vm| {
        for (intid, _) in order {
            vm.vgic.assert(intid).unwrap();
        }
    });
    for (intid, priority) in order {
        vm.set_up(intid, true, priority);
    }
    assert_eq!(vm.cpus[0].hcr, HCR_EN | HCR_NPIE);
    assert_eq!(vm.drain(0), [41, 300, 900, 40, 77]);
    assert_eq!(vm.cpus[0].hcr, HCR_EN);
    assert_eq!(vm.maintenances, 1);
}

#[test]
fn nobody_waits_forever_for_a_list_register() {
    for list_registers in [1, 2, 4, 16] {
        let mut vm = Vm::new(1, list_registers);
        for intid in 100..180 {
            vm.set_up(intid, true, 0x80);
        }
        vm.during_exit(|vm| (100..180).for_each(|intid| vm.vgic.assert(intid).unwrap()));
        let mut taken = vm.drain(0);
        taken.sort();
        assert_eq!(taken, (100..180).collect::<Vec<_>>(), "{list_registers} list registers");
    }
}

#[test]
fn a_late_urgent_one_displaces_another() {
    let mut vm = Vm::new(1, 4);
    for intid in 100..104 {
        vm.set_up(intid, true, 0x80);
        vm.assert(intid);
    }
    vm.set_up(200, true, 0x40);
    vm.assert(200);
    assert_eq!(vm.drain(0), [200, 100, 101, 102, 103]);
}

#[test]
fn nesting_deeper_than_list_registers_unwinds() {
    for list_registers in 1..=4 {
        let mut vm = Vm::new(1, list_registers);
        for step in 0..8 {
            let intid = 100 + step;
            vm.set_up(intid, step % 2 == 0, 0xF8 - 8 * step as u8);
            vm.assert(intid);
            vm.wanting.insert(intid);
            vm.assert(intid);
            assert_eq!(vm.ack(0), Some(intid), "{list_registers} list registers");
            vm.wanting.remove(&intid);
        }
        if list_registers < 4 {
            vm.during_exit(|_| {});
            assert_ne!(vm.cpus[0].hcr & HCR_LRENPIE, 0);
        }
        for step in (0..8).rev() {
            assert_eq!(vm.eoi(0), Some(100 + step));
        }
        vm.during_exit(|_| {});
        assert_eq!(vm.listed(0), [], "{list_registers} list registers");
        assert!(vm.vgic.snapshot(0).all(|state| !state.active && !state.pending));
    }
}

#[test]
fn an_unlisted_active_link_is_released_at_eoi() {
    let mut vm = Vm::new(1, 1);
    vm.write_private(0, SGI_FRAME + IPRIORITYR + 24, 0xF000_0000);
    vm.write_private(0, SGI_FRAME + ISENABLER, 1 << 27);
    vm.set_up(960, true, 0x80);
    vm.during_exit(|vm| vm.vgic.assert_hw(0, 27, 27).unwrap());
    assert_eq!(vm.ack(0), Some(27));
    vm.assert(960);
    assert_eq!(vm.listed(0), [(960, true, false)], "the only list register is for the pending one");
    vm.eoi(0);
    assert_eq!(vm.deactivated, [27]);
    assert_eq!(vm.drain(0), [960]);
}

#[test]
fn changed_priorities_take_effect_while_pending() {
    let mut vm = Vm::new(1, 1);
    vm.set_up(100, true, 0x80);
    vm.set_up(101, true, 0x88);
    vm.assert(100);
    vm.assert(101);
    assert_eq!(vm.listed(0), [(100, true, false)]);
    vm.set_priority(101, 0x10);
    assert_eq!(vm.listed(0), [(101, true, false)]);
    assert_eq!(vm.drain(0), [101, 100]);
}

#[test]
fn routes_choose_the_vcpu() {
    let mut vm = Vm::new(3, 4);
    vm.set_up(100, true, 0x80);
    vm.write(IROUTER + 8 * 100, 2);
    vm.assert(100);
    assert_eq!([vm.listed(0).len(), vm.listed(1).len(), vm.listed(2).len()], [0, 0, 1]);
    vm.write(IROUTER + 8 * 100, 1);
    assert_eq!([vm.listed(0).len(), vm.listed(1).len(), vm.listed(2).len()], [0, 1, 0]);
    assert_eq!(vm.ack(1), Some(100));
    // Active on 1, the next instance is for 0, after the first ended.
    vm.write(IROUTER + 8 * 100, 0);
    vm.assert(100);
    assert_eq!(vm.listed(0), []);
    vm.eoi(1);
    vm.during_exit(|_| {});
    assert_eq!(vm.drain(0).len() + vm.drain(1).len(), 1);
    vm.write(IROUTER + 8 * 100, 7);
    vm.assert(100);
    assert!((0..3).all(|vcpu| vm.listed(vcpu).is_empty()), "no such vCPU");
    vm.write(IROUTER + 8 * 100, 1);
    assert_eq!(vm.drain(1), [100]);
}

#[test]
fn a_listed_interrupt_moves_only_after_it_was_read_back() {
    for edge in [true, false] {
        let mut vm = Vm::new(2, 4);
        vm.set_up(100, edge, 0x80);
        vm.wanting.insert(100);
        vm.assert(100);
        // vCPU 1 reroutes it while vCPU 0 runs on.
        vm.exit(1);
        vm.vgic.mmio_write(GICD + IROUTER + 8 * 100, 8, 1).unwrap();
        vm.enter(1);
        assert_eq!((vm.listed(0), vm.listed(1)), (vec![(100, true, false)], vec![]));
        vm.exit(0);
        vm.enter(0);
        vm.exit(1);
        vm.enter(1);
        assert_eq!((vm.listed(0), vm.listed(1)), (vec![], vec![(100, true, false)]));
    }
}

#[test]
fn private_interrupts_stay_private() {
    let mut vm = Vm::new(2, 4);
    for vcpu in 0..2 {
        vm.write_private(vcpu, SGI_FRAME + ISENABLER, 1 << 20);
    }
    vm.wanting.insert(20);
    vm.during_exit(|vm| vm.vgic.set_private_level(1, 20, true).unwrap());
    assert_eq!((vm.listed(0), vm.listed(1)), (vec![], vec![(20, true, false)]));
    vm.wanting.remove(&20);
    vm.during_exit(|_| {});
    assert_eq!(vm.listed(1), []);
}

#[test]
fn what_software_makes_active_is_active_where_it_is_routed() {
    let mut vm = Vm::new(2, 4);
    vm.write(IROUTER + 8 * 100, 1);
    vm.write_bit(ISACTIVER, 100);
    vm.write(IROUTER + 8 * 100, 0);
    assert_eq!((vm.listed(0), vm.listed(1)), (vec![], vec![(100, false, true)]));
}

#[test]
fn entering_twice_without_reading_back_loses_nothing() {
    let mut vm = Vm::new(1, 2);
    vm.set_up(100, true, 0x80);
    vm.assert(100);
    vm.enter(0);
    vm.enter(0);
    assert_eq!(vm.drain(0), [100]);
    vm.exit(0);
    vm.exit(0);
    vm.enter(0);
    assert_eq!(vm.listed(0), []);
}
