//! `cargo xtask gdb`: the machine, stopped at its first instruction, and gdb.
//!
//! The guest's console is a socket meanwhile, since gdb has the terminal: `cargo xtask gdb
//! --console` in a second terminal connects to it.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::build::{self, Artefacts};
use crate::qemu::{MachineOptions, Staged};
use crate::{host, setup};

mod console;

/// Names in the machine's folder. Relative, since the path of a socket may have 107 bytes only.
const DEBUGGER_SOCKET: &str = "gdb.sock";
const CONSOLE_SOCKET: &str = "console.sock";
const CONSOLE_LOG: &str = "console.log";
/// How long QEMU may take to listen.
const PATIENCE: Duration = Duration::from_secs(20);

/// What `cargo xtask gdb` takes.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    machine: MachineOptions,
    /// Connect this terminal to the console of the machine that is being debugged in another one
    #[arg(long)]
    console: bool,
    /// Further arguments for gdb
    #[arg(last = true, value_name = "GDB ARGUMENT")]
    gdb: Vec<String>,
}

/// `cargo xtask gdb`.
pub fn command(options: &Options) -> Result<ExitCode> {
    let dir = host::artefacts().join("gdb");
    if options.console {
        return console::attend(&dir, &Artefacts::paths());
    }
    setup::ensure()?;
    let debugger = setup::ensure_debugger()?;
    let artefacts = build::build()?;
    let _machine = Stopped::start(&options.machine, &artefacts, &dir)?;
    eprintln!("Billy's console: cargo xtask gdb --console, in another terminal");
    // gdb takes this process's place, so that keys and signals are gdb's alone, and QEMU, which
    // dies with this process, ends with gdb.
    let error = debugger_command(&debugger, &dir).args(&options.gdb).exec();
    Err(error).context("starting gdb")
}

/// A machine that waits for a debugger. QEMU ends when this is dropped, or its process ends.
pub struct Stopped {
    qemu: Child,
}

impl Stopped {
    /// Starts QEMU in `dir`, which then has the sockets, and the commands that gdb begins with.
    ///
    /// # Errors
    /// The machine's files cannot be made, or QEMU does not listen.
    pub fn start(machine: &MachineOptions, artefacts: &Artefacts, dir: &Path) -> Result<Self> {
        let staged = Staged::new(machine, artefacts, dir)?;
        let machine_file = fs::read_to_string(dir.join("machine.txt"))?;
        let entry = entry(&machine_file).context("the machine file gives no entry")?;
        let commands = commands(artefacts, entry, &host::workspace().join("qemu/gdb"));
        fs::write(dir.join("start.gdb"), commands)?;
        let console = format!(
            "socket,id=console,path={CONSOLE_SOCKET},server=on,wait=off,logfile={CONSOLE_LOG}"
        );
        let stderr = fs::File::create(dir.join("qemu.err"))?;
        let qemu = staged
            .command_with_console(&console)
            .arg("-S")
            .args(["-chardev", &format!("socket,id=gdb,path={DEBUGGER_SOCKET},server=on,wait=off")])
            .args(["-gdb", "chardev:gdb"])
            .current_dir(dir)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .context("starting QEMU")?;
        let mut stopped = Self { qemu };
        stopped.wait_for_sockets(dir)?;
        Ok(stopped)
    }

    fn wait_for_sockets(&mut self, dir: &Path) -> Result<()> {
        let start = Instant::now();
        while ![DEBUGGER_SOCKET, CONSOLE_SOCKET].iter().all(|socket| dir.join(socket).exists()) {
            if self.qemu.try_wait()?.is_some() || start.elapsed() > PATIENCE {
                let said = fs::read_to_string(dir.join("qemu.err")).unwrap_or_default();
                bail!("QEMU does not wait for a debugger; it said: {}", said.trim());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

/// gdb, attached to the machine in `dir`.
pub fn debugger_command(debugger: &Path, dir: &Path) -> Command {
    let mut command = Command::new(debugger);
    command.args(["-q", "-x", "start.gdb"]).current_dir(dir);
    command
}

/// Where the machine file has the guest's image begin.
fn entry(machine_file: &str) -> Option<u64> {
    let mut words = machine_file.split_whitespace();
    u64::from_str_radix(words.find_map(|word| word.strip_prefix("entry=0x"))?, 16).ok()
}

/// The shim is at its link address, the guest where the machine loads it.
fn commands(artefacts: &Artefacts, entry: u64, scripts: &Path) -> String {
    let quoted = |path: &PathBuf| format!("\"{}\"", path.display());
    format!(
        "set confirm off\n\
         set width 0\n\
         set architecture aarch64\n\
         set breakpoint pending off\n\
         file {shim}\n\
         add-symbol-file {guest} -o {entry:#x}\n\
         target remote {DEBUGGER_SOCKET}\n\
         source {script}\n",
        shim = quoted(&artefacts.shim_elf),
        guest = quoted(&artefacts.guest_elf),
        script = scripts.join("billy.py").display(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gdb_is_told_where_the_images_lie() {
        let entry = entry("billy-machine 1\nvm vcpus=1 entry=0x80200000 tree=0x83f00000\n");
        let text = commands(&Artefacts::paths(), entry.unwrap(), Path::new("/scripts"));
        assert!(text.contains("billy.elf\" -o 0x80200000\n"), "{text}");
        assert!(text.ends_with("source /scripts/billy.py\n"), "{text}");
    }
}
