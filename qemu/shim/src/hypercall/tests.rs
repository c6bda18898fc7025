//! The answers seen on the real hypervisor; no register value does harm.

use proptest::prelude::*;

use super::*;
use crate::fake::Signal;
use crate::fake::rig::{BASE, Rig, config};
use crate::machine_file::MachineFile;

const UNMAPPED: u64 = 0x9000_0000;
const MINUS_ONE: u64 = u64::MAX;

fn rig() -> Rig {
    let mut rig = Rig::new(&MachineFile::of(config()));
    // The recorded peer sent only what the test says.
    rig.run();
    rig
}

fn silent() -> Rig {
    let mut rig = Rig::scripted("silent on");
    rig.run();
    rig
}

#[test]
fn queue_calls_answer_as_recorded() {
    let mut rig = silent();
    let send = 0x1b;
    assert_eq!(rig.native(send, &[4, 14, BASE, 0, 0]), [0, 1]);
    for (size, address) in [(0, BASE), (241, BASE), (14, UNMAPPED)] {
        assert_eq!(rig.native(send, &[4, size, address, 0, 0]), [0, 1]);
    }
    assert_eq!(rig.native(send, &[99, 14, BASE, 0, 0]), [1, 0]);
    assert_eq!(rig.native(send, &[5, 14, BASE, 0, 0]), [0x35, 0]);
    assert_eq!(rig.native(send, &[2, 14, BASE, 0, 0]), [0x34, 0]);
    assert_eq!(rig.native(send, &[6, 14, BASE, 0, 0]), [50, 0]);
}

#[test]
fn receiving_answers_as_recorded() {
    let mut rig = Rig::scripted("send 9 \"fourteen bytes\"");
    rig.run();
    assert_eq!(rig.signals.take(), [Signal::Assert(964)]);
    let receive = 0x1c;
    assert_eq!(rig.native(receive, &[5, BASE, 13, 0]), [0, 0, 1]);
    assert_eq!(rig.native(receive, &[5, UNMAPPED, 240, 0]), [0, 0, 1]);
    assert_eq!(rig.native(receive, &[5, BASE, 240, 0]), [0, 14, 0]);
    assert_eq!(rig.memory.bytes[..14], *b"fourteen bytes");
    assert_eq!(rig.native(receive, &[5, BASE, 240, 0]), [0x3c, 0, 0]);
}

#[test]
fn documented_errors_are_a_switch() {
    let mut vm = config();
    vm.set_script("send 9 message");
    let mut file = MachineFile::of(vm);
    file.options.documented_errors = true;
    let mut rig = Rig::new(&file);
    rig.run();
    assert_eq!(rig.native(0x1b, &[4, 0, BASE, 0, 0]), [2, 0]);
    assert_eq!(rig.native(0x1b, &[4, 241, BASE, 0, 0]), [2, 0]);
    assert_eq!(rig.native(0x1b, &[4, 14, UNMAPPED, 0, 0]), [22, 0]);
    assert_eq!(rig.native(0x1c, &[5, BASE, 6, 0]), [20, 0, 0]);
    assert_eq!(rig.native(0x1c, &[5, UNMAPPED, 240, 0]), [22, 0, 0]);
    assert_eq!(rig.native(0x1c, &[5, BASE, 240, 0]), [0, 7, 0]);
}

#[test]
fn a_full_queue_refuses_and_then_tells_the_sender() {
    let mut rig = silent();
    for index in 1..=8 {
        let not_full = u64::from(index < 8);
        assert_eq!(rig.native(0x1b, &[4, 1, BASE, 0, 0]), [0, not_full]);
    }
    assert_eq!(rig.native(0x1b, &[4, 1, BASE, 1, 0]), [61, 0]);
    assert!(rig.signals.take().is_empty());
    rig.run();
    assert_eq!(rig.signals.take(), [Signal::Assert(963)]);
}

#[test]
fn doorbell_calls_answer_as_recorded() {
    let mut rig = Rig::scripted("ring 7 0x100");
    rig.run();
    assert_eq!(rig.signals.take(), [Signal::Assert(962)]);
    let receive = 0x13;
    assert_eq!(rig.native(receive, &[2, MINUS_ONE, 0]), [0, 0x100]);
    assert_eq!(rig.native(receive, &[2, MINUS_ONE, 0]), [0, 0]);
    assert_eq!(rig.native(receive, &[2, 0, 0]), [1, 0]);
    assert_eq!(rig.native(receive, &[3, MINUS_ONE, 0]), [0x35, 0]);
    assert_eq!(rig.native(0x12, &[3, 1, 1]), [1, 0]);
    assert_eq!(rig.smccc(0xc600_8012, &[3, 1, 1]), [0, 0]);
    assert_eq!(rig.native(0x12, &[3, 2, 0]), [0, 1]);
    assert_eq!(rig.native(0x15, &[2, 0, 0, 0]), [0, 0]);
    assert_eq!(rig.native(0x15, &[2, 0, 0, 1]), [1, 0]);
    assert_eq!(rig.native(0x14, &[2, 0]), [0, 0]);
}

#[test]
fn a_source_that_can_clear_may_receive() {
    let mut vm = config();
    vm.sources[0].can_clear = true;
    let mut rig = Rig::new(&MachineFile::of(vm));
    assert_eq!(rig.native(0x12, &[3, 5, 0]), [0, 0]);
    assert_eq!(rig.native(0x13, &[3, 1, 0]), [0, 5]);
    assert_eq!(rig.native(0x12, &[3, 0, 0]), [0, 4]);
}

#[test]
fn unknown_numbers_answer_minus_one_in_both_forms() {
    let mut rig = rig();
    for number in [0x08, 0x09, 0x33, 0x40, 0x63, 0x69, 0x1ff] {
        assert_eq!(rig.native(number, &[]), [MINUS_ONE, 0]);
        let function = 0xc600_8000 | u32::from(number);
        assert_eq!(rig.smccc(function, &[]), [MINUS_ONE, 0]);
    }
    for function in [
        0xc600_0000,
        0xc600_1234,
        0x8600_8000,
        0x4600_8000,
        0xc602_8000,
        0xc600_bfff,
        0x8600_ff02,
        0x8200_0001,
    ] {
        assert_eq!(rig.smccc(function, &[]), [MINUS_ONE, 0], "{function:#x}");
    }
    for immediate in [1, 0x5fff, 0x6200, 0x6fff, 0xffff] {
        let mut registers = [7; 18];
        assert_eq!(rig.hvc(immediate, &mut registers), Action::Resume);
        assert_eq!(registers[0], MINUS_ONE, "{immediate:#x}");
        assert_eq!(registers[8..], [7; 10]);
    }
}

#[test]
fn both_forms_identify_the_same_hypervisor() {
    let mut rig = rig();
    let words = [0x5100_0000_0000_8001, 0x1000_0eff, 0, 0];
    assert_eq!(rig.native(0, &[]), words);
    assert_eq!(rig.smccc(0xc600_8000, &[]), words);
    assert_eq!(rig.smccc(0xc601_8000, &[]), words);
    let mut registers = [0; 18];
    registers[0] = 0xc600_8000;
    assert_eq!(rig.hvc(0, &mut registers), Action::Resume);
    assert_eq!(registers[..4], words);
}

#[test]
fn calls_without_a_capability_get_the_lookups_error() {
    let mut rig = rig();
    let undecodable = 1;
    let empty = 50;
    let wrong_type = 52;
    let no_right = 53;
    for number in [0x01, 0x22, 0x2b, 0x38, 0x39, 0x45, 0x65, 0x68] {
        assert_eq!(rig.native(number, &[99]), [undecodable]);
        assert_eq!(rig.native(number, &[60]), [empty]);
        assert_eq!(rig.native(number, &[0]), [wrong_type]);
    }
    assert_eq!(rig.native(0x10, &[2]), [no_right]);
    assert_eq!(rig.native(0x17, &[0]), [no_right]);
    assert_eq!(rig.native(0x18, &[1]), [no_right]);
    assert_eq!(rig.native(0x21, &[4]), [no_right]);
    assert_eq!(rig.native(0x0c, &[2]), [no_right]);
    assert_eq!(rig.native(0x0e, &[60]), [empty]);
    assert_eq!(rig.native(0x61, &[0, 99]), [undecodable]);
}

#[test]
fn random_ids_decode_only_where_one_is_held() {
    let mut vm = config();
    vm.doorbells[0].cap = 0x7c2f_0a11_d3e9_5b38;
    let mut rig = Rig::new(&MachineFile::of(vm));
    assert_eq!(rig.native(0x13, &[2, 1, 0]), [1]);
    assert_eq!(rig.native(0x13, &[0x7c2f_0a11_d3e9_5b38, 1, 0]), [0]);
}

#[test]
fn configuring_takes_all_ones_and_thresholds() {
    let mut rig = silent();
    let (send, receive, keep) = (0x1f, 0x20, MINUS_ONE);
    assert_eq!(rig.native(send, &[4, keep, keep, keep]), [0]);
    assert_eq!(rig.native(send, &[4, keep, keep, 0]), [1]);
    assert_eq!(rig.native(send, &[4, 7, keep, keep]), [0]);
    assert_eq!(rig.native(send, &[4, 8, keep, keep]), [1]);
    assert_eq!(rig.native(send, &[4, 7, 0, keep]), [MINUS_ONE]);
    assert_eq!(rig.native(send, &[5, 7, keep, keep]), [0x35]);
    assert_eq!(rig.native(send, &[4, 0xffff_ffff, keep, keep]), [0]);
    assert_eq!(rig.signals.take(), [Signal::Assert(963); 3]);
    assert_eq!(rig.native(receive, &[5, 0, keep, keep]), [1]);
    assert_eq!(rig.native(receive, &[5, 8, keep, keep]), [0]);
    assert_eq!(rig.native(receive, &[5, MINUS_ONE - 1, keep, keep]), [0]);
    assert_eq!(rig.native(receive, &[5, 1, 5, keep]), [MINUS_ONE]);
    assert_eq!(rig.native(0x1d, &[5, 0]), [0]);
    assert_eq!(rig.native(0x1d, &[5, 1]), [1]);
}

#[test]
fn entropy_is_limited_in_size_and_rate() {
    let mut rig = rig();
    let entropy = 0x57;
    for (bytes, error) in [(0, 2), (17, 2), (MINUS_ONE, 2), (6, 3)] {
        assert_eq!(rig.native(entropy, &[bytes, 0]), [error]);
    }
    let words: [u64; 5] = rig.native(entropy, &[8, 0]);
    assert!(words[1] != 0 && words[2] != 0 && words[1..].iter().all(|w| *w <= 0xffff_ffff));
    assert_eq!((words[0], words[3], words[4]), (0, 0, 0));
    for _ in 0..3 {
        assert_eq!(rig.smccc(0xc600_8057, &[16, 0]), [0]);
    }
    assert_eq!(rig.native(entropy, &[16, 0]), [31]);
    rig.clock.0.set(33_000_000);
    assert_eq!(rig.native(entropy, &[16, 0]), [0]);
}

#[test]
fn yielding_lets_others_run() {
    let mut rig = rig();
    let mut registers = [0; 18];
    assert_eq!(rig.hvc(0x603b, &mut registers), Action::Yield);
    assert_eq!(rig.native(0x3b, &[2, 0, 0]), [0]);
    assert_eq!(rig.native(0x3b, &[1, 99, 0]), [1]);
    assert_eq!(rig.native(0x3b, &[3, 0, 0]), [1]);
    assert_eq!(rig.native(0x3f, &[6, 2, 0]), [0, 4]);
    assert_eq!(rig.native(0x3f, &[0, 0, 0]), [0, 4]);
}

#[test]
fn calls_and_answers_print_readably() {
    let registers = [4, 14, 0x8000_1000, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let call = Call::native(0x601b, &registers).unwrap();
    assert_eq!(call.to_string(), "MSGQUEUE_SEND(0x4, 0xe, 0x80001000, 0x1)");
    let call = Call::smccc(0x22, &registers);
    assert_eq!(call.to_string(), "hypercall 0x22(0xe, 0x80001000, 0x1, 0x0) by SMCCC");
    assert_eq!(Answer::ok(&[1]).to_string(), "OK 0x1");
    assert_eq!(Answer::error(Error::MsgqueueFull).to_string(), "MSGQUEUE_FULL (61) 0x0");
}

fn register() -> impl Strategy<Value = u64> {
    prop_oneof![0..10u64, BASE - 8..BASE + 0x4010, any::<u64>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_registers_do_harm(
        calls in proptest::collection::vec(
            (0..0x70u16, any::<bool>(), proptest::collection::vec(register(), 8)),
            1..60,
        ),
    ) {
        let mut rig = rig();
        for (number, native, arguments) in calls {
            if native {
                let [_x0] = rig.native(number, &arguments);
            } else {
                let [_x0] = rig.smccc(0xc600_8000 | u32::from(number), &arguments[..7]);
            }
            let _ = rig.pump();
        }
    }

    #[test]
    fn no_function_id_does_harm(function in any::<u32>(), arguments in any::<[u64; 3]>()) {
        let [_x0] = rig().smccc(function, &arguments);
    }
}
