//! The console under load: all output, in order; more input than anybody can type.

use anyhow::{Result, ensure};

use super::{Lab, PROMPT, Scenario};
use crate::qemu::{MachineOptions, Outcome};

/// The scenarios of this theme.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("console::output_of_64_kib_is_whole", output),
    Scenario::new("console::the_end_of_input_is_not_the_end_of_the_run", end_of_input),
    Scenario::new("console::an_input_flood_does_no_harm", flood),
];

fn output(lab: &Lab) -> Result<()> {
    let mut billy = lab.boot(MachineOptions::default())?;
    // Typed ahead, so that one output follows the other without a pause.
    let first = billy.ask("dt", PROMPT)?;
    let rounds = (64 << 10) / first.len() + 1;
    for _ in 0..rounds {
        billy.send("dt\r");
    }
    for round in 0..rounds {
        let next = billy.expect(PROMPT)?;
        ensure!(
            next == first,
            billy.failure(&format!("output {round} of {rounds} differs from the first"))
        );
    }
    billy.send("poweroff\r");
    billy.expect_exit(Outcome::End)?;
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
    billy.send("poweroff\r");
    billy.expect_exit(Outcome::End)?;
    Ok(())
}

fn end_of_input(lab: &Lab) -> Result<()> {
    let mut billy = lab.start(MachineOptions::default())?;
    billy.send("uptime\rpoweroff\r");
    billy.close_input();
    billy.expect(PROMPT)?;
    billy.expect_exit(Outcome::End)?;
    Ok(())
}
