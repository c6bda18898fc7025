//! The programs from the distribution: QEMU and the device-tree compiler.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{host, progress};

/// A program and the Debian package that has it.
struct Program {
    names: &'static [&'static str],
    package: &'static str,
    description: &'static str,
}

const PROGRAMS: [Program; 2] = [
    Program {
        names: &["qemu-system-aarch64"],
        package: "qemu-system-arm",
        description: "QEMU for AArch64",
    },
    Program {
        names: &["dtc", "fdtoverlay"],
        package: "device-tree-compiler",
        description: "the device-tree compiler",
    },
];

/// Debian's gdb for all processors; elsewhere the plain one often is.
const DEBUGGER: Program =
    Program { names: &["gdb-multiarch"], package: "gdb-multiarch", description: "gdb for AArch64" };

/// Long enough for a slow mirror.
const LIMIT: Duration = Duration::from_secs(1200);

/// Installs the programs that PATH lacks.
///
/// # Errors
/// Not root, no apt-get, or apt-get failed.
pub fn ensure() -> Result<()> {
    provide(&PROGRAMS)
}

/// Installs a gdb that knows AArch64, if there is none, and returns its path.
///
/// # Errors
/// As [`ensure`].
pub fn ensure_debugger() -> Result<PathBuf> {
    if let Some(gdb) = debugger() {
        return Ok(gdb);
    }
    provide(&[DEBUGGER])?;
    knowing_aarch64("gdb-multiarch").context("gdb-multiarch does not know AArch64")
}

/// The path of a gdb that knows AArch64, if there is one.
pub fn debugger() -> Option<PathBuf> {
    DEBUGGER.names.iter().chain(&["gdb"]).find_map(|name| knowing_aarch64(name))
}

/// The program, if it is a gdb that can debug AArch64, by scripts in Python.
fn knowing_aarch64(name: &str) -> Option<PathBuf> {
    let gdb = host::find_program(name)?;
    let question = "python gdb.execute('set architecture aarch64')";
    let knows = Command::new(&gdb)
        .args(["-nx", "-batch", "-ex", question])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    knows.is_ok_and(|status| status.success()).then_some(gdb)
}

fn provide(programs: &[Program]) -> Result<()> {
    let missing: Vec<&Program> = programs.iter().filter(|program| !present(program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|program| program.package).collect();
    let os_release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let debian_like = is_debian_like(&os_release) && host::find_program("apt-get").is_some();
    if !debian_like || !host::is_root() {
        let names: Vec<&str> = missing.iter().flat_map(|program| program.names).copied().collect();
        bail!(
            "{} not found in PATH; run this, then try again:\n  {}",
            names.join(", "),
            manual_command(&os_release, &packages)
        );
    }
    let mut updated = false;
    for program in missing {
        eprintln!("Installing {} (Debian package {})", program.description, program.package);
        if !updated && !has_candidate(program.package) {
            update()?;
            updated = true;
        }
        let first = install(program.package);
        if first.is_err() && !updated {
            // Old lists name versions that the mirror no longer has.
            update()?;
            updated = true;
            install(program.package)?;
        } else {
            first?;
        }
        if !present(program) {
            bail!(
                "{} is installed, but {} is not in PATH",
                program.package,
                program.names.join(" or ")
            );
        }
    }
    Ok(())
}

fn present(program: &Program) -> bool {
    let mut names = program.names.iter();
    names.all(|name| host::find_program(name).is_some())
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command.args(["-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0"]);
    command
}

fn update() -> Result<()> {
    progress::run(apt_get().arg("update"), LIMIT).context("refreshing the package lists")
}

fn install(package: &str) -> Result<()> {
    let arguments = ["install", "--yes", "--no-install-recommends", package];
    progress::run(apt_get().args(arguments), LIMIT).with_context(|| format!("installing {package}"))
}

/// True if the package lists at hand know a version of the package.
fn has_candidate(package: &str) -> bool {
    Command::new("apt-cache")
        .args(["show", "--no-all-versions", package])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// True if `os_release` is that of Debian or of a distribution made from it.
fn is_debian_like(os_release: &str) -> bool {
    families(os_release).any(|family| family == "debian")
}

/// The words of `ID` and `ID_LIKE`.
fn families(os_release: &str) -> impl Iterator<Item = &str> {
    os_release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or(line.strip_prefix("ID_LIKE=")))
        .flat_map(|value| value.trim_matches(['"', '\'']).split_whitespace())
}

/// What a person has to type on this system to get `packages` (Debian's names).
fn manual_command(os_release: &str, packages: &[&str]) -> String {
    let (tool, qemu, dtc) = families(os_release)
        .find_map(|family| match family {
            "debian" => Some((
                "sudo apt-get update && sudo apt-get install --no-install-recommends",
                "qemu-system-arm",
                "device-tree-compiler",
            )),
            "fedora" | "rhel" => Some(("sudo dnf install", "qemu-system-aarch64-core", "dtc")),
            "arch" => Some(("sudo pacman -S", "qemu-system-aarch64", "dtc")),
            "suse" | "opensuse" => Some(("sudo zypper install", "qemu-arm", "dtc")),
            "alpine" => Some(("sudo apk add", "qemu-system-aarch64", "dtc")),
            _ => None,
        })
        .unwrap_or(("<your package manager> install", "qemu-system-aarch64", "dtc"));
    let names = packages.iter().map(|package| match *package {
        "qemu-system-arm" => qemu,
        "device-tree-compiler" => dtc,
        // The package of that name is Debian's own.
        _ if qemu == "qemu-system-arm" => "gdb-multiarch",
        _ => "gdb",
    });
    let names: Vec<&str> = names.collect();
    format!("{tool} {}", names.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_and_its_children_are_recognised() {
        assert!(is_debian_like("NAME=x\nID=debian\n"));
        assert!(is_debian_like("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"));
        assert!(!is_debian_like("ID=fedora\nVARIANT_ID=debian\n"));
        assert!(!is_debian_like(""));
    }

    #[test]
    fn the_manual_command_speaks_the_systems_language() {
        let both = ["qemu-system-arm", "device-tree-compiler"];
        assert_eq!(
            manual_command("ID=debian", &both),
            "sudo apt-get update && sudo apt-get install --no-install-recommends \
             qemu-system-arm device-tree-compiler"
        );
        assert_eq!(
            manual_command("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"", &both[1..]),
            "sudo dnf install dtc"
        );
        assert!(manual_command("ID=plan9", &both).ends_with("qemu-system-aarch64 dtc"));
    }
}
