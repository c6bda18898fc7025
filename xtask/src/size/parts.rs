//! The sections of an ELF file and what its symbols say of them.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;

use addr2line::demangle_auto;
use anyhow::{Context, Result};
use object::LittleEndian;
use object::elf::{
    FileHeader64, SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE, SHT_NOBITS, SHT_SYMTAB, SectionHeader64,
};
use object::read::elf::{FileHeader, SectionHeader, Sym};

use super::origin::Origins;
use crate::symbols::tidy;

/// What no symbol covers.
pub const UNNAMED: &str = "(without a name)";
/// Sections without any symbol: relocations and what belongs to them.
const LINKER: &str = "(linker)";

/// A section that is loaded.
pub struct Section {
    /// Its name.
    pub name: String,
    /// Bytes in memory.
    pub bytes: u64,
    /// Bytes in the file: none of a BSS.
    pub in_file: u64,
}

/// What a crate has in the image, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Instructions of its functions.
    pub code: u64,
    /// Instructions from its source lines, wherever they were inlined.
    pub written: u64,
    /// What holds no address and is never written.
    pub constants: u64,
    /// What is written, and constants with addresses: the image relocates itself.
    pub data: u64,
    /// What is not in the file.
    pub bss: u64,
}

impl Share {
    /// Bytes of it in the flat image.
    pub fn in_file(&self) -> u64 {
        self.code + self.constants + self.data
    }

    fn add(&mut self, kind: Kind, bytes: u64) {
        *match kind {
            Kind::Code => &mut self.code,
            Kind::Constants => &mut self.constants,
            Kind::Data => &mut self.data,
            Kind::Bss => &mut self.bss,
        } += bytes;
    }
}

/// A function.
pub struct Function {
    /// Its name as people write it.
    pub name: String,
    /// Its length.
    pub bytes: u64,
}

/// What an image is made of.
#[derive(Default)]
pub struct Parts {
    /// Sections in the order of their addresses.
    pub sections: Vec<Section>,
    /// Shares by crate.
    pub crates: BTreeMap<String, Share>,
    /// Functions, the largest first.
    pub functions: Vec<Function>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Constants,
    Data,
    Bss,
}

impl Kind {
    fn of(section: &SectionHeader64<LittleEndian>) -> Self {
        let flags = section.sh_flags(LittleEndian);
        if section.sh_type(LittleEndian) == SHT_NOBITS {
            Self::Bss
        } else if flags.contains(SHF_EXECINSTR) {
            Self::Code
        } else if flags.contains(SHF_WRITE) {
            Self::Data
        } else {
            Self::Constants
        }
    }
}

impl Parts {
    /// Reads an ELF file.
    ///
    /// # Errors
    /// It is none, or is broken.
    pub fn read(elf: &[u8], origins: &Origins) -> Result<Self> {
        let endian = LittleEndian;
        let header = FileHeader64::<LittleEndian>::parse(elf).context("reading the ELF file")?;
        let table = header.sections(endian, elf)?;
        let symbols = table.symbols(endian, elf, SHT_SYMTAB)?;
        let mut parts = Self::default();
        for (index, section) in table.enumerate() {
            let (start, bytes) = (section.sh_addr(endian), section.sh_size(endian));
            if !section.sh_flags(endian).contains(SHF_ALLOC) || bytes == 0 {
                continue;
            }
            let kind = Kind::of(section);
            let mut named = Vec::new();
            for (number, symbol) in symbols.enumerate() {
                let (at, size) = (symbol.st_value(endian), symbol.st_size(endian));
                if size != 0 && symbols.symbol_section(endian, symbol, number)? == Some(index) {
                    named.push((at, size, symbol.name(endian, symbols.strings())?));
                }
            }
            if kind == Kind::Code {
                origins.each_line(start..start.saturating_add(bytes), |origin, bytes| {
                    parts.crates.entry(origin).or_default().written += bytes;
                });
            }
            let name = String::from_utf8_lossy(table.section_name(endian, section)?).into_owned();
            parts.add_symbols(kind, start..start.saturating_add(bytes), named, origins);
            let in_file = if kind == Kind::Bss { 0 } else { bytes };
            parts.sections.push(Section { name, bytes, in_file });
        }
        parts.functions.sort_by(|a, b| (b.bytes, &a.name).cmp(&(a.bytes, &b.name)));
        Ok(parts)
    }

    /// The crates, those with most in the flat image first.
    pub fn by_size(&self) -> Vec<(&str, Share)> {
        let mut crates: Vec<_> =
            self.crates.iter().map(|(name, &share)| (name.as_str(), share)).collect();
        crates.sort_by_key(|(_, share)| Reverse((share.in_file(), share.bss)));
        crates
    }

    /// Gives each byte of a section to one crate: where symbols lie over each other, to the first
    /// and longest of them.
    fn add_symbols(
        &mut self,
        kind: Kind,
        section: Range<u64>,
        mut named: Vec<(u64, u64, &[u8])>,
        origins: &Origins,
    ) {
        named.sort_by_key(|&(at, size, _)| (at, Reverse(size)));
        let rest = if named.is_empty() { LINKER } else { UNNAMED };
        let mut counted = section.start;
        for (at, size, name) in named {
            let end = at.saturating_add(size).min(section.end);
            let Some(bytes) = end.checked_sub(at.max(counted)).filter(|&bytes| bytes > 0) else {
                continue;
            };
            let gap = at.saturating_sub(counted);
            self.crates.entry(rest.to_owned()).or_default().add(kind, gap);
            counted = end;
            let name = String::from_utf8_lossy(name);
            let name = tidy(&demangle_auto(name, None));
            let origin = origins.crate_of(&name, at);
            self.crates.entry(origin).or_default().add(kind, bytes);
            if kind == Kind::Code {
                self.functions.push(Function { name, bytes });
            }
        }
        let gap = section.end.saturating_sub(counted);
        self.crates.entry(rest.to_owned()).or_default().add(kind, gap);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(never)]
    #[unsafe(no_mangle)]
    fn measured_function(n: u64) -> u64 {
        std::hint::black_box(n) + 1
    }

    static MEASURED: [u8; 1234] = [7; 1234];

    #[test]
    fn this_program_is_made_of_known_parts() {
        assert_eq!(measured_function(std::hint::black_box(MEASURED[5]).into()), 8);
        let own = std::env::current_exe().unwrap();
        let elf = std::fs::read(&own).unwrap();
        let parts = Parts::read(&elf, &Origins::open(&own).unwrap()).unwrap();
        let marked = parts.functions.iter().find(|function| function.name == "measured_function");
        assert!(marked.is_some_and(|function| function.bytes < 200));
        assert!(parts.functions.is_sorted_by(|a, b| a.bytes >= b.bytes));
        let own_share = &parts.crates["xtask"];
        assert!(
            own_share.code > 0 && own_share.written > 0 && own_share.constants >= 1234,
            "{own_share:?}"
        );
        assert!(parts.crates["core"].code > 0 && parts.crates[LINKER].in_file() > 0);
        // Every byte belongs to one crate.
        let in_file: u64 = parts.sections.iter().map(|section| section.in_file).sum();
        assert_eq!(parts.crates.values().map(Share::in_file).sum::<u64>(), in_file);
        let code: u64 = parts.crates.values().map(|share| share.code).sum();
        assert_eq!(parts.crates.values().map(|share| share.written).sum::<u64>(), code);
    }

    #[test]
    fn bytes_are_counted_once() {
        let origins = Origins::open(&std::env::current_exe().unwrap()).unwrap();
        let mut parts = Parts::default();
        let named: Vec<(u64, u64, &[u8])> = vec![
            (0x1040, 0x10, b"beta::late"),
            (0x1000, 0x8, b"alpha::alias"),
            (0x1000, 0x20, b"alpha::long"),
            (0x1010, 0x20, b"beta::over"),
            (0x1048, 0x100, b"gamma::beyond"),
        ];
        parts.add_symbols(Kind::Code, 0x1000..0x1060, named, &origins);
        let code: Vec<_> =
            parts.by_size().iter().map(|(name, share)| (*name, share.code)).collect();
        assert_eq!(code, [("alpha", 0x20), ("beta", 0x20), (UNNAMED, 0x10), ("gamma", 0x10)]);
    }
}
