//! Exchanges recorded on the real Resource Manager; no packet does harm.

use gunyah_abi::rm::RmError;
use proptest::prelude::*;

use super::*;
use crate::fake::Signal;
use crate::fake::rig::{Rig, config};
use crate::machine::{AfterEnd, Event, Machine, Outcome};
use crate::machine_file::MachineFile;

mod behaviour;
mod information;
mod memory;

const VM: VmIndex = VmIndex(0);
const WRITE: u32 = 0x5600_0083;

/// Hex digits to bytes; blanks and dots are for the reader.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pairs = digits.chunks(2).map(|pair| core::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

fn error(reply: &[u8]) -> u32 {
    u32::from_le_bytes(reply[8..12].try_into().unwrap())
}

fn write_content(target: u16, text: &[u8]) -> Vec<u8> {
    let length = text.len() as u16;
    [&target.to_le_bytes()[..], &length.to_le_bytes(), text].concat()
}

/// Sends a request in as many packets as it needs.
fn send_fragmented(rig: &mut Rig, id: u32, sequence: u16, content: &[u8]) {
    let extra = (content.len().saturating_sub(1) / 232) as u8;
    for (index, part) in content.chunks(232).enumerate() {
        let kind = u8::from(index == 0);
        let mut packet = vec![0x21, kind | extra << 2];
        packet.extend(sequence.to_le_bytes());
        packet.extend(id.to_le_bytes());
        packet.extend(part);
        assert_eq!(rig.send(0, &packet), 0);
        rig.run();
    }
}

fn rig() -> Rig {
    Rig::new(&MachineFile::of(config()))
}

#[test]
fn replies_are_those_recorded() {
    let mut rig = rig();
    let get_id =
        hex("21020100 10000056 00000000 03000000 00001000 00000000 00000000 00000000 00000000 \
         02000900 70726f62652d73766d 000000 03000300 4e2f41 00");
    assert_eq!(rig.call(0x5600_0010, 1, &[0; 4]), get_id);
    assert_eq!(rig.signals.take(), [Signal::Assert(961)]);
    for (id, sequence, content, reply) in [
        (0x5600_00a0, 2, "", "21020200 a0000056 00000000 64010001"),
        (0x5600_0081, 3, "00000000", "21020300 81000056 00000000"),
        (WRITE, 4, "00000200 6869", "21020400 83000056 00000000"),
        (0x5600_0020, 5, "00000000", "21020500 20000056 06000000"),
        (0x5600_0080, 6, "00040000", "21020600 80000056 03000000"),
        (0x5600_0fff, 7, "", "21020700 ff0f0056 ffffffff"),
        (0x5600_0024, 8, "", "21020800 24000056 00000000 80000000"),
        (0x5600_0015, 9, "", "21020900 15000056 00000000 03000000"),
        (0x5600_0017, 10, "00000000", "21020a00 17000056 00000000 03000000"),
        (0x5600_0017, 11, "03000000", "21020b00 17000056 00000000 03000000"),
    ] {
        let reply = hex(reply);
        assert_eq!(rig.call(id, sequence, &hex(content)), reply, "{id:#x}");
        assert_eq!(rig.signals.take(), [Signal::Assert(961)]);
    }
    assert_eq!(rig.line.output, b"hi");
}

#[test]
fn lengths_are_checked_to_the_byte() {
    let mut rig = rig();
    rig.open_console();
    let invalid = RmError::MsgInvalid.code();
    for (id, content) in [
        (0x5600_0010, "0000"),
        (0x5600_0015, "00000000"),
        (0x5600_0017, ""),
        (0x5600_0020, "0000000000"),
        (0x5600_0024, "00000000"),
        (0x5600_00a0, "00"),
        (0x5600_0080, "000400"),
        (0x5600_0081, ""),
        (0x5600_0082, "0000000000000000"),
        (0x5600_0084, "000000"),
        (WRITE, "00000300 6869"),
        (WRITE, "00000100 68000000"),
        (WRITE, "0000"),
        (0x5600_0085, "0000"),
        (0x5600_0085, "00000200"),
        (0x5600_0085, "00000500"),
        (0x5600_0086, "01000000"),
        (0x5600_0086, "01000000 68"),
        (0x5600_0086, "01000000 6800000000000000"),
        (0x5600_0086, "00"),
    ] {
        let reply = rig.call(id, 3, &hex(content));
        assert_eq!(error(&reply), invalid, "{id:#x} {content}");
        assert_eq!(reply.len(), 12);
    }
}

#[test]
fn console_checks_come_in_order() {
    let mut rig = Rig::scripted("never-open\nwait console \"x\"\nopen");
    let (ok, denied, no_console) = (0, 3, 6);
    let write = |rig: &mut Rig, target| error(&rig.call(WRITE, 1, &write_content(target, b"x")));
    assert_eq!(write(&mut rig, 0), denied);
    assert_eq!(write(&mut rig, 0x80), denied);
    assert_eq!(write(&mut rig, 3), no_console);
    assert_eq!(write(&mut rig, 0x81), no_console);
    for target in [[0x80, 0, 0, 0], [0; 4]] {
        let open = error(&rig.call(0x5600_0081, 2, &target));
        assert_eq!(open, if target[0] == 0 { ok } else { denied });
    }
    assert_eq!(write(&mut rig, 0), ok);
    assert_eq!(rig.line.output, b"");
    assert_eq!(error(&rig.call(0x5600_0084, 3, &[0; 4])), ok);
    rig.machine_open();
    assert_eq!(write(&mut rig, 0), ok);
    assert_eq!(error(&rig.call(WRITE, 4, &write_content(0, b""))), ok);
    assert_eq!(rig.line.output, b"x");
    for _ in 0..2 {
        assert_eq!(error(&rig.call(0x5600_0082, 5, &[0; 4])), ok);
    }
    assert_eq!(write(&mut rig, 0), denied);
    assert_eq!(error(&rig.call(0x5600_0084, 6, &[0; 4])), denied);
}

#[test]
fn a_vm_may_own_the_console_of_another() {
    let mut file = MachineFile::of(config());
    file.vms.push(crate::machine_file::VmConfig { vmid: 0x81, owner: 0x80, ..config() });
    let mut rig = Rig::new(&file);
    let other = [0x81, 0, 0, 0];
    assert_eq!(error(&rig.call(WRITE, 1, &write_content(0x81, b"x"))), 3);
    assert_eq!(error(&rig.call(0x5600_0081, 2, &other)), 0);
    assert_eq!(error(&rig.call(WRITE, 3, &write_content(0x81, b"x"))), 0);
    assert_eq!(error(&rig.call(0x5600_0084, 4, &other)), 0);
    assert_eq!(error(&rig.call(0x5600_0017, 5, &other)), 0);
    assert_eq!(rig.line.output, b"");
}

#[test]
fn a_hidden_console_is_no_console() {
    let mut file = MachineFile::of(config());
    file.options.hide_rm_console = true;
    let mut rig = Rig::new(&file);
    for id in 0x5600_0081..=0x5600_0084 {
        assert_eq!(error(&rig.call(id, 1, &[0; 4])), 6);
    }
}

#[test]
fn long_writes_come_in_fragments_up_to_the_limit() {
    for length in [228, 229, 1000, 14_000, 14_612] {
        let mut rig = rig();
        rig.open_console();
        let text: Vec<u8> = (0..length).map(|index| index as u8).collect();
        send_fragmented(&mut rig, WRITE, 5, &write_content(0, &text));
        assert_eq!(rig.drain(), [hex("21020500 83000056 00000000")]);
        assert!(rig.line.output == text, "{length} bytes");
    }
    let mut rig = rig();
    rig.open_console();
    send_fragmented(&mut rig, WRITE, 5, &write_content(0, &[b'x'; 14_613]));
    assert!(rig.drain().is_empty());
    assert!(rig.line.output.is_empty());
}

#[test]
fn long_input_comes_as_one_message_of_fragments() {
    let mut rig = Rig::scripted("wait open\nflood 1000 1000");
    rig.open_console();
    let packets = rig.drain();
    assert_eq!(packets.len(), 5);
    assert_eq!(packets[0][..2], [0x21, 3 | 4 << 2]);
    assert_eq!(packets[0][4..12], hex("80001056 0000e803"));
    for packet in &packets[1..] {
        assert_eq!(packet[..2], [0x21, 4 << 2]);
        assert_eq!(packet[2..8], packets[0][2..8]);
    }
    let length: usize = packets.iter().map(|packet| packet.len() - 8).sum();
    assert_eq!(length, 1004);
}

#[test]
fn a_guest_that_does_not_drain_loses_the_oldest_that_wait() {
    let mut rig = rig();
    rig.open_console();
    for number in 0..300u16 {
        rig.owner_write(&number.to_le_bytes()).unwrap();
    }
    let numbers: Vec<u16> = rig
        .drain()
        .iter()
        .map(|packet| u16::from_le_bytes(packet[12..14].try_into().unwrap()))
        .collect();
    let expected: Vec<u16> = (0..9).chain(44..300).collect();
    assert_eq!(numbers, expected);
}

#[test]
fn memory_for_a_guest_that_does_not_drain_is_bounded() {
    let mut rig = rig();
    rig.open_console();
    let mut refused = 0;
    for _ in 0..200 {
        match rig.owner_write(&[b'x'; 1000]) {
            Ok(()) => {}
            Err(RmError::Nomem) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!((50..150).contains(&refused), "{refused}");
    rig.drain();
    assert_eq!(rig.owner_write(&[b'x'; 1000]), Ok(()));
}

#[test]
fn a_reply_overtakes_notifications_that_wait() {
    let mut rig = rig();
    rig.open_console();
    for _ in 0..20 {
        rig.owner_write(b"x").unwrap();
    }
    rig.request(MessageId::VM_GET_VMID, 9, &[]);
    rig.run();
    let types: Vec<u8> = rig.drain().iter().map(|packet| packet[1] & 3).collect();
    assert_eq!(types.iter().position(|kind| *kind == 2), Some(9));
    assert_eq!(types.len(), 21);
}

#[test]
fn one_reply_waits_and_the_next_replaces_it() {
    let mut rig = rig();
    for sequence in 0..100 {
        rig.request(MessageId::VM_GET_VMID, sequence, &[]);
        rig.run();
    }
    let sequences: Vec<u8> = rig.drain().iter().map(|packet| packet[2]).collect();
    assert_eq!(sequences, [0, 1, 2, 3, 4, 5, 6, 7, 8, 99]);
}

#[test]
fn what_is_no_request_is_dropped_without_a_word() {
    let mut rig = rig();
    for packet in [
        "21",
        "21010100240000",
        "22010100 24000056",
        "31010100 24000056",
        "21000100 24000056",
        "21020100 24000056 00000000",
        "21030100 80001056 00000000",
        "21fd0100 24000056",
    ] {
        assert_eq!(rig.send(0, &hex(packet)), 0);
        rig.run();
        assert_eq!(rig.receive(1), None, "{packet}");
    }
    // A continuation of something else, then the right one; a new message drops the incomplete one.
    let first = "21050100 83000056 00000200 68";
    for (packets, replies) in [
        (vec![first, "21040200 83000056 69", "21040100 83000056 69"], 1),
        (vec![first, "21040100 84000056 69"], 0),
        (vec![first, "21080100 83000056 69"], 0),
        (vec![first, "21010500 24000056", "21040100 83000056 69"], 1),
    ] {
        for packet in &packets {
            assert_eq!(rig.send(0, &hex(packet)), 0);
        }
        rig.run();
        assert_eq!(rig.drain().len(), replies, "{packets:?}");
    }
}

#[test]
fn resources_shared_with_the_owner_are_listed() {
    let mut rig = rig();
    send_fragmented(&mut rig, 0x5600_0020, 1, &hex("03000000"));
    let reply = rig.drain().concat();
    assert_eq!(reply[8..16], hex("00000000 04000000"));
    let doorbell = hex("01000300 00000000 07000000 02000000 00000000 00000000 c2030000 \
         00000000 00000000 00000000 00000000");
    assert_eq!(reply[16..60], doorbell);
    assert_eq!(error(&rig.call(0x5600_0020, 2, &hex("80000000"))), 0);
    assert_eq!(error(&rig.call(0x5600_0020, 2, &hex("44000000"))), 6);
    assert_eq!(error(&rig.call(0x5600_0010, 2, &hex("44000000"))), 6);
    assert_eq!(error(&rig.call(0x5600_0017, 2, &hex("44000000"))), 6);
}

#[test]
fn a_static_vm_may_set_its_status() {
    let mut vm = config();
    vm.vmid = 0x10;
    let mut rig = Rig::new(&MachineFile::of(vm));
    assert_eq!(error(&rig.call(0x5600_0080, 1, &hex("00043412"))), 0);
    let state = rig.call(0x5600_0017, 2, &[0; 4]);
    assert_eq!(state[8..], hex("00000000 03043412"));
}

#[test]
fn vm_exit_ends_the_vm_without_a_reply() {
    for (content, end, outcome) in [
        ("00000000", VmEnd::Exit { flags: 0, code: 0 }, Some(0)),
        ("00000100", VmEnd::Exit { flags: 0, code: 1 }, Some(5)),
        ("01000000", VmEnd::Exit { flags: 1, code: 0 }, None),
    ] {
        let mut rig = rig();
        rig.request(MessageId::VM_EXIT, 1, &hex(content));
        rig.request(MessageId::VM_GET_VMID, 2, &[]);
        assert_eq!(rig.pump(), Some(Event::Ended(VM, end)));
        assert_eq!(rig.receive(1), None);
        let after = match rig.end(end) {
            AfterEnd::Restart => None,
            AfterEnd::Finished(outcome) => Some(outcome.exit_status()),
        };
        assert_eq!(after, outcome);
    }
}

#[test]
fn crash_messages_are_cut_and_make_the_end_a_failure() {
    let mut rig = rig();
    let mut content = hex("c8000000");
    content.extend([b'!'; 200]);
    assert_eq!(error(&rig.call(0x5600_0086, 1, &content)), 0);
    assert_eq!(rig.machine_crash_message(), [b'!'; 192]);
    let hello = hex("02000000 68690000");
    assert_eq!(error(&rig.call(0x5600_0086, 1, &hello)), 0);
    let after = rig.end(VmEnd::Off);
    let reason = "SYSTEM_OFF after the crash message \"hi\"".into();
    assert_eq!(after, AfterEnd::Finished(Outcome::Failure(reason)));
}

fn packet() -> impl Strategy<Value = Vec<u8>> {
    let header = (
        prop_oneof![9 => Just(0x21u8), 1 => any::<u8>()],
        prop_oneof![Just(1u8), 0..16u8, any::<u8>()],
        0..3u16,
        prop_oneof![(0..0x100u32).prop_map(|id| 0x5600_0000 | id), Just(WRITE), any::<u32>()],
    );
    let content = proptest::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..232);
    (header, content).prop_map(|((version, kind, sequence, id), content)| {
        let mut packet = vec![version, kind];
        packet.extend(sequence.to_le_bytes());
        packet.extend(id.to_le_bytes());
        packet.extend(content);
        packet
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_packet_does_harm(packets in proptest::collection::vec(packet(), 1..80), drain in any::<bool>()) {
        let mut rig = rig();
        for packet in &packets {
            prop_assert!([0, 61].contains(&rig.send(0, packet)));
            let _ = rig.pump();
            if drain {
                while rig.receive(1).is_some() {}
            }
        }
        prop_assert!(rig.machine_backlog() <= 258);
    }
}
