//! What a script can make go wrong, as the guest sees it.

use super::*;

/// The reply to GET_VMID, sequence 1, if nothing goes wrong.
const REPLY: [u8; 16] = [0x21, 2, 1, 0, 0x24, 0, 0, 0x56, 0, 0, 0, 0, 0x80, 0, 0, 0];

fn replies(script: &str) -> Vec<Vec<u8>> {
    let mut rig = Rig::scripted(script);
    rig.run();
    rig.request(gunyah_abi::rm::MessageId::VM_GET_VMID, 1, &[]);
    rig.run();
    rig.drain()
}

#[test]
fn replies_go_wrong_as_the_script_says() {
    let changed = |place: usize, byte: u8| {
        let mut reply = REPLY.to_vec();
        reply[place] = byte;
        reply
    };
    let refused = [&REPLY[..8], &[5, 0, 0, 0]].concat();
    for (fault, expected) in [
        ("refuse 5", vec![refused]),
        ("drop", vec![]),
        ("lose", vec![]),
        ("twice", vec![REPLY.to_vec(); 2]),
        ("cut 9", vec![REPLY[..9].to_vec()]),
        ("pad 4", vec![[&REPLY[..], &[0; 4]].concat()]),
        ("repeat 0", vec![REPLY.to_vec(); 2]),
        ("announce 63", vec![changed(1, 0xfe)]),
        ("version 0x22", vec![changed(0, 0x22)]),
        ("sequence 2", vec![changed(2, 3)]),
        ("id VM_GET_OWNER", vec![changed(4, 0x15)]),
        ("pad 1000", vec![]),
    ] {
        assert_eq!(replies(&format!("rm VM_GET_VMID {fault}")), expected, "{fault}");
        // Other messages, and later ones, are well.
        assert_eq!(replies(&format!("rm VM_GET_OWNER {fault}")), [REPLY]);
    }
    assert_eq!(replies("rm 0x56000024 drop 0"), [REPLY]);
}

#[test]
fn packets_and_notifications_come_out_of_nowhere() {
    let script = "packet \"21 0201.00\"\nnotify 0x561000ff \"a\\x01\"\nrm CONSOLE_CHARS lose\n\
        wait open\nflood 3\nflood 2";
    let mut rig = Rig::scripted(script);
    rig.run();
    let unknown = [0x21, 3, 1, 0, 0xff, 0, 0x10, 0x56, b'a', 1];
    assert_eq!(rig.drain(), [&[0x21, 2, 1, 0][..], &unknown]);
    rig.open_console();
    assert_eq!(input(&rig.drain()), b"ab");
}

#[test]
fn a_broken_queue_delivers_messages_of_size_0() {
    let mut rig =
        Rig::scripted("broken 9 on\nbroken rm on\nsend 9 hello\nwait bells 1\nbroken 9 off");
    rig.run();
    for _ in 0..3 {
        assert_eq!(rig.native(0x1c, &[5, crate::fake::rig::BASE, 0x400, 0]), [0, 0, 1]);
    }
    rig.request(gunyah_abi::rm::MessageId::VM_GET_VMID, 1, &[]);
    rig.run();
    assert_eq!(rig.native(0x1c, &[1, crate::fake::rig::BASE, 0x400, 0]), [0, 0, 1]);
    assert_eq!(rig.native(0x12, &[3, 1, 0]), [0, 0]);
    rig.run();
    assert_eq!(rig.receive(5), Some(b"hello".to_vec()));
}

#[test]
fn interrupts_are_lost_doubled_and_raised() {
    let mut rig =
        Rig::scripted("irq 962 lose\nburst 7 1 1\nirq 962 double\nburst 7 1 1\nirq 970 raise 2");
    rig.run();
    assert_eq!(rig.signals.take(), [Signal::Assert(962), Signal::Edge(970)]);
    rig.run();
    assert_eq!(rig.signals.take(), [Signal::Edge(962), Signal::Edge(970)]);
    rig.run();
    assert_eq!(rig.signals.take(), []);
}

#[test]
fn hypercalls_answer_what_the_script_says() {
    let mut rig = Rig::scripted(
        "hypercall doorbell_send 31\nhypercall 0x13 -2 every\nwait bells 1\nhypercall doorbell_receive off",
    );
    rig.run();
    assert_eq!(rig.native(0x12, &[3, 1, 0]), [31, 0]);
    assert_eq!(rig.smccc(0xc600_8013, &[2, 1, 0]), [(-2_i64).cast_unsigned(), 0]);
    assert_eq!(rig.native(0x13, &[2, 1, 0]), [(-2_i64).cast_unsigned(), 0]);
    assert_eq!(rig.native(0x12, &[3, 1, 0]), [0, 0]);
    rig.run();
    assert_eq!(rig.native(0x13, &[2, 1, 0]), [0, 1]);
}

#[test]
fn mistakes_in_such_steps_are_named() {
    for (line, problem) in [
        ("rm", "message is missing"),
        ("rm KETTLE drop", "`KETTLE` is no message"),
        ("rm VM_GET_ID explode", "`explode` is no fault"),
        ("rm VM_GET_ID cut", "bytes is missing"),
        ("packet 123", "`123` is no row of bytes"),
        ("packet xy", "`xy` is no row of bytes"),
        ("broken 9 maybe", "`maybe` is no `on` or `off`"),
        ("irq 960 shout", "`shout` is no `lose`, `double` or `raise`"),
        ("hypercall kettle 1", "`kettle` is no hypercall"),
        ("hypercall msgqueue_send 0", "`0` is no error code"),
        ("hypercall msgqueue_send 1 2 3", "`3` is too much"),
    ] {
        let error = Script::parse([line]).unwrap_err();
        assert_eq!(error.problem.to_string(), problem, "{line}");
    }
}
