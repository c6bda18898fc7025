//! The task that waits for an interrupt.

use core::task::Waker;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::waitqueue::GenericAtomicWaker;

/// Room for the waker of one task. Generic underneath, so that it is inlined into handlers and polls.
pub(crate) struct Waiter(GenericAtomicWaker<CriticalSectionRawMutex>);

impl Waiter {
    /// Makes one that nobody waits in.
    pub const fn new() -> Self {
        Self(GenericAtomicWaker::new(CriticalSectionRawMutex::new()))
    }

    /// Has this task woken from now on, and none that was registered before.
    #[inline(always)]
    pub fn register(&self, waker: &Waker) {
        self.0.register(waker);
    }

    /// Wakes the task.
    #[inline(always)]
    pub fn wake(&self) {
        self.0.wake();
    }
}
