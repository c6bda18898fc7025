//! The heap: a buddy allocator behind a lock that masks interrupts, and a few small blocks at hand.
//!
//! An interrupt handler may free a task's last reference, so the lock has to keep interrupts out.
//! The first heap is a part of the image and serves while the device tree is read; what RAM is
//! left over is added afterwards.
//!
//! A buddy allocator splits and merges all the way at each turn, some hundreds of instructions.
//! So freed small blocks are kept for the next who wants one of that size. They are never given
//! back: what small blocks took at their peak stays theirs.

use core::{
    alloc::{GlobalAlloc, Layout},
    cell::RefCell,
    ptr::{self, NonNull, null_mut},
};
use critical_section::Mutex;

/// Enough for blocks of up to 2^39 bytes.
const ORDER: usize = 40;
/// Sizes that are kept: 16, 32, ... 512 bytes.
const KEPT_SIZES: usize = 6;
const SMALLEST: usize = 16;

type Buddies = buddy_system_allocator::Heap<ORDER>;

/// A buddy heap, usable as the global allocator.
pub struct Heap(Mutex<RefCell<State>>);

struct State {
    buddies: Buddies,
    /// The free blocks of each size: the address of the first, or 0. The first word of each block
    /// is the address of the next.
    kept: [usize; KEPT_SIZES],
    /// Bytes in them.
    kept_bytes: usize,
}

/// How much of a heap is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeapUsage {
    /// Bytes asked for and not freed; small blocks count as large as they are.
    pub used: usize,
    /// Bytes that these take, rounded up to blocks.
    pub reserved: usize,
    /// Bytes in all.
    pub total: usize,
}

/// The layout that stands for all small ones of its size, and the place of that size in `kept`.
#[inline]
fn small(layout: Layout) -> Option<(Layout, usize)> {
    let size = layout.size().max(layout.align()).max(SMALLEST).next_power_of_two();
    let place = (size / SMALLEST).trailing_zeros() as usize;
    (place < KEPT_SIZES)
        .then(|| Layout::from_size_align(size, size).ok().map(|layout| (layout, place)))
        .flatten()
}

impl Heap {
    /// A heap without memory: every allocation fails.
    pub const fn empty() -> Self {
        Self(Mutex::new(RefCell::new(State {
            buddies: Buddies::empty(),
            kept: [0; KEPT_SIZES],
            kept_bytes: 0,
        })))
    }

    /// Adds the memory from `start` to `end` (addresses) to the heap.
    ///
    /// # Safety
    ///
    /// The memory is mapped for reading and writing, and belongs to nobody else from now on.
    pub unsafe fn add(&self, start: usize, end: usize) {
        critical_section::with(|cs| {
            // SAFETY: the caller's promise.
            unsafe { self.0.borrow_ref_mut(cs).buddies.add_to_heap(start, end) };
        });
    }

    /// How much is in use.
    pub fn usage(&self) -> HeapUsage {
        critical_section::with(|cs| {
            let State { buddies, kept_bytes, .. } = &*self.0.borrow_ref(cs);
            HeapUsage {
                used: buddies.stats_alloc_user() - kept_bytes,
                reserved: buddies.stats_alloc_actual() - kept_bytes,
                total: buddies.stats_total_bytes(),
            }
        })
    }
}

// SAFETY: blocks come from the buddy allocator, which upholds the contract for the memory it was
// given. A kept block was freed by its owner, and is as large and as aligned as its size says. The
// lock makes each call atomic with respect to interrupts.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        critical_section::with(|cs| {
            let state = &mut *self.0.borrow_ref_mut(cs);
            let Some((layout, place)) = small(layout) else {
                return state.buddies.alloc(layout).map_or(null_mut(), NonNull::as_ptr);
            };
            match state.kept.get_mut(place) {
                Some(first) if *first != 0 => {
                    let block = ptr::with_exposed_provenance_mut::<usize>(*first);
                    // SAFETY: a kept block is ours, and `dealloc` wrote its first word.
                    *first = unsafe { block.read() };
                    state.kept_bytes -= layout.size();
                    block.cast()
                }
                _ => state.buddies.alloc(layout).map_or(null_mut(), NonNull::as_ptr),
            }
        })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(block) = NonNull::new(block) else { return };
        critical_section::with(|cs| {
            let state = &mut *self.0.borrow_ref_mut(cs);
            let Some((layout, place)) = small(layout) else {
                // SAFETY: the block came from `alloc`, which asked for this layout.
                return unsafe { state.buddies.dealloc(block, layout) };
            };
            if let Some(first) = state.kept.get_mut(place) {
                // SAFETY: the block is nobody's any more, and has room for a word.
                unsafe { block.cast::<usize>().write(*first) };
                *first = block.expose_provenance().get();
                state.kept_bytes += layout.size();
            }
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
            assert_eq!(heap.usage().used, 128);
            assert_eq!(heap.usage().reserved, 128);
            heap.dealloc(block, layout);
        }
        assert_eq!(heap.usage().used, 0);
    }

    #[test]
    fn a_freed_small_block_is_the_next_of_its_size() {
        let heap = Heap::empty();
        let memory = vec![0_u64; 1 << 13].leak();
        let start = memory.as_mut_ptr() as usize;
        // SAFETY: leaked memory is nobody else's.
        unsafe { heap.add(start, start + (1 << 16)) };
        let layouts = [(1, 1), (16, 8), (17, 1), (8, 64), (512, 16), (513, 8), (4096, 4096)]
            .map(|(size, align)| Layout::from_size_align(size, align).unwrap());
        // SAFETY: each block is freed once, with the layout it was asked for with.
        unsafe {
            let blocks = layouts.map(|layout| (heap.alloc(layout), layout));
            for (n, (block, layout)) in blocks.iter().enumerate() {
                assert!(!block.is_null() && block.addr() % layout.align() == 0, "{layout:?}");
                let end = |(block, layout): &(*mut u8, Layout)| block.addr() + layout.size();
                for other in &blocks[..n] {
                    let apart = end(other) <= block.addr() || end(&blocks[n]) <= other.0.addr();
                    assert!(apart, "{other:?} {layout:?}");
                }
            }
            for (block, layout) in blocks {
                heap.dealloc(block, layout);
            }
            let [small, ..] = layouts;
            let again = heap.alloc(small);
            assert!(again == blocks[0].0 || again == blocks[1].0);
            heap.dealloc(again, small);
        }
        assert_eq!(heap.usage().used, 0);
        // Many at a time, in any order.
        let small = Layout::from_size_align(32, 8).unwrap();
        // SAFETY: as above.
        unsafe {
            let blocks: std::vec::Vec<_> = (0..100).map(|_| heap.alloc(small)).collect();
            assert!(blocks.iter().all(|block| !block.is_null()));
            assert_eq!(heap.usage().used, 3200);
            blocks.into_iter().for_each(|block| heap.dealloc(block, small));
        }
        assert_eq!(heap.usage().used, 0);
    }
}
