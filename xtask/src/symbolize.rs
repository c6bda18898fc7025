//! `cargo xtask symbolize`: a log with its code addresses resolved.

use std::io::{Read, Write, stdin, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use object::LittleEndian;
use object::elf::FileHeader64;
use object::read::Object;
use object::read::elf::ElfFile;

use crate::build::Artefacts;
use crate::symbols::{Annotator, Symbols};

/// What `cargo xtask symbolize` takes.
#[derive(Args)]
pub struct Options {
    /// The log; - for standard input
    #[arg(value_name = "FILE")]
    log: PathBuf,
    /// The guest with symbols, of the very build that wrote the log [default: target/billy/billy.elf]
    #[arg(long, value_name = "FILE")]
    elf: Option<PathBuf>,
}

/// `cargo xtask symbolize`.
pub fn command(options: &Options) -> Result<ExitCode> {
    let log = read_log(&options.log)?;
    let elf = options.elf.clone().unwrap_or_else(|| Artefacts::paths().guest_elf);
    let data = std::fs::read(&elf).with_context(|| {
        format!("reading {}; `cargo xtask build` makes it, or name one with --elf", elf.display())
    })?;
    check_build(&String::from_utf8_lossy(&log), &build_id(&data)?, &elf)?;
    let mut annotator = Annotator::new(vec![Symbols::open("billy", &elf)?]);
    let mut text = annotator.feed(&log);
    if !log.ends_with(b"\n") {
        text.extend(annotator.feed(b"\n"));
    }
    stdout().write_all(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn read_log(file: &Path) -> Result<Vec<u8>> {
    if file == Path::new("-") {
        let mut log = Vec::new();
        stdin().read_to_end(&mut log).context("reading standard input")?;
        return Ok(log);
    }
    std::fs::read(file).with_context(|| format!("reading {}", file.display()))
}

/// The build that the linker noted in the ELF file, as the crash report prints it; empty if none.
fn build_id(elf: &[u8]) -> Result<String> {
    let elf = ElfFile::<FileHeader64<LittleEndian>>::parse(elf).context("reading the ELF file")?;
    let id = elf.build_id().context("reading the ELF file's build id")?.unwrap_or_default();
    Ok(id.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Refuses a file of another build than the one whose addresses are in the log.
fn check_build(log: &str, id: &str, elf: &Path) -> Result<()> {
    let named: Vec<&str> = builds(log).collect();
    if named.is_empty() {
        eprintln!("The log does not name its build: resolved with {}", elf.display());
    }
    if let Some(other) = named.iter().find(|build| **build != id) {
        bail!(
            "the log is of build {other}, {} is of build {id}: name the matching file with --elf",
            elf.display()
        );
    }
    Ok(())
}

/// The builds named in crash reports: `billy 0.1.0, build 0123456789abcdef, loaded at 0x80000000`.
fn builds(log: &str) -> impl Iterator<Item = &str> {
    let lines = log.lines().filter_map(|line| line.split_once("billy ")?.1.split_once(", build "));
    lines.filter_map(|(_, rest)| Some(rest.split_once(", loaded at ")?.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str =
        "billy> panic\r\n*** panicked\r\nbilly 0.1.0, build 01ab, loaded at 0x80000000\r\n";

    #[test]
    fn a_log_of_another_build_is_refused() {
        assert_eq!(builds(LOG).collect::<Vec<_>>(), ["01ab"]);
        let elf = Path::new("billy.elf");
        assert!(check_build(LOG, "01ab", elf).is_ok());
        assert!(check_build("nothing", "01ab", elf).is_ok());
        let error = check_build(LOG, "ffff", elf).unwrap_err().to_string();
        assert!(error.contains("build 01ab") && error.contains("build ffff"), "{error}");
    }

    #[test]
    fn a_file_that_is_no_program_is_named() {
        assert!(build_id(b"no ELF file").is_err());
    }
}
