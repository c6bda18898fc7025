//! Crash reports: what happened, in words a person can act on.
//!
//! The text of a report is made here from plain data; who prints it, and how the machine ends
//! afterwards, is the business of the image (`main.rs`). Nothing in here allocates or locks.

pub mod backtrace;
pub mod syndrome;

use backtrace::Stacks;
use billy_boot::ExceptionFrame;
use core::fmt::{self, Write};
use syndrome::Syndrome;

/// The deepest backtrace that is printed.
pub const MAX_FRAMES: usize = 24;

/// Writes a code address as an offset into the image, the form that `cargo xtask` resolves.
pub struct CodeAddress {
    /// The address.
    pub address: u64,
    /// Where the image begins.
    pub image: u64,
}

impl fmt::Display for CodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address.checked_sub(self.image) {
            Some(offset) if offset < 1 << 31 => write!(f, "billy+{offset:#x}"),
            _ => write!(f, "{:#x}", self.address),
        }
    }
}

/// Writes what an exception was: syndrome in words, fault address, registers.
///
/// # Errors
///
/// Only those of `out`.
pub fn write_exception(out: &mut dyn Write, frame: &ExceptionFrame, image: u64) -> fmt::Result {
    let syndrome = Syndrome(frame.esr);
    write!(out, "{syndrome}")?;
    if syndrome.has_fault_address() {
        write!(out, " at address {:#x}", frame.far)?;
    }
    writeln!(out)?;
    writeln!(
        out,
        "  pc {} ({:#x})  esr {:#x}  far {:#x}  spsr {:#x}  vector {:#x}",
        CodeAddress { address: frame.elr, image },
        frame.elr,
        frame.esr,
        frame.far,
        frame.spsr,
        frame.vector
    )?;
    for (n, value) in frame.x.iter().enumerate() {
        let end = if n % 4 == 3 { "\n" } else { "" };
        write!(out, "  x{n:<2} {value:016x}{end}")?;
    }
    writeln!(out, "  sp  {:016x}", frame.sp)
}

/// Writes the return addresses, innermost first, one line each: `  #0 billy+0x1234`.
///
/// # Errors
///
/// Only those of `out`.
pub fn write_backtrace(
    out: &mut dyn Write,
    stacks: &Stacks,
    frame_pointer: u64,
    image: u64,
) -> fmt::Result {
    writeln!(out, "backtrace:")?;
    for (n, address) in stacks.walk(frame_pointer).take(MAX_FRAMES).enumerate() {
        writeln!(out, "  #{n} {}", CodeAddress { address, image })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_is_told_in_words() {
        let mut x = [0; 31];
        x[1] = 0xdead;
        let frame = ExceptionFrame {
            x,
            sp: 0x8003_0000,
            elr: 0x8000_1234,
            spsr: 0x304,
            esr: 0x9600_0045,
            far: 0x18,
            vector: 0,
            pad: 0,
        };
        let mut text = String::new();
        write_exception(&mut text, &frame, 0x8000_0000).unwrap();
        let mut lines = text.lines();
        assert_eq!(
            lines.next(),
            Some("data abort: write, translation fault at level 1 at address 0x18")
        );
        assert_eq!(
            lines.next(),
            Some(
                "  pc billy+0x1234 (0x80001234)  esr 0x96000045  far 0x18  spsr 0x304  vector 0x0"
            )
        );
        assert!(text.contains("x1  000000000000dead"), "{text}");
        assert!(text.ends_with("  sp  0000000080030000\n"), "{text}");
    }

    #[test]
    fn addresses_outside_the_image_stay_as_they_are() {
        let image = 0x8000_0000;
        assert_eq!(CodeAddress { address: 0x10, image }.to_string(), "0x10");
        assert_eq!(CodeAddress { address: image, image }.to_string(), "billy+0x0");
    }
}
