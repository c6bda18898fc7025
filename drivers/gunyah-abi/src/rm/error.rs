//! The error word that begins every reply of the Resource Manager.

use crate::macros::named_enum;

named_enum! {
    /// Why RM refused a request.
    pub enum RmError: u32 as "{}" {
        /// RM's heap is exhausted; it recovers once receivers drain.
        Nomem = 1 => "NOMEM",
        /// Another resource is exhausted.
        Noresource = 2 => "NORESOURCE",
        /// The caller may not do that.
        Denied = 3 => "DENIED",
        /// The content's length or form is wrong.
        MsgInvalid = 4 => "MSG_INVALID",
        /// Busy.
        Busy = 5 => "BUSY",
        /// An argument is wrong; for console calls: no such console, or no such VM.
        ArgumentInvalid = 6 => "ARGUMENT_INVALID",
        /// No such handle.
        HandleInvalid = 7 => "HANDLE_INVALID",
        /// Validation failed.
        ValidateFailed = 8 => "VALIDATE_FAILED",
        /// Mapping failed.
        MapFailed = 9 => "MAP_FAILED",
        /// Wrong memory.
        MemInvalid = 0xA => "MEM_INVALID",
        /// Memory in use.
        MemInuse = 0xB => "MEM_INUSE",
        /// Memory released.
        MemReleased = 0xC => "MEM_RELEASED",
        /// Wrong VMID.
        VmidInvalid = 0xD => "VMID_INVALID",
        /// Nothing found.
        LookupFailed = 0xE => "LOOKUP_FAILED",
        /// Wrong interrupt.
        IrqInvalid = 0xF => "IRQ_INVALID",
        /// Interrupt in use.
        IrqInuse = 0x10 => "IRQ_INUSE",
        /// Interrupt released.
        IrqReleased = 0x11 => "IRQ_RELEASED",
        /// In use.
        InUse = 0x12 => "IN_USE",
        /// Interrupt not mapped.
        IrqNotMapped = 0x13 => "IRQ_NOT_MAPPED",
        /// The VM is in the wrong state.
        VmState = 0x14 => "VM_STATE",
        /// RM does not know the request.
        Unimplemented = 0xFFFF_FFFF => "UNIMPLEMENTED",
    }
}

impl RmError {
    /// The error word of success.
    pub const OK: u32 = 0;

    /// Turns a reply's error word into a result, unknown codes kept.
    #[inline]
    pub fn check(code: u32) -> Result<(), Self> {
        if code == Self::OK { Ok(()) } else { Err(Self::from(code)) }
    }

    /// Returns the error of a code, `None` for 0 (success).
    pub fn from_code(code: u32) -> Option<Self> {
        Self::check(code).err()
    }
}

impl core::error::Error for RmError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_go_both_ways() {
        assert_eq!(RmError::check(0), Ok(()));
        assert_eq!(RmError::check(6), Err(RmError::ArgumentInvalid));
        assert_eq!(RmError::check(u32::MAX), Err(RmError::Unimplemented));
        assert_eq!(RmError::from_code(0x99), Some(RmError::Unknown(0x99)));
        assert_eq!(RmError::Unknown(0x99).code(), 0x99);
        assert_eq!(RmError::VmState.code(), 0x14);
        assert_eq!(RmError::ArgumentInvalid.to_string(), "ARGUMENT_INVALID (6)");
        assert_eq!(RmError::Unknown(153).to_string(), "unknown (153)");
    }
}
