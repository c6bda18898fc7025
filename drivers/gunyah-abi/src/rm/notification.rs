//! Contents of the notifications RM sends, little endian. They have no error word.

use super::payload::wire;
use super::{ExitType, OsState, VmState};
use zerocopy::byteorder::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

wire! {
    /// `VM_EXITED`, to the owner. For `PSCI_SYSTEM_RESET2` three more words follow: type, cookie low, cookie high.
    pub struct VmExited: 12 {
        /// Who ended.
        pub vmid: U16,
        /// A code of [`ExitType`].
        pub exit_type: U16,
        /// Bytes that follow this field: 4, or more with extra words.
        pub reason_bytes: U32,
        /// Bit 0 restart wanted; bit 15 the PSCI call was 64-bit.
        pub flags: U16,
        /// One of [`exit_code`](super::exit_code).
        pub code: U16,
    }

    /// `VM_SHUTDOWN`: the owner asks the receiver to shut down.
    pub struct VmShutdown: 4 {
        /// Why, by the owner's choice.
        pub reason: U32,
    }

    /// `VM_STATUS`, to peers.
    pub struct VmStatus: 8 {
        /// Whose.
        pub vmid: U16,
        /// 0.
        pub reserved: U16,
        /// A code of [`VmState`].
        pub vm_state: u8,
        /// A code of [`OsState`].
        pub os_state: u8,
        /// What the application last set.
        pub app_status: U16,
    }

    /// `VM_IRQ_LENT`.
    pub struct IrqLent: 12 {
        /// Who lends.
        pub owner: U16,
        /// 0.
        pub reserved: U16,
        /// RM's handle.
        pub handle: U32,
        /// By the owner's choice.
        pub label: U32,
    }

    /// `VM_IRQ_RELEASED` and `VM_IRQ_ACCEPTED`.
    pub struct IrqHandle: 4 {
        /// RM's handle.
        pub handle: U32,
    }

    /// `CONSOLE_CHARS`; the bytes follow, without padding.
    pub struct ConsoleChars: 4 {
        /// 0 when it comes from the owner; to the owner, the guest's VMID.
        pub from: U16,
        /// Bytes that follow.
        pub length: U16,
    }

    /// `MEM_SHARED`; lists of access rights, sizes and attributes follow.
    pub struct MemShared: 20 {
        /// RM's handle; 0 is valid.
        pub handle: U32,
        /// 0 normal memory, 1 device.
        pub memory_type: u8,
        /// 0 donated, 1 lent, 2 shared.
        pub transaction: u8,
        /// Flags of the transaction.
        pub flags: u8,
        /// 0.
        pub reserved0: u8,
        /// Who shares.
        pub owner: U16,
        /// 0.
        pub reserved1: U16,
        /// By the owner's choice.
        pub label: U32,
        /// By the owner's choice.
        pub tag: U32,
    }

    /// `MEM_RELEASED` and `MEM_ACCEPTED`.
    pub struct MemHandle: 12 {
        /// RM's handle; 0 is valid.
        pub handle: U32,
        /// Who released or accepted.
        pub vmid: U16,
        /// 0.
        pub reserved: U16,
        /// By the notifier's choice.
        pub tag: U32,
    }

    /// `MEM_RECALL`.
    pub struct MemRecall: 8 {
        /// RM's handle; 0 is valid.
        pub handle: U32,
        /// By the owner's choice.
        pub tag: U32,
    }
}

impl VmExited {
    /// How the VM ended.
    pub fn exit_type(&self) -> ExitType {
        ExitType::from(self.exit_type.get())
    }
}

impl VmStatus {
    /// State of the VM.
    pub fn vm_state(&self) -> VmState {
        VmState::from(self.vm_state)
    }

    /// State of its operating system.
    pub fn os_state(&self) -> OsState {
        OsState::from(self.os_state)
    }
}

impl ConsoleChars {
    /// Splits a content into who wrote and what; `None` if it is shorter than it says. Bytes past the stated length are
    /// left out.
    ///
    /// # Examples
    ///
    /// ```
    /// use gunyah_abi::rm::notification::ConsoleChars;
    /// assert_eq!(ConsoleChars::parse(b"\0\0\x03\0ls\r"), Some((0, &b"ls\r"[..])));
    /// assert_eq!(ConsoleChars::parse(b"\0\0\x04\0ls\r"), None);
    /// ```
    pub fn parse(content: &[u8]) -> Option<(u16, &[u8])> {
        let (header, text) = Self::ref_from_prefix(content).ok()?;
        let text = text.get(..usize::from(header.length.get()))?;
        Some((header.from.get(), text))
    }
}
