//! Hypercall numbers and the two forms in which they are called.
//!
//! | | native | SMCCC |
//! |---|---|---|
//! | instruction | `hvc #(0x6000 + n)` | `hvc #0` or `smc #0` |
//! | selector | the immediate | x0 = `0xC600_8000 \| n` |
//! | arguments | x0..x7 | x1..x7, one place later |
//! | results | x0.., x0 = error first | x0.., x0 = error first |
//! | reserved arguments | checked: a violation gives `ARGUMENT_INVALID` | not checked |
//!
//! Both forms are live at the same time and give the same results; the native one costs the hypervisor some 270
//! instructions less. A reserved argument holds 0, or all ones for configure calls; callers fill them in for both forms.
//! A number that names no call gives x0 = -1 and no exception.
//!
//! A call clobbers x0..x17 (results in the lowest, the rest undefined) and keeps x18..x30, both stack pointers and the
//! FP/SIMD state. Older guests took x18 for clobbered as well, so a careful caller does too. Pointers are virtual
//! addresses of the caller, translated with its current EL1 tables page by page (with the MMU off they are IPAs); a
//! buffer may straddle pages.

use crate::macros::named_enum;
use bitflags::bitflags;

/// The immediate of native `hvc` for hypercall 0.
pub const NATIVE_IMMEDIATE_BASE: u16 = 0x6000;

/// The last immediate reserved to Gunyah.
pub const NATIVE_IMMEDIATE_LAST: u16 = 0x61FF;

/// The highest number in the hypercall table of 12/2023.
pub const LAST_HYPERCALL: u16 = 0x68;

/// x0 of a call that was not recognised.
pub const NOT_RECOGNISED: u64 = u64::MAX;

/// The value of a reserved register in configure calls; also "leave this setting alone".
pub const ALL_ONES: u64 = u64::MAX;

/// The not-empty threshold of `msgqueue_configure_receive` that means "the queue's depth".
pub const THRESHOLD_DEPTH: u64 = u64::MAX - 1;

named_enum! {
    /// The hypercalls a guest may make.
    ///
    /// Arguments in native numbering; an SMCCC caller moves each one place up.
    pub enum Hypercall: u16 as "{:#x}" {
        /// → x0 API info, x1..x3 feature flags. No error word.
        HypIdentify = 0x00 => "HYP_IDENTIFY",
        /// x0 cap, x1 new flags, x2 = 0 → x0 error, x1 old flags. Right: SEND.
        DoorbellSend = 0x12 => "DOORBELL_SEND",
        /// x0 cap, x1 flags to clear (not 0), x2 = 0 → x0 error, x1 old flags. Right: RECEIVE.
        DoorbellReceive = 0x13 => "DOORBELL_RECEIVE",
        /// x0 cap, x1 = 0 → x0 error. Right: RECEIVE.
        DoorbellReset = 0x14 => "DOORBELL_RESET",
        /// x0 cap, x1 enable mask, x2 ack mask, x3 = 0 → x0 error. Right: RECEIVE.
        DoorbellMask = 0x15 => "DOORBELL_MASK",
        /// x0 cap, x1 size, x2 data address, x3 flags, x4 = 0 → x0 error, x1 bit 0 not full. Right: SEND.
        MsgqueueSend = 0x1B => "MSGQUEUE_SEND",
        /// x0 cap, x1 buffer address, x2 buffer size, x3 = 0 → x0 error, x1 size, x2 bit 0 not empty. Right: RECEIVE.
        MsgqueueReceive = 0x1C => "MSGQUEUE_RECEIVE",
        /// x0 cap, x1 = 0 → x0 error. Right: RECEIVE.
        MsgqueueFlush = 0x1D => "MSGQUEUE_FLUSH",
        /// x0 cap, x1 not-full threshold, x2 delay, x3 = -1 → x0 error. Right: SEND.
        MsgqueueConfigureSend = 0x1F => "MSGQUEUE_CONFIGURE_SEND",
        /// x0 cap, x1 not-empty threshold, x2 delay, x3 = -1 → x0 error. Right: RECEIVE.
        MsgqueueConfigureReceive = 0x20 => "MSGQUEUE_CONFIGURE_RECEIVE",
        /// x0 vCPU cap, x1 entry IPA, x2 context, x3 flags → x0 error. Right: POWER.
        VcpuPoweron = 0x38 => "VCPU_POWERON",
        /// x0 own vCPU cap, x1 flags (bit 0: I am the last) → x0 error, only on failure. Right: POWER.
        VcpuPoweroff = 0x39 => "VCPU_POWEROFF",
        /// x0 control (15:0 hint), x1 argument, x2 = 0 → x0 error. No right needed.
        SchedulerYield = 0x3B => "SCHEDULER_YIELD",
        /// x0 classes to set, x1 to clear, x2 = 0 → x0 error, x1 classes. No right needed.
        TraceUpdateClassFlags = 0x3F => "TRACE_UPDATE_CLASS_FLAGS",
        /// x0 cap, x1 = 0 → x0 error, x1 state. Right: QUERY.
        VpmGroupGetState = 0x45 => "VPM_GROUP_GET_STATE",
        /// x0 bytes (4..16, multiple of 4), x1 = 0 → x0 error, x1..x4 one 32-bit word each. No right needed.
        PrngGetEntropy = 0x57 => "PRNG_GET_ENTROPY",
        /// x0 cap, x1..x3 resume data, x4 = 0 → x0 error, x1 state, x2..x4 data. For the VMM's side.
        VcpuRun = 0x65 => "VCPU_RUN",
        /// x0 cap, x4 = 0 → as `VCPU_RUN`. For RM and the VMM's side.
        VcpuRunCheck = 0x68 => "VCPU_RUN_CHECK",
    }
}

impl Hypercall {
    /// Returns the immediate of the native `hvc`.
    pub const fn native_immediate(self) -> u16 {
        NATIVE_IMMEDIATE_BASE.wrapping_add(self.code())
    }

    /// Returns the SMCCC function id.
    pub const fn smccc_function_id(self) -> u32 {
        smccc_function_id(self.code())
    }
}

/// Tells whether `n` is in the hypercall table of 12/2023, callable by a guest or not.
///
/// A VM that calls an existing number without a matching capability gets the capability lookup's error; a missing number
/// gives -1. The watchdog's numbers (0x09, 0x40..=0x42, 0x58, 0x63) are documented but not in that table.
pub const fn is_known(n: u16) -> bool {
    matches!(
        n,
        0x00..=0x07
            | 0x0A..=0x15
            | 0x17..=0x1D
            | 0x1F..=0x32
            | 0x34
            | 0x38..=0x3F
            | 0x43..=0x57
            | 0x59..=0x62
            | 0x64..=0x68
    )
}

/// Composes the SMCCC function id of hypercall `n`: a fast SMC64 call of the vendor hypervisor's hypercall class.
///
/// # Examples
///
/// ```
/// assert_eq!(gunyah_abi::hypercall::smccc_function_id(0x12), 0xC600_8012);
/// ```
pub const fn smccc_function_id(n: u16) -> u32 {
    SMCCC_HYPERCALL_BASE | (n as u32 & SMCCC_NUMBER_MASK)
}

/// The SMCCC function id of hypercall 0.
pub const SMCCC_HYPERCALL_BASE: u32 = 0xC600_8000;

const SMCCC_NUMBER_MASK: u32 = 0x3FFF;

/// What an SMCCC function id of the vendor hypervisor range asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmcccCall {
    /// Hypercall with this number (bits 15:14 = 0b10).
    Hypercall(u16),
    /// Service call, with bits 15:0 whole (bits 15:14 = 0b11): UID, revision.
    Service(u16),
    /// Platform call with this number (bits 15:14 = 0b00); no open platform has any.
    Platform(u16),
}

impl SmcccCall {
    /// Decodes a function id; `None` is answered with [`NOT_RECOGNISED`].
    ///
    /// Refused are yielding calls (bit 31 clear), other owners (bits 29:24), non-zero bits 23:17, the reserved class
    /// 0b01, and hypercalls in SMC32 form (bit 30 clear). Bit 16, the SVE hint, is tolerated.
    pub const fn decode(function_id: u32) -> Option<Self> {
        let fast = function_id >> 31 == 1;
        let smc64 = function_id >> 30 & 1 == 1;
        let owner = function_id >> 24 & 0x3F;
        if !fast || owner != 6 || function_id >> 17 & 0x7F != 0 {
            return None;
        }
        let number = (function_id & SMCCC_NUMBER_MASK) as u16;
        match function_id >> 14 & 0b11 {
            0b00 => Some(Self::Platform(number)),
            0b10 if smc64 => Some(Self::Hypercall(number)),
            0b11 => Some(Self::Service((function_id & 0xFFFF) as u16)),
            _ => None,
        }
    }
}

bitflags! {
    /// Flags of `msgqueue_send` (x3).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct MsgqueueSendFlags: u64 {
        /// Assert the receiver's vIRQ now, whatever its threshold.
        const PUSH = 1 << 0;
    }

    /// Flags of `vcpu_poweron` (x3).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct VcpuPoweronFlags: u64 {
        /// Leave the entry point as it is.
        const PRESERVE_ENTRY_POINT = 1 << 0;
        /// Leave the context register as it is.
        const PRESERVE_CONTEXT = 1 << 1;
    }

    /// Flags of `vcpu_poweroff` (x1).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct VcpuPoweroffFlags: u64 {
        /// The caller is the VM's last running vCPU.
        const LAST_VCPU = 1 << 0;
    }
}

/// [`MsgqueueSendFlags::PUSH`] as the register value.
pub const MSGQUEUE_SEND_PUSH: u64 = MsgqueueSendFlags::PUSH.bits();

/// Smallest and largest number of bytes `prng_get_entropy` gives; also a multiple of 4.
pub const PRNG_BYTES: core::ops::RangeInclusive<u64> = 4..=16;

/// Hints of `scheduler_yield` (x0 bits 15:0).
pub mod yield_hint {
    /// Give way to anybody.
    pub const GENERIC: u64 = 0;
    /// Give way to the thread whose capability is in x1.
    pub const TO_THREAD: u64 = 1;
    /// Give way to threads of lower priority.
    pub const LOWER_PRIORITY: u64 = 2;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_both_forms() {
        assert_eq!(Hypercall::HypIdentify.native_immediate(), 0x6000);
        assert_eq!(Hypercall::MsgqueueSend.native_immediate(), 0x601B);
        assert_eq!(Hypercall::MsgqueueReceive.smccc_function_id(), 0xC600_801C);
        assert_eq!(Hypercall::DoorbellSend.smccc_function_id(), 0xC600_8012);
        assert_eq!(Hypercall::from(0x57), Hypercall::PrngGetEntropy);
        assert_eq!(Hypercall::from(0x22), Hypercall::Unknown(0x22));
        assert_eq!(Hypercall::DoorbellSend.to_string(), "DOORBELL_SEND (0x12)");
    }

    #[test]
    fn known_numbers_are_those_of_the_table() {
        let missing: Vec<u16> = (0..=LAST_HYPERCALL).filter(|&n| !is_known(n)).collect();
        assert_eq!(
            missing,
            [0x08, 0x09, 0x16, 0x1E, 0x33, 0x35, 0x36, 0x37, 0x40, 0x41, 0x42, 0x58, 0x63]
        );
        assert!(!is_known(0x69));
        assert!(!is_known(0xFFF));
    }

    #[test]
    fn every_guest_call_is_known() {
        for n in 0..=LAST_HYPERCALL {
            if Hypercall::from(n).name().is_some() {
                assert!(is_known(n), "{n:#x}");
            }
        }
    }

    #[test]
    fn function_ids_decode_by_their_bit_fields() {
        use SmcccCall::{Hypercall, Platform, Service};
        let cases = [
            (0xC600_8000, Some(Hypercall(0))),
            (0xC600_801B, Some(Hypercall(0x1B))),
            (0xC601_801B, Some(Hypercall(0x1B))),
            (0xC600_BFFF, Some(Hypercall(0x3FFF))),
            (0x8600_801B, None),
            (0x4600_801B, None),
            (0xC602_801B, None),
            (0xC680_801B, None),
            (0xC500_801B, None),
            (0xC600_401B, None),
            (0xC600_0000, Some(Platform(0))),
            (0xC600_1234, Some(Platform(0x1234))),
            (0x8600_FF01, Some(Service(0xFF01))),
        ];
        for (id, expected) in cases {
            assert_eq!(SmcccCall::decode(id), expected, "{id:#x}");
        }
    }
}
