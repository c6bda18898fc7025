//! The tests that boot Billy in QEMU, by theme; each has a machine of its own.
//!
//! A scenario is a function that starts a machine from a [`Lab`], types and expects. It is run
//! once for each processor; its name is `<processor>::<theme>::<what it shows>`.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Error, Result};
use libtest_mimic::{Arguments, Trial};

use crate::build::Artefacts;
use crate::machine::Machine;
use crate::qemu::{Cpu, MachineOptions, Staged};
use crate::symbols::{Annotator, Symbols};
use crate::test::Count;
use crate::{host, setup};

mod bare;
mod boot;
mod channels;
mod console;
mod crash;
mod debugger;
mod ends;
mod faults;
mod requests;
mod rm;
mod services;
mod sharing;
mod shell;
mod soak;
mod steps;
mod trees;
mod uart;

/// What Billy's shell shows at the start of a line when it waits for one. While a person types,
/// the line is drawn again, but then no new one begins.
const PROMPT: &str = "\nbilly> ";

/// A test in QEMU.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// `<theme>::<what it shows>`.
    name: &'static str,
    run: fn(&Lab) -> Result<()>,
}

impl Scenario {
    const fn new(name: &'static str, run: fn(&Lab) -> Result<()>) -> Self {
        Self { name, run }
    }
}

/// Where a scenario gets its machine.
pub struct Lab {
    artefacts: Arc<Artefacts>,
    cpu: Cpu,
    dir: PathBuf,
}

impl Lab {
    /// Starts a machine as `options` say, on this lab's processor.
    ///
    /// # Errors
    /// Its files cannot be made, or QEMU cannot be started.
    pub fn start(&self, options: MachineOptions) -> Result<Machine> {
        let options = MachineOptions { cpu: self.cpu, ..options };
        let staged = Staged::new(&options, &self.artefacts, &self.dir)?;
        Machine::spawn(staged.command(), Some(staged.shim_log()))
    }

    /// Runs a command that is no machine of ours.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn(&self, command: Command) -> Result<Machine> {
        Machine::spawn(command, None)
    }

    /// Starts a machine and waits for Billy's first prompt.
    ///
    /// # Errors
    /// It does not start, or there is no prompt.
    pub fn boot(&self, options: MachineOptions) -> Result<Machine> {
        let mut machine = self.start(options)?;
        machine.expect(PROMPT)?;
        Ok(machine)
    }

    /// The error as text, code addresses in it resolved.
    fn explain(&self, error: &Error) -> String {
        self.resolve(&format!("{error:#}"))
    }

    /// The text, code addresses in it resolved.
    fn resolve(&self, text: &str) -> String {
        let symbols = [
            Symbols::open("billy", &self.artefacts.guest_elf),
            Symbols::open("shim", &self.artefacts.shim_elf),
        ];
        let mut annotator = Annotator::new(symbols.into_iter().flatten().collect());
        let bytes = annotator.feed(format!("{}\n", text.trim_end()).as_bytes());
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn all() -> impl Iterator<Item = &'static Scenario> {
    [
        boot::SCENARIOS,
        ends::SCENARIOS,
        shell::SCENARIOS,
        console::SCENARIOS,
        services::SCENARIOS,
        requests::SCENARIOS,
        sharing::SCENARIOS,
        channels::SCENARIOS,
        crash::SCENARIOS,
        debugger::SCENARIOS,
        bare::SCENARIOS,
        trees::SCENARIOS,
        uart::SCENARIOS,
        rm::SCENARIOS,
        faults::SCENARIOS,
        soak::SCENARIOS,
    ]
    .into_iter()
    .flatten()
}

/// The names of all scenarios on these processors.
pub fn names(cpus: &[Cpu]) -> Vec<String> {
    let named = |&cpu: &Cpu| all().map(move |scenario| full_name(cpu, scenario));
    cpus.iter().flat_map(named).collect()
}

fn full_name(cpu: Cpu, scenario: &Scenario) -> String {
    let cpu = cpu.to_string().replace('-', "_");
    format!("{cpu}::{}", scenario.name)
}

/// Runs the scenarios whose names contain `filter`, at most `jobs` machines at a time.
pub fn run(artefacts: Artefacts, filter: Option<&str>, cpus: &[Cpu], jobs: usize) -> Count {
    let artefacts = Arc::new(artefacts);
    let mut trials = Vec::new();
    let debugger = setup::debugger().is_some();
    for &cpu in cpus {
        for &scenario in all() {
            let name = full_name(cpu, &scenario);
            let lab = Lab {
                artefacts: artefacts.clone(),
                cpu,
                dir: host::artefacts().join("scenarios").join(name.replace("::", "/")),
            };
            let trial = Trial::test(name, move || {
                let result = (scenario.run)(&lab).context("scenario");
                result.map_err(|error| lab.explain(&error).into())
            });
            let needs_debugger = scenario.name.starts_with("debugger::");
            trials.push(trial.with_ignored_flag(needs_debugger && !debugger));
        }
    }
    let arguments = Arguments {
        filter: filter.map(str::to_owned),
        test_threads: Some(jobs),
        ..Arguments::default()
    };
    let conclusion = libtest_mimic::run(&arguments, trials);
    Count { passed: conclusion.num_passed, failed: conclusion.num_failed }
}
