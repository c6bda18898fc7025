//! The exception syndrome register in words (Arm ARM D24.2.39, `ESR_EL1`).

use core::fmt;

/// A value of `ESR_EL1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syndrome(pub u64);

impl Syndrome {
    /// The exception class.
    pub fn class(self) -> u8 {
        (self.0 >> 26 & 0x3f) as u8
    }

    /// Whether `FAR_EL1` holds the address that faulted.
    pub fn has_fault_address(self) -> bool {
        // Bit 10 (FnV) says that an abort left it invalid.
        matches!(self.class(), 0x20..=0x22 | 0x24..=0x25 | 0x34..=0x35) && self.0 >> 10 & 1 == 0
    }
}

impl fmt::Display for Syndrome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let iss = self.0 & 0x1ff_ffff;
        match self.class() {
            0x00 => f.write_str("undefined instruction"),
            0x01 => f.write_str("trapped wfi or wfe"),
            0x07 => f.write_str("trapped FP or SIMD instruction"),
            0x0e => f.write_str("illegal execution state"),
            0x15 => write!(f, "supervisor call {iss:#x}"),
            0x16 => write!(f, "hypervisor call {iss:#x}"),
            0x17 => write!(f, "secure monitor call {iss:#x}"),
            0x18 => f.write_str("trapped system register access"),
            0x19 => f.write_str("trapped SVE instruction"),
            0x20 | 0x21 => {
                f.write_str("instruction abort: ")?;
                fault(f, iss)
            }
            0x22 => f.write_str("misaligned program counter"),
            0x24 | 0x25 => {
                let access = if iss >> 6 & 1 != 0 { "write" } else { "read" };
                write!(f, "data abort: {access}, ")?;
                fault(f, iss)
            }
            0x26 => f.write_str("misaligned stack pointer"),
            0x2c => f.write_str("floating-point exception"),
            0x2f => f.write_str("SError"),
            0x30 | 0x31 => f.write_str("breakpoint"),
            0x32 | 0x33 => f.write_str("software step"),
            0x34 | 0x35 => f.write_str("watchpoint"),
            0x3c => write!(f, "brk {:#x}", iss & 0xffff),
            class => write!(f, "exception of class {class:#x}, syndrome {iss:#x}"),
        }
    }
}

/// The fault status code of an abort.
fn fault(f: &mut fmt::Formatter<'_>, iss: u64) -> fmt::Result {
    let level = iss & 3;
    match iss & 0x3f {
        0x00..=0x03 => write!(f, "address size fault at level {level}"),
        0x04..=0x07 => write!(f, "translation fault at level {level}"),
        0x08..=0x0b => write!(f, "access flag fault at level {level}"),
        0x0c..=0x0f => write!(f, "permission fault at level {level}"),
        0x10 => f.write_str("external abort"),
        0x14..=0x17 => write!(f, "external abort on the table walk at level {level}"),
        0x18 => f.write_str("parity or ECC error"),
        0x21 => f.write_str("alignment fault"),
        0x30 => f.write_str("TLB conflict"),
        0x35 => f.write_str("unsupported exclusive or atomic access"),
        code => write!(f, "fault status {code:#x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syndromes_read_as_sentences() {
        for (esr, words) in [
            (0x0200_0000, "undefined instruction"),
            (0x9600_0010, "data abort: read, external abort"),
            (0x9600_004f, "data abort: write, permission fault at level 3"),
            (0x8600_000f, "instruction abort: permission fault at level 3"),
            (0x9600_0061, "data abort: write, alignment fault"),
            (0xf200_0001, "brk 0x1"),
            (0xbe00_0000, "SError"),
            (0x5600_0007, "supervisor call 0x7"),
            (0x7e00_0000, "exception of class 0x1f, syndrome 0x0"),
        ] {
            assert_eq!(Syndrome(esr).to_string(), words);
        }
    }

    #[test]
    fn only_valid_fault_addresses_count() {
        assert!(Syndrome(0x9600_0010).has_fault_address());
        assert!(!Syndrome(0x9600_0410).has_fault_address());
        assert!(!Syndrome(0x0200_0000).has_fault_address());
    }
}
