//! Contents of requests and replies, little endian.
//!
//! A reply's content begins with [`ReplyHeader`]; the structures here named `…Reply` follow it.

use super::{OsState, ResourceType, VmState};
use crate::CapabilityId;
use zerocopy::byteorder::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

macro_rules! wire {
    ($( $(#[$meta:meta])* pub struct $name:ident: $size:literal { $( $(#[$field_meta:meta])* pub $field:ident: $kind:ty, )+ } )+) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
            #[repr(C)]
            pub struct $name { $( $(#[$field_meta])* pub $field: $kind, )+ }

            const _: () = assert!(size_of::<$name>() == $size);
        )+
    };
}
pub(super) use wire;

wire! {
    /// First word of every reply.
    pub struct ReplyHeader: 4 {
        /// 0, or a code of [`RmError`](super::RmError).
        pub error: U32,
    }

    /// One VMID: `VM_GET_ID`, `VM_GET_STATE`, `VM_GET_CRASH_MSG`, `VM_GET_HYP_RESOURCES`, `CONSOLE_OPEN`, `CONSOLE_CLOSE`,
    /// `CONSOLE_FLUSH`, `VM_DEALLOCATE`, `VM_START`, `VM_RESET`, `VM_INIT`; entries of the `VM_LOOKUP_…` replies.
    pub struct VmidRequest: 4 {
        /// The VM meant; [`SELF_VMID`](super::SELF_VMID) is the caller.
        pub vmid: U16,
        /// 0.
        pub reserved: U16,
    }

    /// Length of the text that follows, padded with zeros to a multiple of 4: `VM_LOOKUP_URI`, `VM_LOOKUP_NAME`,
    /// `VM_SET_CRASH_MSG`, the reply of `VM_GET_CRASH_MSG`.
    pub struct TextHeader: 4 {
        /// Bytes of text without padding.
        pub length: U16,
        /// 0.
        pub reserved: U16,
    }

    /// `VM_LOOKUP_GUID`.
    pub struct LookupGuidRequest: 16 {
        /// The GUID's bytes.
        pub guid: [u8; 16],
    }

    /// Number of entries that follow: `VM_GET_ID`, `VM_LOOKUP_…`, `VM_GET_HYP_RESOURCES`, `VM_GET_PEERS`.
    pub struct CountReply: 4 {
        /// How many.
        pub count: U32,
    }

    /// Entry of the `VM_GET_ID` reply; its data follows, padded to a multiple of 4.
    pub struct IdEntry: 4 {
        /// One of [`id_type`].
        pub kind: u8,
        /// 0.
        pub reserved: u8,
        /// Bytes of data without padding.
        pub size: U16,
    }

    /// One number: the replies of `VM_GET_OWNER`, `VM_GET_VMID`, `VM_HOST_GET_TYPE`, `VM_ALLOCATE`.
    pub struct WordReply: 4 {
        /// The number.
        pub value: U32,
    }

    /// Reply of `VM_GET_STATE`.
    pub struct StateReply: 4 {
        /// A code of [`VmState`].
        pub vm_state: u8,
        /// A code of [`OsState`].
        pub os_state: u8,
        /// What the application last set.
        pub app_status: U16,
    }

    /// `VM_SET_STATUS`, exactly this long.
    pub struct SetStatusRequest: 4 {
        /// Ignored.
        pub reserved: u8,
        /// A code of [`OsState`].
        pub os_state: u8,
        /// For the application to use.
        pub app_status: U16,
    }

    /// `CONSOLE_WRITE`; the bytes follow, **without padding**.
    pub struct ConsoleWriteHeader: 4 {
        /// Whose console; a guest says [`SELF_VMID`](super::SELF_VMID).
        pub target: U16,
        /// Bytes that follow.
        pub length: U16,
    }

    /// `VM_EXIT`, exactly this long.
    pub struct VmExitRequest: 4 {
        /// Bit 0: restart wanted.
        pub flags: U16,
        /// One of [`exit_code`](super::exit_code).
        pub code: u8,
        /// 0.
        pub reserved: u8,
    }

    /// Entry of the `VM_GET_HYP_RESOURCES` reply.
    pub struct HypResource: 44 {
        /// A code of [`ResourceType`].
        pub kind: u8,
        /// 0.
        pub reserved: u8,
        /// The VM at the other end.
        pub partner_vmid: U16,
        /// RM's handle.
        pub handle: U32,
        /// The label given by the VM's configuration.
        pub label: U32,
        /// Lower word of the capability id.
        pub cap_low: U32,
        /// Upper word of the capability id.
        pub cap_high: U32,
        /// RM's handle of the vIRQ.
        pub virq_handle: U32,
        /// INTID of the vIRQ.
        pub virq: U32,
        /// Lower word of the IPA.
        pub base_low: U32,
        /// Upper word of the IPA.
        pub base_high: U32,
        /// Lower word of the size in bytes.
        pub size_low: U32,
        /// Upper word of the size in bytes.
        pub size_high: U32,
    }
}

/// Types of [`IdEntry`].
pub mod id_type {
    /// 16 bytes.
    pub const GUID: u8 = 0;
    /// Text.
    pub const URI: u8 = 1;
    /// Text.
    pub const NAME: u8 = 2;
    /// Text.
    pub const SIGNING_AUTHORITY: u8 = 3;
}

/// Flag of [`VmExitRequest`]: restart wanted.
pub const VM_EXIT_RESTART: u16 = 1;

impl VmidRequest {
    /// Names a VM.
    pub const fn new(vmid: u16) -> Self {
        Self { vmid: U16::new(vmid), reserved: U16::ZERO }
    }
}

impl TextHeader {
    /// Announces `length` bytes of text.
    pub const fn new(length: u16) -> Self {
        Self { length: U16::new(length), reserved: U16::ZERO }
    }
}

impl ConsoleWriteHeader {
    /// Announces `length` bytes for the console of `target`.
    pub const fn new(target: u16, length: u16) -> Self {
        Self { target: U16::new(target), length: U16::new(length) }
    }
}

impl VmExitRequest {
    /// Ends the VM with a code of [`exit_code`](super::exit_code); a restart can be wanted.
    pub const fn new(code: u8, restart: bool) -> Self {
        let flags = U16::new(if restart { VM_EXIT_RESTART } else { 0 });
        Self { flags, code, reserved: 0 }
    }
}

impl SetStatusRequest {
    /// States how the guest is.
    pub fn new(os_state: OsState, app_status: u16) -> Self {
        Self { reserved: 0, os_state: os_state.code(), app_status: U16::new(app_status) }
    }
}

impl StateReply {
    /// State of the VM.
    pub fn vm_state(&self) -> VmState {
        VmState::from(self.vm_state)
    }

    /// State of its operating system.
    pub fn os_state(&self) -> OsState {
        OsState::from(self.os_state)
    }
}

impl HypResource {
    /// `virq` of a resource without an interrupt; of a doorbell source it is 0.
    pub const NO_VIRQ: u32 = u32::MAX;

    /// Kind of the resource.
    pub fn resource_type(&self) -> ResourceType {
        ResourceType::from(self.kind)
    }

    /// The capability id.
    pub fn capability(&self) -> CapabilityId {
        CapabilityId(join(self.cap_low, self.cap_high))
    }

    /// IPA and size in bytes.
    pub fn memory(&self) -> (u64, u64) {
        (join(self.base_low, self.base_high), join(self.size_low, self.size_high))
    }
}

fn join(low: U32, high: U32) -> u64 {
    u64::from(high.get()) << 32 | u64::from(low.get())
}

/// Rounds a length up to the multiple of 4 that padded data takes.
pub const fn padded(length: usize) -> usize {
    length.next_multiple_of(4)
}
