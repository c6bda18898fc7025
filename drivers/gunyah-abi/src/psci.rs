//! PSCI and TRNG function ids and return codes, as Gunyah answers them.
//!
//! Both conduits (HVC and SMC) work. PSCI exists only for a VM whose tree asked for it; without it every call but
//! `PSCI_FEATURES` answers `NOT_SUPPORTED`. Decode a result from the **low 32 bits as signed**: 32-bit calls write only
//! those, unknown functions give a 64-bit -1.

use crate::macros::named_enum;

/// PSCI 1.1, the answer of [`Function::PsciVersion`].
pub const VERSION_1_1: u32 = 0x1_0001;

/// Bit of `SYSTEM_RESET2`'s type that marks it as the vendor's own (PSCI 1.1, 5.1.15).
pub const RESET2_VENDOR_TYPE: u32 = 0x8000_0000;

named_enum! {
    /// PSCI functions.
    pub enum Function: u32 as "{:#x}" {
        /// → version, 0x10001.
        PsciVersion = 0x8400_0000 => "PSCI_VERSION",
        /// x1 power state, x2 entry, x3 context.
        CpuSuspend32 = 0x8400_0001 => "CPU_SUSPEND (SMC32)",
        /// x1 power state, x2 entry, x3 context.
        CpuSuspend = 0xC400_0001 => "CPU_SUSPEND",
        /// Denied to the last running CPU, except in proxy-scheduled VMs.
        CpuOff = 0x8400_0002 => "CPU_OFF",
        /// x1 MPIDR, x2 entry IPA, x3 context.
        CpuOn32 = 0x8400_0003 => "CPU_ON (SMC32)",
        /// x1 MPIDR, x2 entry IPA, x3 context → -4 when on, -2 when the MPIDR maps nowhere, -6 when that CPU is absent.
        CpuOn = 0xC400_0003 => "CPU_ON",
        /// x1 MPIDR, x2 lowest level = 0 → 0 on, 1 off.
        AffinityInfo32 = 0x8400_0004 => "AFFINITY_INFO (SMC32)",
        /// x1 MPIDR, x2 lowest level = 0 → 0 on, 1 off.
        AffinityInfo = 0xC400_0004 => "AFFINITY_INFO",
        /// Ends the VM.
        SystemOff = 0x8400_0008 => "SYSTEM_OFF",
        /// Ends the VM and asks for another start.
        SystemReset = 0x8400_0009 => "SYSTEM_RESET",
        /// x1 function id → 0 or more when implemented, always answered.
        PsciFeatures = 0x8400_000A => "PSCI_FEATURES",
        /// x1 entry, x2 context.
        CpuDefaultSuspend32 = 0x8400_000C => "CPU_DEFAULT_SUSPEND (SMC32)",
        /// x1 entry, x2 context.
        CpuDefaultSuspend = 0xC400_000C => "CPU_DEFAULT_SUSPEND",
        /// x1 mode: 0 is accepted, anything else gives -2.
        SetSuspendMode = 0x8400_000F => "SET_SUSPEND_MODE",
        /// x1 type, x2 cookie.
        SystemReset2_32 = 0x8400_0012 => "SYSTEM_RESET2 (SMC32)",
        /// x1 type, x2 cookie.
        SystemReset2 = 0xC400_0012 => "SYSTEM_RESET2",
    }
}

named_enum! {
    /// PSCI return codes.
    pub enum ReturnCode: i32 as "{}" {
        /// Done.
        Success = 0 => "SUCCESS",
        /// No such function.
        NotSupported = -1 => "NOT_SUPPORTED",
        /// An argument is wrong.
        InvalidParameters = -2 => "INVALID_PARAMETERS",
        /// Refused.
        Denied = -3 => "DENIED",
        /// The CPU is on.
        AlreadyOn = -4 => "ALREADY_ON",
        /// The CPU is coming up.
        OnPending = -5 => "ON_PENDING",
        /// Failed; for `CPU_ON` also: no such CPU in this VM.
        InternalFailure = -6 => "INTERNAL_FAILURE",
        /// The CPU is absent.
        NotPresent = -7 => "NOT_PRESENT",
        /// The CPU is disabled.
        Disabled = -8 => "DISABLED",
        /// The entry address is wrong.
        InvalidAddress = -9 => "INVALID_ADDRESS",
    }
}

impl ReturnCode {
    /// Decodes x0 of a PSCI call.
    pub fn from_x0(x0: u64) -> Self {
        Self::from((x0 as u32).cast_signed())
    }
}

/// The true random number generator firmware interface.
pub mod trng {
    /// → 0x10000.
    pub const VERSION: u32 = 0x8400_0050;
    /// x1 function id → 0 when implemented.
    pub const FEATURES: u32 = 0x8400_0051;
    /// → UUID of the source in x0..x3.
    pub const GET_UUID: u32 = 0x8400_0052;
    /// x1 bits, up to 96 → x0 status, x1..x3.
    pub const RND32: u32 = 0x8400_0053;
    /// x1 bits, up to 192 → x0 status, x1..x3.
    pub const RND64: u32 = 0xC400_0053;
    /// Version 1.0.
    pub const VERSION_1_0: u32 = 0x1_0000;
    /// Done.
    pub const SUCCESS: i32 = 0;
    /// No such function.
    pub const NOT_SUPPORTED: i32 = -1;
    /// An argument is wrong.
    pub const INVALID_PARAMETERS: i32 = -2;
    /// No entropy now; ask again.
    pub const NO_ENTROPY: i32 = -3;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn return_codes_come_from_the_low_word() {
        assert_eq!(ReturnCode::from_x0(0x0000_0000_FFFF_FFFF), ReturnCode::NotSupported);
        assert_eq!(ReturnCode::from_x0(u64::MAX), ReturnCode::NotSupported);
        assert_eq!(ReturnCode::from_x0(-6_i64 as u64), ReturnCode::InternalFailure);
        assert_eq!(ReturnCode::from_x0(0), ReturnCode::Success);
        assert_eq!(Function::from(0x8400_0012).name(), Some("SYSTEM_RESET2 (SMC32)"));
        assert_eq!(Function::from(0x8400_0005), Function::Unknown(0x8400_0005));
    }
}
