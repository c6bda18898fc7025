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
mod tests;
