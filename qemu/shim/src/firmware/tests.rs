//! What PSCI, SMCCC and the TRNG answer a guest.

use gunyah_abi::psci::trng;

use super::*;
use crate::machine_file::Options;
use crate::vm::Vcpu;

const NOT_SUPPORTED_32: u64 = 0xffff_ffff;

fn vm(vcpus: usize) -> Vm {
    crate::fake::vm(vcpus)
}

fn call(vm: &mut Vm, function: u32, arguments: [u64; 3]) -> (u64, Action) {
    let call = FirmwareCall { function, arguments };
    let (reply, action) = answer(&call, vm, 0, &Options::default(), &mut Random::new(1));
    (reply[0], action)
}

fn value(vm: &mut Vm, function: u32, arguments: [u64; 3]) -> i64 {
    call(vm, function, arguments).0.cast_signed()
}

#[test]
fn features_are_those_observed_on_the_real_hypervisor() {
    let vm = &mut vm(1);
    let minus_one = NOT_SUPPORTED_32;
    let observed = [
        0, 2, 0, 0, 0, minus_one, minus_one, minus_one, 0, 0, 0, minus_one, 0, minus_one,
        minus_one, 0, minus_one,
    ];
    for (function, expected) in observed.into_iter().enumerate() {
        let asked = 0x8400_0000 | function as u64;
        let (found, _) = call(vm, 0x8400_000a, [asked, 0, 0]);
        assert_eq!(found, expected, "function {function:#x}");
    }
    assert_eq!(value(vm, 0x8400_000a, [0x8000_0000, 0, 0]), 0);
    assert_eq!(value(vm, 0x8400_000a, [0xc400_0001, 0, 0]), 2);
    assert_eq!(value(vm, 0x8400_000a, [0xc400_0012, 0, 0]), 0);
    assert_eq!(value(vm, 0x8400_000a, [0xc400_0008, 0, 0]), NOT_SUPPORTED_32.cast_signed());
}

#[test]
fn discovery_answers_as_observed() {
    let mut vm = vm(1);
    let mut reply = |function| {
        let call = FirmwareCall { function, arguments: [0; 3] };
        answer(&call, &mut vm, 0, &Options::default(), &mut Random::new(1)).0
    };
    let uid = [0xcd8f_d5c1, 0xdb5f_53a4, 0x36ce_6592, 0x145f_3d67];
    assert_eq!(reply(0x8600_ff01), uid);
    assert_eq!(reply(0x8500_ff01), uid);
    assert_eq!(reply(0x8600_ff03), [0x5100_0000_0000_8001, 0, 0, 0]);
    assert_eq!(reply(0x8500_ff03), [1, 0, 0, 0]);
    assert_eq!(reply(0x8600_ff00)[0], u64::MAX);
    assert_eq!(reply(0x8000_0000), [0x1_0003, 0, 0, 0]);
    assert_eq!(reply(0x8400_0000), [0x1_0001, 0, 0, 0]);
    assert_eq!(reply(trng::VERSION), [0x1_0000, 0, 0, 0]);
    assert_eq!(reply(function::PV_TIME_FEATURES)[0], u64::MAX);
    assert_eq!(reply(0x8400_0005)[0], u64::MAX);
}

#[test]
fn without_a_trng_its_functions_are_unknown() {
    let (mut vm, options) = (vm(1), Options { no_trng: true, ..Options::default() });
    let mut reply = |function, argument| {
        let call = FirmwareCall { function, arguments: [argument, 0, 0] };
        answer(&call, &mut vm, 0, &options, &mut Random::new(1)).0
    };
    for function in [trng::VERSION, trng::FEATURES, trng::GET_UUID, trng::RND32, trng::RND64] {
        assert_eq!(reply(function, 64), [u64::MAX, 0, 0, 0], "{function:#x}");
    }
    assert_eq!(reply(0x8400_000a, trng::VERSION.into())[0], NOT_SUPPORTED_32);
    assert_eq!(reply(0x8400_0000, 0), [0x1_0001, 0, 0, 0]);
}

#[test]
fn cpu_on_and_affinity_info_as_observed_in_a_vm_of_two() {
    let vm = &mut vm(2);
    let (result, action) = call(vm, 0xc400_0003, [1, 0x8000_1000, 0x77]);
    assert_eq!(result, 0);
    assert_eq!(action, Action::StartVcpu { vcpu: 1, entry: 0x8000_1000, context: 0x77 });
    assert_eq!(value(vm, 0xc400_0003, [0, 0, 0]), -4);
    assert_eq!(value(vm, 0xc400_0003, [1, 0, 0]), -4);
    assert_eq!(value(vm, 0xc400_0003, [7, 0, 0]), -6);
    assert_eq!(value(vm, 0xc400_0003, [0x100, 0, 0]), -2);
    assert_eq!(value(vm, 0x8400_0003, [8, 0, 0]), 0xffff_fffe);

    assert_eq!(value(vm, 0xc400_0004, [1, 0, 0]), 0);
    let off = FirmwareCall { function: 0x8400_0002, arguments: [0; 3] };
    assert_eq!(answer(&off, vm, 1, &Options::default(), &mut Random::new(1)).1, Action::VcpuOff);
    assert_eq!(value(vm, 0xc400_0004, [1, 0, 0]), 1);
    assert_eq!(value(vm, 0xc400_0004, [0, 1, 0]), -2);
    assert_eq!(value(vm, 0xc400_0004, [7, 0, 0]), -2);
}

#[test]
fn the_last_running_cpu_may_not_go_off() {
    let vm = &mut vm(1);
    let denied = call(vm, 0x8400_0002, [0; 3]);
    assert_eq!(denied, (0xffff_fffd, Action::Resume));
}

#[test]
fn the_system_calls_end_the_vm() {
    let vm = &mut vm(1);
    let mut end = |function, arguments| call(vm, function, arguments).1;
    assert_eq!(end(0x8400_0008, [0; 3]), Action::End(VmEnd::Off));
    assert_eq!(end(0x8400_0009, [0; 3]), Action::End(VmEnd::Reset));
    for function in [0x8400_0012, 0xc400_0012] {
        let expected = VmEnd::Reset2 { reset_type: 0x8000_0007, cookie: 5 };
        assert_eq!(end(function, [0x8000_0007, 5, 0]), Action::End(expected));
    }
    assert_eq!(end(0x8400_0001, [0; 3]), Action::Wait);
}

#[test]
fn only_platform_coordinated_suspend_exists() {
    let vm = &mut vm(1);
    assert_eq!(value(vm, 0x8400_000f, [0, 0, 0]), 0);
    assert_eq!(value(vm, 0x8400_000f, [1, 0, 0]), 0xffff_fffe);
}

#[test]
fn calls_print_their_names() {
    let call = |function| FirmwareCall { function, arguments: [1, 2, 3] }.to_string();
    assert_eq!(call(0xc400_0003), "CPU_ON(0x1, 0x2, 0x3)");
    assert_eq!(call(0x8600_ff01), "VENDOR_HYP_CALL_UID(0x1, 0x2, 0x3)");
    assert_eq!(call(0x8200_0001), "SMCCC function 0x82000001(0x1, 0x2, 0x3)");
}

#[test]
fn vcpus_start_with_the_first_on() {
    assert_eq!(Vcpu::at_start(true).power, PowerState::On);
    assert_eq!(Vcpu::at_start(false).power, PowerState::Off);
}
