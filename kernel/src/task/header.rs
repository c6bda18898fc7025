//! What is shared between a task and those who wake it.

use super::{queue::RunQueue, section::Flag};
use alloc::{sync::Arc, task::Wake};
use core::sync::atomic::{AtomicU64, Ordering};

/// The part of a task that wakers hold. It outlives the task's future while a waker is kept.
pub(super) struct Header {
    pub(super) name: &'static &'static str,
    pub(super) slot: u32,
    pub(super) queued: Flag,
    pub(super) polls: AtomicU64,
    pub(super) wakes: AtomicU64,
    pub(super) queue: &'static RunQueue,
}

impl Header {
    /// Counts one poll. Only the executor calls this, so load and store need not be one step.
    #[inline]
    pub(super) fn count_poll(&self) {
        let polls = self.polls.load(Ordering::Relaxed);
        self.polls.store(polls.wrapping_add(1), Ordering::Relaxed);
    }

    /// Queues the task unless it is queued already.
    #[inline]
    pub(super) fn make_ready(&self) {
        if !self.queued.set() {
            self.queue.push(self.slot);
        }
    }
}

impl Wake for Header {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wakes.fetch_add(1, Ordering::Relaxed);
        self.make_ready();
    }
}
