//! Every command, as a person sees it, in a system around fakes.

pub(crate) mod rig;
mod shared;

use super::{commands::Next, run};
use crate::ending::{End, wishes};
use crate::services::{Identity, Medium, shipped};
use crate::shell::Audience;
use gunyah::fake::{Fault, Reaction, Tasks};
use gunyah::hypercalls::Hypercalls;
use gunyah_abi::rm::{MessageId, RmError};
use gunyah_abi::{Error, Hypercall};
use rig::Rig;
use std::{cell::Cell, rc::Rc};

/// The lines of a command's output, without blanks around them.
fn lines(rig: &mut Rig, line: &str) -> Vec<String> {
    rig.output(line).lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn help_lists_every_command_that_there_is() {
    let mut rig = Rig::new();
    let help = rig.output("help");
    for usage in help.lines() {
        let words: Vec<_> = usage.split_whitespace().collect();
        let line = match words[..] {
            ["reboot" | "poweroff" | "panic", ..] => continue,
            [command @ ("bell" | "msgq" | "rm"), verb, ..] => format!("{command} {verb}"),
            [command, ..] => command.to_owned(),
            [] => panic!("an empty line"),
        };
        let answer = rig.output(&line);
        assert!(!answer.contains("unknown command"), "{line}: {answer}");
        assert!(!answer.contains(": say 'bell list'"), "{line}: {answer}");
        assert!(!answer.contains(": say 'msgq list'"), "{line}: {answer}");
        assert!(!answer.contains(": say 'rm vm'"), "{line}: {answer}");
    }
    assert!(help.lines().count() > 20, "{help}");
}

#[test]
fn an_unknown_command_gets_one_line_that_names_it() {
    let mut rig = Rig::new();
    let answer = rig.output("kettle 1 2");
    assert_eq!(answer, "unknown command 'kettle'; 'help' lists those there are\n");
    let escaped = rig.output("\u{1b}[31m");
    assert_eq!(escaped, "unknown command '\\u{1b}[31m'; 'help' lists those there are\n");
    assert_eq!(rig.output("   "), "");
}

#[test]
fn ends_are_ends() {
    let mut rig = Rig::new();
    assert_eq!(rig.run("reboot"), (String::new(), Next::End(End::Reboot)));
    assert_eq!(rig.run("poweroff"), (String::new(), Next::End(End::PowerOff)));
}

#[test]
fn what_was_found_is_shown() {
    let mut rig = Rig::new();
    for (line, wanted) in [
        ("vm", &["billy, VMID 0x80", "owner       VMID 0x3", "1 doorbells in"][..]),
        ("hyp", &["the open-source build", "version 1", "native", "doorbell", "prng"]),
        ("mem", &["code     r-x  64", "heap: 1000", "of 4 KiB"]),
        ("irq", &["27 level", "961 edge       1234  rm rx", "spurious 2, unexpected 3", "42"]),
        ("tasks", &["shell", "running", "17", "4"]),
        ("dt", &["hypervisor"]),
        ("dt /hypervisor", &["qcom,gunyah-hypervisor"]),
        ("dt /kettle", &["dt: ", "/kettle"]),
        ("uptime", &["up 1:02:03.004"]),
        ("fp", &["1 of 32 registers changed in 0 interrupts"]),
        ("panic ?", &["panic: say how: here, stack"]),
    ] {
        let answer = rig.output(line);
        for word in wanted {
            assert!(answer.contains(word), "`{line}` without `{word}`: {answer}");
        }
    }
}

#[test]
#[should_panic(expected = "asked to crash: Null")]
fn panic_crashes_as_asked() {
    Rig::new().run("panic null");
}

#[test]
fn count_numbers_lines_and_writes_on_the_way() {
    let mut rig = Rig::new();
    let expected: String = (1..=3000).map(|number| format!("{number}\n")).collect();
    assert_eq!(rig.output("count 3000"), expected);
    assert!((3..10).contains(&rig.terminal.writes), "{} writes", rig.terminal.writes);
    for wrong in ["count", "count x", "count -1", "count 4294967296"] {
        assert_eq!(rig.output(wrong), "count: say up to which number\n", "{wrong}");
    }
    assert_eq!(rig.output("count 0"), "");
}

#[test]
fn the_log_is_shown_whole() {
    let mut rig = Rig::new();
    for number in 0..400 {
        rig.machine.log.append(format!("line {number}\n").as_bytes());
    }
    let expected: String = (0..400).map(|number| format!("line {number}\n")).collect();
    assert_eq!(rig.output("log"), expected);
}

#[test]
fn bells_are_listed_with_what_they_did() {
    let mut rig = Rig::new();
    rig.peer.doorbell_send(rig.to_guest.source, 0x5).unwrap();
    let bell = rig.system.channels.bells().remove(0);
    bell.receiver.on_interrupt();
    let mut tasks = Tasks::new();
    tasks.spawn(async { panic!("{:?}", bell.serve().await) });
    tasks.run_until_idle();
    drop(tasks);
    assert_eq!(
        lines(&mut rig, "bell list"),
        [
            "bell 3 in: interrupts 1, rings 1, kicks 0, answered 2",
            "flag 0: 1",
            "flag 2: 1",
            "answers on bell 3",
            "bell 3 out: rings 1",
        ]
    );
}

#[test]
fn bells_are_rung_as_often_as_asked() {
    let mut rig = Rig::new();
    let rung = rig.output("bell ring 3 0x100 2");
    assert_eq!(rung, "rang bell 3 with flags 0x100 2 times, 0x100 still set\n");
    rig.output("bell ring 3");
    assert_eq!(rig.peer.doorbell_receive(rig.to_peer.receiver, u64::MAX), Ok(0x101));
    assert_eq!(rig.system.channels.sources()[0].source.rings(), 3);
    for (line, answer) in [
        ("bell ring", "bell ring: say which label"),
        ("bell ring x", "bell ring: say which label"),
        ("bell ring 9", "bell ring: no doorbell to ring has label 9"),
        ("bell ring 3 x", "bell ring: flags are a number, such as 0x1"),
        ("bell ring 3 1 x", "bell ring: the count is a number"),
        ("bell ring 3 1 1000001", "bell ring: at most 1000000 times"),
        ("bell", "bell: say 'bell list', 'bell ring' or 'bell mask'"),
        ("bell hum", "bell: say 'bell list', 'bell ring' or 'bell mask'"),
    ] {
        assert_eq!(lines(&mut rig, line), [answer], "{line}");
    }
    rig.setup.guest.hypervisor().inject(Hypercall::DoorbellSend, Fault::Error(Error::Denied));
    let refused = rig.output("bell ring 3");
    assert!(refused.contains("DOORBELL_SEND") && refused.contains("DENIED (30)"), "{refused}");
}

#[test]
fn a_mask_says_which_flags_interrupt() {
    let mut rig = Rig::new();
    let answer = rig.output("bell mask 3 0xf0 0x10");
    assert_eq!(answer, "bell 3 interrupts for flags 0xf0, of which 0x10 clear themselves\n");
    // Of an acknowledged flag nothing is left to receive, and of a masked one all.
    rig.peer.doorbell_send(rig.to_guest.source, 0x11).unwrap();
    assert_eq!(rig.setup.guest.doorbell_receive(rig.to_guest.receiver, u64::MAX), Ok(0x1));
    for (line, answer) in [
        ("bell mask", "bell mask: say which label"),
        ("bell mask 3", "bell mask: say which flags, such as 0xff"),
        ("bell mask 3 all", "bell mask: say which flags, such as 0xff"),
        ("bell mask 3 1 x", "bell mask: flags are a number, such as 0x1"),
        ("bell mask 9 1", "bell mask: no doorbell received has label 9"),
    ] {
        assert_eq!(lines(&mut rig, line), [answer], "{line}");
    }
    rig.setup.guest.hypervisor().inject(Hypercall::DoorbellMask, Fault::Error(Error::Busy));
    assert!(rig.output("bell mask 3 1").contains("DOORBELL_MASK"));
}

#[test]
fn messages_are_sent_as_typed() {
    let mut rig = Rig::new();
    assert_eq!(rig.output("msgq send 2   hello  world "), "sent 12 bytes on queue 2\n");
    let mut buffer = [0; 240];
    let received = rig.peer.msgqueue_receive(rig.queue_to_peer.rx, &mut buffer).unwrap();
    assert_eq!(&buffer[..received.size], b"hello  world");
    for (line, answer) in [
        ("msgq send", "msgq send: say a label and a text"),
        ("msgq send 2", "msgq send: say a label and a text"),
        ("msgq send x y", "msgq send: say a label and a text"),
        ("msgq send 9 y", "msgq send: no message queue has label 9"),
        ("msgq", "msgq: say 'msgq list', 'msgq send' or 'msgq stats'"),
        ("msgq eat", "msgq: say 'msgq list', 'msgq send' or 'msgq stats'"),
    ] {
        assert_eq!(lines(&mut rig, line), [answer], "{line}");
    }
    let long = rig.output(&format!("msgq send 2 {}", "x".repeat(241)));
    assert!(long.starts_with("msgq send: message of 241 bytes"), "{long}");
    assert_eq!(
        lines(&mut rig, "msgq list"),
        [
            "msgq 2: sent 1 (12 bytes, waited 0), received 0 (0 bytes), echoed 0, answers 0",
            "messages of up to 240 bytes, 8 at a time",
        ]
    );
    assert_eq!(
        lines(&mut rig, "msgq stats"),
        [
            "msgq 2",
            "out  messages 1, bytes 12, interrupts 0, waits 0, errors 0",
            "in   messages 0, bytes 0, interrupts 0, waits 0, errors 0",
        ]
    );
}

#[test]
fn a_broken_queue_is_said_to_be_broken() {
    let mut rig = Rig::new();
    let hypervisor = rig.setup.guest.hypervisor();
    hypervisor.inject(Hypercall::MsgqueueReceive, Fault::EmptySuccess);
    let mut buffer = [0; 240];
    let queue = rig.system.channels.queues().remove(0);
    assert!(queue.receiver.as_ref().unwrap().try_receive(&mut buffer).is_err());
    let stats = rig.output("msgq stats");
    assert!(stats.ends_with("receiving is broken: a message of size 0 came\n"), "{stats}");
    assert!(rig.output("msgq list").contains("receiving broken"));
}

#[test]
fn without_objects_and_rm_that_is_said() {
    let mut rig = Rig::bare();
    assert_eq!(rig.output("bell list"), "no doorbells\n");
    assert_eq!(rig.output("msgq list"), "no message queues\n");
    assert_eq!(rig.output("msgq stats"), "no message queues\n");
    assert_eq!(rig.output("rm vm"), "rm: the device tree names no Resource Manager\n");
}

#[test]
fn rm_tells_about_vms() {
    let mut rig = Rig::new();
    assert_eq!(
        lines(&mut rig, "rm vm"),
        [
            "probe-svm, VMID 0x80",
            "state       VM RUNNING (3), OS RUN (4), application 0x1234",
            "signed by   N/A",
            "owner       VMID 0x3",
            "host type   0x1000164",
        ]
    );
    assert_eq!(lines(&mut rig, "rm vm 0x80").len(), 3);
    let refused = lines(&mut rig, "rm vm 0x44");
    assert_eq!(refused, ["rm: RM refused VM_GET_ID (target 68): ARGUMENT_INVALID (6)"]);
    for (line, answer) in [
        ("rm vm x", "rm vm: a VMID is a number, such as 0x80"),
        ("rm vm 65536", "rm vm: a VMID is a number, such as 0x80"),
        ("rm peers", "VMID 0x3"),
        ("rm lookup name probe-svm", "VMID 0x80"),
        ("rm lookup name probe svm", "no VM"),
        ("rm lookup uri vm:probe", "VMID 0x80"),
        ("rm lookup uri vm:kettle", "no VM"),
        ("rm lookup guid 00000000-0000-0000-0000-000000000000", "VMID 0x80"),
        ("rm lookup guid 0", "rm lookup: a GUID is 32 hexadecimal digits, with or without hyphens"),
        ("rm lookup", "rm lookup: say 'uri', 'guid' or 'name', and which"),
        ("rm lookup name", "rm lookup: say 'uri', 'guid' or 'name', and which"),
        ("rm lookup colour red", "rm lookup: say 'uri', 'guid' or 'name', and which"),
    ] {
        assert_eq!(lines(&mut rig, line), [answer], "{line}");
    }
    for line in ["rm", "rm kettle"] {
        assert!(rig.output(line).starts_with("rm: say 'rm vm', 'rm lookup'"), "{line}");
    }
}

#[test]
fn resources_are_those_shared_with_the_owner_unless_another_vm_is_named() {
    let mut rig = Rig::new();
    let expected = [
        "DOORBELL (1) label 3, with VMID 0x3",
        "capability 0x2",
        "INTID 962",
        "MSGQUEUE_SEND (2) label 2, with VMID 0x3",
        "capability 0x4",
        "INTID 963",
        "channels here: 3",
        "bell source 3 (/source), from the tree",
        "DOORBELL_SOURCE (0) capability 0x3",
        // The owner's list has it, so its peer is known now.
        "bell 3 of VMID 0x3 (/bell), from the tree",
        "DOORBELL (1) capability 0x2, INTID 970",
        "msgq 2 (/queue), from the tree",
        "MSGQUEUE_SEND (2) capability 0x5, INTID 971",
        "MSGQUEUE_RECEIVE (3) capability 0x4, INTID 972",
    ];
    assert_eq!(lines(&mut rig, "rm resources"), expected);
    assert_eq!(lines(&mut rig, "rm resources 3"), expected);
    let nothing = lines(&mut rig, "rm resources 0x80");
    assert_eq!(nothing[..2], ["nothing shared with VMID 0x80", "channels here: 3"]);
    assert_eq!(
        lines(&mut rig, "peers"),
        ["VMID 0x3: nothing told, channels 1", "channels whose peer is not known: 2"]
    );
    let own = lines(&mut rig, "rm resources 0");
    assert_eq!(own, ["rm: RM refused VM_GET_HYP_RESOURCES (target 0): ARGUMENT_INVALID (6)"]);
    let wrong = lines(&mut rig, "rm resources x");
    assert_eq!(wrong, ["rm resources: a VMID is a number, such as 0x3"]);
}

#[test]
fn rm_stats_counts_each_kind() {
    let mut rig = Rig::new();
    let rm = &mut rig.setup.rm;
    let header = |kind: u8, sequence: u8| vec![0x21, kind, sequence, 0, 0x24, 0, 0, 0x56];
    let packets = vec![
        vec![0x21],
        vec![0x22, 2, 0, 0, 0, 0, 0, 0],
        vec![0x31, 2, 0, 0, 0, 0, 0, 0],
        header(0, 1),
        header(2 | 1 << 2, 9),
        header(1 << 2, 8),
        header(2 | 63 << 2, 9),
        header(1, 9),
    ];
    rm.react(MessageId::VM_GET_PEERS, Reaction::PacketsFirst(packets));
    rm.react(MessageId::VM_GET_PEERS, Reaction::WrongSequenceFirst(5));
    rm.react(MessageId::VM_GET_PEERS, Reaction::Twice);
    rm.react(MessageId::VM_GET_PEERS, Reaction::Silence);
    rm.react(MessageId::VM_GET_PEERS, Reaction::Refuse(RmError::Busy));
    rm.notify(MessageId(0x5610_00ff), b"?");
    for _ in 0..3 {
        assert_eq!(rig.output("rm peers"), "VMID 0x3\n");
    }
    let silent = rig.output("rm peers");
    assert_eq!(silent, "rm: RM did not answer VM_GET_PEERS within 5000 ms\n");
    assert_eq!(rig.output("rm peers"), "rm: RM refused VM_GET_PEERS: BUSY (5)\n");
    let stats = lines(&mut rig, "rm stats");
    assert_eq!(
        stats[..14],
        [
            "requests 5, replies 4, timeouts 1, put off 0",
            "replies to nobody 1, replies to another request 1, requests received 1",
            "notifications 0, unknown 1, malformed 0",
            "packets dropped 7:",
            "1  short",
            "1  of another version",
            "1  of another header size",
            "1  fragments of nothing",
            "1  fragments of something else",
            "1  messages left incomplete",
            "1  too long",
            "0  without memory for them",
            "interrupts lost 0, receives that found nothing 6",
            "output without an answer 0 bytes",
        ]
    );
    assert!(stats[14].starts_with("out  messages 5,"), "{}", stats[14]);
    assert!(stats[15].starts_with("in   messages "), "{}", stats[15]);
}

#[test]
fn the_shell_prompts_echoes_and_ends() {
    let mut rig = Rig::new();
    rig.machine.log.append(b"booted\n");
    rig.terminal.input.extend(b"uptime\rkettle\rpoweroff\r");
    let Rig { setup, client, system, machine, terminal, board, .. } = &mut rig;
    let clock = setup.timer.clone();
    let mut tasks = Tasks::new();
    for (_, task) in board.take_tasks() {
        tasks.spawn(task);
    }
    let shell = tasks.spawn(async {
        let _console = system.ending.console();
        let end = run(terminal, system, machine, Audience::Certain).await;
        assert_eq!(end, Ok(End::PowerOff));
    });
    tasks.spawn(async {
        system.ending.see_to(&wishes(), &system.channels, system.directory, &clock).await;
    });
    setup.settle(client, &mut tasks);
    assert!(tasks.is_done(shell));
    drop(tasks);
    assert_eq!(rig.terminal.flushed, rig.terminal.output.len());
    let screen = String::from_utf8_lossy(&rig.terminal.output).into_owned();
    let place = |text: &str| screen.find(text).unwrap_or_else(|| panic!("no {text} in {screen}"));
    assert!(place("booted") < place("billy> "));
    assert!(place("uptime") < place("up 1:02:03.004"));
    assert!(place("up 1:02:03.004") < place("unknown command 'kettle'"));
}

#[test]
fn services_and_their_channels_are_listed() {
    let mut rig = Rig::new();
    assert!(rig.system.directory.add(&shipped::Echo));
    let (label, peer) = (Some(7), Rc::new(Cell::new(Some(3))));
    let identity = Identity { medium: Medium::Queue, label, peer, name: "msgq 7".into() };
    rig.system.directory.open(identity);
    let output = rig.output("services");
    let lines: Vec<_> = output.lines().collect();
    assert_eq!(
        lines,
        [
            "  name         number  requests  errors outstanding  bound to",
            "  echo              1         0       0           0  everywhere",
            "  on msgq 7 (VM 3): requests 0, errors 0, outstanding 0"
        ]
    );
}
