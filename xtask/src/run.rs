//! `cargo xtask run`: Billy on this terminal.

use std::fs;
use std::io::{IsTerminal, Read, Write, stderr, stdin, stdout};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;

use crate::qemu::{self, Outcome, Staged};
use crate::symbols::{Annotator, Symbols};
use crate::terminal::Raw;
use crate::{build, host, setup, unseen};

/// Ctrl-], the key that telnet and others use for leaving.
const QUIT: u8 = 0x1d;
const TIMED_OUT: u8 = 124;
/// How much of the console is kept, at least, to tell what it did not show.
const KEPT: usize = 1 << 20;

/// What `cargo xtask run` takes.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    machine: qemu::MachineOptions,
    /// Where the shim's log goes [default: target/billy/run/shim.log]
    #[arg(long, value_name = "FILE")]
    shim_log: Option<PathBuf>,
    /// Stop the machine after so many seconds
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Further arguments for QEMU
    #[arg(last = true, value_name = "QEMU ARGUMENT")]
    qemu: Vec<String>,
}

/// Why the machine was left.
enum Left {
    Ended(ExitStatus),
    Quit,
    TimedOut,
}

/// `cargo xtask run`.
pub fn command(options: &Options) -> Result<ExitCode> {
    setup::ensure()?;
    let artefacts = build::build()?;
    let dir = host::artefacts().join("run");
    let mut staged = Staged::new(&options.machine, &artefacts, &dir)?;
    if let Some(log) = &options.shim_log {
        staged.log_to(log)?;
    }
    let symbols = vec![
        Symbols::open("billy", &artefacts.guest_elf)?,
        Symbols::open("shim", &artefacts.shim_elf)?,
    ];
    let mut command = staged.command();
    command.args(&options.qemu);

    let stderr_file = dir.join("qemu.err");
    command.stderr(fs::File::create(&stderr_file)?);
    if stdin().is_terminal() {
        eprintln!("Starting QEMU. Every key goes to Billy; Ctrl-] quits.");
    }
    let limit = options.timeout.map(Duration::from_secs);
    let mut annotator = Annotator::new(symbols);
    let mut console = Vec::new();
    let left = attend(command, &mut annotator, &mut console, limit)?;
    match left {
        Left::Ended(status) => {
            let said = fs::read_to_string(&stderr_file).unwrap_or_default();
            let outcome = Outcome::of(status, &said)?;
            eprintln!("{outcome}");
            if outcome != Outcome::End {
                let log = fs::read(staged.shim_log()).unwrap_or_default();
                let log = String::from_utf8_lossy(&log);
                let unseen = unseen::guest_lines(&log, &console);
                if !unseen.is_empty() {
                    eprintln!("What the guest logged besides:");
                    stderr().write_all(&annotator.feed(unseen.as_bytes()))?;
                }
                eprintln!("{}", unseen::last_own_line(&log).unwrap_or_default());
                eprintln!("The shim's log: {}", staged.shim_log().display());
            }
            Ok(ExitCode::from(outcome.code()))
        }
        Left::Quit => {
            eprintln!("left with Ctrl-]: the machine is stopped");
            Ok(ExitCode::SUCCESS)
        }
        Left::TimedOut => {
            let seconds = limit.unwrap_or_default().as_secs();
            eprintln!("no end within {seconds} s: the machine is stopped");
            Ok(ExitCode::from(TIMED_OUT))
        }
    }
}

/// Something that happens while the machine runs.
enum Event {
    Output(Vec<u8>),
    OutputEnd,
    Quit,
}

/// Runs QEMU with this terminal, or these pipes, as its serial line. What came from the guest is
/// left in `console`.
fn attend(
    mut command: Command,
    annotator: &mut Annotator,
    console: &mut Vec<u8>,
    limit: Option<Duration>,
) -> Result<Left> {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("starting QEMU")?;
    let raw = Raw::enter();
    let (sender, events) = mpsc::channel();
    if let Some(input) = child.stdin.take() {
        let (quit, quits) = (sender.clone(), raw.is_some());
        thread::spawn(move || forward_input(input, &quit, quits));
    }
    if let Some(output) = child.stdout.take() {
        thread::spawn(move || forward_output(output, &sender));
    }
    let left = show(&mut child, &events, annotator, console, limit);
    // Whatever happened, QEMU does not outlive this function.
    let _ = child.kill();
    let _ = child.wait();
    drop(raw);
    println!();
    left
}

fn show(
    child: &mut Child,
    events: &Receiver<Event>,
    annotator: &mut Annotator,
    console: &mut Vec<u8>,
    limit: Option<Duration>,
) -> Result<Left> {
    let start = Instant::now();
    loop {
        let left = limit.map(|limit| limit.saturating_sub(start.elapsed()));
        let event = match left {
            Some(left) => events.recv_timeout(left),
            None => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match event {
            Ok(Event::Output(bytes)) => {
                console.extend_from_slice(&bytes);
                if console.len() > 2 * KEPT {
                    console.drain(..KEPT);
                }
                let mut stdout = stdout().lock();
                stdout.write_all(&annotator.feed(&bytes))?;
                stdout.flush()?;
            }
            Ok(Event::OutputEnd) | Err(RecvTimeoutError::Disconnected) => {
                return Ok(Left::Ended(child.wait()?));
            }
            Ok(Event::Quit) => return Ok(Left::Quit),
            Err(RecvTimeoutError::Timeout) => return Ok(Left::TimedOut),
        }
    }
}

/// Stdin to the guest. The end of piped input is not the end of the run.
fn forward_input(mut input: impl Write, events: &Sender<Event>, quits: bool) {
    let mut buffer = [0; 1024];
    while let Ok(length @ 1..) = stdin().read(&mut buffer) {
        let bytes = &buffer[..length];
        if quits && bytes.contains(&QUIT) {
            // The receiver is gone only when the run is over anyway.
            let _ = events.send(Event::Quit);
            return;
        }
        if input.write_all(bytes).and_then(|()| input.flush()).is_err() {
            return;
        }
    }
}

fn forward_output(mut output: impl Read, events: &Sender<Event>) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = output.read(&mut buffer) {
        if events.send(Event::Output(buffer[..length].to_vec())).is_err() {
            return;
        }
    }
    let _ = events.send(Event::OutputEnd);
}
