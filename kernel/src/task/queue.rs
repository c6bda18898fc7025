//! The queue of tasks ready to run, which interrupt handlers fill.

use super::{header::Header, section};
use crate::trace::BILLY_TRACE;
use alloc::vec::Vec;
use core::{
    cell::Cell,
    fmt,
    iter::repeat_with,
    ptr,
    sync::atomic::{AtomicPtr, AtomicU32, Ordering},
};
use critical_section::{CriticalSection, Mutex};

/// Slot numbers of the tasks ready to run, in the order they became so, and the name of the task
/// that runs now.
///
/// One per executor, in a `static`, where wakers, the crash report and a debugger find it.
pub struct RunQueue {
    ready: Mutex<Ring>,
    current: AtomicPtr<&'static str>,
}

impl RunQueue {
    /// Makes an empty queue.
    pub const fn new() -> Self {
        Self { ready: Mutex::new(Ring::new()), current: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Names the task being polled, if any. Takes no lock, so that a crash report may ask.
    pub fn current(&self) -> Option<&'static str> {
        let name: *const &'static str = self.current.load(Ordering::Acquire);
        // SAFETY: `set_current` alone writes `current`, always null or a `&'static &'static str`.
        unsafe { name.as_ref() }.copied()
    }

    /// Whether no task is ready to run.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        section::with(|token| self.ready.borrow(token).is_empty())
    }

    /// A number that changes whenever a task is about to be polled.
    pub fn polls(&self) -> u64 {
        section::with(|token| self.ready.borrow(token).first.get() as u64)
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
            self.ready.borrow(token).push_back(header.slot);
        }
    }

    /// Takes the slot that has been ready for longest off the queue. The caller notes that its task
    /// is not queued any more.
    #[inline(always)]
    pub(super) fn pop(&self, token: CriticalSection<'_>) -> Option<u32> {
        self.ready.borrow(token).pop_front()
    }

    /// Has the task never queued again. Returns whether it still is now.
    pub(super) fn retire(&self, header: &Header) -> bool {
        section::with(|token| header.set_queued(true, token))
    }

    /// Makes room for `slots` slots, each queued once.
    pub(super) fn reserve(&self, slots: usize) {
        section::with(|token| self.ready.borrow(token).reserve(slots));
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        critical_section::with(|token| self.ready.borrow(token).places.get().len())
    }

    #[cfg(test)]
    pub(super) fn ready(&self) -> alloc::vec::Vec<u32> {
        critical_section::with(|token| {
            let ring = self.ready.borrow(token);
            ring.counts().map(|count| ring.place(count).unwrap().load(Ordering::Relaxed)).collect()
        })
    }
}

/// Slot numbers, first in, first out, in a number of places that is a power of two.
///
/// `first` and `end` count on for ever; where they are in `places` their low bits tell.
struct Ring {
    places: Cell<&'static [AtomicU32]>,
    first: Cell<usize>,
    end: Cell<usize>,
}

impl Ring {
    const fn new() -> Self {
        Self { places: Cell::new(&[]), first: Cell::new(0), end: Cell::new(0) }
    }

    /// The place that a count stands for.
    #[inline(always)]
    fn place(&self, count: usize) -> Option<&'static AtomicU32> {
        let places = self.places.get();
        places.get(count & places.len().wrapping_sub(1))
    }

    #[inline(always)]
    fn is_empty(&self) -> bool {
        self.first.get() == self.end.get()
    }

    /// There is room for each slot once, and each is queued at most once.
    #[inline(always)]
    fn push_back(&self, slot: u32) {
        let end = self.end.get();
        if let Some(place) = self.place(end) {
            place.store(slot, Ordering::Relaxed);
            self.end.set(end.wrapping_add(1));
        }
    }

    #[inline(always)]
    fn pop_front(&self) -> Option<u32> {
        if self.is_empty() {
            return None;
        }
        let first = self.first.get();
        self.first.set(first.wrapping_add(1));
        self.place(first).map(|place| place.load(Ordering::Relaxed))
    }

    /// What the slots on the queue are counted as.
    fn counts(&self) -> impl Iterator<Item = usize> + use<> {
        let (first, end) = (self.first.get(), self.end.get());
        (0..end.wrapping_sub(first)).map(move |n| first.wrapping_add(n))
    }

    /// Leaks the places there were, which all together are fewer than the new ones.
    fn reserve(&self, slots: usize) {
        if slots > self.places.get().len() {
            let len = slots.next_power_of_two();
            let places: Vec<_> = repeat_with(AtomicU32::default).take(len).collect();
            for count in self.counts() {
                let slot = self.place(count).map_or(0, |place| place.load(Ordering::Relaxed));
                places[count & (len - 1)].store(slot, Ordering::Relaxed);
            }
            self.places.set(places.leak());
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
