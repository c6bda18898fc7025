//! Which addresses are whose: what may be mapped as shared memory.

use crate::memory::{LIMIT, PAGE, Region, overlap};
use alloc::vec::Vec;
use core::{fmt, ops::Range};
use thiserror::Error;

/// The most that one region may have, in bytes.
pub const MAX_REGION: u64 = 16 << 20;
/// The most that all regions together may have, in bytes.
pub const MAX_SHARED: u64 = 64 << 20;
/// The most regions there may be.
pub const MAX_REGIONS: usize = 64;

/// Whose an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The image, its stacks and guard pages.
    Image,
    /// Memory that is the heap.
    Heap,
    /// The device tree.
    Tree,
    /// Registers of a device.
    Device,
    /// RAM of this VM that is not in use.
    Memory,
    /// A range of `/reserved-memory`.
    Reserved,
    /// Another region shared with somebody.
    Shared,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Image => "the image",
            Self::Heap => "the heap",
            Self::Tree => "the device tree",
            Self::Device => "a device",
            Self::Memory => "this VM's memory",
            Self::Reserved => "reserved memory",
            Self::Shared => "other shared memory",
        })
    }
}

/// Who says that a range is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The device tree: it lies in `/reserved-memory`.
    Tree,
    /// The Resource Manager, while this VM runs: it lies where nothing was before.
    Parcel,
}

/// A range that must not be mapped as shared memory.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// No bytes, or an end before the start.
    #[error("{:#x}..{:#x} is empty or wraps", .0.start, .0.end)]
    Empty(Range<u64>),
    /// Not whole pages.
    #[error("{:#x}..{:#x} is not in whole pages of 4 KiB", .0.start, .0.end)]
    Unaligned(Range<u64>),
    /// The page at address 0.
    #[error("{:#x}..{:#x} has the null page", .0.start, .0.end)]
    Null(Range<u64>),
    /// Beyond the page tables.
    #[error("{:#x}..{:#x} lies beyond 39 bits", .0.start, .0.end)]
    Beyond(Range<u64>),
    /// Somebody has it.
    #[error("{:#x}..{:#x} overlaps {holder} at {:#x}..{:#x}", range.start, range.end, with.start, with.end)]
    Overlap {
        /// What was to be mapped.
        range: Range<u64>,
        /// What is there.
        with: Range<u64>,
        /// Whose that is.
        holder: Holder,
    },
    /// One region is too large.
    #[error("{0} bytes are more than the {MAX_REGION} of one region")]
    TooLarge(u64),
    /// All regions together would be too large.
    #[error("{0} bytes more than are shared already would exceed {MAX_SHARED}")]
    TooMuch(u64),
    /// There would be too many.
    #[error("more than {MAX_REGIONS} regions")]
    TooMany,
}

/// Who holds what. Ranges may overlap: heap lies in memory, buffers lie in reserved memory.
#[derive(Debug, Default)]
pub struct Territory {
    held: Vec<(Range<u64>, Holder)>,
    shared: Vec<Range<u64>>,
}

impl Territory {
    /// What the memory plan maps, plus all of `image` (guard pages too), RAM, and reserved ranges.
    pub fn new(
        plan: &[Region],
        image: Range<u64>,
        memory: impl IntoIterator<Item = Range<u64>>,
        reserved: impl IntoIterator<Item = Range<u64>>,
    ) -> Self {
        use crate::memory::Kind;
        let mut held = alloc::vec![(image, Holder::Image)];
        held.extend(plan.iter().filter_map(|region| {
            let holder = match region.kind {
                Kind::Heap => Holder::Heap,
                Kind::Device => Holder::Device,
                Kind::Constant => Holder::Tree,
                // These lie in the image.
                Kind::Code | Kind::Data => return None,
            };
            Some((region.range.clone(), holder))
        }));
        let reserved: Vec<_> = reserved.into_iter().collect();
        for bank in memory {
            crate::memory::each_gap(&bank, reserved.clone(), |gap| {
                held.push((gap, Holder::Memory))
            });
        }
        held.extend(reserved.into_iter().map(|range| (range, Holder::Reserved)));
        Self { held, shared: Vec::new() }
    }

    /// Tells whether `range` may be mapped.
    ///
    /// # Errors
    ///
    /// The first [`Refusal`] that applies.
    pub fn check(&self, range: &Range<u64>, claim: Claim) -> Result<(), Refusal> {
        let size = match range.end.checked_sub(range.start) {
            None | Some(0) => return Err(Refusal::Empty(range.clone())),
            Some(size) => size,
        };
        if !range.start.is_multiple_of(PAGE) || !range.end.is_multiple_of(PAGE) {
            return Err(Refusal::Unaligned(range.clone()));
        }
        if range.start == 0 {
            return Err(Refusal::Null(range.clone()));
        }
        if range.end > LIMIT {
            return Err(Refusal::Beyond(range.clone()));
        }
        let passes = |holder: Holder| claim == Claim::Tree && holder == Holder::Reserved;
        let held = self.held.iter().find(|(r, holder)| !passes(*holder) && overlap(r, range));
        let shared = self.shared.iter().find(|r| overlap(r, range));
        if let Some((with, holder)) =
            held.cloned().or_else(|| shared.map(|r| (r.clone(), Holder::Shared)))
        {
            return Err(Refusal::Overlap { range: range.clone(), with, holder });
        }
        if size > MAX_REGION {
            return Err(Refusal::TooLarge(size));
        }
        // Neither summand can be large.
        if self.shared_bytes() + size > MAX_SHARED {
            return Err(Refusal::TooMuch(size));
        }
        if self.shared.len() >= MAX_REGIONS {
            return Err(Refusal::TooMany);
        }
        Ok(())
    }

    /// Takes `range`, from now on shared.
    ///
    /// # Errors
    ///
    /// See [`check`](Self::check).
    pub fn take(&mut self, range: &Range<u64>, claim: Claim) -> Result<(), Refusal> {
        self.check(range, claim)?;
        self.shared.push(range.clone());
        Ok(())
    }

    /// Ends what [`take`](Self::take) began.
    pub fn give_back(&mut self, range: &Range<u64>) {
        self.shared.retain(|shared| shared != range);
    }

    /// What is reserved in a range that was a buffer, and is released, holds nothing any more.
    pub fn forget_reserved(&mut self, range: &Range<u64>) {
        let inside = |held: &Range<u64>| range.start <= held.start && held.end <= range.end;
        self.held.retain(|(held, holder)| *holder != Holder::Reserved || !inside(held));
    }

    /// Bytes that are shared.
    pub fn shared_bytes(&self) -> u64 {
        self.shared.iter().map(|range| range.end - range.start).sum()
    }
}
