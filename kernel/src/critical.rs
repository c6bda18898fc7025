//! The critical section of a single CPU: interrupts masked.

use core::arch::asm;
use critical_section::RawRestoreState;

struct InterruptsMasked;
critical_section::set_impl!(InterruptsMasked);

// SAFETY: one CPU runs; with its interrupts masked nothing else does.
unsafe impl critical_section::Impl for InterruptsMasked {
    unsafe fn acquire() -> RawRestoreState {
        mask()
    }

    unsafe fn release(saved: RawRestoreState) {
        restore(saved);
    }
}

/// Masks interrupts; returns what to give to [`restore`].
pub fn mask() -> u64 {
    let daif;
    // SAFETY: changes only the interrupt mask; memory accesses stay on their side of it.
    unsafe {
        asm!(
            "mrs {}, daif",
            "msr daifset, #2",
            out(reg) daif,
            options(nostack, preserves_flags)
        );
    }
    daif
}

/// Brings the interrupt mask back to what it was.
pub fn restore(daif: u64) {
    // SAFETY: as above; the value came from `mask`.
    unsafe { asm!("msr daif, {}", in(reg) daif, options(nostack, preserves_flags)) };
}

/// Lets interrupts in.
pub fn unmask() {
    // SAFETY: the vectors are in place since the first instruction.
    unsafe { asm!("msr daifclr, #2", options(nostack, preserves_flags)) };
}

/// Waits for an interrupt; a pending one ends the wait even while masked.
pub fn wait_for_interrupt() {
    // SAFETY: only waits. The barrier makes earlier stores visible before.
    unsafe { asm!("dsb sy", "wfi", options(nostack, preserves_flags)) };
}
