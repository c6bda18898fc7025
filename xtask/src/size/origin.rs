//! Which crate a symbol comes from.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;

use addr2line::Loader;
use anyhow::{Result, anyhow};

use crate::host;

/// Who cannot be named.
pub const UNKNOWN: &str = "(unknown)";

/// Finds the crates of symbols of one ELF file with debug information.
pub struct Origins(Loader);

impl Origins {
    /// Opens the ELF file.
    ///
    /// # Errors
    /// The file cannot be read as ELF.
    pub fn open(elf: &Path) -> Result<Self> {
        let loader = Loader::new(elf).map_err(|error| anyhow!("{}: {error}", elf.display()))?;
        Ok(Self(loader))
    }

    /// The crate of the symbol with this readable name at this address.
    pub fn crate_of(&self, name: &str, address: u64) -> String {
        if let Some(from_path) = first_crate(name) {
            return from_path.to_owned();
        }
        let location = self.0.find_location(address).ok().flatten();
        let file = location.and_then(|location| location.file);
        file.and_then(crate_of_file).unwrap_or_else(|| UNKNOWN.to_owned())
    }

    /// Calls `found` with crates and bytes of instructions that lines in them became; the numbers
    /// add up to the length of the range.
    pub fn each_line(&self, range: Range<u64>, mut found: impl FnMut(String, u64)) {
        let mut left = range.end.saturating_sub(range.start);
        let mut files = BTreeMap::<&str, u64>::new();
        let locations = self.0.find_location_range(range.start, range.end).into_iter().flatten();
        for (_, bytes, location) in locations {
            let bytes = bytes.min(left);
            left -= bytes;
            *files.entry(location.file.unwrap_or_default()).or_default() += bytes;
        }
        for (file, bytes) in files {
            found(crate_of_file(file).unwrap_or_else(|| UNKNOWN.to_owned()), bytes);
        }
        found(UNKNOWN.to_owned(), left);
    }
}

/// The first crate that is named in a readable symbol, `<alloc::vec::Vec<T> as Drop>::drop`: the
/// first word that a path goes on from.
fn first_crate(name: &str) -> Option<&str> {
    let mut rest = name;
    loop {
        let start = rest.find(|c: char| c.is_alphabetic() || c == '_')?;
        let word = rest.get(start..)?;
        let end = word.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(word.len());
        let (word, after) = word.split_at(end);
        // A disambiguator, `core[1234abcd]::fmt`, is not always left out.
        let path = match after.strip_prefix('[').and_then(|after| after.split_once(']')) {
            Some((_, path)) => path,
            None => after,
        };
        if path.starts_with("::") {
            return Some(word);
        }
        rest = after;
    }
}

/// The crate that a source file belongs to, by the name of its folder or by its `Cargo.toml`.
fn crate_of_file(file: &str) -> Option<String> {
    let (package, _) = file.rsplit_once("/src/")?;
    if let Ok(manifest) = fs::read_to_string(host::workspace().join(package).join("Cargo.toml")) {
        let name = manifest.lines().find_map(|line| line.strip_prefix("name = \""))?;
        return Some(name.trim_end_matches('"').replace('-', "_"));
    }
    let folder = package.rsplit('/').next()?;
    let name = match folder.rsplit_once('-') {
        Some((name, version)) if version.starts_with(|c: char| c.is_ascii_digit()) => name,
        _ => folder,
    };
    Some(name.replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_path_names_the_crate() {
        for (symbol, expected) in [
            ("billy_dt::walk::walk", Some("billy_dt")),
            ("<billy_dt::error::DtError as core::fmt::Display>::fmt", Some("billy_dt")),
            ("<&T as core::fmt::Display>::fmt", Some("core")),
            ("<u128 as core::fmt::Display>::fmt", Some("core")),
            ("<&mut [gunyah::rm::Event] as core::fmt::Debug>::fmt", Some("gunyah")),
            ("<alloc::vec::Vec<billy_dt::Node>>::push", Some("alloc")),
            ("core[b99ac45aacea14d0]::fmt::write", Some("core")),
            ("core::ptr::drop_in_place<billy_kernel::run::System>", Some("core")),
            ("memcpy", None),
            ("", None),
        ] {
            assert_eq!(first_crate(symbol), expected, "{symbol}");
        }
    }

    #[test]
    fn files_belong_to_packages() {
        let origin = |file: &str| crate_of_file(file);
        assert_eq!(
            origin("/home/me/.cargo/registry/src/x/arm-gic-0.10.1/src/lib.rs").unwrap(),
            "arm_gic"
        );
        assert_eq!(origin("/rustc/0123/library/core/src/fmt/mod.rs").unwrap(), "core");
        assert_eq!(origin("kernel/src/main.rs").unwrap(), "billy_kernel");
        let here = host::workspace().join("kernel/dt/src/lib.rs");
        assert_eq!(origin(here.to_str().unwrap()).unwrap(), "billy_dt");
        assert_eq!(origin("start.s"), None);
    }
}
