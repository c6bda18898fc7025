//! Putting a machine together, its ends and its second start.

use super::*;
use crate::fake::rig::{Rig, config};
use crate::fake::virq;
use crate::machine_file::{MachineFile, VmConfig};

fn refused(change: impl FnOnce(&mut VmConfig)) -> String {
    let mut vm = config();
    change(&mut vm);
    Machine::new(&MachineFile::of(vm)).unwrap_err().to_string()
}

#[test]
fn contradictions_in_the_file_are_named() {
    assert_eq!(Machine::new(&MachineFile::default()).unwrap_err(), MachineError::NoVm);
    let mut two = MachineFile::of(config());
    two.vms.push(config());
    let error = Machine::new(&two).unwrap_err();
    assert_eq!(error.to_string(), "VMID 0x80 is given to two VMs");
    for vcpus in [0, 9] {
        let message = format!("VM probe-svm: {vcpus} vCPUs, not 1 to 8");
        assert_eq!(refused(|vm| vm.vcpus = vcpus), message);
    }
    let message = "VM probe-svm: vCPU 1 is to run first, of 1";
    assert_eq!(refused(|vm| vm.boot_vcpu = 1), message);
    let reserved = 0xffff_ffff_0000_0001;
    assert_eq!(
        refused(|vm| vm.sources[0].cap = reserved),
        "VM probe-svm: capability 0xffffffff00000001 is reserved or given twice"
    );
    assert_eq!(
        refused(|vm| vm.sources[0].cap = 5),
        "VM probe-svm: capability 0x5 is reserved or given twice"
    );
    for intid in [31, 1020, 960] {
        assert_eq!(
            refused(|vm| vm.doorbells[0].intid = intid),
            format!("VM probe-svm: INTID {intid} is no SPI or given twice")
        );
    }
    assert_eq!(
        refused(|vm| vm.queue_pairs[0].queues.depth = 256),
        "VM probe-svm: a queue of 256 messages of 240 bytes"
    );
    assert_eq!(
        refused(|vm| vm.resource_manager.as_mut().unwrap().size = 239),
        "VM probe-svm: a queue of 8 messages of 239 bytes"
    );
    assert_eq!(
        refused(|vm| vm.set_script("stop\nsing")),
        "script line 2 `sing`: unknown word `sing`"
    );
}

#[test]
fn several_vms_have_objects_of_their_own() {
    let mut file = MachineFile::of(config());
    file.vms.push(VmConfig { vmid: 0x81, ..config() });
    let machine = Machine::new(&file).unwrap();
    assert_eq!(machine.vms().len(), 2);
    assert_eq!(machine.vms()[1].vmid, 0x81);
}

#[test]
fn sources_are_pending_by_their_object() {
    let mut rig = Rig::scripted("ring 7 1\nsend 9 x");
    let pending = |rig: &Rig, intid| rig.machine.is_source_pending(virq(intid));
    let all = |rig: &Rig| [960, 961, 962, 963, 964].map(|intid| pending(rig, intid));
    assert_eq!(all(&rig), [true, false, false, true, false]);
    rig.run();
    assert_eq!(all(&rig), [true, false, true, true, true]);
    rig.native::<1>(0x13, &[2, 1, 0]);
    assert!(rig.receive(5).is_some());
    assert_eq!(all(&rig), [true, false, false, true, false]);
    assert!(!pending(&rig, 965));
}

#[test]
fn ends_have_the_outcome_that_the_guest_means() {
    let success = AfterEnd::Finished(Outcome::Success);
    let failed = |reason: &str| AfterEnd::Finished(Outcome::Failure(reason.into()));
    let reset2 = |reset_type| VmEnd::Reset2 { reset_type, cookie: 0 };
    for (end, after) in [
        (VmEnd::Off, success.clone()),
        (VmEnd::Reset, AfterEnd::Restart),
        (reset2(0), AfterEnd::Restart),
        (reset2(0x8000_0002), failed("SYSTEM_RESET2 (type 0x80000002, cookie 0x0)")),
    ] {
        assert_eq!(Rig::scripted("").end(end), after, "{end}");
    }
    let mut file = MachineFile::of(config());
    file.options.no_reboot = true;
    assert_eq!(Rig::new(&file).end(VmEnd::Reset), success);
    assert_eq!(Outcome::Success.exit_status(), 0);
    assert_eq!(Outcome::Failure(String::new()).exit_status(), 5);
}

#[test]
fn a_second_start_finds_nothing_of_the_first() {
    let mut rig = Rig::scripted("ring 7 1\nsend 9 x 3\nwait open\nwait open");
    rig.run();
    rig.open_console();
    rig.native::<1>(0x15, &[2, 0, 0, 0]);
    rig.request(gunyah_abi::rm::MessageId::VM_GET_VMID, 1, &[]);
    assert_eq!(rig.end(VmEnd::Reset), AfterEnd::Restart);
    assert_eq!(rig.machine.vms()[0].state, VmState::Exited);
    rig.restart();
    assert_eq!(rig.machine.vms()[0].state, VmState::Running);
    rig.signals.take();
    rig.run();
    assert!(rig.signals.take().is_empty());
    assert_eq!(rig.receive(1), None);
    assert_eq!(rig.receive(5), None);
    assert_eq!(rig.native(0x13, &[2, 1, 0]), [0, 0]);
    let denied = rig.call(0x5600_0083, 1, &[0; 4]);
    assert_eq!(denied[8..], [3, 0, 0, 0]);
    rig.open_console();
    let ok = rig.call(0x5600_0083, 2, b"\0\0\x02\0hi");
    assert_eq!(ok[8..], [0; 4]);
    assert_eq!(rig.line.output, b"hi");
}
