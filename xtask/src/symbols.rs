//! Turns code addresses that guest and shim print into functions and lines.
//!
//! They print offsets into their image, because only the image's own addresses mean the same
//! wherever it was loaded: `pc billy+0x1a2b4`. The numbered lines of a backtrace, `#3 billy+…`,
//! hold return addresses, as does a link register; the call is the instruction before.

use std::path::Path;

use addr2line::Loader;
use anyhow::{Result, anyhow};
use object::LittleEndian;
use object::elf::{FileHeader64, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};

use crate::host;

/// Looks addresses up in one ELF file with debug information.
pub struct Symbols {
    name: &'static str,
    base: u64,
    loader: Loader,
}

/// A code address found in a line of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Found {
    offset: u64,
    returns_here: bool,
}

impl Symbols {
    /// Opens the ELF file of the image that prints its addresses as `<name>+0x…`.
    ///
    /// # Errors
    /// The file cannot be read as ELF.
    pub fn open(name: &'static str, elf: &Path) -> Result<Self> {
        let data = std::fs::read(elf)?;
        let header = FileHeader64::<LittleEndian>::parse(&*data)?;
        let segments = header.program_headers(LittleEndian, &*data)?.iter();
        let base = segments
            .filter(|segment| segment.p_type(LittleEndian) == PT_LOAD)
            .map(|segment| segment.p_vaddr(LittleEndian))
            .min()
            .unwrap_or(0);
        let loader = Loader::new(elf).map_err(|error| anyhow!("{}: {error}", elf.display()))?;
        Ok(Self { name, base, loader })
    }

    /// What the line's first code address means, in words; `None` if it has none of this image.
    pub fn explain(&self, line: &str) -> Option<String> {
        let found = find(line, self.name)?;
        let exact = self.base.checked_add(found.offset)?;
        let address = match found.returns_here {
            true => exact.checked_sub(4)?,
            false => exact,
        };
        let mut places = Vec::new();
        if let Ok(mut frames) = self.loader.find_frames(address) {
            while let Ok(Some(frame)) = frames.next() {
                let name = frame.function.as_ref().and_then(|name| name.demangle().ok());
                let name = name.map_or_else(|| "?".into(), |name| tidy(&name));
                let line = frame.location.and_then(|location| {
                    Some((shorten(location.file?).to_owned(), location.line?))
                });
                places.push(match line {
                    Some((file, line)) => format!("{name} ({file}:{line})"),
                    None => name,
                });
            }
        }
        if places.is_empty() {
            let symbol = self.loader.find_symbol(address)?;
            places.push(tidy(&addr2line::demangle_auto(symbol.into(), None)));
        }
        Some(places.join(" in "))
    }
}

/// Finds `<name>+0x…` in a line.
fn find(line: &str, name: &str) -> Option<Found> {
    let at = line.find(&format!("{name}+0x"))?;
    let (before, after) = (&line[..at], &line[at + name.len() + 3..]);
    let end = after.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(after.len());
    let offset = u64::from_str_radix(&after[..end], 16).ok()?;
    let word = before.trim_end_matches([' ', ':', '=', '[']).rsplit(' ').next()?;
    let numbered = word.strip_prefix('#').is_some_and(|number| number.parse::<u32>().is_ok());
    let returns_here = numbered || ["lr", "x30"].contains(&word);
    Some(Found { offset, returns_here })
}

/// The name without the hash at its end.
pub fn tidy(name: &str) -> String {
    match name.rsplit_once("::h") {
        Some((path, hash)) if hash.len() == 16 => path.to_owned(),
        _ => name.to_owned(),
    }
}

/// The path from the workspace on, or from the crate's folder for foreign code.
fn shorten(file: &str) -> &str {
    let workspace = host::workspace();
    if let Some(inside) = workspace.to_str().and_then(|dir| file.strip_prefix(dir)) {
        return inside.trim_start_matches('/');
    }
    for marker in ["/library/", "/registry/src/"] {
        if let Some((_, rest)) = file.split_once(marker) {
            return rest;
        }
    }
    file
}

/// Passes a byte stream on and adds the meaning of code addresses at the ends of their lines.
pub struct Annotator {
    symbols: Vec<Symbols>,
    line: Vec<u8>,
    held_return: bool,
}

impl Annotator {
    /// Annotates addresses of these images.
    pub fn new(symbols: Vec<Symbols>) -> Self {
        Self { symbols, line: Vec::new(), held_return: false }
    }

    /// The bytes to show for `input`. All of it comes out at once, but for a carriage return at
    /// its end, which waits for what follows.
    pub fn feed(&mut self, input: &[u8]) -> Vec<u8> {
        let mut output = Vec::with_capacity(input.len() + 1);
        for &byte in input {
            let held = std::mem::take(&mut self.held_return);
            if byte == b'\n' {
                output.extend(self.explanation());
                self.line.clear();
            }
            if held {
                output.push(b'\r');
            }
            match byte {
                b'\r' => self.held_return = true,
                b'\n' => output.push(byte),
                _ => {
                    if held {
                        self.line.clear();
                    }
                    // A line without end must not fill memory.
                    if self.line.len() < 1024 {
                        self.line.push(byte);
                    }
                    output.push(byte);
                }
            }
        }
        output
    }

    fn explanation(&self) -> Vec<u8> {
        let line = String::from_utf8_lossy(&self.line);
        let meaning = self.symbols.iter().find_map(|symbols| symbols.explain(&line));
        meaning.map_or_else(Vec::new, |text| format!("  {text}").into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_found_with_their_kind() {
        let found = |line| find(line, "billy").map(|found| (found.offset, found.returns_here));
        assert_eq!(found("  #0 billy+0x1a2b4"), Some((0x1a2b4, true)));
        assert_eq!(found("  #3 billy+0x1a2b4 "), Some((0x1a2b4, true)));
        assert_eq!(found("  pc billy+0x10 (0x80000010)  esr 0x1"), Some((0x10, false)));
        assert_eq!(found("lr = billy+0x10"), Some((0x10, true)));
        assert_eq!(found("[billy+0x10]"), Some((0x10, false)));
        assert_eq!(found("billy+0x"), None);
        assert_eq!(found("billy> help"), None);
        assert_eq!(found("shim+0x10"), None);
    }

    #[test]
    fn an_address_in_this_program_is_named_with_its_line() {
        let own = std::env::current_exe().unwrap();
        let mut symbols = Symbols::open("test", &own).unwrap();
        symbols.base = 0;
        let data = std::fs::read(&own).unwrap();
        let address = address_of(&data, "marked_function");
        let text = symbols.explain(&format!("pc test+{address:#x}")).unwrap();
        assert!(text.contains("marked_function"), "{text}");
        assert!(text.contains("xtask/src/symbols.rs:"), "{text}");
    }

    #[inline(never)]
    #[unsafe(no_mangle)]
    fn marked_function() -> u32 {
        std::hint::black_box(7)
    }

    fn address_of(elf: &[u8], name: &str) -> u64 {
        use object::read::elf::Sym;
        assert_eq!(marked_function(), 7);
        let header = FileHeader64::<LittleEndian>::parse(elf).unwrap();
        let sections = header.sections(LittleEndian, elf).unwrap();
        let table = sections.symbols(LittleEndian, elf, object::elf::SHT_SYMTAB).unwrap();
        let symbol = table
            .iter()
            .find(|symbol| symbol.name(LittleEndian, table.strings()).unwrap() == name.as_bytes());
        symbol.unwrap().st_value(LittleEndian)
    }

    #[test]
    fn bytes_pass_through_unchanged() {
        let mut annotator = Annotator::new(Vec::new());
        let mut output = Vec::new();
        for chunk in [&b"one\r"[..], b"\ntwo\rthree\n", b"billy> ", b"\r\r", b"\n"] {
            output.extend(annotator.feed(chunk));
        }
        assert_eq!(output, b"one\r\ntwo\rthree\nbilly> \r\r\n");
    }
}
