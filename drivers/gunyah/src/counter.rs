//! Counters that one side changes and anybody reads.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts. Only one interrupt handler, or one task at a time, may count with this counter: then a load and a store do, at
/// half the cost of an atomic addition.
#[inline(always)]
pub(crate) fn count(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(by), Relaxed);
}
