//! Billy's one tool for people: `cargo xtask`.
//!
//! Here lives what a person or a CI machine does with the project. What runs inside the machine
//! is in the other folders; nothing here is part of an image.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod build;
mod dt;
mod gdb;
mod handover;
mod host;
mod machine;
mod progress;
mod qemu;
mod run;
mod scenarios;
mod setup;
mod size;
mod symbolize;
mod symbols;
mod terminal;
mod test;
mod unseen;

/// Billy boots as a virtual machine of the Gunyah hypervisor. This tool builds it and runs it
/// under QEMU, on an emulation of Gunyah's guest interface.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
#[command(after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask run                               Billy's shell on this terminal; Ctrl-] quits
  printf 'help\\rpoweroff\\r' | cargo xtask run   the same without a terminal
  cargo xtask run --linear-caps --cpu cortex-a72
  cargo xtask test boot                         only the tests with \"boot\" in their names";

#[derive(Subcommand)]
enum Command {
    /// Install what the project needs: QEMU, the device-tree compiler, AArch64's core library
    ///
    /// The other commands do this themselves. It does nothing when all is there.
    Setup,
    /// Build guest, shim and device trees into target/billy
    Build(build::Options),
    /// Build, start Billy under QEMU and connect this terminal to its console
    ///
    /// The exit status tells the outcome: 0 clean end, 3 skipped, 4 error, 5 failure, 6 crash.
    Run(run::Options),
    /// Print what Billy would make of a device tree: addresses, interrupts, capabilities, or the error
    Dt(dt::Options),
    /// Run the host tests and the QEMU scenarios
    ///
    /// Ends with one line, `N passed, N failed`, and a status other than 0 if anything failed.
    Test(test::Options),
    /// Measure what Billy costs, in instructions of the guest, and compare with targets and baseline
    ///
    /// Fails if a number misses its target, if one is worse by more than 3 % than the baseline that
    /// the repository keeps in xtask/baseline.json, if there is no baseline, or if a doorbell among 64
    /// costs more than one alone. The size of the image is known to miss its target: the table shows it
    /// as "missed, known", and it fails only if it grows.
    Bench(bench::Options),
    /// Show what the guest's image is made of: sections, crates, functions
    Size(size::Options),
    /// Start the machine stopped, with gdb attached that knows the symbols of shim and guest
    ///
    /// Its commands billy-tasks, billy-irqs, billy-queues, billy-trace and billy-log show the guest.
    Gdb(gdb::Options),
    /// Print a log that somebody sent, with functions and lines for its code addresses
    Symbolize(symbolize::Options),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Setup => setup::ensure().map(|()| ExitCode::SUCCESS),
        Command::Build(options) => build::command(&options).map(|()| ExitCode::SUCCESS),
        Command::Bench(options) => bench::command(&options),
        Command::Size(options) => size::command(&options).map(|()| ExitCode::SUCCESS),
        Command::Run(options) => run::command(&options),
        Command::Dt(options) => dt::command(&options),
        Command::Test(options) => test::command(&options),
        Command::Gdb(options) => gdb::command(&options),
        Command::Symbolize(options) => symbolize::command(&options),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
