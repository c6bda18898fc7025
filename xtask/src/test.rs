//! `cargo xtask test`: host tests, then scenarios in QEMU, then the sum.

use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};
use clap::Args;

use crate::qemu::Cpu;
use crate::{build, host, scenarios, setup};

/// What `cargo xtask test` takes.
#[derive(Args)]
pub struct Options {
    /// Run only the tests whose names contain this
    filter: Option<String>,
    /// Leave the QEMU scenarios out
    #[arg(long, conflicts_with = "qemu_only")]
    host_only: bool,
    /// Leave the host tests out
    #[arg(long)]
    qemu_only: bool,
    /// Run the scenarios on this processor only
    #[arg(long, value_enum)]
    cpu: Option<Cpu>,
    /// How many machines run at the same time
    #[arg(long, value_name = "N", default_value_t = 2)]
    jobs: usize,
    /// Print the names of the scenarios and do nothing
    #[arg(long)]
    list: bool,
}

/// Numbers of tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Tests that ended well.
    pub passed: u64,
    /// Tests that did not.
    pub failed: u64,
}

impl Count {
    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// `cargo xtask test`.
pub fn command(options: &Options) -> Result<ExitCode> {
    let cpus = options.cpu.map_or(vec![Cpu::Max, Cpu::CortexA72], |cpu| vec![cpu]);
    if options.list {
        for name in scenarios::names(&cpus) {
            println!("{name}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    setup::ensure()?;
    let filter = options.filter.as_deref();
    let mut count = Count::default();
    if !options.qemu_only {
        count.add(host_tests(filter)?);
    }
    if !options.host_only {
        count.add(in_qemu(filter, &cpus, options.jobs));
    }
    println!("{} passed, {} failed", count.passed, count.failed);
    Ok(match count.failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// The scenarios; images that do not build count as one failed test.
fn in_qemu(filter: Option<&str>, cpus: &[Cpu], jobs: usize) -> Count {
    match build::build() {
        Ok(artefacts) => {
            if let Err(error) = setup::ensure_debugger() {
                eprintln!("The scenarios with gdb are left out: {error:#}");
            }
            scenarios::run(artefacts, filter, cpus, jobs.clamp(1, 16))
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            Count { passed: 0, failed: 1 }
        }
    }
}

/// Runs `cargo test --workspace` and counts what its test programs report.
fn host_tests(filter: Option<&str>) -> Result<Count> {
    let mut command = Command::new(host::cargo());
    command
        .current_dir(host::workspace())
        .args(["test", "--quiet", "--workspace", "--no-fail-fast"])
        .stdout(Stdio::piped());
    if let Some(filter) = filter {
        command.args(["--", filter]);
    }
    let mut child = command.spawn().context("starting cargo test")?;
    let mut count = Count::default();
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines() {
            let line = line?;
            println!("{line}");
            if let Some(result) = test_result(&line) {
                count.add(result);
            }
        }
    }
    if !child.wait()?.success() && count.failed == 0 {
        // A test program did not compile, or died before its summary.
        count.failed = 1;
    }
    Ok(count)
}

/// Reads `test result: ok. 3 passed; 0 failed; …`.
fn test_result(line: &str) -> Option<Count> {
    let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let number = |what: &str| {
        let field = numbers.split("; ").find_map(|field| field.strip_suffix(what))?;
        field.trim().parse().ok()
    };
    Some(Count { passed: number("passed")?, failed: number("failed")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_of_test_programs_are_read() {
        let line = "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 1 filtered out; finished in 0.01s";
        let expected = Count { passed: 12, failed: 3 };
        assert_eq!(test_result(line), Some(expected));
        assert_eq!(test_result("test a::b ... ok"), None);
        assert_eq!(test_result("test result: ok. nothing"), None);
    }
}
