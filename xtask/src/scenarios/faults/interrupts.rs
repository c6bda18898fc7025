//! Interrupts that do not come, come late, twice, without a cause, or of the wrong kind.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Result, ensure};

use super::super::{Lab, PROMPT};
use super::is_well;
use crate::build::trees::{Capabilities, Trees};
use crate::machine::Machine;
use crate::qemu::MachineOptions;

/// How many interrupts of each INTID `irq` counts.
fn taken(billy: &mut Machine) -> Result<BTreeMap<u32, u64>> {
    let answer = billy.ask("irq", PROMPT)?;
    let count = |line: &str| {
        let mut words = line.split_whitespace();
        Some((words.next()?.parse().ok()?, words.nth(1)?.parse().ok()?))
    };
    Ok(answer.lines().filter_map(count).collect())
}

pub fn swapped(lab: &Lab) -> Result<()> {
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

pub fn lost(lab: &Lab) -> Result<()> {
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

pub fn late(lab: &Lab) -> Result<()> {
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

pub fn doubled(lab: &Lab) -> Result<()> {
    let mut script = String::new();
    for intid in 960..=964 {
        let _ = writeln!(script, "irq {intid} double 1000");
    }
    script += "ring 3 0x1 50\nexpect bells 50\nsend 2 \"message {n}\" 50\n\
               expect message 2 \"message {n}\" 50\nsilent on\n";
    // The second interrupt of what comes alone finds nothing; else it may fall together with the next.
    let _ = write!(
        script,
        "repeat {ALONE}\nwait ms 20\nburst 3 0x1 1\nexpect bells 1\nwait ms 20\n\
         send 2 alone\nexpect message 2 alone\nwait ms 20\nnotify 0x561000ff\nend\nwait ms 20\n"
    );
    let mut billy = lab.played(&script)?;
    billy.shows_all(&[
        ("count 500", &["500"]),
        ("rm stats", &["packets dropped 0", "timeouts 0", "interrupts lost 0"]),
        ("bell list", &["answered 70"]),
        ("msgq list", &["echoed 70"]),
    ])?;
    finds_nothing(&mut billy, ALONE)?;
    is_well(billy)
}

pub fn spurious(lab: &Lab) -> Result<()> {
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
    // Two that come before the guest looks are one.
    for (intid, count) in taken(&mut billy)? {
        let reason = || billy.failure(&format!("INTID {intid} came {count} times"));
        ensure!(count >= 10 || !(960..=964).contains(&intid), reason());
    }
    finds_nothing(&mut billy, 10)?;
    is_well(billy)
}

/// Rings, messages and notifications whose doubled interrupts come alone.
const ALONE: u64 = 20;

/// Looks whether so many interrupts of each kind found nothing to receive.
fn finds_nothing(billy: &mut Machine, least: u64) -> Result<()> {
    for (line, end, words) in [
        ("bell list", "bell 3 in: ", "kicks "),
        ("msgq stats", "  in ", "waits "),
        ("rm stats", "", "receives that found nothing "),
    ] {
        let count = billy.count(line, end, words)?;
        let reason = format!("`{line}` shows `{words}{count}`, not {least} at least");
        ensure!(count >= least, billy.failure(&reason));
    }
    Ok(())
}
