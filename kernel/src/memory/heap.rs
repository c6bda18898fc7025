//! The heap: a buddy allocator behind a lock that masks interrupts.
//!
//! An interrupt handler may free a task's last reference, so the lock has to keep interrupts out.
//! The first heap is a part of the image and serves while the device tree is read; what RAM is
//! left over is added afterwards.

use core::{
    alloc::{GlobalAlloc, Layout},
    cell::RefCell,
    ptr::{NonNull, null_mut},
};
use critical_section::Mutex;

/// Enough for blocks of up to 2^39 bytes.
const ORDER: usize = 40;

/// A buddy heap, usable as the global allocator.
pub struct Heap(Mutex<RefCell<buddy_system_allocator::Heap<ORDER>>>);

/// How much of a heap is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeapUsage {
    /// Bytes asked for and not freed.
    pub used: usize,
    /// Bytes that these take, rounded up to blocks.
    pub reserved: usize,
    /// Bytes in all.
    pub total: usize,
}

impl Heap {
    /// A heap without memory: every allocation fails.
    pub const fn empty() -> Self {
        Self(Mutex::new(RefCell::new(buddy_system_allocator::Heap::empty())))
    }

    /// Adds the memory from `start` to `end` (addresses) to the heap.
    ///
    /// # Safety
    ///
    /// The memory is mapped for reading and writing, and belongs to nobody else from now on.
    pub unsafe fn add(&self, start: usize, end: usize) {
        critical_section::with(|cs| {
            // SAFETY: the caller's promise.
            unsafe { self.0.borrow_ref_mut(cs).add_to_heap(start, end) };
        });
    }

    /// How much is in use.
    pub fn usage(&self) -> HeapUsage {
        critical_section::with(|cs| {
            let heap = self.0.borrow_ref(cs);
            HeapUsage {
                used: heap.stats_alloc_user(),
                reserved: heap.stats_alloc_actual(),
                total: heap.stats_total_bytes(),
            }
        })
    }
}

// SAFETY: blocks come from the buddy allocator, which upholds the contract for the memory it was
// given; the lock makes each call atomic with respect to interrupts.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        critical_section::with(|cs| self.0.borrow_ref_mut(cs).alloc(layout))
            .map_or(null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(block) = NonNull::new(block) else {
            return;
        };
        critical_section::with(|cs| {
            // SAFETY: the block came from `alloc` with this layout.
            unsafe { self.0.borrow_ref_mut(cs).dealloc(block, layout) };
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_come_and_go_and_are_counted() {
        let heap = Heap::empty();
        let layout = Layout::from_size_align(100, 8).unwrap();
        // SAFETY: a heap without memory answers null.
        assert!(unsafe { heap.alloc(layout) }.is_null());

        let memory = vec![0_u64; 1 << 12].leak();
        let start = memory.as_mut_ptr() as usize;
        // SAFETY: leaked memory is nobody else's.
        unsafe { heap.add(start, start + (1 << 15)) };
        // SAFETY: the layout is valid, the block is freed once.
        unsafe {
            let block = heap.alloc(layout);
            assert!(!block.is_null());
            assert_eq!(heap.usage().used, 100);
            assert_eq!(heap.usage().reserved, 128);
            heap.dealloc(block, layout);
        }
        assert_eq!(heap.usage().used, 0);
    }
}
