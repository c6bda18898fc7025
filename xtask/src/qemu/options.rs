//! The choices that a person or a scenario has about a machine.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::build::CapabilityOptions;
use crate::build::variation::Variation;

/// What the image's address is aligned to.
pub const IMAGE_ALIGNMENT: u64 = 2 << 20;

/// The machine to build, as the command line and the scenarios choose it.
#[derive(Args, Clone, Debug)]
pub struct MachineOptions {
    #[command(flatten)]
    pub capabilities: CapabilityOptions,
    /// The emulated processor
    #[arg(long, value_enum, default_value_t = Cpu::Max)]
    pub cpu: Cpu,
    /// Hand over one merged device tree, not a base tree with an overlay behind it
    #[arg(long)]
    pub merged: bool,
    /// Make the machine that this tree describes, and hand the tree over
    #[arg(long, value_name = "FILE", conflicts_with_all = ["merged", "linear_caps"])]
    pub tree: Option<PathBuf>,
    /// An overlay to lie behind that tree, or to go onto the tree built into the image
    #[arg(long = "overlay", value_name = "FILE", conflicts_with_all = ["merged", "linear_caps"])]
    pub overlays: Vec<PathBuf>,
    /// Guest address of the image, aligned to 2 MiB [default: the start of memory]
    #[arg(long, value_name = "ADDRESS", value_parser = load_address)]
    pub load_address: Option<u64>,
    /// Guest address of the device trees, aligned to 8 bytes [default: near the end of memory]
    #[arg(long, value_name = "ADDRESS", value_parser = tree_address)]
    pub tree_address: Option<u64>,
    /// What the peer (console owner, doorbell and queue partner) does on its own
    #[arg(long, value_name = "FILE", value_parser = script_file)]
    pub script: Option<Script>,
    /// End when the guest asks for a reset, not start it again
    #[arg(long)]
    pub no_reboot: bool,
    /// Count instructions instead of time: every run is the same, and slower
    #[arg(long)]
    pub icount: bool,
    #[command(flatten)]
    pub variation: Variation,
    /// Have the Resource Manager refuse the guest's console
    #[arg(long)]
    pub hide_rm_console: bool,
    /// Have the shim log each exit of the guest, with the instructions before it.
    #[arg(skip)]
    pub trace_exits: bool,
    /// What lies where the guest looks for its device tree, if not the machine's own trees.
    #[arg(skip)]
    pub handed_over: Option<Vec<u8>>,
    /// Changes how the shim behaves, and what it has.
    #[arg(skip)]
    pub tune: Option<fn(&mut billy_shim::machine_file::MachineFile)>,
}

impl Default for MachineOptions {
    fn default() -> Self {
        Self {
            capabilities: CapabilityOptions { linear_caps: false, seed: 1 },
            cpu: Cpu::Max,
            merged: false,
            tree: None,
            overlays: Vec::new(),
            load_address: None,
            tree_address: None,
            script: None,
            no_reboot: false,
            icount: false,
            variation: Variation::default(),
            hide_rm_console: false,
            trace_exits: false,
            handed_over: None,
            tune: None,
        }
    }
}

/// The processors that the machine is tried with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Cpu {
    /// Everything QEMU can emulate
    Max,
    /// A plain Armv8.0 core, without SVE and SME, as real systems show it to guests
    CortexA72,
}

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Max => "max",
            Self::CortexA72 => "cortex-a72",
        })
    }
}

/// The steps of the peer, one a line.
#[derive(Clone, Debug)]
pub enum Script {
    /// In a file.
    File(PathBuf),
    /// As they stand.
    Text(Cow<'static, str>),
}

fn script_file(path: &str) -> Result<Script, String> {
    match Path::new(path).is_file() {
        true => Ok(Script::File(path.into())),
        false => Err("no such file".into()),
    }
}

fn load_address(text: &str) -> Result<u64, String> {
    aligned_address(text, IMAGE_ALIGNMENT, "2 MiB")
}

fn tree_address(text: &str) -> Result<u64, String> {
    aligned_address(text, 8, "8 bytes")
}

/// Reads an address in hexadecimal with prefix, or in decimal.
fn aligned_address(text: &str, alignment: u64, in_words: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(&digits.replace('_', ""), 16),
        None => text.parse(),
    };
    match parsed.map_err(|error| error.to_string())? {
        address if address % alignment == 0 => Ok(address),
        _ => Err(format!("not aligned to {in_words}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_addresses_are_checked() {
        assert_eq!(load_address("0x8020_0000"), Ok(0x8020_0000));
        assert!(load_address("0x80100000").unwrap_err().contains("2 MiB"));
        assert_eq!(tree_address("0x40f00008"), Ok(0x40f0_0008));
        assert!(tree_address("0x40f00004").unwrap_err().contains("8 bytes"));
        assert!(load_address("somewhere").is_err());
    }
}
