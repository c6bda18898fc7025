//! A misbehaving hypervisor or RM: Billy stays up, or says what is wrong.
//!
//! The peer's script plans the faults once Billy is at its prompt, and says so in the shim's log.
//! What the shell shows afterwards, the transcript or the exit status tells what came of them.

use std::fmt::Write as _;

use anyhow::{Result, ensure};

use super::{Lab, PROMPT, Scenario};
use crate::build::trees::{Capabilities, Trees};
use crate::machine::Machine;
use crate::qemu::{MachineOptions, Outcome};

/// The scenarios of this theme.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("faults::short_packets", short),
    Scenario::new("faults::oversized_packets", oversized),
    Scenario::new("faults::packets_of_another_protocol", foreign),
    Scenario::new("faults::duplicated_packets", duplicated),
    Scenario::new("faults::reordered_packets", reordered),
    Scenario::new("faults::missing_fragments", missing),
    Scenario::new("faults::doubled_fragments", doubled_fragments),
    Scenario::new("faults::replies_to_nobody", nobody),
    Scenario::new("faults::unknown_notifications", notifications),
    Scenario::new("faults::a_queue_of_empty_messages", broken_queue),
    Scenario::new("faults::rm_sends_empty_messages", broken_rm),
    Scenario::new("faults::level_and_edge_swapped", swapped),
    Scenario::new("faults::lost_interrupts", lost),
    Scenario::new("faults::late_interrupts", late),
    Scenario::new("faults::doubled_interrupts", doubled),
    Scenario::new("faults::spurious_interrupts", spurious),
    Scenario::new("faults::doorbell_calls_answer_every_error", bell_errors),
    Scenario::new("faults::queue_calls_answer_every_error", queue_errors),
    Scenario::new("faults::a_call_that_answers_an_error_for_ever", lasting_error),
];

/// Every code that a hypercall can answer, and two that none has.
const CODES: [i64; 34] = [
    -1, -2, 1, 2, 3, 10, 11, 20, 21, 22, 30, 31, 32, 33, 34, 35, 36, 40, 41, 50, 51, 52, 53, 54,
    60, 61, 90, 100, 101, 110, 111, 120, 121, 200,
];

/// That Billy still does everything, and powers off.
fn is_well(mut billy: Machine) -> Result<()> {
    billy.shows_all(&[("rm peers", &["VMID 0x3"]), ("uptime", &["up "])])?;
    billy.power_off()
}

/// A request whose reply does not come.
const UNANSWERED: (&str, &[&str]) =
    ("rm peers", &["RM did not answer VM_GET_PEERS within 5000 ms"]);

fn short(lab: &Lab) -> Result<()> {
    let script = "rm VM_GET_PEERS cut 5\nrm VM_GET_PEERS cut 10\npacket 21";
    let mut billy = lab.played(script)?;
    billy.shows_all(&[
        UNANSWERED,
        ("rm peers", &["RM's reply to VM_GET_PEERS is too short: 2 bytes, 4 needed"]),
        ("rm stats", &["timeouts 1", "     2  short", "packets dropped 2:"]),
    ])?;
    is_well(billy)
}

fn oversized(lab: &Lab) -> Result<()> {
    let script = "rm VM_GET_PEERS announce 63\nrm VM_GET_PEERS pad 200";
    let mut billy = lab.played(script)?;
    billy.shows_all(&[
        UNANSWERED,
        ("rm peers", &["VMID 0x3"]),
        ("rm stats", &["     1  too long"]),
    ])?;
    is_well(billy)
}

fn foreign(lab: &Lab) -> Result<()> {
    let script = "packet \"22020100 24000056 00000000\"\npacket \"31020100 24000056 00000000\"\n\
                  packet \"21010100 24000056\"";
    let mut billy = lab.played(script)?;
    let counts: &[&str] =
        &["     1  of another version", "     1  of another header size", "requests received 1"];
    billy.shows("rm stats", counts)?;
    is_well(billy)
}

fn duplicated(lab: &Lab) -> Result<()> {
    let script = "rm VM_GET_PEERS twice 2\nrm CONSOLE_CHARS twice 0";
    let mut billy = lab.played(script)?;
    billy.shows_all(&[
        ("rm peers", &["VMID 0x3"]),
        ("rm peers", &["VMID 0x3"]),
        ("rm stats", &["replies to another request 2"]),
    ])?;
    is_well(billy)
}

/// Three fragments; what is typed afterwards must not be lost with them.
const LONG_INPUT: &str = "flood 500 500";

fn reordered(lab: &Lab) -> Result<()> {
    let mut billy = lab.played(&format!("rm CONSOLE_CHARS reverse\n{LONG_INPUT}"))?;
    let counts: &[&str] = &["     2  fragments of nothing", "     1  messages left incomplete"];
    billy.shows("rm stats", counts)?;
    is_well(billy)
}

fn missing(lab: &Lab) -> Result<()> {
    let script = format!(
        "rm CONSOLE_CHARS skip 0\n{LONG_INPUT}\nrm CONSOLE_CHARS skip 1\n{LONG_INPUT}\n\
         rm CONSOLE_CHARS skip 2\n{LONG_INPUT}"
    );
    let mut billy = lab.played(&script)?;
    let counts: &[&str] = &["     2  fragments of nothing", "     2  messages left incomplete"];
    billy.shows("rm stats", counts)?;
    is_well(billy)
}

fn doubled_fragments(lab: &Lab) -> Result<()> {
    // The doubled fragment stands in the place of the last one, which then belongs to nothing.
    let script = format!("rm CONSOLE_CHARS repeat 1\n{LONG_INPUT}\ntype \"\\x03\"");
    let mut billy = lab.played(&script)?;
    billy.expect(PROMPT)?;
    billy.shows("rm stats", &["     1  fragments of nothing"])?;
    is_well(billy)
}

fn nobody(lab: &Lab) -> Result<()> {
    let script = "packet \"2102ff00 24000056 00000000 80000000\"\n\
                  rm VM_GET_PEERS sequence 7\nrm VM_GET_PEERS id VM_GET_OWNER";
    let mut billy = lab.played(script)?;
    let counts: &[&str] = &["replies to nobody 1", "replies to another request 2", "timeouts 2"];
    billy.shows_all(&[UNANSWERED, UNANSWERED, ("rm stats", counts)])?;
    is_well(billy)
}

fn notifications(lab: &Lab) -> Result<()> {
    let script = "notify 0x561000ff text\nnotify 0x511000ff\nnotify VM_SHUTDOWN \"\\x01\"\n\
                  notify CONSOLE_CHARS \"\\x00\"\nnotify CONSOLE_CHARS \"\\x00\\x00\\x7f\\x00x\"";
    let mut billy = lab.played(script)?;
    billy.shows("rm stats", &["unknown 2, malformed 3"])?;
    is_well(billy)
}

fn broken_queue(lab: &Lab) -> Result<()> {
    let mut billy = lab.played("broken 2 on\nsend 2 hello")?;
    billy.expect("is broken: the hypervisor delivered a message of 0 bytes")?;
    billy.shows("msgq stats", &["receiving is broken", "errors 1"])?;
    is_well(billy)
}

fn broken_rm(lab: &Lab) -> Result<()> {
    // Without RM there is no console; the services go on.
    let script = "expect console \"billy> \" within 60000\nbroken rm on\ntype \"uptime\\r\"\n\
                  ring 3 0x1 10\nexpect bells 10\nsend 2 hello\nexpect message 2 hello\n\
                  wait ms 3000\nring 3 0x1\nexpect bells 1\nstop\n";
    let mut billy = lab.scripted(script)?;
    billy.expect_exit(Outcome::End)?;
    Ok(())
}

fn swapped(lab: &Lab) -> Result<()> {
    let mut handed_over = Trees::compile(Capabilities::Random(1))?.concatenated();
    let mut changed = 0;
    for spi in 928_u32..=932 {
        let cells = |trigger: u32| [0, spi, trigger].map(u32::to_be_bytes).concat();
        let (edge, level) = (cells(1), cells(4));
        for at in 0..handed_over.len() - edge.len() {
            if handed_over[at..at + edge.len()] == edge {
                handed_over[at..at + level.len()].copy_from_slice(&level);
                changed += 1;
            }
        }
    }
    ensure!(changed == 5, "the trees have {changed} edges, not 5");
    // The handler of a level receives at once: rings faster than their answers are one.
    let script = "burst 3 0x1 1\nexpect bells 1\n".repeat(20)
        + "send 2 \"message {n}\" 100\nexpect message 2 \"message {n}\" 100";
    let options = MachineOptions { handed_over: Some(handed_over), ..MachineOptions::default() };
    let mut billy = lab.played_on(&script, options)?;
    billy.shows_all(&[
        ("irq", &["960 edge", "961 edge", "962 level", "963 edge", "964 edge"]),
        ("log", &["INTID 961 (rm rx): level in the tree, taken for an edge"]),
        ("count 500", &["500"]),
    ])?;
    is_well(billy)
}

fn lost(lab: &Lab) -> Result<()> {
    // A bell, a message, and from RM first input and then replies. Nobody looks while nothing
    // happens: a key, or a bell, is the next sign of life.
    let script = "wait ms 6000\nirq 962 lose\nburst 3 0x1 1\nwait ms 6000\n\
                  type \"\\r\"\nexpect bells 1 within 30000\nwait ms 6000\n\
                  irq 964 lose\nsend 2 hello\nwait ms 100\n\
                  type \"\\r\"\nexpect message 2 hello within 30000\nwait ms 6000\n\
                  irq 961 lose\ntype \"uptime\\r\"\nwait ms 100\n\
                  burst 3 0x1 1\nexpect bells 1\nexpect console \"up 0\" within 30000\n\
                  irq 961 lose 4";
    let mut billy = lab.played(script)?;
    billy.shows_all(&[("rm peers", &["VMID 0x3"]), ("count 300", &["300"])])?;
    let log = billy.ask("log", PROMPT)?;
    for what in ["/hypervisor/bell-rx", "/hypervisor/msgq"] {
        let told = log.lines().any(|line| line.contains(what) && line.contains("was lost"));
        ensure!(told, billy.failure(&format!("no lost interrupt of {what} is told")));
    }
    let stats = billy.ask("rm stats", PROMPT)?;
    ensure!(!stats.contains("interrupts lost 0"), billy.failure("no lost interrupt is counted"));
    is_well(billy)
}

fn late(lab: &Lab) -> Result<()> {
    // As if the senders ran on another CPU: what they sent is found before its interrupt comes.
    let script = "silent on\nwait ms 6000\nirq 962 lose\nburst 3 0x1 1\nirq 964 lose\nsend 2 hello\ntype \"\\r\"\n\
                  expect bells 1 within 30000\nirq 962 raise\n\
                  expect message 2 hello within 30000\nirq 964 raise\nwait ms 100";
    let mut billy = lab.played(script)?;
    billy.shows("bell list", &["kicks 1, answered 1"])?;
    let log = billy.ask("log", PROMPT)?;
    ensure!(
        !log.contains("was lost"),
        billy.failure("an interrupt that came late is told as lost")
    );
    is_well(billy)
}

fn doubled(lab: &Lab) -> Result<()> {
    let mut script = String::new();
    for intid in 960..=964 {
        let _ = writeln!(script, "irq {intid} double 1000");
    }
    script += "ring 3 0x1 50\nexpect bells 50\nsend 2 \"message {n}\" 50\n\
               expect message 2 \"message {n}\" 50";
    let mut billy = lab.played(&script)?;
    billy.shows_all(&[
        ("count 500", &["500"]),
        ("rm stats", &["packets dropped 0", "timeouts 0", "interrupts lost 0"]),
        ("bell list", &["answered 50"]),
        ("msgq list", &["echoed 50"]),
    ])?;
    is_well(billy)
}

fn spurious(lab: &Lab) -> Result<()> {
    let mut script = String::new();
    for intid in [960, 961, 962, 963, 964, 970, 32] {
        let _ = writeln!(script, "irq {intid} raise 20");
    }
    let mut billy = lab.played(&script)?;
    billy.shows_all(&[
        ("bell list", &["rings 0", "answered 0"]),
        ("msgq list", &["received 0"]),
        ("irq", &["unexpected 0"]),
        ("rm stats", &["packets dropped 0", "timeouts 0"]),
    ])?;
    is_well(billy)
}

fn bell_errors(lab: &Lab) -> Result<()> {
    let mut script = String::new();
    for code in CODES {
        let _ = write!(
            script,
            "hypercall doorbell_receive {code}\nburst 3 0x1 1\nexpect bells 1 within 60000\n\
             hypercall doorbell_send {code}\nburst 3 0x1 1\nwait ms 100\nburst 3 0x1 1\n\
             expect bells 1 within 60000\n"
        );
    }
    let mut billy = lab.played(&script)?;
    billy.shows_all(&[("log", &["DOORBELL_SEND (0x12) on doorbell"])])?;
    is_well(billy)
}

fn queue_errors(lab: &Lab) -> Result<()> {
    // Whether RM's queue or the peer's is hit, is left to chance; both must go on.
    let mut script = String::new();
    for code in CODES {
        let _ = write!(
            script,
            "hypercall msgqueue_receive {code}\nburst 3 0x1 1\nsend 2 one\nwait ms 50\n\
             hypercall msgqueue_send {code}\nsend 2 two\nwait ms 50\n\
             type \"uptime\\r\"\nexpect console \"up 0\" within 60000\n"
        );
    }
    script += "hypercall msgqueue_receive off\nhypercall msgqueue_send off\nwait ms 12000\n";
    let mut billy = lab.played(&script)?;
    billy.shows_all(&[("rm stats", &["requests"]), ("count 300", &["300"])])?;
    is_well(billy)
}

fn lasting_error(lab: &Lab) -> Result<()> {
    // The console comes back when the calls do.
    let script = "expect console \"billy> \" within 60000\n\
                  hypercall msgqueue_send 30 every\ntype \"uptime\\r\"\n\
                  wait ms 2000\nring 3 0x1 10\nexpect bells 10\n\
                  wait ms 15000\nhypercall msgqueue_send off\n\
                  expect console \"billy> \" within 60000\n\
                  hypercall msgqueue_receive 30 every\nwait ms 4000\n\
                  hypercall msgqueue_receive off\nwait ms 4000\n\
                  type \"\\ruptime\\r\"\nexpect console \"up 0\" within 60000\nlog played\n";
    let mut billy = lab.scripted(script)?;
    billy.wait_for_log("played")?;
    billy.expect("up 0")?;
    billy.expect(PROMPT)?;
    is_well(billy)
}
