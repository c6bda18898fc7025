//! What is shared between a task and those who wake it.

use super::queue::RunQueue;
use alloc::{sync::Arc, task::Wake};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use critical_section::CriticalSection;

/// The part of a task that wakers hold. It outlives the task's future while a waker is kept.
///
/// What changes in it does so in critical sections, which also order it; so plain loads and
/// stores do.
pub(super) struct Header {
    pub(super) name: &'static &'static str,
    pub(super) slot: u32,
    queue: &'static RunQueue,
    /// The slot is on the run queue, or the task has ended.
    queued: AtomicBool,
    wakes: AtomicU64,
}

impl Header {
    /// A header of a task that is not queued.
    pub(super) const fn new(
        name: &'static &'static str,
        slot: u32,
        queue: &'static RunQueue,
    ) -> Self {
        let (queued, wakes) = (AtomicBool::new(false), AtomicU64::new(0));
        Self { name, slot, queue, queued, wakes }
    }

    /// Notes whether the task is queued, returns whether it was.
    #[inline(always)]
    pub(super) fn set_queued(&self, queued: bool, _: CriticalSection<'_>) -> bool {
        let before = self.queued.load(Ordering::Relaxed);
        self.queued.store(queued, Ordering::Relaxed);
        before
    }

    /// Counts a wake.
    #[inline(always)]
    pub(super) fn count_wake(&self, _: CriticalSection<'_>) {
        let wakes = self.wakes.load(Ordering::Relaxed);
        self.wakes.store(wakes.wrapping_add(1), Ordering::Relaxed);
    }

    pub(super) fn is_queued(&self) -> bool {
        self.queued.load(Ordering::Relaxed)
    }

    pub(super) fn wakes(&self) -> u64 {
        self.wakes.load(Ordering::Relaxed)
    }
}

impl Wake for Header {
    #[inline]
    fn wake(self: Arc<Self>) {
        self.queue.wake(&self);
    }

    #[inline]
    fn wake_by_ref(self: &Arc<Self>) {
        self.queue.wake(self);
    }
}
