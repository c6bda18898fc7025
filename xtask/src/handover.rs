//! The device trees that a person names, read and placed as a launcher would.
//!
//! Trees lie behind each other, each on the next 8-byte boundary. Sources (`.dts`, `.dtso`) are
//! compiled first, with symbols, so that overlays may refer to labels.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use billy_dt::{self as dt, AddressRange, Form, MemoryAt, Platform};
use xshell::{Shell, cmd};

/// Where trees are placed as long as no memory is known.
const ANYWHERE: u64 = 0x8000_0000;
/// Room for trees at the end of memory, and what their place is aligned to.
const ROOM: u64 = 1 << 20;

/// Reads files of trees, and puts each on the next 8-byte boundary after the one before.
///
/// # Errors
/// A file cannot be read, or a source does not compile; the compiler has printed why.
pub fn read(files: &[impl AsRef<Path>]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for file in files {
        bytes.resize(usize::next_multiple_of(bytes.len(), 8), 0);
        bytes.extend(read_one(file.as_ref())?);
    }
    Ok(bytes)
}

fn read_one(file: &Path) -> Result<Vec<u8>> {
    let is_source =
        matches!(file.extension().and_then(OsStr::to_str), Some("dts" | "dtso" | "dtsi"));
    if !is_source {
        return fs::read(file).with_context(|| format!("reading {}", file.display()));
    }
    if !file.is_file() {
        bail!("reading {}: no such file", file.display());
    }
    let shell = Shell::new()?;
    let output = cmd!(shell, "dtc -q -@ -I dts -O dtb {file}").quiet().output();
    Ok(output.with_context(|| format!("compiling {}", file.display()))?.stdout)
}

/// Trees that have been read, and where they lie.
pub struct HandedOver {
    /// Guest address of the first tree.
    pub address: u64,
    /// The memory that holds trees and image.
    pub ram: AddressRange,
    /// What the trees say.
    pub platform: Platform,
    /// What was handed over.
    pub form: Form,
}

/// Reads `trees` as the guest will, with the same code, at `address` or near the end of the
/// memory that holds `image`: without an image, of the largest range of memory. There is room for
/// `longest` bytes behind the place chosen.
///
/// # Errors
/// The guest could not boot from them.
pub fn load(
    trees: &[u8],
    longest: usize,
    address: Option<u64>,
    image: Option<u64>,
) -> Result<HandedOver> {
    // Where the trees are decides which overlays may follow; where memory is, where they are.
    let first = at(trees, address.unwrap_or(ANYWHERE))?;
    let ram = memory_for(&first.0, image);
    let room = (longest as u64).next_multiple_of(ROOM);
    let address = match address {
        Some(address) => address,
        None => (ram.end() / ROOM * ROOM).checked_sub(room).unwrap_or(ram.start),
    };
    let (platform, form) = at(trees, address)?;
    let ram = memory_for(&platform, image);
    Ok(HandedOver { address, ram, platform, form })
}

fn at(bytes: &[u8], address: u64) -> Result<(Platform, Form)> {
    let source = MemoryAt { address, bytes };
    let loaded = dt::load(&source, Some(dt::builtin_base()))?;
    Ok((loaded.platform, loaded.form))
}

fn memory_for(platform: &Platform, image: Option<u64>) -> AddressRange {
    let holds = |range: &&AddressRange| {
        image.is_some_and(|image| (range.start..range.end()).contains(&image))
    };
    let largest = || platform.memory.iter().max_by_key(|range| range.size);
    let found = platform.memory.iter().find(holds).or_else(largest);
    found.copied().unwrap_or(AddressRange { start: ANYWHERE, size: 0 })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::host;

    fn test_tree(name: &str) -> PathBuf {
        host::workspace().join("kernel/dt/tests/trees").join(name)
    }

    #[test]
    fn trees_go_near_the_end_of_memory() {
        let primary = read(&[test_tree("rm-primary-vm.dtb")]).unwrap();
        let found = load(&primary, 0x2000, None, None).unwrap();
        assert_eq!((found.address, found.ram.start), (0x7ff0_0000, 0x4000_0000));
        assert_eq!(found.form, Form::Merged);
        assert_eq!(load(&primary, 0x2000, Some(0x40f0_0000), None).unwrap().address, 0x40f0_0000);
    }

    #[test]
    fn overlays_are_found_behind_a_tree_that_has_memory_elsewhere() {
        let folder = host::artefacts().join("work");
        fs::create_dir_all(&folder).unwrap();
        let source = folder.join(format!("handover-{}.dts", std::process::id()));
        let text = format!(
            "/include/ {:?}\n/ {{ /delete-node/ hypervisor; /delete-node/ memory@80000000;\n\
             memory@40000000 {{ device_type = \"memory\"; reg = <0 0x40000000 0 0x10000000>; }}; }};",
            test_tree("legacy-v6.dts")
        );
        fs::write(&source, text).unwrap();
        let overlay = test_tree("overlay-linear.dtbo");
        let trees = read(&[&source, &overlay]);
        fs::remove_file(&source).unwrap();
        let found = load(&trees.unwrap(), 1, None, None).unwrap();
        assert_eq!((found.form, found.address), (Form::BaseAndOverlays(1), 0x4ff0_0000));
        assert_eq!((found.ram.start, found.platform.memory.len()), (0x4000_0000, 2));
    }

    #[test]
    fn sources_are_compiled() {
        let base = host::workspace().join("qemu/dt/gunyah-vm.dts");
        let overlay = test_tree("overlay-linear.dtbo");
        let both = load(&read(&[&base, &overlay]).unwrap(), 1, None, None).unwrap();
        assert_eq!((both.form, both.address), (Form::BaseAndOverlays(1), 0x83f0_0000));
        let alone = load(&read(&[&overlay]).unwrap(), 1, None, None).unwrap();
        assert_eq!(alone.form, Form::OverlaysOnly(1));
        assert_eq!(alone.platform, both.platform);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let error = read(&["/no/such.dtb"]).unwrap_err().to_string();
        assert!(error.contains("/no/such.dtb"), "{error}");
        let error = read(&["/no/such.dts"]).unwrap_err().to_string();
        assert!(error.contains("/no/such.dts"), "{error}");
    }
}
