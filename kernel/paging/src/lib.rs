//! Mapping a range, made for speed: a boot maps hundreds of pages.
//!
//! The code of `aarch64-paging` is generic, and compiled as the crate that uses it is. This one is
//! compiled for speed, unlike the kernel, which hands over nothing beyond 39 bits. What the tables are for is the kernel's.
#![no_std]
#![cfg(target_os = "none")]

use aarch64_paging::{
    MapError, Mapping,
    descriptor::{El1Attributes, PhysicalAddress},
    idmap::IdTranslation,
    paging::{Constraints, El1And0, MemoryRegion},
};
use core::ops::Range;

/// Page tables of EL1, themselves identity-mapped.
pub type Tables = Mapping<IdTranslation<El1Attributes>, El1And0>;

/// Maps the pages of `range`, in bytes, to those from the address `to` on. All of these lie below
/// 2^39; other ranges are refused, and other addresses cut off.
///
/// # Errors
///
/// Whatever aarch64-paging refuses.
pub fn map(
    tables: &mut Tables,
    range: &Range<u64>,
    to: u64,
    attributes: El1Attributes,
    constraints: Constraints,
) -> Result<(), MapError> {
    let region = MemoryRegion::new(range.start as usize, range.end as usize);
    tables.map_range(&region, PhysicalAddress(to as usize), attributes, constraints)
}
