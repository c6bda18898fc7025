//! gdb attached to the machine: breakpoints, commands that show the guest.

use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};

use super::{Lab, Scenario};
use crate::gdb::{self, Stopped};
use crate::qemu::{MachineOptions, Script};
use crate::setup;

/// The scenarios of this theme.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("debugger::nothing_to_show_at_the_first_instruction", first),
    Scenario::new("debugger::the_commands_show_a_panicking_guest", panicking),
];

const COMMANDS: [&str; 5] =
    ["billy-tasks", "billy-irqs", "billy-queues", "billy-trace", "billy-log"];
/// Not a power of two above the start of RAM, so that no bit of the address can hide.
const HIGH: u64 = 0x81a0_0000;

/// Runs gdb to a breakpoint and then each of its commands. Returns what it printed.
fn debug(lab: &Lab, options: MachineOptions, breakpoint: &str) -> Result<String> {
    let options = MachineOptions { cpu: lab.cpu, ..options };
    let debugger = setup::ensure_debugger()?;
    let _machine = Stopped::start(&options, &lab.artefacts, &lab.dir)?;
    let mut command = gdb::debugger_command(&debugger, &lab.dir);
    command.args(["-nx", "-batch", "-ex", &format!("break {breakpoint}"), "-ex", "continue"]);
    command.args(["-ex", "backtrace"]);
    for billy in COMMANDS {
        command.args(["-ex", &format!("echo == {billy}\\n"), "-ex", billy]);
    }
    let output = command.stdin(Stdio::null()).output().context("starting gdb")?;
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let text = format!("{said}\n--- standard error\n{complained}");
    ensure!(output.status.success(), "gdb failed: {}\n{text}", output.status);
    Ok(text)
}

/// Checks that the output of a command contains these words.
fn check(text: &str, command: &str, wanted: &[&str]) -> Result<()> {
    let Some((_, part)) = text.split_once(&format!("== {command}\n")) else {
        bail!("{command} was not reached:\n{text}");
    };
    let part = part.split("\n== ").next().unwrap_or_default();
    for words in wanted {
        ensure!(part.contains(words), "{command} does not show `{words}`:\n{text}");
    }
    Ok(())
}

fn first(lab: &Lab) -> Result<()> {
    let text = debug(lab, MachineOptions::default(), "kernel_main")?;
    ensure!(text.contains("kernel/src/main.rs"), "not at kernel_main:\n{text}");
    check(&text, "billy-tasks", &["no task has been started yet"])?;
    check(&text, "billy-irqs", &["no interrupt is in use yet"])?;
    check(&text, "billy-queues", &["no queue has been made yet"])?;
    check(&text, "billy-trace", &["nothing is traced yet"])?;
    check(&text, "billy-log", &["nothing is logged yet"])
}

fn panicking(lab: &Lab) -> Result<()> {
    let script = Script::Text("wait console \"billy> \"\ntype \"panic\\r\"\n".into());
    let options = MachineOptions {
        script: Some(script),
        load_address: Some(HIGH),
        ..MachineOptions::default()
    };
    let text = debug(lab, options, "rust_begin_unwind")?;
    ensure!(text.contains("billy_kernel::run::for_ever"), "no backtrace:\n{text}");
    check(&text, "billy-tasks", &["shell            running", "rm               waiting"])?;
    check(&text, "billy-irqs", &["  27 level", " 961 edge", "rm rx", "unexpected 0"])?;
    check(&text, "billy-queues", &["Resource Manager\n", "messages", "msgq@", "depth 8"])?;
    check(&text, "billy-trace", &["interrupt 961\n", "woken shell\n", "MSGQUEUE_SEND 0x"])?;
    check(&text, "billy-log", &["hyp: Gunyah", "console: open"])
}
