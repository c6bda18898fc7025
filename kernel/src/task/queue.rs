//! The queue of tasks ready to run, which interrupt handlers fill.

use super::{header::Header, section};
use crate::trace::BILLY_TRACE;
use alloc::{vec, vec::Vec};
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
    ready: Mutex<RefCell<Ring>>,
    current: AtomicPtr<&'static str>,
}

impl RunQueue {
    /// Makes an empty queue.
    pub const fn new() -> Self {
        Self {
            ready: Mutex::new(RefCell::new(Ring::new())),
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

    /// A number that changes whenever a task is about to be polled.
    pub fn polls(&self) -> u64 {
        section::with(|token| self.ready.borrow_ref(token).first as u64)
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
            self.ready.borrow_ref_mut(token).reserve(slots);
        });
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        critical_section::with(|token| self.ready.borrow_ref(token).places.len())
    }

    #[cfg(test)]
    pub(super) fn ready(&self) -> alloc::vec::Vec<u32> {
        critical_section::with(|token| {
            let ring = self.ready.borrow_ref(token);
            (0..ring.len).map(|n| ring.places[ring.place(n)]).collect()
        })
    }
}

/// Slot numbers, first in, first out, in a number of places that is a power of two.
struct Ring {
    places: Vec<u32>,
    first: usize,
    len: usize,
}

impl Ring {
    const fn new() -> Self {
        Self { places: Vec::new(), first: 0, len: 0 }
    }

    /// Where the `n`th is, counted from the first.
    #[inline(always)]
    fn place(&self, n: usize) -> usize {
        self.first.wrapping_add(n) & self.places.len().wrapping_sub(1)
    }

    #[inline(always)]
    fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// There is room for each slot once, and each is queued at most once.
    #[inline(always)]
    fn push_back(&mut self, slot: u32) {
        let place = self.place(self.len);
        if let Some(place) = self.places.get_mut(place) {
            *place = slot;
            self.len += 1;
        }
    }

    #[inline(always)]
    fn pop_front(&mut self) -> Option<u32> {
        if self.len == 0 {
            return None;
        }
        let slot = *self.places.get(self.place(0))?;
        self.first = self.first.wrapping_add(1);
        self.len -= 1;
        Some(slot)
    }

    fn reserve(&mut self, slots: usize) {
        if slots > self.places.len() {
            let mut places = vec![0; slots.next_power_of_two()];
            for (n, place) in places.iter_mut().take(self.len).enumerate() {
                *place = self.places[self.place(n)];
            }
            (self.places, self.first) = (places, 0);
        }
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
