//! Memory parcels: contents of the requests `MEM_…`, and the lists in them.
//!
//! An owner makes a parcel of its memory (`MEM_DONATE`, `MEM_LEND`, `MEM_SHARE`, more ranges by `MEM_APPEND`) and tells the
//! VMs in its access list (`MEM_NOTIFY` with [`NotifyFlag::Shared`]), which get `MEM_SHARED`. One of those maps it by
//! `MEM_ACCEPT`, later unmaps it by `MEM_RELEASE`, and may tell the owner each time (`MEM_NOTIFY`). Only when nobody has it
//! mapped any more may the owner take it back (`MEM_RECLAIM`); to ask for that it sends `MEM_RECALL` by `MEM_NOTIFY`.
//!
//! Handles count from 0 up; **0 is a valid handle**. A VM owns 64 parcels at most. Addresses and sizes are multiples of 4 KiB.
//!
//! | request | content | reply |
//! |---|---|---|
//! | `MEM_DONATE`, `MEM_LEND`, `MEM_SHARE` | [`MemCreateRequest`], access list, ranges, attributes | handle |
//! | `MEM_APPEND` | [`MemAppendRequest`], ranges | – |
//! | `MEM_ACCEPT` | [`MemAcceptRequest`], access list, ranges (also says for whom), attributes | [`MemAcceptReply`] and ranges if none were given, else – |
//! | `MEM_RELEASE`, `MEM_RECLAIM` | [`MemReleaseRequest`] | – |
//! | `MEM_NOTIFY` | [`MemNotifyRequest`], VMIDs for [`NotifyFlag::Shared`] and [`NotifyFlag::Recall`] | – |
//! | `MEM_LOOKUP_SGL` | [`MemLookupRequest`], access list, ranges, attributes | handle |
//!
//! `MEM_LOOKUP_SGL` finds a parcel that the caller owns and nobody has accepted, by everything in it; `LOOKUP_FAILED` if there
//! is none. Each list is a [`ListHeader`] and its entries; [`ParcelLists`] reads the three in a row.

mod lists;

pub use lists::{ListError, MAX_LIST_ENTRIES, ParcelLists, list, list_bytes};

use super::payload::wire;
use crate::macros::named_enum;
use bitflags::bitflags;
use zerocopy::byteorder::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes that addresses and sizes are multiples of.
pub const PAGE_SIZE: u64 = 4096;

/// Parcels a VM may own.
pub const MAX_PARCELS: usize = 64;

named_enum! {
    /// What kind of memory is in a parcel.
    pub enum MemoryType: u8 as "{}" {
        /// Memory.
        Normal = 0 => "NORMAL",
        /// A device's registers.
        Io = 1 => "IO",
    }
}

named_enum! {
    /// What an owner does with its memory.
    pub enum Transaction: u8 as "{}" {
        /// Gives it away: the other VM owns it.
        Donate = 0 => "DONATE",
        /// Lends it: only the other VMs have it mapped.
        Lend = 1 => "LEND",
        /// Shares it: the owner keeps it mapped too, and is in the access list.
        Share = 2 => "SHARE",
    }
}

named_enum! {
    /// How a VM must map a parcel.
    pub enum MemoryAttribute: u16 as "{}" {
        /// As normal memory, as the VM likes.
        Normal = 0 => "NORMAL",
        /// As device memory.
        Device = 1 => "DEVICE",
        /// As normal memory, not cached.
        Uncached = 2 => "UNCACHED",
        /// As normal memory, cached.
        Cached = 3 => "CACHED",
    }
}

named_enum! {
    /// What `MEM_NOTIFY` tells; exactly one.
    pub enum NotifyFlag: u8 as "{}" {
        /// Owner to the VMs listed: accept it (`MEM_SHARED`).
        Shared = 1 => "SHARED",
        /// To the owner: released (`MEM_RELEASED`).
        Released = 2 => "RELEASED",
        /// To the owner: accepted (`MEM_ACCEPTED`).
        Accepted = 4 => "ACCEPTED",
        /// Owner to the VMs listed: release it (`MEM_RECALL`).
        Recall = 8 => "RECALL",
    }
}

bitflags! {
    /// What a VM may do with a parcel. Legal are reading alone, and reading with writing, executing, or both.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct MemoryRights: u8 {
        /// Execute; never for devices.
        const EXECUTE = 1 << 0;
        /// Write.
        const WRITE = 1 << 1;
        /// Read.
        const READ = 1 << 2;
    }

    /// Flags of `MEM_DONATE`, `MEM_LEND`, `MEM_SHARE`. In `MEM_SHARED` only [`Self::SANITIZE`] is seen.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct CreateFlags: u8 {
        /// Fill the memory with zeros first.
        const SANITIZE = 1 << 0;
        /// `MEM_APPEND` follows.
        const APPEND = 1 << 1;
    }

    /// Flags of `MEM_APPEND`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct AppendFlags: u8 {
        /// The parcel is complete.
        const FINAL = 1 << 0;
    }

    /// Flags of `MEM_ACCEPT`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct AcceptFlags: u8 {
        /// Fail unless the memory was filled with zeros.
        const VALIDATE_SANITIZED = 1 << 0;
        /// Fail unless access list and attributes are those given.
        const VALIDATE_ACL_ATTR = 1 << 1;
        /// Fail unless the label is the one given.
        const VALIDATE_LABEL = 1 << 2;
        /// Map for another VM, named beside the ranges; RM refuses it with `DENIED`.
        const MAP_OTHER = 1 << 3;
        /// Map as one range, whatever the owner's ranges are.
        const MAP_CONTIGUOUS = 1 << 4;
        /// Have the memory filled with zeros when the owner takes it back.
        const SANITIZE = 1 << 5;
        /// Map now. Without it addresses are only set aside.
        const DONE = 1 << 7;
    }

    /// Flags of `MEM_RELEASE` and `MEM_RECLAIM`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct ReleaseFlags: u8 {
        /// Fill the memory with zeros before the owner has it back. Needs the right to write, and is not for devices.
        const SANITIZE = 1 << 0;
    }

    /// Flags of [`MemAcceptReply`].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct AcceptReplyFlags: u8 {
        /// The parcel has more ranges than one reply lists; accept again for the rest.
        const INCOMPLETE = 1 << 0;
    }
}

wire! {
    /// Begins a list.
    pub struct ListHeader: 4 {
        /// Entries that follow.
        pub count: U16,
        /// 0, but beside the ranges of `MEM_ACCEPT`: the VMID to map for, 0 being the caller.
        pub extra: U16,
    }

    /// Entry of an access list.
    pub struct AclEntry: 4 {
        /// Who.
        pub vmid: U16,
        /// Bits of [`MemoryRights`].
        pub rights: u8,
        /// 0.
        pub reserved: u8,
    }

    /// A range.
    pub struct SglEntry: 16 {
        /// IPA in the VM that sends it, or that it is sent to.
        pub ipa: U64,
        /// Bytes.
        pub size: U64,
    }

    /// Entry of an attribute list.
    pub struct AttrEntry: 4 {
        /// A code of [`MemoryAttribute`].
        pub attribute: U16,
        /// Who.
        pub vmid: U16,
    }

    /// `MEM_DONATE`, `MEM_LEND`, `MEM_SHARE`; three lists follow.
    pub struct MemCreateRequest: 8 {
        /// A code of [`MemoryType`].
        pub memory_type: u8,
        /// 0.
        pub reserved0: u8,
        /// Bits of [`CreateFlags`].
        pub flags: u8,
        /// 0.
        pub reserved1: u8,
        /// By the owner's choice.
        pub label: U32,
    }

    /// `MEM_ACCEPT`; three lists follow, and nothing after them.
    pub struct MemAcceptRequest: 12 {
        /// RM's handle; 0 is valid.
        pub handle: U32,
        /// A code of [`MemoryType`], the parcel's.
        pub memory_type: u8,
        /// A code of [`Transaction`], the parcel's.
        pub transaction: u8,
        /// Bits of [`AcceptFlags`].
        pub flags: u8,
        /// 0.
        pub reserved: u8,
        /// Compared with [`AcceptFlags::VALIDATE_LABEL`].
        pub label: U32,
    }

    /// Reply of `MEM_ACCEPT` when no ranges were given; the ranges follow.
    pub struct MemAcceptReply: 4 {
        /// Ranges that follow.
        pub count: U16,
        /// Bits of [`AcceptReplyFlags`].
        pub flags: u8,
        /// 0.
        pub reserved: u8,
    }

    /// `MEM_RELEASE` and `MEM_RECLAIM`.
    pub struct MemReleaseRequest: 8 {
        /// RM's handle; 0 is valid.
        pub handle: U32,
        /// Bits of [`ReleaseFlags`].
        pub flags: u8,
        /// 0.
        pub reserved: [u8; 3],
    }

    /// `MEM_NOTIFY`; a list of VMIDs ([`VmidRequest`](super::payload::VmidRequest)) follows if the owner calls.
    pub struct MemNotifyRequest: 12 {
        /// RM's handle; 0 is valid.
        pub handle: U32,
        /// A code of [`NotifyFlag`].
        pub flag: u8,
        /// 0.
        pub reserved: [u8; 3],
        /// Told to the other side. The first one an owner gives stays with the parcel; RM refuses another with
        /// `ARGUMENT_INVALID`.
        pub tag: U32,
    }

    /// `MEM_APPEND`; a list of ranges follows.
    pub struct MemAppendRequest: 8 {
        /// RM's handle; 0 is valid.
        pub handle: U32,
        /// Bits of [`AppendFlags`].
        pub flags: u8,
        /// 0.
        pub reserved: [u8; 3],
    }

    /// `MEM_LOOKUP_SGL`; three lists follow.
    pub struct MemLookupRequest: 8 {
        /// A code of [`MemoryType`].
        pub memory_type: u8,
        /// 0.
        pub reserved: [u8; 3],
        /// Given to the parcel found if it has none.
        pub label: U32,
    }
}

impl AclEntry {
    /// Lets a VM do something.
    pub const fn new(vmid: u16, rights: MemoryRights) -> Self {
        Self { vmid: U16::new(vmid), rights: rights.bits(), reserved: 0 }
    }

    /// What the VM may do, unknown bits kept.
    pub const fn rights(&self) -> MemoryRights {
        MemoryRights::from_bits_retain(self.rights)
    }
}

impl SglEntry {
    /// Names a range.
    pub const fn new(ipa: u64, size: u64) -> Self {
        Self { ipa: U64::new(ipa), size: U64::new(size) }
    }
}

impl AttrEntry {
    /// Says how a VM must map.
    pub const fn new(vmid: u16, attribute: MemoryAttribute) -> Self {
        Self { attribute: U16::new(attribute.code()), vmid: U16::new(vmid) }
    }

    /// How the VM must map.
    pub fn attribute(&self) -> MemoryAttribute {
        MemoryAttribute::from(self.attribute.get())
    }
}
