//! Memory shared with other VMs: what of it may be mapped, and how long.
//!
//! A [`SharedRegion`] is mapped as normal write-back memory, never executable, and unmapped when
//! it is dropped. What may be mapped at all is decided by [`Territory`]: nothing that is ours,
//! nothing twice. The map is the identity, as everywhere in this kernel.
//!
//! Whatever another VM can write is an allegation: it is read once into private memory, checked
//! there, and only then used. So a region hands out a pointer for atomic accesses and copies, never
//! a reference.
//!
//! Memory that the hypervisor takes away while it is mapped does not end this VM: the abort that
//! the next access takes is answered with a private page in its place, and the region tells from
//! then on that it is gone.

mod buffer;
pub mod parcels;
mod territory;

#[cfg(test)]
pub mod fake;
#[cfg(test)]
mod tests;

pub use buffer::{Lease, SharedBuffer, Source};
pub use parcels::{Identity, Parcel, ParcelState, Parcels, Users};
pub use territory::{Claim, Holder, Refusal, Territory};

use alloc::{boxed::Box, sync::Arc};
use core::{cell::RefCell, fmt, ops::Range, ptr::NonNull, sync::atomic::AtomicBool};
use critical_section::Mutex;
use thiserror::Error;

/// What this VM may do with shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read only: the access list gives no write.
    Read,
    /// Read and write.
    ReadWrite,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Read => "r--",
            Self::ReadWrite => "rw-",
        })
    }
}

/// A change of the page tables that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MapFailure {
    /// No page tables are kept yet.
    #[error("the page tables are not set up")]
    NotReady,
    /// The page tables have something there, whatever the plan says.
    #[error("{0:#x} is mapped already")]
    Mapped(u64),
    /// What the tables themselves refuse.
    #[error("the page tables refuse it")]
    Refused,
}

/// Shared memory that was not mapped.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ShareError {
    /// It must not be.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It cannot be.
    #[error("cannot map {:#x}..{:#x}: {failure}", range.start, range.end)]
    Map {
        /// What was to be mapped.
        range: Range<u64>,
        /// Why it was not.
        failure: MapFailure,
    },
}

/// The page tables, as far as shared memory needs them.
pub trait Mapper: Sync {
    /// Maps whole pages, and returns where they are found. `gone` is set once an access showed
    /// that the hypervisor took one of them away.
    ///
    /// # Errors
    ///
    /// [`MapFailure`]; nothing is mapped then.
    fn map(
        &self,
        range: &Range<u64>,
        access: Access,
        gone: &Arc<AtomicBool>,
    ) -> Result<NonNull<u8>, MapFailure>;

    /// Unmaps what [`map`](Self::map) mapped.
    fn unmap(&self, range: &Range<u64>);
}

/// Everything shared that is mapped, and the rules for more.
pub struct SharedMaps {
    territory: Mutex<RefCell<Territory>>,
    mapper: Box<dyn Mapper + Send>,
}

impl SharedMaps {
    /// Starts with nothing mapped.
    pub fn new(territory: Territory, mapper: Box<dyn Mapper + Send>) -> Self {
        Self { territory: Mutex::new(RefCell::new(territory)), mapper }
    }

    /// Maps `range` for as long as the region lives.
    ///
    /// # Errors
    ///
    /// [`ShareError`]; nothing is mapped then.
    pub fn map(
        &'static self,
        range: Range<u64>,
        access: Access,
        claim: Claim,
    ) -> Result<SharedRegion, ShareError> {
        self.with(|territory| territory.take(&range, claim))?;
        let gone = Arc::new(AtomicBool::new(false));
        match self.mapper.map(&range, access, &gone) {
            Ok(start) => Ok(SharedRegion { start, range, access, gone, maps: self }),
            Err(failure) => {
                self.with(|territory| territory.give_back(&range));
                Err(ShareError::Map { range, failure })
            }
        }
    }

    /// Tells whether `range` could be mapped, without doing so.
    ///
    /// # Errors
    ///
    /// The [`Refusal`] that [`map`](Self::map) would give.
    pub fn check(&self, range: &Range<u64>, claim: Claim) -> Result<(), Refusal> {
        self.with(|territory| territory.check(range, claim))
    }

    /// Forgets that a buffer of the device tree belonged to this VM: it was released.
    pub fn forget_buffer(&self, range: &Range<u64>) {
        self.with(|territory| territory.forget_reserved(range));
    }

    /// Bytes mapped.
    pub fn mapped_bytes(&self) -> u64 {
        self.with(|territory| territory.shared_bytes())
    }

    fn with<R>(&self, f: impl FnOnce(&mut Territory) -> R) -> R {
        critical_section::with(|cs| f(&mut self.territory.borrow_ref_mut(cs)))
    }
}

/// Mapped pages that other VMs may write at any time. They are unmapped when this is dropped.
pub struct SharedRegion {
    start: NonNull<u8>,
    range: Range<u64>,
    access: Access,
    gone: Arc<AtomicBool>,
    maps: &'static SharedMaps,
}

// SAFETY: the pages stay mapped for as long as the region lives, for every task, and are only
// accessed through pointers that assume nothing about their content.
unsafe impl Send for SharedRegion {}
// SAFETY: as above; `&SharedRegion` gives a pointer and plain values only.
unsafe impl Sync for SharedRegion {}

impl SharedRegion {
    /// The pages' IPAs.
    pub fn range(&self) -> &Range<u64> {
        &self.range
    }

    /// Bytes; never 0.
    pub fn size(&self) -> usize {
        (self.range.end - self.range.start) as usize
    }

    /// What this VM may do with them.
    pub fn access(&self) -> Access {
        self.access
    }

    /// The first byte. For as long as the region lives [`size`](Self::size) bytes from here are
    /// mapped; another VM writes them whenever it likes.
    pub fn as_ptr(&self) -> NonNull<u8> {
        self.start
    }

    /// Set once an access showed that the hypervisor took a page away. What was read since is
    /// worth nothing.
    pub fn gone(&self) -> &Arc<AtomicBool> {
        &self.gone
    }
}

impl fmt::Debug for SharedRegion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}..{:#x} {}", self.range.start, self.range.end, self.access)
    }
}

impl Drop for SharedRegion {
    fn drop(&mut self) {
        self.maps.mapper.unmap(&self.range);
        self.maps.with(|territory| territory.give_back(&self.range));
    }
}
