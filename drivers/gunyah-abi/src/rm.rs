//! The Resource Manager's protocol over a pair of message queues.
//!
//! A guest sends requests; RM answers each with a reply of the same message id and sequence number, and sends notifications
//! at any time. All numbers are little endian. A message larger than a packet's content ([`MAX_PACKET_CONTENT`] bytes) is cut
//! into fragments: the first packet has the real type, the following ones are continuations with the same sequence number,
//! id and fragment count.
//!
//! What RM does, and a client must know:
//!
//! * It keeps **one pending reply per VM**: a second one replaces it. So a client has one request outstanding, and keeps draining
//!   its receive queue while it waits.
//! * Replies **overtake** notifications that wait in RM. Never rely on a notification coming before a reply. The packets of one
//!   message stay together.
//! * Notifications wait in a FIFO of 256 per VM, the oldest are dropped; large ones exhaust RM's heap sooner, the sender then gets
//!   `NOMEM`, or no answer.
//! * Some requests get **no reply at all** (content one byte over the limit of [`MAX_CONSOLE_WRITE`]), so every request needs
//!   a timeout, in seconds: it is a fault, not a retry policy.
//! * An unknown request id gets a reply with error `UNIMPLEMENTED`. Replies and notifications sent by a guest are ignored.
//! * A receiver drops silently: packets that are short, of the wrong version or header size, continuations without a started
//!   message or with another sequence number or id; a new message discards an incomplete one.
//! * Lists begin with a u16 count and a u16 zero; strings and bytes are padded with zeros to a multiple of 4 unless stated.
//! * Each reply or notification comes with one RX interrupt at most; RM does not set the push flag.
//!
//! Console: the guest opens its own console with target 0 ([`SELF_VMID`]; its own VMID is refused with `DENIED`), writes, and gets
//! what the owner types as `CONSOLE_CHARS` notifications. Writes before the guest's own open are `DENIED`; writes while the owner
//! has not opened are accepted and dropped; a VM without a console gets `ARGUMENT_INVALID` for all. There is no flow control
//! towards the guest.

mod error;
pub mod memory;
mod message_id;
pub mod notification;
mod packet;
pub mod payload;
mod state;

pub use error::RmError;
pub use message_id::MessageId;
pub use packet::{
    HEADER_SIZE, HeaderError, MAX_CONSOLE_WRITE, MAX_CONTENT, MAX_EXTRA_FRAGMENTS,
    MAX_PACKET_CONTENT, MAX_PACKET_SIZE, MAX_SINGLE_CONSOLE_WRITE, PacketHeader, PacketType,
    VERSION_AND_HEADER_WORDS, extra_fragments,
};
pub use state::{ExitType, OsState, ResourceType, VmState};

/// In requests: the caller itself. Not accepted by `VM_GET_HYP_RESOURCES`.
pub const SELF_VMID: u16 = 0;

/// The primary VM.
pub const PRIMARY_VMID: u16 = 3;

/// First VMID of dynamic allocations; a launched VM normally is this one.
pub const FIRST_DYNAMIC_VMID: u16 = 0x80;

/// The Resource Manager itself.
pub const RM_VMID: u16 = 0xFF;

/// The "default peer" of virtual devices.
pub const DEFAULT_PEER_VMID: u16 = 0xFFFF;

/// Crash messages are stored cut to this many bytes.
pub const MAX_CRASH_MESSAGE: usize = 192;

/// The answer of `VM_HOST_GET_TYPE` seen on the QEMU platform.
pub const HOST_TYPE_QEMU: u32 = 0x0100_0164;

/// Exit codes of `VM_EXIT`; 2 is refused.
pub mod exit_code {
    /// Normal end.
    pub const NORMAL: u8 = 0;
    /// Software error.
    pub const SOFTWARE_ERROR: u8 = 1;
    /// Bus error.
    pub const BUS_ERROR: u8 = 3;
    /// Device error.
    pub const DEVICE_ERROR: u8 = 4;
}
