//! Why a vCPU stopped, decoded from the syndrome registers.
//!
//! Decoding follows the Arm Architecture Reference Manual, D24.2.40 (`ESR_EL2`).

/// A data access that the hypervisor has to carry out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Guest physical address.
    pub ipa: u64,
    /// Width in bytes: 1, 2, 4 or 8.
    pub size: u8,
    /// Number of the general-purpose register that is stored or loaded; 31 is zero.
    pub register: u8,
    /// Whether the guest writes.
    pub write: bool,
    /// Whether a loaded value is sign-extended.
    pub sign_extend: bool,
    /// Whether the register is 64 bits wide.
    pub wide: bool,
}

impl Access {
    /// The value that a load of `raw` puts into the register.
    pub fn extend(&self, raw: u64) -> u64 {
        let bits = u32::from(self.size) * 8;
        let shift = 64 - bits;
        let value = if self.sign_extend {
            ((raw << shift).cast_signed() >> shift).cast_unsigned()
        } else {
            (raw << shift) >> shift
        };
        if self.wide { value } else { value & 0xffff_ffff }
    }
}

/// Why a vCPU stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// `hvc` with its immediate.
    Hvc(u16),
    /// `smc` with its immediate; the program counter is still at the instruction.
    Smc(u16),
    /// `wfi` (or `wfe`); the program counter is still at the instruction.
    Wait,
    /// A load or store that stage 2 refused and that can be emulated.
    Mmio(Access),
    /// A data access that stage 2 refused and whose instruction is not described.
    DataAbort {
        /// Guest physical address.
        ipa: u64,
    },
    /// An instruction fetch that stage 2 refused.
    InstructionAbort {
        /// Guest physical address.
        ipa: u64,
    },
    /// A trapped system register access.
    SystemRegister(SystemRegisterAccess),
    /// A physical interrupt is pending.
    Interrupt,
    /// Anything else: an SError, or a trap that was not asked for.
    Unexpected {
        /// The syndrome as it was.
        esr: u64,
    },
}

/// A trapped `msr` or `mrs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SystemRegisterAccess {
    /// `(op0, op1, CRn, CRm, op2)`.
    pub register: (u8, u8, u8, u8, u8),
    /// Number of the general-purpose register.
    pub general: u8,
    /// Whether the guest reads.
    pub read: bool,
}

/// `ICC_SGI1R_EL1`, the register that sends a software-generated interrupt.
pub const ICC_SGI1R_EL1: (u8, u8, u8, u8, u8) = (3, 0, 12, 11, 5);

/// Decodes a synchronous exception from a lower level.
pub fn decode(esr: u64, far: u64, hpfar: u64) -> Exit {
    let iss = esr & 0x1ff_ffff;
    let ipa = (hpfar & 0xfff_ffff_fff0) << 8 | far & 0xfff;
    match esr >> 26 & 0x3f {
        0x01 => Exit::Wait,
        0x16 => Exit::Hvc(iss as u16),
        0x17 => Exit::Smc(iss as u16),
        0x18 => Exit::SystemRegister(SystemRegisterAccess {
            register: (
                (iss >> 20 & 3) as u8,
                (iss >> 14 & 7) as u8,
                (iss >> 10 & 0xf) as u8,
                (iss >> 1 & 0xf) as u8,
                (iss >> 17 & 7) as u8,
            ),
            general: (iss >> 5 & 0x1f) as u8,
            read: iss & 1 != 0,
        }),
        0x20 => Exit::InstructionAbort { ipa },
        // ISV: the syndrome describes the access. Not during a stage-1 walk (S1PTW).
        0x24 if iss >> 24 & 1 != 0 && iss >> 7 & 1 == 0 => Exit::Mmio(Access {
            ipa,
            size: 1 << (iss >> 22 & 3),
            register: (iss >> 16 & 0x1f) as u8,
            write: iss >> 6 & 1 != 0,
            sign_extend: iss >> 21 & 1 != 0,
            wide: iss >> 15 & 1 != 0,
        }),
        0x24 => Exit::DataAbort { ipa },
        _ => Exit::Unexpected { esr },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hypercalls_keep_their_immediate() {
        assert_eq!(decode(0x5a00_601b, 0, 0), Exit::Hvc(0x601b));
        assert_eq!(decode(0x5e00_0000, 0, 0), Exit::Smc(0));
        assert_eq!(decode(0x0600_0000, 0, 0), Exit::Wait);
    }

    #[test]
    fn a_store_of_one_word_is_described() {
        // str w3, [x1]: ISV, SAS = 2, SRT = 3, WnR, translation fault level 2.
        let esr = 0x24 << 26 | 1 << 25 | 1 << 24 | 2 << 22 | 3 << 16 | 1 << 6 | 6;
        assert_eq!(
            decode(esr, 0xffff_0000_3fff_0104, 0x3f_fff0),
            Exit::Mmio(Access {
                ipa: 0x3fff_f104,
                size: 4,
                register: 3,
                write: true,
                sign_extend: false,
                wide: false,
            })
        );
        // The same without ISV.
        assert_eq!(
            decode(esr & !(1 << 24), 0x104, 0x3f_fff0),
            Exit::DataAbort { ipa: 0x3fff_f104 }
        );
    }

    #[test]
    fn loads_are_extended_as_the_instruction_says() {
        let load =
            Access { ipa: 0, size: 1, register: 0, write: false, sign_extend: true, wide: false };
        assert_eq!(load.extend(0x180), 0xffff_ff80);
        assert_eq!(Access { wide: true, ..load }.extend(0x80), 0xffff_ffff_ffff_ff80);
        assert_eq!(Access { sign_extend: false, ..load }.extend(0x1ff), 0xff);
        assert_eq!(Access { size: 8, wide: true, ..load }.extend(u64::MAX), u64::MAX);
    }

    #[test]
    fn a_system_register_write_names_the_register() {
        // msr ICC_SGI1R_EL1, x5
        let esr = 0x18 << 26 | 1 << 25 | 3 << 20 | 5 << 17 | 12 << 10 | 5 << 5 | 11 << 1;
        assert_eq!(
            decode(esr, 0, 0),
            Exit::SystemRegister(SystemRegisterAccess {
                register: ICC_SGI1R_EL1,
                general: 5,
                read: false,
            })
        );
    }
}
