//! This terminal as the console of a machine that is being debugged.

use std::env;
use std::io::{Read, Write, stdin, stdout};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::thread;

use anyhow::{Context, Result};

use super::{CONSOLE_LOG, CONSOLE_SOCKET};
use crate::build::Artefacts;
use crate::symbols::{Annotator, Symbols};
use crate::terminal::Raw;

/// Ctrl-].
const QUIT: u8 = 0x1d;

/// Shows what the guest printed so far, then connects the terminal until either side ends.
pub fn attend(dir: &Path, artefacts: &Artefacts) -> Result<ExitCode> {
    env::set_current_dir(dir)
        .with_context(|| format!("no machine is being debugged in {}", dir.display()))?;
    let mut socket = UnixStream::connect(CONSOLE_SOCKET)
        .context("no machine is being debugged; start one with `cargo xtask gdb`")?;
    let symbols = [("billy", &artefacts.guest_elf), ("shim", &artefacts.shim_elf)]
        .map(|(name, elf)| Symbols::open(name, elf));
    let mut annotator = Annotator::new(symbols.into_iter().flatten().collect());
    let shown = std::fs::read(CONSOLE_LOG).unwrap_or_default();
    let mut screen = stdout();
    screen.write_all(&annotator.feed(&shown))?;
    screen.flush()?;

    let raw = Raw::enter();
    let input = socket.try_clone()?;
    let quits = raw.is_some();
    thread::spawn(move || forward(input, quits));
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = socket.read(&mut buffer) {
        screen.write_all(&annotator.feed(&buffer[..length]))?;
        screen.flush()?;
    }
    drop(raw);
    println!();
    Ok(ExitCode::SUCCESS)
}

/// Stdin to the guest, until Ctrl-].
fn forward(mut socket: UnixStream, quits: bool) {
    let mut buffer = [0; 1024];
    while let Ok(length @ 1..) = stdin().read(&mut buffer) {
        let bytes = &buffer[..length];
        if (quits && bytes.contains(&QUIT)) || socket.write_all(bytes).is_err() {
            // Ends the reading side too.
            let _ = socket.shutdown(std::net::Shutdown::Both);
            return;
        }
    }
}
