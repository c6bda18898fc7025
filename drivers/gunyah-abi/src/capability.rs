//! Capability ids and the rights they carry.
//!
//! A capability id is opaque: release builds of the hypervisor scramble ids anew at each boot, debug builds count from 0.
//! **0 is a legal id.** Nothing but equality may be read from an id. A secondary VM holds, ready made by the Resource
//! Manager with vIRQs bound: the RM queue pair (send only on TX, receive only on RX), doorbells to receive from, doorbell
//! sources to send to (and to receive from when made with `source-can-clear`), message queues in one direction each, and
//! its own vCPUs only when it does not use PSCI.

use bitflags::bitflags;
use core::fmt;

/// Names a hypervisor object and what the holder may do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct CapabilityId(pub u64);

impl CapabilityId {
    /// The id that never names anything.
    pub const INVALID: Self = Self(u64::MAX);

    /// True for ids no capability can have: those whose upper word is all ones.
    pub const fn is_reserved(self) -> bool {
        self.0 >> 32 == 0xFFFF_FFFF
    }
}

impl fmt::Display for CapabilityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// The right, common to all object types, to activate the object.
pub const RIGHT_ACTIVATE: u32 = 0x8000_0000;

bitflags! {
    /// What a doorbell capability allows.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct DoorbellRights: u32 {
        /// Set flags.
        const SEND = 1 << 0;
        /// Receive, mask, reset.
        const RECEIVE = 1 << 1;
        /// Bind and unbind the vIRQ.
        const BIND = 1 << 2;
    }

    /// What a message queue capability allows.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct MessageQueueRights: u32 {
        /// Send, configure the sender's side.
        const SEND = 1 << 0;
        /// Receive, flush, configure the receiver's side.
        const RECEIVE = 1 << 1;
        /// Bind and unbind the TX vIRQ.
        const BIND_SEND = 1 << 2;
        /// Bind and unbind the RX vIRQ.
        const BIND_RECEIVE = 1 << 3;
    }

    /// What a thread (vCPU) capability allows.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct ThreadRights: u32 {
        /// Power on and off.
        const POWER = 1 << 0;
        /// Set the affinity.
        const AFFINITY = 1 << 1;
        /// Set the priority.
        const PRIORITY = 1 << 2;
        /// Set the timeslice.
        const TIMESLICE = 1 << 3;
        /// Be the target of a directed yield.
        const YIELD_TO = 1 << 4;
        /// Bind and unbind vIRQs.
        const BIND_VIRQ = 1 << 5;
        /// Query the state.
        const STATE = 1 << 6;
        /// Kill.
        const LIFECYCLE = 1 << 7;
        /// Write registers.
        const WRITE_CONTEXT = 1 << 8;
        /// Disable.
        const DISABLE = 1 << 9;
    }

    /// What a capability for a virtual power management group allows.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct VpmGroupRights: u32 {
        /// Attach vCPUs.
        const ATTACH = 1 << 0;
        /// Bind and unbind the vIRQ.
        const BIND = 1 << 1;
        /// Query the state.
        const QUERY = 1 << 2;
    }

    /// What a watchdog capability allows.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct WatchdogRights: u32 {
        /// Attach to a vCPU.
        const ATTACH = 1 << 0;
        /// Bind and unbind vIRQs.
        const BIND = 1 << 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_a_legal_id() {
        assert!(!CapabilityId(0).is_reserved());
        assert_ne!(CapabilityId(0), CapabilityId::INVALID);
        assert!(CapabilityId::INVALID.is_reserved());
        assert!(CapabilityId(0xFFFF_FFFF_0000_0001).is_reserved());
        assert!(!CapabilityId(0x7FFF_FFFF_FFFF_FFFF).is_reserved());
        assert_eq!(CapabilityId(0x2a).to_string(), "0x2a");
    }
}
