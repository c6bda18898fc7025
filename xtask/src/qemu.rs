//! QEMU's command line for one machine, and what its exit status means.
//!
//! The shim is QEMU's kernel and runs at EL2; the guest's image, its trees and the machine file
//! are staged in memory, from where the shim takes them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::build::Artefacts;
use crate::build::image;
use crate::build::trees::Trees;
use crate::{handover, host};

mod machine_file;
mod options;
mod outcome;
mod vm;

pub use options::{Cpu, MachineOptions, Script};
pub use outcome::Outcome;

/// Physical addresses at which the shim finds what QEMU staged.
const MACHINE_FILE: u64 = 0x4200_0000;
const TREES: u64 = 0x4300_0000;
const IMAGE: u64 = 0x4400_0000;
/// Bytes from the start of the machine's memory that are the shim's, staged files included; what
/// follows is the guest's.
const SHIM_MEMORY: u64 = 128 << 20;

/// A machine's files, ready for QEMU.
pub struct Staged {
    dir: PathBuf,
    options: MachineOptions,
    shim_elf: PathBuf,
    image: PathBuf,
    machine_file_length: usize,
    /// Bytes of memory that the machine has.
    memory: u64,
    shim_log: PathBuf,
}

impl Staged {
    /// Writes trees and machine file into `dir`, which is emptied first.
    ///
    /// # Errors
    /// The trees do not compile or do not describe the machine, or a file cannot be written.
    pub fn new(options: &MachineOptions, artefacts: &Artefacts, dir: &Path) -> Result<Self> {
        if dir.exists() {
            fs::remove_dir_all(dir).with_context(|| format!("emptying {}", dir.display()))?;
        }
        fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
        let described = described(options)?;
        let handed_over = options.handed_over.as_ref().unwrap_or(&described);
        let image = fs::read(&artefacts.image)
            .with_context(|| format!("reading {}", artefacts.image.display()))?;
        let staging = machine_file::Staging {
            image: (IMAGE, image.len() as u64),
            image_in_memory: image::size_in_memory(&image),
            trees: (TREES, handed_over.len() as u64),
        };
        let script = match &options.script {
            Some(Script::File(file)) => fs::read_to_string(file)
                .with_context(|| format!("reading the peer's script {}", file.display()))?,
            Some(Script::Text(text)) => text.clone().into_owned(),
            None => String::new(),
        };
        let (text, memory) = machine_file::write(options, &described, &script, &staging)?;
        fs::write(dir.join("trees.bin"), handed_over)?;
        fs::write(dir.join("machine.txt"), &text)?;
        fs::write(dir.join("shim.log"), "")?;
        Ok(Self {
            dir: dir.to_path_buf(),
            options: options.clone(),
            shim_elf: artefacts.shim_elf.clone(),
            image: artefacts.image.clone(),
            machine_file_length: text.len(),
            memory: SHIM_MEMORY + memory.next_multiple_of(1 << 20),
            shim_log: dir.join("shim.log"),
        })
    }

    /// Where the shim's log goes.
    pub fn shim_log(&self) -> PathBuf {
        self.shim_log.clone()
    }

    /// Sends the shim's log to another file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn log_to(&mut self, file: &Path) -> Result<()> {
        fs::write(file, "").with_context(|| format!("creating {}", file.display()))?;
        self.shim_log = file.to_path_buf();
        Ok(())
    }

    /// The command that runs this machine with the guest's serial line on stdin and stdout.
    pub fn command(&self) -> Command {
        self.command_with_console("stdio,id=console,mux=off,signal=off")
    }

    /// The command that runs this machine with the guest's serial line on the character device
    /// `console`, whose id must be so.
    pub fn command_with_console(&self, console: &str) -> Command {
        let mut command = dying_with_us("qemu-system-aarch64");
        command
            .args(["-M", "virt,virtualization=on,gic-version=3"])
            .args(["-m", &format!("{}M", self.memory >> 20)])
            .arg("-cpu")
            .arg(self.options.cpu.to_string())
            .args(["-nic", "none", "-display", "none", "-monitor", "none"])
            .args(["-chardev", console])
            .args(["-serial", "chardev:console"])
            .arg("-chardev")
            .arg(format!("file,id=shimlog,path={}", escaped(&self.shim_log())))
            .arg("-semihosting-config")
            .arg(format!(
                "enable=on,target=native,chardev=shimlog,arg=shim,arg=machine={MACHINE_FILE:#x}+{:#x}",
                self.machine_file_length
            ))
            .arg("-kernel")
            .arg(&self.shim_elf);
        for (file, address) in [
            (&self.dir.join("machine.txt"), MACHINE_FILE),
            (&self.dir.join("trees.bin"), TREES),
            (&self.image, IMAGE),
        ] {
            let file = escaped(file);
            command
                .arg("-device")
                .arg(format!("loader,file={file},addr={address:#x},force-raw=on"));
        }
        if self.options.icount {
            command.args(["-icount", "shift=0,sleep=off"]);
        }
        command
    }
}

/// The trees that describe the machine: a person's, or its own.
fn described(options: &MachineOptions) -> Result<Vec<u8>> {
    let files: Vec<_> = options.tree.iter().chain(&options.overlays).collect();
    if !files.is_empty() {
        return handover::read(&files);
    }
    let trees = Trees::varied(options.capabilities.choice(), &options.variation)?;
    Ok(match options.merged {
        true => trees.merged,
        false => trees.concatenated(),
    })
}

/// A command that the kernel ends when the thread that starts it is gone, however that comes.
fn dying_with_us(program: &str) -> Command {
    match host::find_program("setpriv") {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", "KILL", "--", program]);
            command
        }
        None => Command::new(program),
    }
}

/// A path as a value among QEMU's options, where a comma must be doubled.
fn escaped(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_in_paths_are_doubled() {
        assert_eq!(escaped(Path::new("/a,b")), "/a,,b");
    }
}
