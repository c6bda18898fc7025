//! The peer against a guest that the test plays.

use crate::fake::Signal;
use crate::fake::rig::{Rig, config};
use crate::machine::{AfterEnd, Event, Outcome};
use crate::machine_file::MachineFile;
use crate::peer::script::{Script, ScriptError};
use crate::vm::VmEnd;

mod channel;
mod faults;
mod frame;
mod memory;
mod ring;

const ALL: u64 = u64::MAX;

fn failure(rig: &mut Rig) -> String {
    match rig.pump() {
        Some(Event::Finished(Outcome::Failure(reason))) => reason,
        other => panic!("{other:?}"),
    }
}

/// Text of the CONSOLE_CHARS notifications.
fn input(packets: &[Vec<u8>]) -> Vec<u8> {
    packets.iter().flat_map(|packet| packet[12..].to_vec()).collect()
}

fn print(rig: &mut Rig, text: &str) {
    let mut content = vec![0, 0, text.len() as u8, 0];
    content.extend(text.as_bytes());
    let reply = rig.call(0x5600_0083, 1, &content);
    assert_eq!(reply[8..], [0; 4]);
}

/// What the guest's doorbell holds, received.
fn receive_bell(rig: &mut Rig) -> u64 {
    let [error, flags] = rig.native(0x13, &[2, ALL, 0]);
    assert_eq!(error, 0);
    flags
}

#[test]
fn serial_line_and_console_are_one() {
    let mut rig = Rig::scripted("");
    rig.line.input = b"help\r".to_vec();
    rig.run();
    assert_eq!(rig.line.input, b"help\r", "the guest has not opened its console");
    rig.open_console();
    let packets = rig.drain();
    assert_eq!(packets.len(), 1);
    assert_eq!(packets[0][4..], *b"\x80\x00\x10\x56\x00\x00\x05\x00help\r");
    print(&mut rig, "billy> ");
    assert_eq!(rig.line.output, b"billy> ");
}

#[test]
fn input_waits_on_the_line_while_the_guest_does_not_read() {
    let mut rig = Rig::scripted("");
    rig.open_console();
    let typed: Vec<u8> = (0..20_000u32).map(|index| index as u8).collect();
    rig.line.input = typed.clone();
    for _ in 0..50 {
        rig.run();
    }
    assert!(rig.line.input.len() > 15_000, "{} left", rig.line.input.len());
    assert_eq!(input(&rig.drain()), typed);
}

#[test]
fn each_ring_is_answered_once_with_its_flags() {
    let mut rig = Rig::scripted("");
    assert_eq!(rig.native(0x12, &[3, 0x5, 0]), [0, 0]);
    rig.run();
    rig.run();
    assert_eq!(rig.signals.take(), [Signal::Assert(962)]);
    assert_eq!(receive_bell(&mut rig), 0x5);
    assert_eq!(rig.native(0x12, &[3, 0, 0]), [0, 0]);
    rig.run();
    assert_eq!(rig.signals.take(), [Signal::Edge(962)]);
}

#[test]
fn each_message_comes_back_once_with_its_prefix() {
    let mut rig = Rig::scripted("");
    for message in ["hello", "re:hello"] {
        rig.send(4, message.as_bytes());
    }
    rig.run();
    assert_eq!(rig.receive(5).unwrap(), b"re:hello");
    assert_eq!(rig.receive(5), None);
    let long = [b'x'; 240];
    rig.send(4, &long);
    rig.run();
    assert_eq!(rig.receive(5).unwrap().len(), 240);
}

#[test]
fn no_echo_is_lost_when_the_guest_reads_late() {
    let mut rig = Rig::scripted("");
    let mut sent = 0;
    for number in 0..100u8 {
        sent += u8::from(rig.send(4, &[number]) == 0);
        rig.run();
    }
    // Eight in each queue and one with the peer.
    assert_eq!(sent, 17);
    for number in 0..sent {
        assert_eq!(rig.receive(5).unwrap(), [b'r', b'e', b':', number]);
        rig.run();
    }
    assert_eq!(rig.receive(5), None);
}

#[test]
fn a_queue_that_is_held_gets_full() {
    let mut rig = Rig::scripted("hold 9 on\nwait bells 1\nhold 9 off\nwait messages 8");
    rig.run();
    for number in 0..8u8 {
        assert_eq!(rig.send(4, &[number]), 0);
        rig.run();
    }
    assert_eq!(rig.send(4, b"full"), 61);
    rig.native::<2>(0x12, &[3, 1, 0]);
    rig.run();
    rig.run();
    assert_eq!(rig.machine.peers[0].unfinished(), None);
    assert_eq!(rig.send(4, b"again"), 0);
}

#[test]
fn silence_stops_all_answers() {
    let mut rig = Rig::scripted("silent on\nwait bells 1\nwait messages 1\nsilent off");
    rig.run();
    rig.native::<2>(0x12, &[3, 1, 0]);
    rig.run();
    rig.send(4, b"quiet");
    rig.run();
    assert!(rig.signals.take().is_empty());
    rig.send(4, b"loud");
    rig.run();
    assert_eq!(rig.receive(5).unwrap(), b"re:loud");
}

#[test]
fn rings_come_one_by_one() {
    let mut rig = Rig::scripted("ring 7 0x3 1000\nlog done");
    for _ in 0..1000 {
        rig.run();
        rig.run();
        assert_eq!(rig.signals.take(), [Signal::Assert(962)]);
        assert_eq!(receive_bell(&mut rig), 3);
    }
    rig.run();
    assert!(rig.signals.take().is_empty());
}

#[test]
fn plain_kicks_come_one_a_turn() {
    let mut rig = Rig::scripted("ring 7 0 3");
    for _ in 0..3 {
        rig.run();
        assert_eq!(rig.signals.take(), [Signal::Edge(962)]);
    }
    rig.run();
    assert!(rig.signals.take().is_empty());
}

#[test]
fn rings_and_messages_are_told_apart_by_label() {
    let script =
        "silent on\nadd source 20\nwait bells 2 7\nwait message 9 one\nexpect nothing 9 within 0";
    let mut rig = Rig::scripted(script);
    rig.run();
    for source in [3, 6, 6, 3] {
        assert_eq!(rig.native(0x12, &[source, 1, 0]), [0, 0], "{source}");
        rig.run();
    }
    rig.send(4, b"one");
    assert_eq!(rig.pump(), None);
    assert_eq!(rig.machine.peers[0].unfinished(), None);
    let mut rig = Rig::scripted(script);
    rig.run();
    for _ in 0..2 {
        rig.send(4, b"one");
        rig.native::<2>(0x12, &[3, 1, 0]);
    }
    let reason = failure(&mut rig);
    assert!(reason.contains("1 other messages came, the last 3 bytes \"one\""), "{reason}");
}

#[test]
fn a_burst_does_not_wait() {
    let mut rig = Rig::scripted("burst 7 1 1000");
    rig.run();
    assert_eq!(rig.signals.take().len(), 1000);
    assert_eq!(receive_bell(&mut rig), 1);
}

#[test]
fn sent_messages_are_numbered_and_paced() {
    let mut rig = Rig::scripted("send 9 \"m {n}\" 1000\nexpect message 9 \"re:m {n}\" 1000\nstop");
    let mut expected = 1;
    while expected <= 1000 {
        assert_eq!(rig.pump(), None);
        while let Some(message) = rig.receive(5) {
            assert_eq!(message, format!("m {expected}").into_bytes());
            expected += 1;
            rig.send(4, &[b"re:", message.as_slice()].concat());
        }
    }
    assert_eq!(rig.pump(), Some(Event::Finished(Outcome::Success)));
}

#[test]
fn steps_are_repeated_and_done_beside_each_other() {
    let script = "begin\nrepeat 2\nwait bells 1\nring 7 2\nend\nend\nrepeat 2\nrepeat 3\n\
        send 9 x\nend\nsend 9 \"y{n}\" 2\nend\nrepeat 0\nfail never\nend\nwait idle\nstop";
    let mut rig = Rig::scripted(script);
    rig.run();
    let mut came = Vec::new();
    while let Some(message) = rig.receive(5) {
        came.push(String::from_utf8(message).unwrap());
        rig.run();
    }
    assert_eq!(came, ["x", "x", "x", "y1", "y2", "x", "x", "x", "y1", "y2"]);
    rig.signals.take();
    rig.native::<2>(0x12, &[3, 1, 0]);
    rig.run();
    assert_eq!(receive_bell(&mut rig), 3);
    rig.native::<2>(0x12, &[3, 1, 0]);
    assert_eq!(rig.pump(), Some(Event::Finished(Outcome::Success)));
}

#[test]
fn what_is_done_beside_must_end_too() {
    let mut rig = Rig::scripted("begin\nwait ms 5\nfail late\nend\nlog done");
    rig.run();
    assert_eq!(rig.machine.deadline(), Some(5_000_000));
    rig.clock.0.set(5_000_000);
    assert_eq!(failure(&mut rig), "script line 3 `fail late`: late");
    let mut rig = Rig::scripted("begin\nwait bells 1\nend");
    let reason = "the guest ended before script line 2 `wait bells 1`".into();
    assert_eq!(rig.end(VmEnd::Off), AfterEnd::Finished(Outcome::Failure(reason)));
    for (lines, line) in [(&["end"][..], 1), (&["stop", "begin", "stop"], 2), (&["repeat 2"], 1)] {
        let error = Script::parse(lines.iter().copied()).unwrap_err();
        assert_eq!(
            (error.line, error.problem.to_string().as_str()),
            (line, "a block has no beginning or no end")
        );
    }
}

#[test]
fn a_long_script_lets_the_guest_run() {
    let mut rig = Rig::scripted("repeat 10000\nburst 7 1 1\nend\nstop");
    rig.run();
    assert_eq!(rig.machine.deadline(), Some(0));
    let turns = (0..100).position(|_| rig.pump().is_some()).unwrap();
    assert_eq!(turns, 1, "the rest but for 4096 steps each turn");
    assert_eq!(rig.signals.take().len(), 10_000);
}

#[test]
fn a_wrong_message_fails_by_name() {
    let mut rig = Rig::scripted("wait messages 1\nexpect message 9 ping");
    rig.run();
    rig.send(4, b"pong");
    assert_eq!(
        failure(&mut rig),
        "script line 2 `expect message 9 ping`: \"pong\" came instead of \"ping\""
    );
}

#[test]
fn typing_waits_for_prompt_and_reader() {
    let script = "expect console \"billy> \"\ntype \"bell list\\r\"\nwait console listed\nstop";
    let mut rig = Rig::scripted(script);
    rig.open_console();
    print(&mut rig, "billy");
    assert!(rig.drain().is_empty());
    print(&mut rig, "> ");
    assert_eq!(input(&rig.drain()), b"bell list\r");
    print(&mut rig, "list");
    rig.request(gunyah_abi::rm::MessageId::CONSOLE_WRITE, 2, b"\0\0\x02\0ed");
    assert_eq!(rig.pump(), Some(Event::Finished(Outcome::Success)));
    assert_eq!(rig.line.output, b"billy> listed");
}

#[test]
fn expectations_have_a_deadline() {
    let mut rig = Rig::scripted("wait ms 5\nexpect console prompt within 20");
    rig.run();
    assert_eq!(rig.machine.deadline(), Some(5_000_000));
    rig.clock.0.set(5_000_000);
    rig.open_console();
    print(&mut rig, "panic!\r\n");
    assert_eq!(rig.machine.deadline(), Some(25_000_000));
    rig.clock.0.set(24_999_999);
    rig.run();
    rig.clock.0.set(25_000_000);
    assert_eq!(
        failure(&mut rig),
        "script line 2 `expect console prompt within 20`: not within 20 ms: the console's last \
         output is \"panic!\\r\\n\""
    );
}

#[test]
fn an_owner_may_open_late_or_never() {
    for (script, output) in [
        ("wait open\nwait ms 1\nlate-open", "second"),
        ("never-open\nwait open", ""),
        ("wait open", "firstsecond"),
        ("wait open\nclose", ""),
    ] {
        let mut rig = Rig::scripted(script);
        rig.run();
        rig.open_console();
        print(&mut rig, "first");
        rig.clock.0.set(1_000_000);
        rig.run();
        print(&mut rig, "second");
        assert_eq!(rig.line.output, output.as_bytes(), "{script}");
    }
}

#[test]
fn a_guest_that_ends_without_closing_its_console_is_found_out() {
    let script = "wait closed\nexpect open\nexpect closed\nexpect exit off";
    let reason = "the guest ended before script line 3 `expect closed`".into();
    let mut rig = Rig::scripted(script);
    rig.run();
    rig.open_console();
    assert_eq!(rig.end(VmEnd::Off), AfterEnd::Finished(Outcome::Failure(reason)));

    let mut rig = Rig::scripted(script);
    rig.run();
    rig.open_console();
    rig.request(gunyah_abi::rm::MessageId::CONSOLE_CLOSE, 2, b"\0\0\0\0");
    rig.run();
    assert_eq!(rig.end(VmEnd::Off), AfterEnd::Finished(Outcome::Success));
}

#[test]
fn a_flood_is_not_paced() {
    let mut rig = Rig::scripted("wait open\nflood 100000");
    rig.open_console();
    let packets = rig.drain();
    assert_eq!(packets.len(), 264);
    assert!(packets.iter().all(|packet| packet.len() == 240 || packet.len() == 12 + 136));
}

#[test]
fn steps_that_cannot_work_fail_by_name() {
    for (script, reason) in [
        ("ring 8 1", "the guest has no doorbell 8"),
        ("send 8 x", "the guest has no message queue 8"),
        ("send 9 \"\"", "the queue takes messages of 1 to 240 bytes"),
        ("fail \"by hand\"", "by hand"),
    ] {
        let mut rig = Rig::scripted(script);
        assert_eq!(failure(&mut rig), format!("script line 1 `{script}`: {reason}"));
    }
    let mut vm = config();
    vm.resource_manager = None;
    vm.set_script("open");
    let mut rig = Rig::new(&MachineFile::of(vm));
    assert_eq!(failure(&mut rig), "script line 1 `open`: RM refused: ARGUMENT_INVALID (6)");
}

#[test]
fn the_script_sees_how_the_guest_ends_and_goes_on() {
    let mut rig = Rig::scripted("expect exit reset\nwait open\nexpect exit vm-exit 1");
    rig.run();
    assert_eq!(rig.end(VmEnd::Reset), AfterEnd::Restart);
    rig.restart();
    rig.run();
    rig.open_console();
    let end = VmEnd::Exit { flags: 0, code: 1 };
    let reason = "VM_EXIT (code 1, flags 0x0)".into();
    assert_eq!(rig.end(end), AfterEnd::Finished(Outcome::Failure(reason)));

    let mut rig = Rig::scripted("expect exit reset2 0x80000007");
    let reason = "script line 1 `expect exit reset2 0x80000007`: the guest ended by SYSTEM_OFF";
    assert_eq!(rig.end(VmEnd::Off), AfterEnd::Finished(Outcome::Failure(reason.into())));
}

#[test]
fn an_unfinished_script_is_a_failure() {
    let mut rig = Rig::scripted("wait open\nwait bells 3");
    rig.open_console();
    let reason = "the guest ended before script line 2 `wait bells 3`".into();
    assert_eq!(rig.end(VmEnd::Off), AfterEnd::Finished(Outcome::Failure(reason)));
    let mut rig = Rig::scripted("wait open");
    rig.open_console();
    assert_eq!(rig.end(VmEnd::Off), AfterEnd::Finished(Outcome::Success));
}

#[test]
fn errors_of_a_script_name_the_line() {
    for (line, problem) in [
        ("sing", "unknown word `sing`"),
        ("wait", "a condition is missing"),
        ("wait sun", "unknown word `sun`"),
        ("ring 7", "flags is missing"),
        ("ring x 1", "`x` is no label"),
        ("ring 0x100000000 1", "`0x100000000` is no label"),
        ("ring 7 1 99999999999", "`99999999999` is no count"),
        ("ring 7 1 2 3", "`3` is too much"),
        ("expect open soon", "`soon` is too much"),
        ("expect open within", "milliseconds is missing"),
        ("expect exit crash", "`crash` is no kind of exit"),
        ("silent maybe", "`maybe` is no `on` or `off`"),
        ("type \"x", "a quote is not closed"),
    ] {
        let error: ScriptError = Script::parse(["stop", line]).unwrap_err();
        assert_eq!(error.to_string(), format!("script line 2 `{line}`: {problem}"));
    }
}
