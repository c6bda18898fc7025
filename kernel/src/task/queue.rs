//! The queue of tasks ready to run, which interrupt handlers fill.

use super::{header::Header, section};
use crate::trace::BILLY_TRACE;
use alloc::collections::VecDeque;
use core::{
    cell::RefCell,
    fmt, ptr,
    sync::atomic::{AtomicPtr, Ordering},
};
use critical_section::{CriticalSection, Mutex};

/// Slot numbers of the tasks ready to run, in the order they became so, and the name of the task
/// that runs now.
///
/// One per executor, in a `static`, where wakers, the crash report and a debugger find it.
pub struct RunQueue {
    ready: Mutex<RefCell<VecDeque<u32>>>,
    current: AtomicPtr<&'static str>,
}

impl RunQueue {
    /// Makes an empty queue.
    pub const fn new() -> Self {
        Self {
            ready: Mutex::new(RefCell::new(VecDeque::new())),
            current: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Names the task being polled, if any. Takes no lock, so that a crash report may ask.
    pub fn current(&self) -> Option<&'static str> {
        let name: *const &'static str = self.current.load(Ordering::Acquire);
        // SAFETY: `set_current` alone writes `current`, always null or a `&'static &'static str`.
        unsafe { name.as_ref() }.copied()
    }

    /// Whether no task is ready to run.
    pub fn is_empty(&self) -> bool {
        section::with(|token| self.ready.borrow_ref(token).is_empty())
    }

    #[inline]
    pub(super) fn set_current(&self, name: Option<&'static &'static str>) {
        let name = name.map_or(ptr::null(), ptr::from_ref);
        self.current.store(name.cast_mut(), Ordering::Release);
    }

    /// Queues a new task.
    pub(super) fn push(&self, header: &Header) {
        section::with(|token| self.make_ready(header, token));
    }

    /// Counts a wake and queues the task unless it is queued already or has ended.
    #[inline(always)]
    pub(super) fn wake(&self, header: &Header) {
        section::with(|token| {
            header.count_wake(token);
            BILLY_TRACE.woken(header.name);
            self.make_ready(header, token);
        });
    }

    /// Does not allocate, since `reserve` made room for every slot once.
    #[inline(always)]
    fn make_ready(&self, header: &Header, token: CriticalSection<'_>) {
        if !header.set_queued(true, token) {
            self.ready.borrow_ref_mut(token).push_back(header.slot);
        }
    }

    /// Takes the slot that has been ready for longest off the queue. `header_of` finds its task,
    /// which from here on is queued again when woken.
    #[inline(always)]
    pub(super) fn pop<'h>(&self, header_of: impl FnOnce(u32) -> Option<&'h Header>) -> Option<u32> {
        section::with(|token| {
            let slot = self.ready.borrow_ref_mut(token).pop_front()?;
            if let Some(header) = header_of(slot) {
                header.set_queued(false, token);
            }
            Some(slot)
        })
    }

    /// Has the task never queued again. Returns whether it still is now.
    pub(super) fn retire(&self, header: &Header) -> bool {
        section::with(|token| header.set_queued(true, token))
    }

    /// Makes room for `slots` slots, each queued once.
    pub(super) fn reserve(&self, slots: usize) {
        section::with(|token| {
            let mut ready = self.ready.borrow_ref_mut(token);
            let missing = slots.saturating_sub(ready.len());
            ready.reserve(missing);
        });
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        critical_section::with(|token| self.ready.borrow_ref(token).capacity())
    }

    #[cfg(test)]
    pub(super) fn ready(&self) -> alloc::vec::Vec<u32> {
        critical_section::with(|token| self.ready.borrow_ref(token).iter().copied().collect())
    }
}

impl Default for RunQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RunQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunQueue").field("current", &self.current()).finish_non_exhaustive()
    }
}
