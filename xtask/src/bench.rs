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
mod scripts;
mod storm;

use exits::Trace;
use numbers::Numbers;

/// How much a number may grow over the baseline before the run fails.
const TOLERANCE: f64 = 0.03;
/// How long a machine may take; `-icount` is slow, and others may use this computer.
const PATIENCE: Duration = Duration::from_secs(300);

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
    let merged = trace(&artefacts, "merged", true, None, scripts::plain())?;
    let overlay = trace(&artefacts, "overlay", false, None, scripts::boot())?;
    let bootargs = Some("services=2");
    let services = trace(&artefacts, "services", true, bootargs, scripts::services())?;
    let ring = trace(&artefacts, "ring", true, None, scripts::ring())?;
    let storm = trace(&artefacts, "storm", true, None, storm::script())?;
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
    script: String,
) -> Result<Trace> {
    eprintln!("measuring {name} ...");
    let options = MachineOptions {
        capabilities: CapabilityOptions { linear_caps: true, seed: 1 },
        merged,
        variation: Variation { bootargs: bootargs.map(Into::into), ..Variation::default() },
        script: Some(Script::Text(script.into())),
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
