//! Doorbells and message queues with the peer at the other end.

use anyhow::{Result, ensure};

use super::{Lab, PROMPT, Scenario};
use crate::qemu::Outcome;

/// The scenarios of this theme.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("services::a_thousand_doorbells", doorbells),
    Scenario::new("services::a_thousand_messages_are_echoed", messages),
    Scenario::new("services::interrupts_leave_live_fp_registers_alone", fp_registers),
];

fn doorbells(lab: &Lab) -> Result<()> {
    let mut billy = lab.scripted(
        "expect console \"billy> \"\n\
         ring 3 0x1 1000\n\
         expect bells 1000 within 120000\n\
         type \"bell list\\r\"\n\
         expect console \"billy> \"\n\
         type \"poweroff\\r\"\n",
    )?;
    billy.expect("bell list")?;
    let list = billy.expect(PROMPT)?;
    ensure!(list.contains("1000"), billy.failure("`bell list` does not count 1000 rings"));
    billy.expect_exit(Outcome::End)?;
    Ok(())
}

fn messages(lab: &Lab) -> Result<()> {
    // First as fast as the queues take them, then one at a time.
    let mut billy = lab.scripted(
        "expect console \"billy> \"\n\
         send 2 \"message {n}\" 990\n\
         expect message 2 \"message {n}\" 990 within 120000\n\
         send 2 one\n\
         expect message 2 one\n\
         send 2 another\n\
         expect message 2 another\n\
         type \"msgq list\\r\"\n\
         expect console \"billy> \"\n\
         type \"poweroff\\r\"\n",
    )?;
    billy.expect("msgq list")?;
    let list = billy.expect(PROMPT)?;
    ensure!(list.contains("992"), billy.failure("`msgq list` does not count 992 echoes"));
    billy.expect_exit(Outcome::End)?;
    Ok(())
}

fn fp_registers(lab: &Lab) -> Result<()> {
    // The command holds the CPU, so the interrupts come through the vector, each in a turn that
    // the hypervisor takes; its own switches are tried by that, too.
    let mut billy = lab.scripted(
        "expect console \"billy> \"\n\
         type \"fp\\r\"\n\
         wait ms 20\n\
         irq 962 raise 20\n\
         expect console \"registers changed\"\n\
         type \"poweroff\\r\"\n",
    )?;
    let before = billy.expect(" of 32 registers changed in ")?;
    let changed = before.lines().last().unwrap_or_default();
    ensure!(changed == "0", billy.failure(&format!("{changed} registers changed")));
    let count: u64 = billy.expect(" interrupts")?.trim().parse()?;
    ensure!(count >= 70, billy.failure(&format!("only {count} interrupts came meanwhile")));
    billy.expect_exit(Outcome::End)?;
    Ok(())
}
