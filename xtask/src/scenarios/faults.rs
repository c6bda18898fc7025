//! A misbehaving hypervisor or RM: Billy stays up, or says what is wrong.
//!
//! The peer's script plans the faults once Billy is at its prompt, and says so in the shim's log.
//! What the shell shows afterwards, the transcript or the exit status tells what came of them.

use anyhow::Result;

use super::{Lab, PROMPT, Scenario};
use crate::build::variation::{UartChoice, Variation};
use crate::machine::Machine;
use crate::qemu::MachineOptions;

mod calls;
mod interrupts;

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
    Scenario::new("faults::level_and_edge_swapped", interrupts::swapped),
    Scenario::new("faults::lost_interrupts", interrupts::lost),
    Scenario::new("faults::late_interrupts", interrupts::late),
    Scenario::new("faults::doubled_interrupts", interrupts::doubled),
    Scenario::new("faults::spurious_interrupts", interrupts::spurious),
    Scenario::new("faults::doorbell_calls_answer_every_error", calls::bell_errors),
    Scenario::new("faults::masking_calls_answer_every_error", calls::mask_errors),
    Scenario::new("faults::queue_calls_answer_every_error", calls::queue_errors),
    Scenario::new("faults::a_call_that_answers_an_error_for_ever", calls::lasting_error),
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
    let script = "rm VM_GET_PEERS twice 2\nrm CONSOLE_CHARS twice\ntype k";
    let mut billy = lab.played(script)?;
    // Nothing numbers notifications: the key is there twice.
    billy.expect("kk")?;
    billy.send("\x03");
    billy.expect(PROMPT)?;
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
    // Without RM its console is gone, but a UART is there, where the log tells why; the services go on.
    let script = "expect console \"billy> \" within 60000\nbroken rm on\ntype \"uptime\\r\"\n\
                  ring 3 0x1 10\nexpect bells 10\nsend 2 hello\nexpect message 2 hello\n\
                  wait ms 3000\nring 3 0x1\nexpect bells 1\nlog served\n";
    let variation = Variation { uart: Some(UartChoice::Ns16550a), ..Variation::default() };
    let options = MachineOptions { variation, ..MachineOptions::default() };
    let mut billy = lab.scripted_on(script, options)?;
    billy.expect(PROMPT)?;
    billy.wait_for_log("served")?;
    billy.expect(PROMPT)?;
    let words = "is broken: the hypervisor delivered a message of 0 bytes";
    billy.shows_all(&[
        ("log", &[words]),
        ("rm stats", &["receiving is broken: a message of size 0 came"]),
        ("bell list", &["answered 11"]),
    ])?;
    billy.power_off()
}
