//! The frames as the `arm-gic` driver sees and programs them.
//!
//! The driver works on memory, so it gets an image of the frames as they read; what it changes there
//! is then written to the virtual GIC, word by word.

use core::ptr::NonNull;

use arm_gic::{
    IntId, Trigger,
    gicv3::{
        GicDistributor, GicRedistributor, GicRedistributorIterator, GicV3, Group, SecureIntGroup,
        registers::{Gicd, GicdCtlr, GicrSgi},
    },
};
use safe_mmio::UniqueMmioPointer;
use zerocopy::{FromBytes, IntoBytes};

use super::cpu::*;

const FRAME_WORDS: usize = 0x1_0000 / 4;

/// An image of `frames` 64 KiB frames from `ipa` on. Arrays of write-one registers are left zero.
fn image(vm: &mut Vm, ipa: u64, frames: usize) -> Vec<u64> {
    let mut image = vec![0_u64; frames * FRAME_WORDS / 2];
    let words: &mut [u32] = FromBytes::mut_from_bytes(image.as_mut_bytes()).unwrap();
    for (index, word) in words.iter_mut().enumerate() {
        let offset = index as u64 * 4;
        if !(ISENABLER..IPRIORITYR).contains(&(offset % 0x1_0000)) {
            *word = vm.vgic.mmio_read(ipa + offset, 4).unwrap() as u32;
        }
    }
    image
}

fn write_back(vm: &mut Vm, ipa: u64, mut before: Vec<u64>, mut after: Vec<u64>) {
    let before: &[u32] = FromBytes::mut_from_bytes(before.as_mut_bytes()).unwrap();
    let after: &[u32] = FromBytes::mut_from_bytes(after.as_mut_bytes()).unwrap();
    vm.during_exit(|vm| {
        for (index, (old, new)) in before.iter().zip(after).enumerate() {
            if old != new {
                let ipa = ipa + index as u64 * 4;
                vm.vgic.mmio_write(ipa, 4, (*new).into()).unwrap();
            }
        }
    });
}

fn with_distributor(vm: &mut Vm, program: impl FnOnce(&mut GicDistributor<'_>)) {
    let before = image(vm, GICD, 1);
    let mut after = before.clone();
    let gicd = Gicd::mut_from_bytes(after.as_mut_bytes()).unwrap();
    program(&mut GicDistributor::new(UniqueMmioPointer::from(gicd)));
    write_back(vm, GICD, before, after);
}

fn with_redistributor(vm: &mut Vm, vcpu: usize, program: impl FnOnce(&mut GicRedistributor<'_>)) {
    let ipa = vm.vgic.config().gicr_base + vcpu as u64 * 0x2_0000;
    let before = image(vm, ipa, 2);
    let mut after = before.clone();
    let gicr = GicrSgi::mut_from_bytes(after.as_mut_bytes()).unwrap();
    program(&mut GicRedistributor::new(UniqueMmioPointer::from(gicr)));
    write_back(vm, ipa, before, after);
}

#[test]
fn it_reads_the_types() {
    let mut vm = Vm::cold(3, 4);
    with_distributor(&mut vm, |gicd| {
        let typer = gicd.typer();
        assert_eq!((typer.num_spis(), typer.id_bits(), typer.num_cpus()), (988, 10, 0));
        assert!(typer.mpis_supported() && typer.affinity_3_supported());
        assert!(!typer.lpis_supported() && !typer.espi_supported() && !typer.one_of_n_supported());
        assert!(!typer.has_security_extension());
        assert_eq!(gicd.pidr2().arch_rev(), 3);
    });
    with_redistributor(&mut vm, 2, |gicr| {
        assert_eq!((gicr.typer().core_mpidr(), gicr.typer().processor_number()), (2, 2));
        assert!(!gicr.typer().physical_lpis_supported() && !gicr.typer().virtual_lpis_supported());
        assert_eq!(gicr.typer().max_eppi_count(), 0);
        assert_eq!(gicr.pidr2().arch_rev(), 3);
    });
}

#[test]
fn it_finds_the_last_redistributor() {
    for vcpus in [1, 3, 20] {
        let mut vm = Vm::cold(vcpus, 4);
        let ipa = vm.vgic.config().gicr_base;
        let mut frames = image(&mut vm, ipa, 2 * vcpus);
        let base = NonNull::new(frames.as_mut_ptr()).unwrap().cast::<GicrSgi>();
        // SAFETY: `frames` is 8-byte aligned, holds 128 KiB for each vCPU, and nothing else refers to it.
        let found = unsafe { GicRedistributorIterator::new(base) }.unwrap();
        let affinities: Vec<_> = found.map(|gicr| gicr.typer().core_mpidr()).collect();
        let expected: Vec<_> = (0..vcpus).map(crate::vgic::affinity::mpidr).collect();
        assert_eq!(affinities, expected);
    }
}

#[test]
fn it_accepts_the_frames_and_sees_the_core_asleep_then_awake() {
    let mut vm = Vm::cold(1, 4);
    for awake in [false, true] {
        let ipa = vm.vgic.config().gicr_base;
        let mut gicd = image(&mut vm, GICD, 1);
        let mut gicr = image(&mut vm, ipa, 2);
        let gicd = Gicd::mut_from_bytes(gicd.as_mut_bytes()).unwrap();
        let base = NonNull::new(gicr.as_mut_ptr()).unwrap().cast::<GicrSgi>();
        // SAFETY: `gicr` is 8-byte aligned, holds the 128 KiB of one vCPU, and nothing else refers to it.
        let mut gic = unsafe { GicV3::new(UniqueMmioPointer::from(gicd), base, 1) }.unwrap();
        if awake {
            assert!(gic.redistributor_mark_core_awake(0).is_err(), "already awake");
        } else {
            assert!(gic.redistributor_mark_core_asleep(0).is_err(), "already asleep");
        }
        vm.write_private(0, 0x14, 0);
    }
}

#[test]
fn what_it_programs_takes_effect() {
    let mut vm = Vm::cold(2, 4);
    with_distributor(&mut vm, |gicd| {
        gicd.modify_control(GicdCtlr::EnableGrp1NS | GicdCtlr::ARE_S, true);
        let spi = IntId::spi(960 - 32);
        gicd.set_group(spi, Group::Group1NS).unwrap();
        gicd.set_trigger(spi, Trigger::Edge).unwrap();
        gicd.set_interrupt_priority(spi, 0xA7).unwrap();
        gicd.set_routing(spi, Some(1)).unwrap();
        gicd.enable_interrupt(spi, true).unwrap();
    });
    with_redistributor(&mut vm, 1, |gicr| {
        let timer = IntId::ppi(11);
        gicr.set_group(timer, Group::Group1NS).unwrap();
        gicr.set_trigger(timer, Trigger::Edge).unwrap();
        gicr.set_interrupt_priority(timer, 0x10).unwrap();
        gicr.enable_interrupt(timer, true).unwrap();
    });
    assert_eq!(vm.read(0), 0x52);
    let lines: Vec<_> = vm.vgic.snapshot(1).map(|state| state.to_string()).collect();
    assert_eq!(
        lines,
        [
            "INTID 27: edge, group 1, priority 0x10, enabled, to vCPU 1",
            "INTID 960: edge, group 1, priority 0xa0, enabled, to vCPU 1",
        ]
    );
    assert_eq!(vm.vgic.snapshot(0).count(), 1);
    vm.write_private(1, 0x14, 0);
    vm.assert(960);
    assert_eq!(vm.drain(1), [960]);

    with_distributor(&mut vm, |gicd| {
        gicd.enable_interrupt(IntId::spi(960 - 32), false).unwrap();
        gicd.set_trigger(IntId::spi(960 - 32), Trigger::Level).unwrap();
        gicd.set_routing(IntId::spi(960 - 32), None).unwrap();
        gicd.set_group(IntId::spi(960 - 32), Group::Secure(SecureIntGroup::Group1S)).unwrap();
    });
    assert_eq!(
        vm.vgic.interrupt(1, 960).unwrap().to_string(),
        "INTID 960: level, group 0, priority 0xa0, disabled, to vCPU 0",
        "there is neither 1-of-N routing nor a third group",
    );
}

#[test]
fn its_default_settings_take_effect() {
    let mut vm = Vm::cold(1, 4);
    with_distributor(&mut vm, |gicd| gicd.configure_default_settings());
    with_redistributor(&mut vm, 0, |gicr| gicr.configure_default_settings());
    for intid in 0..1020 {
        let state = vm.vgic.interrupt(0, intid).unwrap();
        assert!(state.group1 && !state.enabled, "{state}");
        assert_eq!((state.priority, state.edge), (0x80, intid < 16), "{state}");
    }
}

#[test]
fn its_saved_contexts_hold_what_was_programmed() {
    use arm_gic::gicv3::{GicDistributorContext, GicRedistributorContext};
    let mut vm = Vm::new(1, 4);
    vm.set_up(500, true, 0x40);
    let mut full = GicDistributorContext::<{ GicDistributorContext::spi_count(988) }, 0>::default();
    let fresh = full.clone();
    with_distributor(&mut vm, |gicd| gicd.save(&mut full).unwrap());
    assert_ne!(full, fresh);
    let mut private =
        GicRedistributorContext::<{ GicRedistributorContext::ppi_count(32) }>::default();
    with_redistributor(&mut vm, 0, |gicr| gicr.save(&mut private).unwrap());

    let mut other = Vm::cold(1, 4);
    with_distributor(&mut other, |gicd| gicd.restore(&full).unwrap());
    with_redistributor(&mut other, 0, |gicr| gicr.restore(&private).unwrap());
    let expected = vm.vgic.interrupt(0, 500).unwrap();
    let restored = other.vgic.interrupt(0, 500).unwrap();
    assert_eq!((restored.edge, restored.priority, restored.group1), (true, 0x40, true));
    assert_eq!(expected.target, restored.target);
}
