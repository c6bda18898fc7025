//! What a hypercall answers in x0.
//!
//! x0 is a signed 64-bit number: 0 is success, negative values mean that the call plumbing refused (no such call, try
//! again), positive ones come from the call itself. The order of checks for a call that takes a capability is: the id
//! decodes to no table index → `ARGUMENT_INVALID`; empty slot → `CSPACE_CAP_NULL`; revoked → `CSPACE_CAP_REVOKED`;
//! wrong type → `CSPACE_WRONG_OBJECT_TYPE`; right missing → `CSPACE_INSUFFICIENT_RIGHTS`; object not active →
//! `OBJECT_STATE`; then the call's own errors.

use crate::macros::named_enum;

named_enum! {
    /// A hypercall's refusal, by the names of the Gunyah API.
    pub enum Error: i64 as "{}" {
        /// There is no such call.
        Unimplemented = -1 => "UNIMPLEMENTED",
        /// The call was interrupted and may be made again.
        Retry = -2 => "RETRY",
        /// An argument, a reserved register, or the form of a capability id is wrong.
        ArgumentInvalid = 1 => "ARGUMENT_INVALID",
        /// A size is out of bounds.
        ArgumentSize = 2 => "ARGUMENT_SIZE",
        /// A size or an address is misaligned.
        ArgumentAlignment = 3 => "ARGUMENT_ALIGNMENT",
        /// The hypervisor is out of memory.
        Nomem = 10 => "NOMEM",
        /// The hypervisor is out of some other resource.
        Noresources = 11 => "NORESOURCES",
        /// An address range wraps, or a message does not fit the buffer.
        AddrOverflow = 20 => "ADDR_OVERFLOW",
        /// An address range begins below what is allowed.
        AddrUnderflow = 21 => "ADDR_UNDERFLOW",
        /// An address is not mapped as needed.
        AddrInvalid = 22 => "ADDR_INVALID",
        /// The caller may not do that.
        Denied = 30 => "DENIED",
        /// Busy; for the entropy call also: asked too often.
        Busy = 31 => "BUSY",
        /// Nothing to do.
        Idle = 32 => "IDLE",
        /// The object is not active, or in the wrong state.
        ObjectState = 33 => "OBJECT_STATE",
        /// The object's configuration is wrong.
        ObjectConfig = 34 => "OBJECT_CONFIG",
        /// The object was configured before.
        ObjectConfigured = 35 => "OBJECT_CONFIGURED",
        /// The call failed.
        Failure = 36 => "FAILURE",
        /// The vIRQ is bound already.
        VirqBound = 40 => "VIRQ_BOUND",
        /// The vIRQ is not bound.
        VirqNotBound = 41 => "VIRQ_NOT_BOUND",
        /// The capability slot is empty.
        CspaceCapNull = 50 => "CSPACE_CAP_NULL",
        /// The capability was revoked.
        CspaceCapRevoked = 51 => "CSPACE_CAP_REVOKED",
        /// The capability names an object of another type.
        CspaceWrongObjectType = 52 => "CSPACE_WRONG_OBJECT_TYPE",
        /// The capability lacks the right for this call.
        CspaceInsufficientRights = 53 => "CSPACE_INSUFFICIENT_RIGHTS",
        /// The capability table is full.
        CspaceFull = 54 => "CSPACE_FULL",
        /// The message queue has no message.
        MsgqueueEmpty = 60 => "MSGQUEUE_EMPTY",
        /// The message queue has no free slot.
        MsgqueueFull = 61 => "MSGQUEUE_FULL",
        /// No memory in the ownership database.
        MemdbEmpty = 110 => "MEMDB_EMPTY",
        /// The memory has another owner.
        MemdbNotOwner = 111 => "MEMDB_NOT_OWNER",
        /// The memory extent has no free mapping slot.
        MemextentMappingsFull = 120 => "MEMEXTENT_MAPPINGS_FULL",
        /// The memory extent is of another type.
        MemextentType = 121 => "MEMEXTENT_TYPE",
        /// Something is mapped there already.
        ExistingMapping = 200 => "EXISTING_MAPPING",
    }
}

impl Error {
    /// Turns a call's x0 into a result: `Ok` for 0, else the error, unknown codes kept.
    #[inline]
    pub fn check(x0: u64) -> Result<(), Self> {
        if x0 == 0 { Ok(()) } else { Err(Self::from(x0.cast_signed())) }
    }

    /// Returns the error of a code, `None` for 0 (success).
    pub fn from_code(code: i64) -> Option<Self> {
        Self::check(code.cast_unsigned()).err()
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_go_both_ways() {
        assert_eq!(Error::check(0), Ok(()));
        assert_eq!(Error::from_code(0), None);
        assert_eq!(Error::check(0x3c), Err(Error::MsgqueueEmpty));
        assert_eq!(Error::check(0x35), Err(Error::CspaceInsufficientRights));
        assert_eq!(Error::check(0x34), Err(Error::CspaceWrongObjectType));
        assert_eq!(Error::check(u64::MAX), Err(Error::Unimplemented));
        assert_eq!(Error::from_code(-2), Some(Error::Retry));
        assert_eq!(Error::from_code(77), Some(Error::Unknown(77)));
        assert_eq!(Error::Unknown(77).code(), 77);
        assert_eq!(Error::ExistingMapping.code(), 200);
    }

    #[test]
    fn display_names_the_code() {
        assert_eq!(Error::MsgqueueFull.to_string(), "MSGQUEUE_FULL (61)");
        assert_eq!(Error::Unimplemented.to_string(), "UNIMPLEMENTED (-1)");
        assert_eq!(Error::Unknown(99).to_string(), "unknown (99)");
    }
}
