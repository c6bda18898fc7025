//! What a person types is executed.

use anyhow::{Result, ensure};

use super::{Lab, PROMPT, Scenario};
use crate::qemu::MachineOptions;

/// The scenarios of this theme.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("shell::typed_commands_are_executed", commands),
    Scenario::new("shell::an_unknown_command_points_at_help", unknown),
    Scenario::new("shell::lines_can_be_edited", editing),
    Scenario::new("shell::history_comes_back", history),
    Scenario::new("shell::control_c_drops_the_line", control_c),
];

fn commands(lab: &Lab) -> Result<()> {
    let mut billy = lab.boot(MachineOptions::default())?;
    for (line, wanted) in [
        ("help", &["poweroff", "bell", "msgq"][..]),
        ("vm", &["VMID 0x80", "billy", "64 MiB"]),
        ("hyp", &["Gunyah", "version 1"]),
        ("dt /hypervisor", &["qcom,gunyah-hypervisor", "rm-rpc@"]),
        ("mem", &["0x0080000000", "r-x", "heap"]),
        ("irq", &["27", "960", "961", "962", "unexpected 0"]),
        ("tasks", &["shell", "polls", "wakes"]),
        ("bell list", &["3"]),
        ("msgq list", &["2"]),
        ("log", &["Gunyah"]),
        ("uptime", &["up 0:00:0"]),
    ] {
        billy.shows(line, wanted)?;
    }
    billy.power_off()
}

fn unknown(lab: &Lab) -> Result<()> {
    let mut billy = lab.boot(MachineOptions::default())?;
    let answer = billy.ask("kettle 1 2", PROMPT)?;
    let lines: Vec<&str> = answer.lines().filter(|line| !line.is_empty()).collect();
    ensure!(
        lines.len() == 1 && lines[0].contains("kettle") && lines[0].contains("help"),
        billy.failure("not one line with the command's name and `help`")
    );
    billy.power_off()
}

fn editing(lab: &Lab) -> Result<()> {
    let mut billy = lab.boot(MachineOptions::default())?;
    // "nott", two backspaces, then two steps left to mend the beginning: "noxkettle".
    billy.send("nott\x7f\x7fkettle\x1b[D\x1b[D\x1b[D\x1b[D\x1b[D\x1b[Dx\r");
    billy.expect("noxkettle")?;
    billy.expect(PROMPT)?;
    billy.power_off()
}

fn history(lab: &Lab) -> Result<()> {
    let mut billy = lab.boot(MachineOptions::default())?;
    billy.ask("first-unknown", PROMPT)?;
    billy.ask("second-unknown", PROMPT)?;
    billy.send("\x1b[A\x1b[A\r");
    billy.expect("'first-unknown'")?;
    billy.expect(PROMPT)?;
    billy.power_off()
}

fn control_c(lab: &Lab) -> Result<()> {
    let mut billy = lab.boot(MachineOptions::default())?;
    billy.send("poweroff\x03");
    billy.expect(PROMPT)?;
    billy.ask("uptime", PROMPT)?;
    billy.power_off()
}
