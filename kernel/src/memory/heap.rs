//! The heap: a buddy allocator, interrupts masked, and a few blocks at hand.
//!
//! An interrupt handler may free a task's last reference, so the lock has to keep interrupts out.
//! The first heap is a part of the image and serves while the device tree is read; what RAM is
//! left over is added afterwards.
//!
//! A buddy allocator splits and merges all the way at each turn, some hundreds of instructions.
//! So small blocks are cut from larger ones, a page at a time, and freed ones are kept for the next
//! who wants one of that size. They are never given back: what small blocks took at their peak
//! stays theirs.

use alloc::vec::Vec;
use core::{
    alloc::{GlobalAlloc, Layout},
    cell::RefCell,
    ops::Range,
    ptr::{self, NonNull, null_mut},
};
use critical_section::Mutex;

/// Enough for blocks of up to 2^39 bytes.
const ORDER: usize = 40;
/// Sizes that are kept: 16, 32, ... 512 bytes.
const KEPT_SIZES: usize = 6;
const SMALLEST: usize = 16;
/// What small blocks are cut from.
const CHUNK: Layout = match Layout::from_size_align(4096, 4096) {
    Ok(layout) => layout,
    Err(_) => panic!("not a power of two"),
};

type Buddies = buddy_system_allocator::Heap<ORDER>;

/// A buddy heap, usable as the global allocator.
pub struct Heap(Mutex<RefCell<State>>);

struct State {
    buddies: Buddies,
    /// The free blocks of each size: the address of the first, or 0. The first word of each block
    /// is the address of the next.
    kept: [usize; KEPT_SIZES],
    /// What small blocks are cut from: its first address, up to the next multiple of [`CHUNK`].
    fresh: usize,
    /// Bytes in both.
    kept_bytes: usize,
    /// Bytes given up.
    given_up: usize,
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

/// The place in `kept` of the size that a block of this layout has, if it is a small one. Both the
/// largest bit of `size - 1` and that of `align - 1` have to fit.
#[inline(always)]
fn small(layout: Layout) -> Option<usize> {
    let bits = layout.size().wrapping_sub(1) | (layout.align() - 1) | (SMALLEST - 1);
    let place = (SMALLEST - 1).leading_zeros().wrapping_sub(bits.leading_zeros()) as usize;
    (place < KEPT_SIZES).then_some(place)
}

impl State {
    /// Takes a free block of the size at `place`.
    #[inline(always)]
    fn take(&mut self, place: usize) -> *mut u8 {
        match self.kept.get(place) {
            Some(0) => self.cut(place),
            _ => self.take_kept(place),
        }
    }

    #[inline(always)]
    fn take_kept(&mut self, place: usize) -> *mut u8 {
        let Some(first) = self.kept.get_mut(place) else { return null_mut() };
        let block = ptr::with_exposed_provenance_mut::<usize>(*first);
        // SAFETY: a kept block is ours, and `keep` wrote its first word.
        *first = unsafe { block.read() };
        self.kept_bytes -= SMALLEST << place;
        block.cast()
    }

    /// Makes the block at `address`, of the size at `place`, one of those to be taken.
    ///
    /// # Safety
    ///
    /// The block is the heap's own, and nobody's any more.
    #[inline(always)]
    unsafe fn keep(&mut self, address: usize, place: usize) {
        let Some(first) = self.kept.get_mut(place) else { return };
        // SAFETY: the caller's promise; the smallest block has room for a word.
        unsafe { ptr::with_exposed_provenance_mut::<usize>(address).write(*first) };
        *first = address;
    }

    /// Cuts a block of the size at `place` from the fresh chunk; when that is used up, from a larger
    /// block, else from another chunk.
    fn cut(&mut self, place: usize) -> *mut u8 {
        let size = SMALLEST << place;
        // What lies before the next multiple of `size` are blocks of smaller sizes.
        while !self.fresh.is_multiple_of(size) {
            let rest = self.fresh.trailing_zeros();
            // SAFETY: the chunk is ours, and nobody has this part of it.
            unsafe { self.keep(self.fresh, (rest - SMALLEST.trailing_zeros()) as usize) };
            self.fresh += 1 << rest;
        }
        if self.fresh.is_multiple_of(CHUNK.size()) {
            if let Some(block) = self.split(place) {
                return block;
            }
            let Ok(chunk) = self.buddies.alloc(CHUNK) else {
                // Less than a chunk is left.
                let layout = Layout::from_size_align(size, size).ok();
                let block = layout.and_then(|layout| self.buddies.alloc(layout).ok());
                return block.map_or(null_mut(), NonNull::as_ptr);
            };
            self.fresh = chunk.expose_provenance().get();
            self.kept_bytes += CHUNK.size();
        }
        let block = self.fresh;
        self.fresh += size;
        self.kept_bytes -= size;
        ptr::with_exposed_provenance_mut(block)
    }

    /// Cuts a block of the size at `place` from the smallest larger one there is.
    fn split(&mut self, place: usize) -> Option<*mut u8> {
        let is_there = |larger: &usize| self.kept.get(*larger).is_some_and(|&first| first != 0);
        let larger = (place + 1..KEPT_SIZES).find(is_there)?;
        let block = self.take_kept(larger);
        for half in place..larger {
            // SAFETY: a part of the block just taken, which nobody else gets.
            unsafe { self.keep(block.addr() + (SMALLEST << half), half) };
            self.kept_bytes += SMALLEST << half;
        }
        Some(block)
    }
}

impl Heap {
    /// A heap without memory: every allocation fails.
    pub const fn empty() -> Self {
        Self(Mutex::new(RefCell::new(State {
            buddies: Buddies::empty(),
            kept: [0; KEPT_SIZES],
            fresh: 0,
            kept_bytes: 0,
            given_up: 0,
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

    /// Gives memory up that is not in use: blocks of at least `smallest` bytes, a power of two, as
    /// long as as much is left. They are the caller's, by their addresses.
    pub fn give_up(&self, smallest: usize) -> Vec<Range<usize>> {
        let mut blocks = Vec::with_capacity(8);
        let mut size = self.usage().total.checked_next_power_of_two().unwrap_or(0);
        while size >= smallest {
            let HeapUsage { reserved, total, .. } = self.usage();
            let block = Layout::from_size_align(size, size)
                .ok()
                .filter(|_| total - reserved >= size + smallest);
            let block = block.and_then(|layout| {
                critical_section::with(|cs| {
                    let state = &mut *self.0.borrow_ref_mut(cs);
                    let block = state.buddies.alloc(layout).ok()?;
                    state.given_up += size;
                    Some(block.expose_provenance().get())
                })
            });
            match block {
                Some(start) => blocks.push(start..start + size),
                None => size /= 2,
            }
        }
        blocks
    }

    /// How much is in use.
    pub fn usage(&self) -> HeapUsage {
        critical_section::with(|cs| {
            let State { buddies, kept_bytes, given_up, .. } = &*self.0.borrow_ref(cs);
            let free = kept_bytes + given_up;
            HeapUsage {
                used: buddies.stats_alloc_user() - free,
                reserved: buddies.stats_alloc_actual() - free,
                total: buddies.stats_total_bytes() - given_up,
            }
        })
    }
}

// SAFETY: blocks come from the buddy allocator, which upholds the contract for the memory it was
// given, or are cut from its blocks at multiples of their size. A kept block was freed by its owner,
// and is as large and as aligned as its size says. The lock makes each call atomic with respect to
// interrupts.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        critical_section::with(|cs| {
            let state = &mut *self.0.borrow_ref_mut(cs);
            match small(layout) {
                Some(place) => state.take(place),
                None => state.buddies.alloc(layout).map_or(null_mut(), NonNull::as_ptr),
            }
        })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(block) = NonNull::new(block) else { return };
        critical_section::with(|cs| {
            let state = &mut *self.0.borrow_ref_mut(cs);
            let Some(place) = small(layout) else {
                // SAFETY: the block came from `alloc`, which asked for this layout.
                return unsafe { state.buddies.dealloc(block, layout) };
            };
            state.kept_bytes += SMALLEST << place;
            // SAFETY: the block came from `alloc`, and its owner has no more use for it.
            unsafe { state.keep(block.expose_provenance().get(), place) };
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

    #[test]
    fn small_blocks_of_all_sizes_fill_a_chunk_without_a_gap() {
        let heap = Heap::empty();
        let memory = vec![0_u64; 3 << 10].leak();
        let start = (memory.as_mut_ptr() as usize).next_multiple_of(4096);
        // SAFETY: leaked memory is nobody else's.
        unsafe { heap.add(start, start + 8192) };
        let layouts = [16, 512, 16, 256, 32, 128, 64, 64, 32, 512]
            .map(|size| Layout::from_size_align(size, 16).unwrap());
        let wanted: usize = layouts.iter().map(Layout::size).sum();
        // SAFETY: each block is freed once, with the layout it was asked for with.
        unsafe {
            let blocks = layouts.map(|layout| heap.alloc(layout));
            assert!(blocks.iter().all(|block| block.addr() - start < 8192));
            assert_eq!(heap.usage(), HeapUsage { used: wanted, reserved: wanted, total: 8192 });
            // The rest of one chunk, and all of the other.
            let small = Layout::from_size_align(16, 16).unwrap();
            let mut rest: std::vec::Vec<_> =
                (0..(8192 - wanted) / 16).map(|_| heap.alloc(small)).collect();
            rest.extend(blocks);
            rest.sort_unstable();
            rest.dedup();
            assert_eq!(rest.len(), (8192 - wanted) / 16 + layouts.len());
            assert!(rest.iter().all(|block| !block.is_null()));
            assert!(heap.alloc(small).is_null());
        }
        assert_eq!(heap.usage().used, 8192);
    }

    #[test]
    fn what_is_given_up_is_in_no_use() {
        let heap = Heap::empty();
        let memory = vec![0_u64; 16 << 10].leak();
        let start = (memory.as_mut_ptr() as usize).next_multiple_of(1 << 16);
        // SAFETY: leaked memory is nobody else's.
        unsafe { heap.add(start, start + (1 << 16)) };
        let layout = Layout::from_size_align(1 << 10, 8).unwrap();
        // SAFETY: the layout is valid.
        let block = unsafe { heap.alloc(layout) }.addr();
        let blocks = heap.give_up(1 << 13);
        let sizes: std::vec::Vec<_> = blocks.iter().map(|block| block.len()).collect();
        assert_eq!(sizes, [1 << 15, 1 << 14], "the rest is too small, or all that is left");
        assert!(blocks.iter().all(|range| !range.contains(&block)));
        assert_eq!(heap.usage(), HeapUsage { used: 1 << 10, reserved: 1 << 10, total: 1 << 14 });
        for block in blocks {
            // SAFETY: it was given up.
            unsafe { heap.add(block.start, block.end) };
        }
        assert_eq!(heap.usage(), HeapUsage { used: 1 << 10, reserved: 1 << 10, total: 1 << 16 });
    }
}
