//! Critical sections and flags shared with interrupt handlers.
//!
//! Outside of tests these are `critical_section::with` and an atomic. Under test the model may
//! inject an interrupt before each. What lies between two of them touches nothing that a handler
//! touches, so these are all the points that make a difference.

use core::sync::atomic::{AtomicBool, Ordering};
use critical_section::CriticalSection;

#[cfg(test)]
use super::model::{interrupt_point, masked};

#[cfg(not(test))]
#[inline(always)]
fn interrupt_point() {}

#[cfg(not(test))]
#[inline(always)]
fn masked<R>(section: impl FnOnce() -> R) -> R {
    section()
}

/// Runs `section` with interrupts masked.
#[inline]
pub(crate) fn with<R>(section: impl FnOnce(CriticalSection<'_>) -> R) -> R {
    interrupt_point();
    critical_section::with(|token| masked(|| section(token)))
}

/// A flag that tasks and interrupt handlers set and clear.
pub(crate) struct Flag(AtomicBool);

impl Flag {
    pub(crate) const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Sets the flag and says whether it was set before.
    #[inline]
    pub(crate) fn set(&self) -> bool {
        interrupt_point();
        self.0.swap(true, Ordering::AcqRel)
    }

    /// Clears the flag; what was written before the last `set` is visible afterwards.
    #[inline]
    pub(crate) fn clear(&self) {
        interrupt_point();
        self.0.swap(false, Ordering::AcqRel);
    }

    /// Whether the flag is set.
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
