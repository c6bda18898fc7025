//! Message ids of requests and notifications.

use crate::macros::Names;
use core::fmt;

/// Names a request (and its reply) or a notification.
///
/// 0x56xx_xxxx is the class of VM management, 0x51xx_xxxx that of memory; bit 20 marks notifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct MessageId(pub u32);

macro_rules! message_ids {
    ($( $(#[$meta:meta])* $name:ident = $value:literal, )+) => {
        impl MessageId {
            $( $(#[$meta])* pub const $name: Self = Self($value); )+

            const NAMES: Names<u32> = Names {
                codes: &[$($value),+],
                names: concat!($(stringify!($name), "\0"),+),
            };
        }
    };
}

message_ids! {
    /// Reserves a VMID; for the primary VM.
    VM_ALLOCATE = 0x5600_0001,
    /// Gives a VMID back.
    VM_DEALLOCATE = 0x5600_0002,
    /// Starts a VM.
    VM_START = 0x5600_0004,
    /// Stops a VM, or asks it to stop.
    VM_STOP = 0x5600_0005,
    /// Resets a VM.
    VM_RESET = 0x5600_0006,
    /// Tells where a VM's image and tree are.
    VM_CONFIG_IMAGE = 0x5600_0009,
    /// Authenticates a VM's image.
    VM_AUTH = 0x5600_000A,
    /// Initialises a VM.
    VM_INIT = 0x5600_000B,
    /// A VM's GUID, URI, name and signing authority.
    VM_GET_ID = 0x5600_0010,
    /// VMs with a URI.
    VM_LOOKUP_URI = 0x5600_0011,
    /// VMs with a GUID.
    VM_LOOKUP_GUID = 0x5600_0012,
    /// VMs with a name.
    VM_LOOKUP_NAME = 0x5600_0013,
    /// The caller's owner.
    VM_GET_OWNER = 0x5600_0015,
    /// A VM's state.
    VM_GET_STATE = 0x5600_0017,
    /// A VM's crash message; for its owner.
    VM_GET_CRASH_MSG = 0x5600_0019,
    /// Virtual devices shared with another VM.
    VM_GET_HYP_RESOURCES = 0x5600_0020,
    /// Unimplemented in RM.
    VM_GET_HYP_CAPIDS = 0x5600_0021,
    /// Unimplemented in RM.
    VM_GET_HYP_IRQS = 0x5600_0022,
    /// The caller's VMID. The request must be empty.
    VM_GET_VMID = 0x5600_0024,
    /// VMs the caller has channels to.
    VM_GET_PEERS = 0x5600_0025,
    /// Sets a VM's time base before it starts.
    VM_SET_TIME_BASE = 0x5600_0030,
    /// Sets a register of a VM before it starts; not implemented by RM of 12/2023.
    VM_SET_BOOT_CONTEXT = 0x5600_0031,
    /// Tells where a VM's firmware is.
    VM_SET_FIRMWARE_MEM = 0x5600_0032,
    /// Newer RM only.
    VM_SET_DEMAND_PAGING = 0x5600_0033,
    /// Newer RM only.
    VM_SET_ADDRESS_LAYOUT = 0x5600_0034,
    /// Accepts a lent interrupt.
    VM_IRQ_ACCEPT = 0x5600_0050,
    /// Lends an interrupt.
    VM_IRQ_LEND = 0x5600_0051,
    /// Gives a lent interrupt back.
    VM_IRQ_RELEASE = 0x5600_0052,
    /// Takes a released interrupt back.
    VM_IRQ_RECLAIM = 0x5600_0053,
    /// Tells others about an interrupt's handle.
    VM_IRQ_NOTIFY = 0x5600_0054,
    /// Unimplemented in RM.
    VM_IRQ_UNMAP = 0x5600_0055,
    /// Sets the caller's OS state; refused to dynamic VMIDs.
    VM_SET_STATUS = 0x5600_0080,
    /// Opens a console.
    CONSOLE_OPEN = 0x5600_0081,
    /// Closes a console.
    CONSOLE_CLOSE = 0x5600_0082,
    /// Writes to a console.
    CONSOLE_WRITE = 0x5600_0083,
    /// Does nothing, with the checks of a write.
    CONSOLE_FLUSH = 0x5600_0084,
    /// Ends the calling VM.
    VM_EXIT = 0x5600_0085,
    /// Stores the caller's crash message.
    VM_SET_CRASH_MSG = 0x5600_0086,
    /// The platform's type.
    VM_HOST_GET_TYPE = 0x5600_00A0,
    /// Reserves IPA space.
    VM_IPA_RESERVE = 0x5600_00B0,
    /// Unimplemented in RM.
    VM_IPA_UNRESERVE = 0x5600_00B1,
    /// Gives memory away.
    MEM_DONATE = 0x5100_0010,
    /// Maps a parcel.
    MEM_ACCEPT = 0x5100_0011,
    /// Lends memory.
    MEM_LEND = 0x5100_0012,
    /// Shares memory.
    MEM_SHARE = 0x5100_0013,
    /// Unmaps a parcel.
    MEM_RELEASE = 0x5100_0014,
    /// Takes memory back.
    MEM_RECLAIM = 0x5100_0015,
    /// Tells others about a parcel.
    MEM_NOTIFY = 0x5100_0017,
    /// Adds to an unfinished parcel.
    MEM_APPEND = 0x5100_0018,
    /// A parcel's ranges.
    MEM_LOOKUP_SGL = 0x5100_001A,
    /// For boot firmware.
    FW_MILESTONE = 0x5100_0020,
    /// For boot firmware.
    FW_SET = 0x5100_0021,
    /// Notification: a VM ended; to its owner.
    VM_EXITED = 0x5610_0001,
    /// Notification: the owner asks this VM to shut down.
    VM_SHUTDOWN = 0x5610_0002,
    /// Notification: a peer's status.
    VM_STATUS = 0x5610_0008,
    /// Notification: an interrupt was lent.
    VM_IRQ_LENT = 0x5610_0011,
    /// Notification: an interrupt was released.
    VM_IRQ_RELEASED = 0x5610_0012,
    /// Notification: an interrupt was accepted.
    VM_IRQ_ACCEPTED = 0x5610_0013,
    /// Notification: console input.
    CONSOLE_CHARS = 0x5610_0080,
    /// Notification: a parcel was shared with the caller.
    MEM_SHARED = 0x5110_0011,
    /// Notification: a parcel was released.
    MEM_RELEASED = 0x5110_0012,
    /// Notification: a parcel was accepted.
    MEM_ACCEPTED = 0x5110_0013,
    /// Notification: the owner wants a parcel back.
    MEM_RECALL = 0x5110_0014,
}

impl MessageId {
    const NOTIFICATION: u32 = 1 << 20;

    /// Returns the message's name, `None` for an id this crate does not know.
    pub fn name(self) -> Option<&'static str> {
        Self::NAMES.name(self.0)
    }

    /// Returns the message of this name, `None` for a name this crate does not know.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.code(name).map(Self)
    }

    /// Whether the id is a notification's.
    pub const fn is_notification(self) -> bool {
        self.0 & Self::NOTIFICATION != 0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "message {:#010x}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_the_notification_bit() {
        assert_eq!(MessageId::CONSOLE_OPEN.to_string(), "CONSOLE_OPEN");
        assert_eq!(MessageId(0x5600_0FFF).to_string(), "message 0x56000fff");
        assert_eq!(MessageId::from_name("CONSOLE_OPEN"), Some(MessageId::CONSOLE_OPEN));
        assert_eq!(MessageId::from_name("console_open"), None);
        assert_eq!(MessageId::from_name(""), None);
        assert_eq!(MessageId::MEM_RECALL.name(), Some("MEM_RECALL"));
        assert!(MessageId::CONSOLE_CHARS.is_notification());
        assert!(MessageId::MEM_SHARED.is_notification());
        assert!(!MessageId::CONSOLE_WRITE.is_notification());
    }
}
