//! Lives of single interrupts: assert, take, end, and what may come between.

use super::cpu::*;

const BELL: u32 = 960;

#[test]
fn an_edge_is_taken_once() {
    let mut vm = Vm::new(1, 4);
    vm.set_up(BELL, true, 0x80);
    vm.assert(BELL);
    assert!(vm.vgic.interrupt(0, BELL).is_some_and(|state| state.enabled && state.edge));
    assert_eq!(vm.listed(0), [(BELL, true, false)]);
    assert_eq!(vm.ack(0), Some(BELL));
    assert_eq!(vm.listed(0), [(BELL, false, true)]);
    assert_eq!(vm.eoi(0), Some(BELL));
    assert_eq!(vm.listed(0), []);
    vm.enter(0);
    assert_eq!(vm.drain(0), []);
    assert_eq!(vm.maintenances, 0, "edges need no maintenance");
}

#[test]
fn an_edge_while_active_pends_again() {
    let mut vm = Vm::new(1, 4);
    vm.set_up(BELL, true, 0x80);
    vm.assert(BELL);
    assert_eq!(vm.ack(0), Some(BELL));
    vm.assert(BELL);
    assert_eq!(vm.listed(0), [(BELL, true, true)]);
    assert_eq!(vm.ack(0), None, "it cannot preempt itself");
    vm.eoi(0);
    assert_eq!(vm.drain(0), [BELL]);
}

#[test]
fn edges_before_it_is_taken_are_one() {
    let mut vm = Vm::new(1, 4);
    vm.set_up(BELL, true, 0x80);
    vm.assert(BELL);
    vm.assert(BELL);
    assert_eq!(vm.drain(0), [BELL]);
}

#[test]
fn an_edge_before_configuration_is_kept() {
    let mut vm = Vm::new(1, 4);
    vm.assert(BELL);
    vm.set_up(BELL, true, 0x80);
    assert_eq!(vm.drain(0), [BELL]);
}

#[test]
fn a_level_enabled_then_made_edge_is_not_lost() {
    let mut vm = Vm::new(1, 4);
    vm.wanting.insert(BELL);
    vm.write_bit(ISENABLER, BELL);
    vm.assert(BELL);
    assert_eq!(vm.listed(0), [(BELL, true, false)]);
    vm.set_edge(BELL, true);
    assert_eq!(vm.drain(0), [BELL]);
}

#[test]
fn edge_only_asserts_do_not_reach_a_level_interrupt() {
    let mut vm = Vm::new(1, 4);
    vm.set_up(BELL, false, 0x80);
    vm.wanting.insert(BELL);
    vm.during_exit(|vm| vm.vgic.assert_edge(BELL).unwrap());
    assert_eq!(vm.listed(0), []);
    vm.set_edge(BELL, true);
    assert_eq!(vm.drain(0), [BELL]);
}

#[test]
fn a_level_stays_until_its_source_is_served() {
    let mut vm = Vm::new(1, 4);
    vm.set_up(BELL, false, 0x80);
    vm.wanting.insert(BELL);
    vm.assert(BELL);
    for _ in 0..3 {
        assert_eq!(vm.ack(0), Some(BELL));
        assert_eq!(vm.listed(0), [(BELL, false, true)]);
        vm.eoi(0);
        assert_eq!(vm.listed(0), [(BELL, true, false)], "not served: again");
    }
    assert_eq!(vm.maintenances, 3, "one look at the line after each EOI");
    assert_eq!(vm.ack(0), Some(BELL));
    vm.wanting.remove(&BELL);
    vm.eoi(0);
    assert_eq!(vm.listed(0), []);
    assert_eq!(vm.maintenances, 4);
}

#[test]
fn a_level_that_falls_before_it_is_taken_is_gone() {
    let mut vm = Vm::new(1, 4);
    vm.set_up(BELL, false, 0x80);
    vm.wanting.insert(BELL);
    vm.assert(BELL);
    assert_eq!(vm.listed(0), [(BELL, true, false)]);
    vm.wanting.remove(&BELL);
    assert!(vm.bit(ISPENDR, BELL), "nobody asked the source yet");
    assert_eq!(vm.listed(0), []);
    assert!(!vm.bit(ISPENDR, BELL));
}

#[test]
fn a_pushed_level_follows_the_line() {
    let mut vm = Vm::new(1, 4);
    vm.set_up(100, false, 0x80);
    vm.wanting.insert(100);
    vm.during_exit(|vm| vm.vgic.set_level(100, true).unwrap());
    assert_eq!(vm.listed(0), [(100, true, false)]);
    vm.during_exit(|vm| vm.vgic.set_level(100, false).unwrap());
    assert_eq!(vm.listed(0), []);
    vm.during_exit(|vm| vm.vgic.set_level(100, true).unwrap());
    vm.ack(0);
    vm.during_exit(|vm| vm.vgic.set_level(100, false).unwrap());
    vm.eoi(0);
    assert_eq!(vm.listed(0), []);
}

#[test]
fn a_pushed_line_is_an_edge_when_it_rises_only() {
    let mut vm = Vm::new(1, 4);
    vm.set_up(100, true, 0x80);
    vm.during_exit(|vm| vm.vgic.set_level(100, true).unwrap());
    vm.during_exit(|vm| vm.vgic.set_level(100, true).unwrap());
    assert_eq!(vm.drain(0), [100]);
    vm.during_exit(|vm| vm.vgic.set_level(100, true).unwrap());
    assert_eq!(vm.drain(0), []);
    vm.during_exit(|vm| vm.vgic.set_level(100, false).unwrap());
    vm.during_exit(|vm| vm.vgic.set_level(100, true).unwrap());
    vm.during_exit(|vm| vm.vgic.set_level(100, false).unwrap());
    assert_eq!(vm.drain(0), [100], "a falling line leaves the latched edge");
}

#[test]
fn disabling_takes_it_out_and_enabling_brings_it_back() {
    let mut vm = Vm::new(1, 4);
    vm.set_up(BELL, true, 0x80);
    vm.assert(BELL);
    vm.write_bit(ICENABLER, BELL);
    assert_eq!(vm.listed(0), []);
    assert!(vm.bit(ISPENDR, BELL));
    assert!(!vm.vgic.has_pending(0));
    vm.write_bit(ISENABLER, BELL);
    assert_eq!(vm.drain(0), [BELL]);
}

#[test]
fn disabling_while_active_keeps_it_active() {
    let mut vm = Vm::new(1, 4);
    vm.set_up(BELL, true, 0x80);
    vm.assert(BELL);
    vm.ack(0);
    vm.write_bit(ICENABLER, BELL);
    vm.assert(BELL);
    assert_eq!(vm.listed(0), [(BELL, false, true)]);
    assert!(vm.bit(ISACTIVER, BELL) && vm.bit(ISPENDR, BELL));
    vm.eoi(0);
    vm.enter(0);
    assert_eq!(vm.listed(0), []);
    vm.write_bit(ISENABLER, BELL);
    assert_eq!(vm.drain(0), [BELL]);
}

#[test]
fn group_enables_gate_delivery() {
    let mut vm = Vm::new(1, 4);
    vm.set_up(BELL, true, 0x80);
    vm.assert(BELL);
    vm.write(0x0000, 0x1);
    assert_eq!(vm.listed(0), []);
    assert!(!vm.vgic.has_pending(0));
    vm.write(IGROUPR + 4 * 30, 0);
    assert_eq!(vm.listed(0), [(BELL, true, false)], "as group 0 now");
    assert_eq!(vm.ack(0), None, "group 0 is not taken by IAR1");
    vm.write(0x0000, 0x3);
    vm.write(IGROUPR + 4 * 30, 1);
    assert_eq!(vm.drain(0), [BELL]);
}

#[test]
fn icpendr_clears_edges_but_not_lines() {
    let mut vm = Vm::new(1, 4);
    vm.set_up(BELL, true, 0x80);
    vm.assert(BELL);
    vm.write_bit(ICPENDR, BELL);
    assert_eq!(vm.listed(0), []);

    vm.set_up(BELL + 1, false, 0x80);
    vm.wanting.insert(BELL + 1);
    vm.assert(BELL + 1);
    vm.write_bit(ICPENDR, BELL + 1);
    assert_eq!(vm.listed(0), [(BELL + 1, true, false)]);
}

#[test]
fn ispendr_is_taken_once_either_way() {
    for edge in [true, false] {
        let mut vm = Vm::new(1, 4);
        vm.set_up(BELL, edge, 0x80);
        vm.write_bit(ISPENDR, BELL);
        assert_eq!(vm.drain(0), [BELL], "edge {edge}");
        vm.enter(0);
        assert_eq!(vm.drain(0), [], "edge {edge}");
    }
}

#[test]
fn icactiver_ends_and_isactiver_blocks() {
    let mut vm = Vm::new(1, 4);
    vm.set_up(BELL, true, 0x80);
    vm.write_bit(ISACTIVER, BELL);
    vm.assert(BELL);
    assert_eq!(vm.listed(0), [(BELL, true, true)]);
    assert_eq!(vm.ack(0), None);
    assert!(!vm.vgic.has_pending(0));
    vm.write_bit(ICACTIVER, BELL);
    assert_eq!(vm.drain(0), [BELL]);
}

#[test]
fn messages_pend_spis() {
    let mut vm = Vm::new(1, 4);
    vm.set_up(200, true, 0x80);
    vm.write(0x40, 200);
    assert_eq!(vm.drain(0), [200]);
    vm.write(0x40, 200);
    vm.write(0x48, 200);
    assert_eq!(vm.drain(0), []);
    vm.set_up(201, false, 0x80);
    vm.write(0x40, 201);
    for _ in 0..2 {
        vm.ack(0);
        vm.eoi(0);
        assert_eq!(vm.listed(0), [(201, true, false)], "held until CLRSPI");
    }
    vm.write(0x48, 201);
    assert_eq!(vm.listed(0), []);
    for nonsense in [0, 27, 1020, 1023, 0xFFFF_FFFF] {
        vm.write(0x40, nonsense);
    }
    assert_eq!(vm.listed(0), []);
}

#[test]
fn a_sleeping_redistributor_delivers_nothing() {
    let mut vm = Vm::new(1, 4);
    vm.set_up(BELL, true, 0x80);
    vm.write_private(0, 0x14, 0x2);
    assert_eq!(vm.read_private(0, 0x14), 0x6);
    vm.assert(BELL);
    assert_eq!(vm.listed(0), []);
    assert!(!vm.vgic.has_pending(0));
    vm.write_private(0, 0x14, 0);
    assert_eq!(vm.read_private(0, 0x14), 0);
    assert_eq!(vm.drain(0), [BELL]);
}

#[test]
fn wfi_sees_what_is_deliverable() {
    let mut vm = Vm::new(2, 4);
    vm.set_up(BELL, true, 0xF8);
    assert!(!vm.vgic.has_pending(0));
    vm.assert(BELL);
    for vcpu in 0..2 {
        vm.exit(vcpu);
    }
    assert!(vm.vgic.has_pending(0), "whatever its priority");
    assert!(!vm.vgic.has_pending(1), "it is not routed there");
    assert!(!vm.vgic.has_pending(2), "there is no such vCPU");
}

#[test]
fn reset_forgets_everything() {
    let mut vm = Vm::new(1, 4);
    vm.set_up(BELL, true, 0x80);
    vm.write(IROUTER + 8 * 961, 5);
    vm.assert(BELL);
    vm.ack(0);
    vm.assert(BELL);
    vm.write_private(0, SGI_FRAME + ICFGR + 4, 0xFFFF_FFFF);
    vm.during_exit(|vm| vm.vgic.reset());
    assert_eq!(vm.listed(0), []);
    assert_eq!(vm.vgic.snapshot(0).count(), 0);
    let fresh = Vm::cold(1, 4);
    for intid in 0..1020 {
        assert_eq!(vm.vgic.interrupt(0, intid), fresh.vgic.interrupt(0, intid));
    }
    assert_eq!((vm.read(0), vm.read_private(0, 0x14)), (0x50, 0x6));
    assert_eq!(vm.read_private(0, SGI_FRAME + ICFGR), 0xAAAA_AAAA);
    assert_eq!(vm.read(IGROUPR + 4 * 31), 0);
}

#[test]
fn snapshots_say_it_in_words() {
    let mut vm = Vm::new(1, 4);
    vm.set_up(BELL, true, 0x85);
    vm.exit(0);
    vm.vgic.assert(BELL).unwrap();
    let lines: Vec<_> = vm.vgic.snapshot(0).map(|state| state.to_string()).collect();
    assert_eq!(lines, ["INTID 960: edge, group 1, priority 0x80, enabled, pending, to vCPU 0"]);
}
