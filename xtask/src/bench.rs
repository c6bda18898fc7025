//! `cargo xtask bench`: what Billy costs, in instructions of the guest.
//!
//! The shipped image runs on deterministic machines (`-icount`), while the shim logs each exit of
//! the guest with the number of EL1 instructions before it, read from the PMU. What a thing costs
//! is the difference between two such lines; nothing in the guest knows that it is measured.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use crate::build::{self, Artefacts, CapabilityOptions, variation::Variation};
use crate::host;
use crate::machine::Machine;
use crate::qemu::{MachineOptions, Outcome, Script, Staged};

mod exits;
mod numbers;
mod storm;

use exits::Trace;
use numbers::Numbers;

/// How much a number may grow over the baseline before the run fails.
const TOLERANCE: f64 = 0.03;
/// How long a machine may take; `-icount` is slow, and others may use this computer.
const PATIENCE: Duration = Duration::from_secs(300);

/// What the peer does on the machine whose costs are told apart.
const SCRIPT: &str = "\
    expect console \"billy> \"
    log prompt
    wait ms 20
    log messages
    send 2 m1
    expect message 2 m1
    send 2 m2
    expect message 2 m2
    send 2 m3
    expect message 2 m3
    send 2 m4
    expect message 2 m4
    wait ms 20
    log bells
    ring 3 0x1 8
    wait ms 20
    log requests
    type \"rm ping 100\\r\"
    expect console \"billy> \"
    wait ms 20
    log console
    type \"count 2000\\r\"
    expect console \"2000\"
    expect console \"billy> \"
    log end
    type \"poweroff\\r\"
    expect exit off within 60000
";

/// What the peer does on the machine whose queue has services: it has 64 bytes echoed.
const SERVICES_SCRIPT: &str = "\
    silent on
    expect console \"billy> \"
    wait ms 20
    log requests
    send 2 \"\\x01\\x01\\x01\\x00\\x07\\x00\\x00\\x00@aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"
    expect message 2 \"\\x01\\x02\\x01\\x00\\x07\\x00\\x00\\x00@aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"
    send 2 \"\\x01\\x01\\x01\\x00\\x07\\x00\\x00\\x00@aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"
    expect message 2 \"\\x01\\x02\\x01\\x00\\x07\\x00\\x00\\x00@aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"
    send 2 \"\\x01\\x01\\x01\\x00\\x07\\x00\\x00\\x00@aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"
    expect message 2 \"\\x01\\x02\\x01\\x00\\x07\\x00\\x00\\x00@aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"
    send 2 \"\\x01\\x01\\x01\\x00\\x07\\x00\\x00\\x00@aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"
    expect message 2 \"\\x01\\x02\\x01\\x00\\x07\\x00\\x00\\x00@aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"
    wait ms 20
    log end
    type \"poweroff\\r\"
    expect exit off within 60000
";

/// What the peer does on the machine with rings: messages of 64 bytes echoed through one, 1 MiB through another.
const RING_SCRIPT: &str = "\
    silent on
    expect console \"billy> \"
    add ring 7 131072
    expect accepted 7
    attach 7
    expect attached 7
    add ring 8 131072
    expect accepted 8
    attach 8 bytes
    expect attached 8
    wait ms 20
    log messages
    request 7 echo 1 text=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
    expect reply 7 echo 1
    request 7 echo 2 text=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
    expect reply 7 echo 2
    request 7 echo 3 text=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
    expect reply 7 echo 3
    request 7 echo 4 text=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
    expect reply 7 echo 4
    request 7 echo 5 text=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
    expect reply 7 echo 5
    wait ms 20
    log bytes
    stream 8 64
    expect streamed 8 64
    wait ms 5
    stream 8 64
    expect streamed 8 64
    wait ms 5
    stream 8 64
    expect streamed 8 64
    wait ms 5
    stream 8 64
    expect streamed 8 64
    wait ms 5
    stream 8 64
    expect streamed 8 64
    wait ms 5
    log stream
    stream 8 1048576
    expect streamed 8 1048576
    log end
    type \"poweroff\\r\"
    expect exit off within 60000
";

/// What the peer does on the machine that only boots.
const BOOT_SCRIPT: &str = "\
    expect console \"billy> \"
    log prompt
    wait ms 20
    log end
    type \"poweroff\\r\"
    expect exit off within 60000
";

/// Options of `bench`.
#[derive(Args)]
pub struct Options {
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
    /// Make what was measured the new baseline
    #[arg(long)]
    save: bool,
}

/// Measures, prints, and compares with the baseline.
///
/// # Errors
/// A machine does not run to its end, its trace lacks something, or the baseline cannot be read.
pub fn command(options: &Options) -> Result<ExitCode> {
    let artefacts = build::build()?;
    let merged = trace(&artefacts, "merged", true, None, SCRIPT)?;
    let overlay = trace(&artefacts, "overlay", false, None, BOOT_SCRIPT)?;
    let bootargs = Some("services=2");
    let services = trace(&artefacts, "services", true, bootargs, SERVICES_SCRIPT)?;
    let ring = trace(&artefacts, "ring", true, None, RING_SCRIPT)?;
    let storm = trace(&artefacts, "storm", true, None, storm::script().leak())?;
    let image_bytes = fs::metadata(&artefacts.image).context("the image")?.len();
    let numbers = Numbers::measure(&merged, &overlay, &services, &ring, &storm, image_bytes)?;
    let baseline = baseline_file();
    let known = match fs::read_to_string(&baseline) {
        Ok(text) => Numbers::from_json(&text)
            .with_context(|| format!("reading the baseline {}", baseline.display()))?,
        Err(_) => Numbers::default(),
    };
    if options.json {
        println!("{}", numbers.to_json());
    } else {
        print!("{}", numbers.table(&known));
    }
    if options.save {
        fs::write(&baseline, numbers.to_json() + "\n").context("writing the baseline")?;
        return Ok(ExitCode::SUCCESS);
    }
    let grown = numbers.grown(&known, TOLERANCE);
    for key in &grown {
        eprintln!("{key} grew by more than {} %", TOLERANCE * 100.0);
    }
    let swells = numbers.storm_swells();
    if swells {
        eprintln!("a doorbell costs more, the more there are");
    }
    Ok(if grown.is_empty() && !swells { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The numbers to compare with, kept in the repository.
fn baseline_file() -> PathBuf {
    host::workspace().join("xtask/baseline.json")
}

/// Runs a machine to its end and reads what its shim traced.
fn trace(
    artefacts: &Artefacts,
    name: &str,
    merged: bool,
    bootargs: Option<&str>,
    script: &'static str,
) -> Result<Trace> {
    eprintln!("measuring {name} ...");
    let options = MachineOptions {
        capabilities: CapabilityOptions { linear_caps: true, seed: 1 },
        merged,
        variation: Variation { bootargs: bootargs.map(Into::into), ..Variation::default() },
        script: Some(Script::Text(script)),
        icount: true,
        trace_exits: true,
        ..MachineOptions::default()
    };
    let dir = host::artefacts().join("bench").join(name);
    let staged = Staged::new(&options, artefacts, &dir)?;
    let mut machine = Machine::spawn(staged.command(), Some(staged.shim_log()))?;
    machine.set_patience(PATIENCE);
    machine.expect_exit(Outcome::End)?;
    let log = fs::read_to_string(staged.shim_log()).context("the shim's log")?;
    Trace::parse(&log).with_context(|| format!("the trace of {name}"))
}
