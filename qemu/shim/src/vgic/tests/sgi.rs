//! Software-generated interrupts.

use super::cpu::*;
use crate::vgic::{affinity, sgi::SgiRegister};

fn vm(vcpus: usize) -> Vm {
    let mut vm = Vm::new(vcpus, 4);
    for vcpu in 0..vcpus {
        vm.write_private(vcpu, SGI_FRAME + ISENABLER, 0xFFFF);
    }
    vm
}

/// Which of the vCPUs have which SGI, after `vcpu` wrote `value` to ICC_SGI1R_EL1.
fn sent(vcpus: usize, vcpu: usize, value: u64) -> Vec<(usize, u32)> {
    let mut vm = vm(vcpus);
    vm.during_exit(|vm| vm.vgic.send_sgi(vcpu, SgiRegister::Sgi1r, value));
    let taken =
        (0..vcpus).flat_map(|vcpu| vm.drain(vcpu).into_iter().map(move |intid| (vcpu, intid)));
    taken.collect()
}

#[test]
fn target_lists() {
    let all_but_self = 1 << 40;
    for (vcpus, from, value, expected) in [
        (1, 0, 0x0300_0001, vec![(0, 3)]),
        (2, 0, 0x0F00_0002, vec![(1, 15)]),
        (3, 1, 0x0000_0007, vec![(0, 0), (1, 0), (2, 0)]),
        (3, 1, all_but_self | 0x0500_0007, vec![(0, 5), (2, 5)]),
        (1, 0, all_but_self | 0x0500_0001, vec![]),
        (2, 0, 0x0500_FFFC, vec![]),
        // Aff1 = 1 names vCPUs 16 and up; Aff2, Aff3 and range selectors name none.
        (18, 0, 0x0101_0002, vec![(17, 1)]),
        (2, 0, 0x0101_0001, vec![]),
        (2, 0, 1 << 32 | 0x0100_0001, vec![]),
        (2, 0, 1 << 48 | 0x0100_0001, vec![]),
        (18, 0, 1 << 44 | 0x0100_0001, vec![]),
        (2, 0, !all_but_self, vec![]),
    ] {
        assert_eq!(sent(vcpus, from, value), expected, "{value:#x} from {from} of {vcpus}");
    }
}

#[test]
fn groups_must_match() {
    let mut vm = vm(1);
    for register in [SgiRegister::Sgi0r, SgiRegister::Asgi1r] {
        vm.during_exit(|vm| vm.vgic.send_sgi(0, register, 0x0400_0001));
        assert_eq!(vm.listed(0), []);
    }
    vm.write(0, 3);
    vm.write_private(0, SGI_FRAME + IGROUPR, 0);
    vm.during_exit(|vm| vm.vgic.send_sgi(0, SgiRegister::Sgi1r, 0x0400_0001));
    assert_eq!(vm.listed(0), []);
    vm.during_exit(|vm| vm.vgic.send_sgi(0, SgiRegister::Sgi0r, 0x0400_0001));
    assert_eq!(vm.listed(0), [(4, true, false)]);
}

#[test]
fn an_sgi_while_active_pends_again() {
    let mut vm = vm(1);
    for _ in 0..2 {
        vm.during_exit(|vm| vm.vgic.send_sgi(0, SgiRegister::Sgi1r, 0x0400_0001));
        vm.ack(0);
    }
    assert_eq!(vm.listed(0), [(4, true, true)]);
    vm.eoi(0);
    assert_eq!(vm.drain(0), [4]);
}

#[test]
fn affinities_and_vcpus_are_inverse() {
    for vcpu in 0..affinity::MAX_VCPUS {
        assert_eq!(affinity::to_vcpu(affinity::of_vcpu(vcpu), affinity::MAX_VCPUS), Some(vcpu));
        assert_eq!(affinity::to_vcpu(affinity::of_vcpu(vcpu), vcpu), None);
    }
    assert_eq!((affinity::mpidr(0), affinity::mpidr(3), affinity::mpidr(17)), (0, 3, 0x101));
    for value in [0, 0x12_0034_5678, u64::MAX] {
        let routed = affinity::to_router(affinity::from_router(value));
        assert_eq!(routed, value & 0xFF_00FF_FFFF);
    }
}
