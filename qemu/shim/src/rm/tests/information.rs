//! Who can be looked up, and what is told about whom.

use super::*;
use crate::machine_file::VmConfig;

const GUID: &str = "00112233445566778899aabbccddeeff";

/// A rig of the recorded VM, which owns a second one.
fn two() -> Rig {
    let mut file = MachineFile::of(VmConfig { uri: Some("vm:probe".into()), ..config() });
    let mut guid = [0; 16];
    guid.copy_from_slice(&hex(GUID));
    let name = "second".into();
    file.vms.push(VmConfig { vmid: 0x81, owner: 0x80, name, guid, vcpus: 2, ..config() });
    Rig::new(&file)
}

fn text(text: &str) -> Vec<u8> {
    let mut content = vec![text.len() as u8, 0, 0, 0];
    content.extend(text.as_bytes());
    content.resize(content.len().next_multiple_of(4), 0);
    content
}

#[test]
fn vms_are_found_by_name_uri_and_guid() {
    let mut rig = two();
    for (id, content, reply) in [
        (0x5600_0013, text("second"), "00000000 01000000 81000000"),
        (0x5600_0013, text("probe-svm"), "00000000 01000000 80000000"),
        (0x5600_0013, text("nobody"), "00000000 00000000"),
        (0x5600_0013, text("seco"), "00000000 00000000"),
        (0x5600_0011, text("vm:probe"), "00000000 01000000 80000000"),
        (0x5600_0011, text("second"), "00000000 00000000"),
        (0x5600_0012, hex(GUID), "00000000 01000000 81000000"),
        (0x5600_0012, vec![1; 16], "00000000 00000000"),
    ] {
        assert_eq!(rig.call(id, 1, &content)[8..], hex(reply), "{id:#x} {content:?}");
    }
}

#[test]
fn lengths_of_lookups_are_checked() {
    let mut rig = two();
    for (id, content) in [
        (0x5600_0012, hex("00")),
        (0x5600_0012, vec![0; 20]),
        (0x5600_0013, hex("05000000 6162")),
        (0x5600_0013, hex("01000000 61")),
        (0x5600_0011, vec![]),
        (0x5600_0025, hex("00000000")),
        (0x5600_0019, vec![]),
    ] {
        assert_eq!(error(&rig.call(id, 1, &content)), 4, "{id:#x} {content:?}");
    }
}

#[test]
fn an_identity_has_what_the_machine_file_gives() {
    let mut rig = two();
    let own = hex("00000000 04000000 00001000 00000000 00000000 00000000 00000000 \
         01000800 766d3a70726f6265 02000900 70726f62652d73766d000000 03000300 4e2f4100");
    assert_eq!(rig.call(0x5600_0010, 1, &hex("00000000"))[8..], own);
    assert_eq!(rig.call(0x5600_0010, 1, &hex("80000000"))[8..], own);
    let other = rig.call(0x5600_0010, 1, &hex("81000000"));
    assert_eq!(other[12..36], [&hex("03000000 00001000"), &hex(GUID)[..]].concat());
}

#[test]
fn peers_are_those_that_something_is_shared_with() {
    let mut rig = two();
    assert_eq!(rig.call(0x5600_0025, 1, &[])[8..], hex("00000000 01000000 03000000"));
}

#[test]
fn a_crash_message_is_for_the_owner() {
    let mut rig = two();
    assert_eq!(rig.call(0x5600_0019, 1, &hex("81000000"))[8..], hex("00000000 00000000"));
    let link = rig.machine.rm.link_of(VmIndex(1)).unwrap();
    rig.machine.rm.links[link].crash_message = b"oops!".to_vec();
    let reply = rig.call(0x5600_0019, 1, &hex("81000000"));
    assert_eq!(reply[8..], hex("00000000 05000000 6f6f707321 000000"));
    for target in ["00000000", "80000000", "03000000", "44000000"] {
        assert_eq!(error(&rig.call(0x5600_0019, 1, &hex(target))), 0xd, "{target}");
    }
}

#[test]
fn the_vcpus_of_a_vm_are_among_its_owners_resources() {
    let mut rig = two();
    let reply = rig.call(0x5600_0020, 1, &hex("81000000"));
    assert_eq!(reply[8..16], hex("00000000 02000000"));
    let second = hex("04008100 00000000 01000000 ffffffff ffffffff 00000000 ffffffff \
         00000000 00000000 00000000 00000000");
    assert_eq!(reply[16 + 44..], second);
}

#[test]
fn peers_hear_of_a_status() {
    let mut first = VmConfig { vmid: 0x10, ..config() };
    first.doorbells[0].peer = 0x11;
    let mut file = MachineFile::of(first);
    file.vms.push(VmConfig { vmid: 0x11, owner: 0x10, ..config() });
    let mut rig = Rig::new(&file);
    assert_eq!(error(&rig.call(0x5600_0080, 1, &hex("00043412"))), 0);
    let answers = rig.machine.rm.answers_queue(VmIndex(1)).unwrap();
    let news = rig.machine.objects.queue(answers).receive_bytes(&mut rig.signals).unwrap();
    assert_eq!(news, hex("21030100 08001056 10000000 03043412"));
    assert_eq!(error(&rig.call(0x5600_0080, 1, &hex("000434"))), 4);
}
