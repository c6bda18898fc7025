//! Critical sections, and the points where an interrupt can come.
//!
//! Outside of tests this is `critical_section::with`. Under test the model may inject an interrupt
//! before each section and at each [`interrupt_point`]. What lies between two of them touches
//! nothing that a handler touches, so these are all the points that make a difference.

use critical_section::CriticalSection;

#[cfg(test)]
pub(crate) use super::model::interrupt_point;
#[cfg(test)]
use super::model::masked;

#[cfg(not(test))]
#[inline(always)]
fn interrupt_point() {}

#[cfg(not(test))]
#[inline(always)]
fn masked<R>(section: impl FnOnce() -> R) -> R {
    section()
}

/// Runs `section` with interrupts masked.
#[inline(always)]
pub(crate) fn with<R>(section: impl FnOnce(CriticalSection<'_>) -> R) -> R {
    interrupt_point();
    critical_section::with(|token| masked(|| section(token)))
}
