//! What a parcel must be to be accepted, and where it must then lie.

use crate::memory::shared::{Access, ShareError, territory::MAX_REGION};
use alloc::vec::Vec;
use core::ops::Range;
use gunyah::rm::{
    RequestError,
    event::SharedMemory,
    memory::{MemoryAttribute, MemoryRange, MemoryRights, MemoryType, PAGE_SIZE, Transaction},
};
use thiserror::Error;

/// The most parcels there may be at a time.
pub const MAX_PARCELS: usize = 32;
/// The most bytes one parcel may have.
pub const MAX_PARCEL: u64 = MAX_REGION;

/// Why a parcel is not accepted, or released at once.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ParcelError {
    /// A handle that is known already.
    #[error("handle: announced a second time")]
    Again,
    /// Another parcel of the same owner has this label.
    #[error("label: {0} is that of another parcel of the same owner")]
    Label(u32),
    /// The owner is a stranger.
    #[error("owner: VM {0} is neither owner nor peer of this VM")]
    Owner(u16),
    /// The owner is gone.
    #[error("owner: it ended since")]
    Ended,
    /// No memory.
    #[error("type: {0}, not NORMAL")]
    Type(MemoryType),
    /// Given away or lent.
    #[error("transaction: {0}, not SHARE")]
    Transaction(Transaction),
    /// No right to read.
    #[error("access: VM {0} is given no right to read")]
    NoRights(u16),
    /// Must not be mapped as normal cached memory.
    #[error("attributes: {0}, not NORMAL or CACHED")]
    Attribute(MemoryAttribute),
    /// A range is not in whole pages.
    #[error("sizes: {0:#x} is no multiple of 4 KiB")]
    Size(u64),
    /// No memory, or too much.
    #[error("sizes: {0:#x} bytes in all, not 1 to {MAX_PARCEL:#x}")]
    Total(u64),
    /// There are too many.
    #[error("there are {MAX_PARCELS} parcels already, or no memory for one more")]
    TooMany,
    /// The Resource Manager refused.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The Resource Manager put it where it says, which is not as large as was announced.
    #[error("ranges: {mapped:#x} bytes, announced were {announced:#x}")]
    Ranges {
        /// Bytes of the ranges.
        mapped: u64,
        /// Bytes announced.
        announced: u64,
    },
    /// A range is not in whole pages, or wraps.
    #[error("ranges: {base:#x} with {size:#x} bytes is no range of pages")]
    Range {
        /// IPA.
        base: u64,
        /// Bytes.
        size: u64,
    },
    /// It cannot be mapped there.
    #[error("ranges: {0}")]
    Map(#[from] ShareError),
}

/// Checks what was announced; `own` is this VM's VMID. Returns the size in bytes and the access
/// that this VM is given.
pub(super) fn announced(memory: &SharedMemory, own: u16) -> Result<(u64, Access), ParcelError> {
    if memory.kind != MemoryType::Normal {
        return Err(ParcelError::Type(memory.kind));
    }
    if memory.transaction != Transaction::Share {
        return Err(ParcelError::Transaction(memory.transaction));
    }
    let rights = memory.rights_of(own);
    if !rights.contains(MemoryRights::READ) {
        return Err(ParcelError::NoRights(own));
    }
    let of_own = memory.attributes.iter().filter(|entry| entry.vmid.get() == own);
    for attribute in of_own.map(|entry| entry.attribute()) {
        if !matches!(attribute, MemoryAttribute::Normal | MemoryAttribute::Cached) {
            return Err(ParcelError::Attribute(attribute));
        }
    }
    if let Some(size) = memory.sizes.iter().find(|size| !size.is_multiple_of(PAGE_SIZE)) {
        return Err(ParcelError::Size(*size));
    }
    let total = memory.total_size().unwrap_or(u64::MAX);
    if total == 0 || total > MAX_PARCEL {
        return Err(ParcelError::Total(total));
    }
    let write = rights.contains(MemoryRights::WRITE);
    Ok((total, if write { Access::ReadWrite } else { Access::Read }))
}

/// Checks where a parcel of `size` bytes was put; adjacent ranges become one.
pub(super) fn accepted_at(
    ranges: &[MemoryRange],
    size: u64,
) -> Result<Vec<Range<u64>>, ParcelError> {
    let mut joined: Vec<Range<u64>> = Vec::new();
    let mut mapped = 0_u64;
    for range in ranges {
        let MemoryRange { base, size } = *range;
        let end = range.end().ok_or(ParcelError::Range { base, size })?;
        mapped = mapped.saturating_add(size);
        match joined.last_mut() {
            Some(last) if last.end == base => last.end = end,
            _ => joined.push(base..end),
        }
    }
    if mapped != size {
        return Err(ParcelError::Ranges { mapped, announced: size });
    }
    Ok(joined)
}
