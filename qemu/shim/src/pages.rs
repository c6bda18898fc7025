//! Memory of the shim's own that guests may see as well.
//!
//! A guest can write it at any time, so nobody has a reference to its bytes: all access is by atomics. The shim runs
//! identity mapped, so the address of such memory is its physical address.

use alloc::alloc::{Layout, alloc_zeroed, dealloc};
use alloc::sync::Arc;
use core::fmt;
use core::ptr::NonNull;
use core::slice;
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

/// Bytes of a page; all memory is given in whole ones.
pub const PAGE: u64 = 4096;

/// Whole pages of memory, shared by whoever holds them.
pub struct Pages {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the memory belongs to the value, and is only accessed by atomics.
unsafe impl Send for Pages {}
// SAFETY: as for Send.
unsafe impl Sync for Pages {}

impl Pages {
    /// Memory that holds zeros; `None` if `size` is not that of whole pages, or there is no such memory left.
    #[must_use]
    pub fn zeroed(size: u64) -> Option<Arc<Self>> {
        if size == 0 || !size.is_multiple_of(PAGE) {
            return None;
        }
        let layout = Layout::from_size_align(usize::try_from(size).ok()?, PAGE as usize).ok()?;
        // SAFETY: the size is not 0.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        Some(Arc::new(Self { start, layout }))
    }

    /// Physical address of the first byte.
    #[must_use]
    pub fn address(&self) -> u64 {
        self.start.as_ptr() as u64
    }

    /// Bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.layout.size() as u64
    }

    /// All of it as words, for code that shares the memory by atomics of its own.
    #[must_use]
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: memory that this value owns, initialised, whole pages, and accessed by atomics only.
        unsafe { slice::from_raw_parts(self.start.as_ptr().cast(), self.layout.size() / 8) }
    }

    /// Copies from `offset` on; `None` if that is not all inside.
    pub fn read(&self, offset: u64, buffer: &mut [u8]) -> Option<()> {
        let bytes = self.range(offset, buffer.len())?;
        let copy = |(to, from): (&mut u8, &AtomicU8)| *to = from.load(Ordering::Relaxed);
        buffer.iter_mut().zip(bytes).for_each(copy);
        Some(())
    }

    /// Copies to `offset`; `None` if that is not all inside, and nothing is written.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Option<()> {
        let to = self.range(offset, bytes.len())?;
        to.iter().zip(bytes).for_each(|(to, from)| to.store(*from, Ordering::Relaxed));
        Some(())
    }

    /// The word at `offset`, in one access; `None` if it is outside or not aligned.
    #[must_use]
    pub fn word(&self, offset: u64) -> Option<&AtomicU32> {
        if !offset.is_multiple_of(4) {
            return None;
        }
        let first = self.range(offset, 4)?.as_ptr();
        // SAFETY: four bytes of this memory, aligned, that are only accessed by atomics as long as it lives.
        Some(unsafe { AtomicU32::from_ptr(first.cast::<u32>().cast_mut()) })
    }

    /// Fills all with zeros.
    pub fn clear(&self) {
        self.bytes().iter().for_each(|byte| byte.store(0, Ordering::Relaxed));
    }

    fn range(&self, offset: u64, length: usize) -> Option<&[AtomicU8]> {
        let start = usize::try_from(offset).ok()?;
        self.bytes().get(start..start.checked_add(length)?)
    }

    fn bytes(&self) -> &[AtomicU8] {
        // SAFETY: memory that this value owns, initialised, and accessed by atomics only.
        unsafe { slice::from_raw_parts(self.start.as_ptr().cast(), self.layout.size()) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, and nobody else holds the memory.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pages({:#x} bytes at {:#x})", self.size(), self.address())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_zeroed_whole_pages() {
        let pages = Pages::zeroed(2 * PAGE).unwrap();
        assert_eq!((pages.size(), pages.address() % PAGE), (8192, 0));
        let mut bytes = [1; 8192];
        pages.read(0, &mut bytes).unwrap();
        assert_eq!(bytes, [0; 8192]);
        for size in [0, 1, 4095, 4097, u64::MAX] {
            assert!(Pages::zeroed(size).is_none(), "{size}");
        }
    }

    #[test]
    fn nothing_outside_is_touched() {
        let pages = Pages::zeroed(PAGE).unwrap();
        assert_eq!(pages.write(4092, b"abcd"), Some(()));
        let mut bytes = [0; 4];
        assert_eq!(pages.read(4092, &mut bytes), Some(()));
        assert_eq!(&bytes, b"abcd");
        for offset in [4093, 4096, u64::MAX] {
            assert_eq!(
                (pages.write(offset, b"abcd"), pages.read(offset, &mut bytes)),
                (None, None)
            );
        }
        assert_eq!(pages.word(4092).unwrap().load(Ordering::Relaxed), u32::from_le_bytes(*b"abcd"));
        assert!(pages.word(4090).is_none() && pages.word(4096).is_none());
        pages.clear();
        assert_eq!(pages.word(4092).unwrap().load(Ordering::Relaxed), 0);
    }
}
