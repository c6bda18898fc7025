//! `cargo xtask bench`: what Billy costs, in instructions of the guest.
//!
//! The shipped image runs on deterministic machines (`-icount`), while the shim logs each exit of
//! the guest with the number of EL1 instructions before it, read from the PMU. What a thing costs
//! is the difference between two such lines; nothing in the guest knows that it is measured.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::build::{self, Artefacts, CapabilityOptions, variation::Variation};
use crate::host;
use crate::machine::Machine;
use crate::qemu::{MachineOptions, Outcome, Script, Staged};

mod exits;
mod numbers;
mod scripts;
mod storm;
mod targets;

use exits::Trace;
use numbers::Numbers;

/// How much a number may grow over the baseline, as a part of it, before the run fails.
const TOLERANCE: f64 = 0.03;
/// How long a machine may take; `-icount` is slow, and others may use this computer.
const PATIENCE: Duration = Duration::from_secs(300);

/// Options of `bench`.
#[derive(Args)]
pub struct Options {
    /// Print one JSON object instead of the table; what fails is told on standard error
    #[arg(long)]
    json: bool,
    /// Make what was measured the new baseline, whether or not there is one; no growth fails, a missed target does
    #[arg(long)]
    save: bool,
}

/// Measures, prints, and compares with the targets and the baseline.
///
/// # Errors
/// A machine does not run to its end, its trace lacks something, or the baseline is missing or cannot be read.
pub fn command(options: &Options) -> Result<ExitCode> {
    let file = baseline_file();
    let baseline = read_baseline(&file, options.save)?;
    let artefacts = build::build()?;
    let merged = trace(&artefacts, "merged", true, None, scripts::plain())?;
    let overlay = trace(&artefacts, "overlay", false, None, scripts::boot())?;
    let bootargs = Some("services=2");
    let services = trace(&artefacts, "services", true, bootargs, scripts::services())?;
    let ring = trace(&artefacts, "ring", true, None, scripts::ring())?;
    let storm = trace(&artefacts, "storm", true, None, storm::script())?;
    let image_bytes = fs::metadata(&artefacts.image).context("the image")?.len();
    let numbers = Numbers::measure(&merged, &overlay, &services, &ring, &storm, image_bytes)?;
    if options.json {
        println!("{}", numbers.to_json());
    } else {
        print!("{}", numbers.table(&baseline));
    }
    if options.save {
        fs::write(&file, numbers.to_json() + "\n").context("writing the baseline")?;
    }
    let failures = numbers.failures((!options.save).then_some(&baseline), TOLERANCE);
    for failure in &failures {
        eprintln!("{failure}");
    }
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The numbers to compare with, kept in the repository.
fn baseline_file() -> PathBuf {
    host::workspace().join("xtask/baseline.json")
}

/// Reads the baseline; before one is `saved` there may be none.
fn read_baseline(file: &Path, saved: bool) -> Result<Numbers> {
    match fs::read_to_string(file) {
        Ok(text) => Numbers::from_json(&text),
        Err(error) if error.kind() == ErrorKind::NotFound && saved => Ok(Numbers::default()),
        Err(error) if error.kind() == ErrorKind::NotFound => bail!(
            "there is no baseline {} to compare with; `cargo xtask bench --save` writes one",
            file.display()
        ),
        Err(error) => Err(error.into()),
    }
    .with_context(|| format!("reading the baseline {}", file.display()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_baseline_there_is_nothing_to_compare_with() {
        let dir = host::artefacts().join("bench-tests");
        fs::create_dir_all(&dir).unwrap();
        let none = dir.join("none.json");
        let error = read_baseline(&none, false).unwrap_err().to_string();
        assert!(error.contains("there is no baseline"), "{error}");
        assert!(error.contains("none.json") && error.contains("--save"), "{error}");
        assert_eq!(read_baseline(&none, true).unwrap(), Numbers::default());
        let broken = dir.join("broken.json");
        fs::write(&broken, "{").unwrap();
        let error = read_baseline(&broken, false).unwrap_err().to_string();
        assert!(error.starts_with("reading the baseline ") && error.contains("broken.json"));
    }
}
