//! Properties: no panic, no edge lost, no INTID listed twice.

use std::collections::BTreeSet;

use proptest::{collection::vec, prelude::*};

use super::cpu::*;
use crate::vgic::sgi::SgiRegister;

/// SPIs the tests use: enough to overflow four list registers, spread over several banks.
const SPIS: [u32; 12] = [32, 33, 63, 64, 100, 101, 500, 959, 960, 961, 1018, 1019];

#[derive(Clone, Debug)]
enum Step {
    Write { distributor: bool, offset: u64, size: u8, value: u64 },
    Read { distributor: bool, offset: u64, size: u8 },
    Assert(usize),
    Level(usize, bool),
    Linked(u32),
    Withdraw(u32),
    Sgi(u64),
    Deactivate(u32),
    Ack(usize),
    Eoi(usize),
    Enter(usize),
}

fn offset() -> impl Strategy<Value = u64> {
    prop_oneof![
        (0x20_u64..0x340).prop_map(|word| word * 4),
        (0x1_0000_u64..0x1_0D00),
        (0x6000_u64..0x8000),
        Just(0),
        Just(0x14),
        Just(0x40),
        any::<u64>().prop_map(|offset| offset % 0x2_0000),
    ]
}

fn size() -> impl Strategy<Value = u8> {
    prop_oneof![4 => Just(4), 1 => Just(1), 1 => Just(2), 1 => Just(8), 1 => any::<u8>()]
}

fn step() -> impl Strategy<Value = Step> {
    let value = prop_oneof![any::<u64>(), Just(u64::MAX), Just(0), Just(2)];
    prop_oneof![
        4 => (any::<bool>(), offset(), size(), value).prop_map(|(distributor, offset, size, value)| {
            Step::Write { distributor, offset, size, value }
        }),
        1 => (any::<bool>(), offset(), size())
            .prop_map(|(distributor, offset, size)| Step::Read { distributor, offset, size }),
        4 => (0..SPIS.len()).prop_map(Step::Assert),
        2 => (0..SPIS.len(), any::<bool>()).prop_map(|(spi, high)| Step::Level(spi, high)),
        1 => (0..1030_u32).prop_map(Step::Linked),
        1 => (0..1030_u32).prop_map(Step::Withdraw),
        1 => any::<u64>().prop_map(Step::Sgi),
        1 => any::<u32>().prop_map(Step::Deactivate),
        4 => (0..2_usize).prop_map(Step::Ack),
        4 => (0..2_usize).prop_map(Step::Eoi),
        1 => (0..2_usize).prop_map(Step::Enter),
    ]
}

/// `Vm::enter` checks on every entry that no INTID is in two list registers.
fn run(vm: &mut Vm, steps: Vec<Step>) {
    let gicr = vm.vgic.config().gicr_base;
    for step in steps {
        match step {
            Step::Write { distributor, offset, size, value } => vm.during_exit(|vm| {
                let ipa = if distributor { GICD + offset % 0x1_0000 } else { gicr + offset };
                assert!(vm.vgic.mmio_write(ipa, size, value).is_some());
            }),
            Step::Read { distributor, offset, size } => vm.during_exit(|vm| {
                let ipa = if distributor { GICD + offset % 0x1_0000 } else { gicr + offset };
                let value = vm.vgic.mmio_read(ipa, size).unwrap();
                let bits = u32::from(size.min(8)) * 8;
                assert!(bits == 64 || value >> bits == 0, "{size} bytes hold {value:#x}");
            }),
            Step::Assert(spi) => vm.assert(SPIS[spi]),
            Step::Level(spi, high) => {
                vm.during_exit(|vm| vm.vgic.set_level(SPIS[spi], high).unwrap())
            }
            Step::Linked(intid) => {
                let linked = vm.during_exit(|vm| vm.vgic.assert_hw(0, intid, 27).is_ok());
                assert_eq!(linked, intid < 1020);
            }
            Step::Withdraw(intid) => vm.during_exit(|vm| vm.vgic.withdraw_hw(0, intid)),
            Step::Sgi(value) => vm.during_exit(|vm| vm.vgic.send_sgi(0, SgiRegister::Sgi1r, value)),
            Step::Deactivate(intid) => vm.during_exit(|vm| vm.vgic.deactivate(0, intid)),
            Step::Ack(vcpu) => {
                vm.ack(vcpu);
            }
            Step::Eoi(vcpu) => {
                vm.eoi(vcpu);
            }
            Step::Enter(vcpu) => vm.enter(vcpu),
        }
    }
}

#[derive(Clone, Debug)]
enum Event {
    Assert(usize),
    Ack,
    Eoi,
    Enable(usize, bool),
    Priority(usize, u8),
    Groups(bool),
    Sleep(bool),
    Exit,
}

fn event() -> impl Strategy<Value = Event> {
    let spi = || 0..SPIS.len();
    prop_oneof![
        6 => spi().prop_map(Event::Assert),
        5 => Just(Event::Ack),
        5 => Just(Event::Eoi),
        2 => (spi(), any::<bool>()).prop_map(|(spi, on)| Event::Enable(spi, on)),
        2 => (spi(), any::<u8>()).prop_map(|(spi, priority)| Event::Priority(spi, priority)),
        1 => any::<bool>().prop_map(Event::Groups),
        1 => any::<bool>().prop_map(Event::Sleep),
        1 => Just(Event::Exit),
    ]
}

proptest! {
    #[test]
    fn nothing_panics_and_nothing_is_listed_twice(
        list_registers in 1..=4_usize,
        steps in vec(step(), 1..120),
    ) {
        let mut vm = Vm::new(2, list_registers);
        for (index, intid) in SPIS.into_iter().enumerate() {
            vm.set_up(intid, index % 2 == 0, 8 * index as u8);
        }
        run(&mut vm, steps);
    }

    #[test]
    fn every_edge_is_taken_and_none_twice(
        list_registers in 1..=5_usize,
        priorities in vec(any::<u8>(), SPIS.len()),
        events in vec(event(), 1..200),
    ) {
        let mut vm = Vm::new(1, list_registers);
        for (intid, priority) in SPIS.into_iter().zip(priorities) {
            vm.set_up(intid, true, priority);
        }
        let mut owed = BTreeSet::new();
        let took = |owed: &mut BTreeSet<u32>, intid| {
            prop_assert!(owed.remove(&intid), "INTID {} was taken without an edge", intid);
            Ok(())
        };
        for event in events {
            match event {
                Event::Assert(spi) => {
                    vm.assert(SPIS[spi]);
                    owed.insert(SPIS[spi]);
                }
                Event::Ack => {
                    if let Some(intid) = vm.ack(0) {
                        took(&mut owed, intid)?;
                    }
                }
                Event::Eoi => {
                    vm.eoi(0);
                }
                Event::Enable(spi, on) => {
                    vm.write_bit(if on { ISENABLER } else { ICENABLER }, SPIS[spi]);
                }
                Event::Priority(spi, priority) => {
                    // Of an active interrupt a guest must not change it: EOI would drop another.
                    if !vm.bit(ISACTIVER, SPIS[spi]) {
                        vm.set_priority(SPIS[spi], priority);
                    }
                }
                Event::Groups(on) => vm.write(0, if on { 2 } else { 0 }),
                Event::Sleep(asleep) => {
                    // Only when nothing is active, as the architecture asks for.
                    if vm.cpus[0].running.is_empty() {
                        vm.write_private(0, 0x14, if asleep { 2 } else { 0 });
                    }
                }
                Event::Exit => vm.during_exit(|_| {}),
            }
        }
        while vm.eoi(0).is_some() {}
        vm.write(0, 2);
        vm.write_private(0, 0x14, 0);
        for intid in SPIS {
            vm.write_bit(ISENABLER, intid);
        }
        for intid in vm.drain(0) {
            took(&mut owed, intid)?;
        }
        prop_assert!(owed.is_empty(), "lost: {:?}", owed);
        vm.exit(0);
        prop_assert!(vm.vgic.snapshot(0).all(|state| !state.pending && !state.active));
    }

    #[test]
    fn levels_are_taken_only_while_high(
        list_registers in 1..=4_usize,
        events in vec((0..SPIS.len(), any::<bool>(), 0..3_u8), 1..150),
    ) {
        let mut vm = Vm::new(1, list_registers);
        for (index, intid) in SPIS.into_iter().enumerate() {
            vm.set_up(intid, false, 0x80 - 8 * (index as u8 % 3));
        }
        for (spi, on, action) in events {
            let intid = SPIS[spi];
            match action {
                0 if on => {
                    vm.wanting.insert(intid);
                    vm.assert(intid);
                }
                0 => {
                    vm.wanting.remove(&intid);
                    vm.during_exit(|_| {});
                }
                1 => {
                    if let Some(taken) = vm.ack(0) {
                        prop_assert!(vm.wanting.contains(&taken), "INTID {} is low", taken);
                    }
                }
                _ => {
                    vm.eoi(0);
                }
            }
        }
        while vm.eoi(0).is_some() {}
        let high = vm.wanting.clone();
        let taken: BTreeSet<_> = vm.drain(0).into_iter().collect();
        prop_assert_eq!(taken, high);
    }
}
