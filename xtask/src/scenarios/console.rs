//! The console under load: all output in order, more input than is typed.

use anyhow::{Result, ensure};

use super::{Lab, PROMPT, Scenario};
use crate::machine::Machine;
use crate::qemu::{MachineOptions, Outcome};

/// The scenarios of this theme.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("console::output_of_64_kib_is_whole", output),
    Scenario::new("console::output_is_whole_under_a_thousand_doorbells", output_under_interrupts),
    Scenario::new("console::the_end_of_input_is_not_the_end_of_the_run", end_of_input),
    Scenario::new("console::an_input_flood_does_no_harm", flood),
    Scenario::new("console::input_faster_than_it_is_read_is_counted", owner_floods),
];

fn output(lab: &Lab) -> Result<()> {
    let mut billy = lab.boot(MachineOptions::default())?;
    count(&mut billy)?;
    billy.power_off()
}

/// Text is copied through SIMD registers, which every interrupt must leave as they were.
fn output_under_interrupts(lab: &Lab) -> Result<()> {
    let script = "expect console \"00\\r\\n\"\nring 3 0x1 1000\nlog rung\n";
    let mut billy = lab.scripted(script)?;
    billy.expect(PROMPT)?;
    count(&mut billy)?;
    billy.wait_for_log("rung")?;
    billy.power_off()
}

fn count(billy: &mut Machine) -> Result<()> {
    let lines = 16_000;
    let output = billy.ask(&format!("count {lines}"), PROMPT)?;
    ensure!(output.len() > 64 << 10, billy.failure(&format!("only {} bytes", output.len())));
    let mut numbers = output.lines().filter(|line| !line.is_empty());
    for number in 1..=lines {
        let line = numbers.next().unwrap_or("no line");
        let first = line.split_whitespace().next();
        ensure!(
            first.is_some_and(|first| first.parse() == Ok(number)),
            billy.failure(&format!("`{line}` in the place of line {number}"))
        );
    }
    ensure!(numbers.next().is_none(), billy.failure("more lines than asked for"));
    Ok(())
}

fn flood(lab: &Lab) -> Result<()> {
    let mut billy = lab.boot(MachineOptions::default())?;
    billy.send(vec![b'x'; 64 << 10]);
    // Drops what is left of the flood's line.
    billy.send("\x03\r");
    billy.send("flood-is-over\r");
    billy.expect("flood-is-over")?;
    billy.expect(PROMPT)?;
    billy.ask("uptime", PROMPT)?;
    billy.power_off()
}

fn end_of_input(lab: &Lab) -> Result<()> {
    let mut billy = lab.start(MachineOptions::default())?;
    billy.send("uptime\rpoweroff\r");
    billy.close_input();
    billy.expect(PROMPT)?;
    billy.expect_exit(Outcome::End)?;
    Ok(())
}

/// The owner does not wait for the guest, unlike the serial line.
fn owner_floods(lab: &Lab) -> Result<()> {
    let script = "expect console \"billy> \"\nflood 65536\nexpect ms 1000\nlog flooded\n";
    let mut billy = lab.scripted(script)?;
    billy.expect(PROMPT)?;
    billy.wait_for_log("flooded")?;
    // Control-C drops what is left of the flood's line.
    billy.send("\x03");
    let answer = billy.ask("irq", PROMPT)?;
    let dropped = answer.split_once("input dropped: ").map(|(_, rest)| rest);
    let dropped = dropped.and_then(|rest| rest.split_whitespace().next());
    ensure!(
        dropped.and_then(|number| number.parse().ok()).is_some_and(|number: u32| number > 0),
        billy.failure("`irq` does not show that input was dropped")
    );
    billy.power_off()
}
