//! Contents of RM's notifications, little endian, without an error word.

use super::memory::{AclEntry, AttrEntry, ListError, MemoryType, Transaction, list};
use super::payload::wire;
use super::{ExitType, OsState, VmState};
use zerocopy::byteorder::little_endian::{U16, U32, U64};
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

    /// `MEM_SHARED`; lists of access rights, sizes and attributes follow, read by [`MemShared::parse`].
    pub struct MemShared: 20 {
        /// RM's handle; 0 is valid.
        pub handle: U32,
        /// A code of [`MemoryType`].
        pub memory_type: u8,
        /// A code of [`Transaction`].
        pub transaction: u8,
        /// Bits of [`CreateFlags`](super::memory::CreateFlags).
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

wire! {
    /// What follows [`VmExited`] after PSCI `SYSTEM_RESET2`.
    pub struct ResetReason: 12 {
        /// The call's type.
        pub kind: U32,
        /// Lower word of its cookie.
        pub cookie_low: U32,
        /// Upper word of its cookie.
        pub cookie_high: U32,
    }
}

/// The lists of `MEM_SHARED`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SharedLists<'a> {
    /// Who may do what.
    pub access: &'a [AclEntry],
    /// The ranges' sizes in bytes. The owner's addresses are not told.
    pub sizes: &'a [U64],
    /// How who must map; empty where the owner gave none.
    pub attributes: &'a [AttrEntry],
}

impl MemShared {
    /// Splits a content into its fixed part and its lists. Bytes after them are left out; RM before 12/2023 may leave the last
    /// list out.
    ///
    /// # Errors
    ///
    /// [`ListError::Short`], [`ListError::TooMany`].
    pub fn parse(content: &[u8]) -> Result<(&Self, SharedLists<'_>), ListError> {
        let Ok((fixed, rest)) = Self::ref_from_prefix(content) else {
            return Err(ListError::Short(size_of::<Self>().saturating_sub(content.len())));
        };
        let (access, _, rest) = list(rest)?;
        let (sizes, _, rest) = list(rest)?;
        let attributes = if rest.is_empty() { &[] } else { list(rest)?.0 };
        Ok((fixed, SharedLists { access, sizes, attributes }))
    }

    /// What kind of memory it is.
    pub fn memory_type(&self) -> MemoryType {
        MemoryType::from(self.memory_type)
    }

    /// What the owner does with it.
    pub fn transaction(&self) -> Transaction {
        Transaction::from(self.transaction)
    }
}

impl VmExited {
    /// Splits a content into the exit and, where they came, the words of a `SYSTEM_RESET2`; `None` if it is shorter than it
    /// says.
    pub fn parse(content: &[u8]) -> Option<(&Self, Option<&ResetReason>)> {
        let (exited, rest) = Self::ref_from_prefix(content).ok()?;
        // The reason's size counts flags and code.
        let extra = usize::try_from(exited.reason_bytes.get()).ok()?.checked_sub(4)?;
        let extra = rest.get(..extra)?;
        Some((exited, ResetReason::ref_from_prefix(extra).ok().map(|(reason, _)| reason)))
    }

    /// How the VM ended.
    pub fn exit_type(&self) -> ExitType {
        ExitType::from(self.exit_type.get())
    }
}

impl ResetReason {
    /// The call's cookie.
    pub fn cookie(&self) -> u64 {
        u64::from(self.cookie_high.get()) << 32 | u64::from(self.cookie_low.get())
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
