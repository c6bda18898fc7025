//! The buffer: words that two VMs read and write, never plain bytes.

use super::error::RingError;
use super::layout::{LINE, MINIMUM_SIZE};
use super::sync::AtomicU64;
use core::ptr::NonNull;

/// A buffer that another VM writes too, as words that are only ever loaded and stored whole.
///
/// The words must begin at a cache line of 64 bytes, and lie in memory that both VMs map as normal, write-back cacheable
/// and inner shareable. A handle that keeps a mapping alive implements this, and is cloned into both halves of a ring.
pub trait Memory {
    /// The same words each time.
    fn words(&self) -> &[AtomicU64];

    /// Whether any of them was taken away, and something else is in its place, as far as accesses before this call showed:
    /// what was read since is not passed on. For who can tell.
    fn is_gone(&self) -> bool {
        false
    }
}

impl Memory for &[AtomicU64] {
    fn words(&self) -> &[AtomicU64] {
        self
    }
}

/// A buffer by address and size, for whom no handle keeps the mapping alive.
#[derive(Clone, Copy, Debug)]
pub struct RawMemory {
    first: NonNull<AtomicU64>,
    words: usize,
}

impl RawMemory {
    /// Takes the buffer of `size` bytes at `address`.
    ///
    /// # Errors
    ///
    /// [`RingError::Unaligned`] and [`RingError::BufferTooSmall`].
    ///
    /// # Safety
    ///
    /// `size` bytes from `address` must be mapped for reading and writing until this and all copies of it are gone,
    /// and nothing on this side may use them otherwise than by atomic accesses.
    pub unsafe fn new(address: NonNull<u8>, size: usize) -> Result<Self, RingError> {
        if !address.addr().get().is_multiple_of(LINE) {
            return Err(RingError::Unaligned { address: address.addr().get() });
        }
        if size < MINIMUM_SIZE {
            return Err(RingError::BufferTooSmall { size, minimum: MINIMUM_SIZE });
        }
        Ok(Self { first: address.cast(), words: size / 8 })
    }
}

impl Memory for RawMemory {
    fn words(&self) -> &[AtomicU64] {
        // SAFETY: `new` was promised that the memory is mapped as long as `self` is there, and checked that it is
        // aligned; all accesses are atomic.
        unsafe { core::slice::from_raw_parts(self.first.as_ptr(), self.words) }
    }
}

// SAFETY: what it points to is atomics, which any thread may use.
unsafe impl Send for RawMemory {}
// SAFETY: as above.
unsafe impl Sync for RawMemory {}
