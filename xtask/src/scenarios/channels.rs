//! Channels that come and go while the guest runs, and the end in order.

use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};

use super::{Lab, PROMPT, Scenario};
use crate::qemu::{MachineOptions, Outcome};

/// The scenarios of this theme.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("channels::late_ones_work_while_others_carry_traffic", late),
    Scenario::new("channels::a_peer_that_ends_takes_its_channels_along", peer_ends),
    Scenario::new("channels::what_is_gone_is_closed_and_comes_again", come_and_go),
    Scenario::new("channels::shutdown_answers_what_came", shutdown),
    Scenario::new("channels::shutdown_without_a_console", shutdown_unseen),
    Scenario::new("channels::shutdown_before_the_first_prompt", shutdown_unheard),
    Scenario::new("channels::a_storm_on_late_doorbells_is_answered", storm),
    Scenario::new("channels::sixty_four_idle_channels_cost_nothing", idle),
];

/// Other VM's resources: a doorbell each way, and a pair of queues.
const THEIRS: &str = "add doorbell 20 peer=0x85\nadd source 20 peer=0x85\n\
                      add queue-pair 21 peer=0x85\nstatus 0x85 RUNNING RUN\n\
                      expect console \"msgq 21 of VMID 0x85: new\"\n";

fn late(lab: &Lab) -> Result<()> {
    let script = format!(
        "send 2 \"before {{n}}\" 50\n{THEIRS}\
         send 2 \"after {{n}}\" 50\nring 3 0x1 50\n\
         send 21 \"late {{n}}\" 50\nring 20 0x1 50\n\
         expect bells 100 within 60000\n\
         expect message 2 \"before {{n}}\" 50 within 60000\n\
         expect message 2 \"after {{n}}\" 50 within 60000\n\
         expect message 21 \"late {{n}}\" 50 within 60000"
    );
    let mut billy = lab.played(&script)?;
    billy.shows_all(&[
        ("bell list", &["bell 20 in: interrupts"]),
        ("irq", &["bell 20"]),
        ("tasks", &["echo 21"]),
        ("peers", &["VMID 0x85"]),
        ("msgq send 21@0x85 hello", &["sent 5 bytes on queue 21"]),
        ("bell ring 20", &["rang bell 20"]),
    ])?;
    billy.power_off()
}

fn peer_ends(lab: &Lab) -> Result<()> {
    let script = format!(
        "{THEIRS}send 21 hello\nexpect message 21 hello\n\
         status 0x85 EXITED\nexpect console \"msgq 21 of VMID 0x85: closed, the peer ended\"\n\
         send 2 \"still {{n}}\" 50\nring 3 0x1 50\nexpect bells 50 within 60000\n\
         expect message 2 \"still {{n}}\" 50 within 60000\n\
         status 0x85 RUNNING RUN\nexpect console \"msgq 21 of VMID 0x85: new\"\n\
         send 21 again\nexpect message 21 again\n\
         status 0x85 EXITED\n\
         expect console \"msgq 21 of VMID 0x85: closed, the peer ended\""
    );
    let mut billy = lab.played(&script)?;
    let irqs = billy.ask("irq", PROMPT)?;
    ensure!(!irqs.contains("bell 20"), billy.failure("the doorbell's interrupt is still in use"));
    billy.shows("msgq send 21 x", &["no message queue has label 21"])?;
    billy.power_off()
}

fn come_and_go(lab: &Lab) -> Result<()> {
    let mut script = String::from(THEIRS);
    for _ in 0..10 {
        script += "send 2 \"round {n}\" 10\nremove queue-pair 21\nremove doorbell 20\n\
                   status 0x85 RUNNING RUN\n\
                   expect console \"msgq 21 of VMID 0x85: closed\"\n\
                   add queue-pair 21 peer=0x85\nadd doorbell 20 peer=0x85\n\
                   status 0x85 RUNNING RUN\n\
                   expect console \"msgq 21 of VMID 0x85: new\"\n\
                   send 21 hello\nring 20 0x1 1\nexpect bells 1\nexpect message 21 hello\n\
                   expect message 2 \"round {n}\" 10\n";
    }
    let mut billy = lab.played(&script)?;
    billy.shows_all(&[("msgq list", &["echoed 100"]), ("uptime", &["up "])])?;
    billy.power_off()
}

fn shutdown(lab: &Lab) -> Result<()> {
    let script = "expect console \"billy> \" within 60000\n\
                  send 2 \"last {n}\" 50\nring 3 0x1 3\nshutdown 5\n\
                  expect console \"the owner asks for the end, reason 0x5\"\n\
                  expect console \"end: all that came is answered\\r\\n\"\n\
                  expect closed\nexpect exit off within 10000\n\
                  expect message 2 \"last {n}\" 50\n";
    lab.scripted(script)?.expect_exit(Outcome::End)?;
    Ok(())
}

fn shutdown_unseen(lab: &Lab) -> Result<()> {
    // RM hears nothing any more: the console does not close, which takes its deadline of 1 s; nothing else holds up. Where
    // the guest ends before, the script is not at its end. Time is that of the instructions, so no computer is too slow.
    let script = "expect console \"billy> \" within 60000\n\
                  hypercall msgqueue_send 30 every\nshutdown\nwait ms 900\n\
                  expect exit off within 20000\n";
    let options = MachineOptions { icount: true, ..MachineOptions::default() };
    lab.scripted_on(script, options)?.expect_exit(Outcome::End)?;
    Ok(())
}

fn shutdown_unheard(lab: &Lab) -> Result<()> {
    // The owner reads nothing: the first prompt is not yet written.
    let script =
        "rm CONSOLE_WRITE refuse 1 1000\nexpect open\nshutdown 5\nexpect exit off within 8000\n";
    let mut billy = lab.scripted(script)?;
    let said = billy.expect_exit(Outcome::End)?;
    ensure!(!said.contains("billy>"), billy.failure("the prompt was written"));
    Ok(())
}

fn storm(lab: &Lab) -> Result<()> {
    let each = |step: &dyn Fn(u32) -> String| -> String { (1000..1064).map(step).collect() };
    let add = each(&|bell| format!("add doorbell {bell} peer=0x85\nadd source {bell} peer=0x85\n"));
    let (burst, answers) = (
        each(&|bell| format!("burst {bell} 0x1 3\n")),
        each(&|bell| format!("expect bells 1 {bell}\n")),
    );
    // The guest runs again when all have rung: the three rings of each are one to it.
    let script = format!(
        "silent on\n{add}status 0x85 RUNNING RUN\n\
         expect console \"bell source 1063 of VMID 0x85: new\"\n\
         repeat 20\n{burst}{answers}end\n\
         send 2 \"after {{n}}\" 20\nexpect message 2 \"after {{n}}\" 20"
    );
    let mut billy = lab.played(&script)?;
    billy.shows_all(&[
        ("bell list", &["bell 1000 in: interrupts 20, rings 20", "bell 1063 in: interrupts 20"]),
        ("bell list", &["bell 1063 out: rings 20"]),
        ("irq", &["unexpected 0"]),
        ("uptime", &["up "]),
    ])?;
    billy.power_off()
}

fn idle(lab: &Lab) -> Result<()> {
    let mut script = String::new();
    for label in 0..32 {
        let _ =
            write!(script, "add doorbell {0} peer=0x85\nadd source {0} peer=0x85\n", 1000 + label);
    }
    // The last sign of life is followed by one look.
    script += "status 0x85 RUNNING RUN\nexpect console \"bell source 1031 of VMID 0x85: new\"\n\
               wait ms 12000\nlog \"idle from here\"\nwait ms 60000\nlog \"idle up to here\"\n\
               ring 1031 0x1 1\nexpect bells 1";
    let options = MachineOptions { trace_exits: true, icount: true, ..MachineOptions::default() };
    let billy = lab.played_on(&script, options)?;
    let path = lab.dir.join("shim.log");
    let log = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let (before, rest) = log.split_once("peer: idle from here").context("no beginning")?;
    let (between, _) = rest.split_once("peer: idle up to here").context("no end")?;
    ensure!(before.contains("exit: "), billy.failure("nothing is traced"));
    let exits = between.lines().filter(|line| line.contains("exit: ")).count();
    ensure!(exits == 0, billy.failure(&format!("the guest ran {exits} times while idle")));
    billy.power_off()
}
