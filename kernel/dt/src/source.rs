//! Where the bytes of a device tree come from.

use super::error::{Fault, Result, TreeName, malformed};
use super::header::{HEADER_BYTES, Header};
use super::scan::CheckedTree;

/// Memory that a device tree has been put into.
///
/// The tree begins at offset 0. What is read are the header first, then as much as a header
/// that has been checked claims, then eight bytes behind that where an overlay could begin.
pub trait TreeSource {
    /// Returns the guest physical address (IPA) of offset 0.
    fn address(&self) -> u64;

    /// Returns `len` bytes from `offset` on, or `None` if they cannot all be read. The bytes
    /// returned are aligned in memory as their address is.
    fn bytes(&self, offset: usize, len: usize) -> Option<&[u8]>;
}

/// A slice that is where it says: its address is that of its first byte.
impl TreeSource for [u8] {
    fn address(&self) -> u64 {
        self.as_ptr().addr() as u64
    }

    fn bytes(&self, offset: usize, len: usize) -> Option<&[u8]> {
        self.get(offset..offset.checked_add(len)?)
    }
}

/// A slice that stands for memory at some other address, for use on a host.
#[derive(Clone, Copy, Debug)]
pub struct MemoryAt<'a> {
    /// The address of the first byte.
    pub address: u64,
    /// The memory's contents; it should begin on an 8-byte boundary.
    pub bytes: &'a [u8],
}

impl TreeSource for MemoryAt<'_> {
    fn address(&self) -> u64 {
        self.address
    }

    fn bytes(&self, offset: usize, len: usize) -> Option<&[u8]> {
        self.bytes.bytes(offset, len)
    }
}

/// Memory at a raw address.
#[derive(Clone, Copy, Debug)]
pub struct RawMemory {
    start: *const u8,
    len: usize,
}

impl RawMemory {
    /// Describes `len` bytes from the tree's first byte on.
    ///
    /// # Safety
    ///
    /// Those of the bytes that a well-formed device tree header at `start` lays claim to, the
    /// header itself and eight bytes behind each tree must be readable and must not change for
    /// as long as the value or anything read through it is in use. `len` bytes from `start`
    /// must not wrap around the end of the address space.
    pub const unsafe fn new(start: *const u8, len: usize) -> Self {
        Self { start, len }
    }
}

impl TreeSource for RawMemory {
    fn address(&self) -> u64 {
        self.start.addr() as u64
    }

    fn bytes(&self, offset: usize, len: usize) -> Option<&[u8]> {
        if offset.checked_add(len)? > self.len {
            return None;
        }
        // SAFETY: `offset + len` is within the `len` that RawMemory::new was told, and the
        // caller, TreeSource's user, asks for headers, what they claim, and the eight bytes
        // after that only, all of which RawMemory::new was promised to be readable and constant.
        Some(unsafe { core::slice::from_raw_parts(self.start.add(offset), len) })
    }
}

/// Reads and checks the tree at `offset` of at most `limit` bytes.
pub(super) fn read<'s>(
    source: &'s dyn TreeSource,
    offset: usize,
    name: TreeName,
    limit: usize,
) -> Result<CheckedTree<'s>> {
    let unreadable = |len| malformed(name, 0, Fault::Unreadable(len));
    if !source.address().is_multiple_of(8) {
        let fault = Fault::Misaligned(source.address() as usize);
        return Err(malformed(name, 0, fault));
    }
    let header = source.bytes(offset, HEADER_BYTES).ok_or_else(|| unreadable(HEADER_BYTES))?;
    let total = Header::parse(header, name, limit)?.total;
    CheckedTree::new(source.bytes(offset, total).ok_or_else(|| unreadable(total))?, name, limit)
}
