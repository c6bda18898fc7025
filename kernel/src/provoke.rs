//! Crashes on request, so that their reports can be seen and tested.

use crate::{
    crash::provocation::Provocation,
    dt::{Interrupt, Trigger},
    interrupts::{Handler, gic},
};
use alloc::{boxed::Box, vec::Vec};
use core::{fmt, hint::black_box, ptr};

/// The software-generated interrupt that is used.
const SGI: Interrupt = Interrupt { intid: 15, trigger: Trigger::Edge };

/// Crashes as asked for.
pub fn crash(how: Provocation) -> ! {
    match how {
        Provocation::Here => panic!("asked for at the console"),
        Provocation::Stack => overflow(),
        Provocation::Heap => exhaust_heap(),
        Provocation::Irq => in_handler(Box::new(|| panic!("asked for in an interrupt handler"))),
        Provocation::IrqStack => in_handler(Box::new(|| overflow())),
        Provocation::Null => read_null(),
        Provocation::Nested => panic!("asked for with a broken message: {}", Broken),
    }
}

fn overflow() -> ! {
    recurse(1);
    unreachable!("a stack without end");
}

#[inline(never)]
#[expect(unconditional_recursion, reason = "that is the point")]
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 32]);
    recurse(depth + 1) + black_box(frame)[0]
}

fn exhaust_heap() -> ! {
    // Every size: freed small blocks may be kept for others of theirs.
    for size in (0..=20).rev().map(|order| 1 << order) {
        let mut block = Vec::<u8>::new();
        while block.try_reserve_exact(size).is_ok() {
            Vec::leak(core::mem::take(&mut block));
        }
    }
    drop(black_box(Box::new([0_u64; 16])));
    unreachable!("memory without end");
}

fn in_handler(handler: Handler) -> ! {
    match gic::enable(SGI, "crash", handler) {
        Ok(()) => gic::interrupt_this_cpu(SGI.intid),
        Err(error) => panic!("no interrupt to crash in: {error}"),
    }
    loop {
        crate::critical::wait_for_interrupt();
    }
}

#[inline(never)]
fn read_null() -> ! {
    let null: *const u32 = black_box(ptr::null());
    // SAFETY: none; page 0 is not mapped, which is what is to be seen.
    let value = unsafe { null.read_volatile() };
    unreachable!("{value} at the null pointer");
}

/// A message that crashes whoever formats it.
struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        read_null()
    }
}
