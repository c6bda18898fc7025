//! The header of a flattened device tree, and where it says the blocks are.

use super::error::{Fault, Result, TreeName, malformed};
use core::ops::Range;

/// Bytes of the header.
pub(super) const HEADER_BYTES: usize = 40;

const MAGIC: u32 = 0xd00d_feed;
const VERSION: u32 = 17;

/// A header whose blocks lie inside the tree, in order, and do not overlap.
#[derive(Clone, Debug)]
pub(super) struct Header {
    /// Bytes of the whole tree.
    pub(super) total: usize,
    /// The structure block, as offsets into the tree.
    pub(super) structure: Range<usize>,
    /// The strings block.
    pub(super) strings: Range<usize>,
    /// Where the memory reservation block begins; it ends before the structure block.
    pub(super) reservations: usize,
}

/// Tells whether a tree could begin with these four bytes.
pub(super) fn is_magic(bytes: &[u8]) -> bool {
    word(bytes, 0) == Some(MAGIC)
}

impl Header {
    /// Reads the header in the first [`HEADER_BYTES`] of a tree of at most `limit` bytes.
    pub(super) fn parse(bytes: &[u8], name: TreeName, limit: usize) -> Result<Self> {
        let fail = |offset, fault| Err(malformed(name, offset, fault));
        let at = |offset| word(bytes, offset).unwrap_or(0);

        if at(0) != MAGIC {
            return fail(0, Fault::Magic(at(0)));
        }
        let (version, compatible) = (at(20), at(24));
        if version < VERSION || compatible > VERSION {
            return fail(20, Fault::Version { version, compatible });
        }
        let total = at(4) as usize;
        if total > limit {
            return fail(4, Fault::TooLong { size: total, limit });
        }
        let structure = block(at(8), at(36));
        let strings = block(at(12), at(32));
        let reservations = at(16) as usize;
        if reservations < HEADER_BYTES
            || !reservations.is_multiple_of(8)
            || reservations.saturating_add(16) > structure.start
        {
            return fail(16, Fault::Block("memory reservation"));
        }
        if !structure.start.is_multiple_of(4) || structure.end > strings.start {
            return fail(8, Fault::Block("structure"));
        }
        if strings.end > total {
            return fail(12, Fault::Block("strings"));
        }
        Ok(Self { total, structure, strings, reservations })
    }
}

fn block(start: u32, size: u32) -> Range<usize> {
    let start = start as usize;
    start..start.saturating_add(size as usize)
}

/// Returns the big-endian word at `offset`.
pub(super) fn word(bytes: &[u8], offset: usize) -> Option<u32> {
    let end = offset.checked_add(4)?;
    let four = bytes.get(offset..end)?;
    four.try_into().ok().map(u32::from_be_bytes)
}
