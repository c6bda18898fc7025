//! The shim's heap: a fixed piece of its image, one CPU, no interrupts.

use buddy_system_allocator::LockedHeap;
use core::mem::MaybeUninit;

const SIZE: usize = 24 << 20;

#[global_allocator]
static HEAP: LockedHeap<32> = LockedHeap::empty();

#[repr(align(4096))]
struct Memory(#[allow(dead_code, reason = "used by address")] MaybeUninit<[u8; SIZE]>);

#[unsafe(link_section = ".noinit")]
static mut MEMORY: Memory = Memory(MaybeUninit::uninit());

/// Gives the heap its memory; called once, first of all.
pub fn init() {
    let start = &raw mut MEMORY as usize;
    // SAFETY: the memory belongs to nobody else, and this runs once.
    unsafe { HEAP.lock().init(start, SIZE) };
}
