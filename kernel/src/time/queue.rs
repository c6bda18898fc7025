//! Deadlines in order, each with the waker of who waits for it.

use super::Instant;
use alloc::vec::Vec;
use core::task::Waker;

/// No entry: the end of a list.
const NONE: u32 = u32::MAX;

/// A place in the queue, owned by whoever got it from `insert` until given to `remove`.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Key(u32);

struct Entry {
    deadline: Instant,
    /// None once the deadline has passed; the entry is then out of the list.
    waker: Option<Waker>,
    previous: u32,
    next: u32,
}

/// A doubly linked list through a vector whose places are used again, so that inserting and
/// removing allocate only while more deadlines are pending than ever before.
pub(super) struct Queue {
    entries: Vec<Entry>,
    free: u32,
    first: u32,
    last: u32,
}

impl Queue {
    pub(super) const fn new() -> Self {
        Self { entries: Vec::new(), free: NONE, first: NONE, last: NONE }
    }

    /// Inserts a deadline behind those that are not later.
    ///
    /// Looks from the latest one on: timeouts are of similar length, so most go to the end.
    #[inline]
    pub(super) fn insert(&mut self, deadline: Instant, waker: Waker) -> Key {
        let mut previous = self.last;
        while let Some(entry) = self.entries.get(previous as usize)
            && entry.deadline > deadline
        {
            previous = entry.previous;
        }
        let next = match self.entries.get(previous as usize) {
            Some(entry) => entry.next,
            None => self.first,
        };
        let entry = Entry { deadline, waker: Some(waker), previous, next };
        let place = self.free;
        let place = match self.entries.get_mut(place as usize) {
            Some(unused) => {
                self.free = unused.next;
                *unused = entry;
                place
            }
            None => {
                self.entries.push(entry);
                self.entries.len() as u32 - 1
            }
        };
        self.link(previous, next, place, place);
        Key(place)
    }

    /// Gives a place back. The waker is returned for the caller to drop outside of any lock.
    #[inline]
    pub(super) fn remove(&mut self, key: Key) -> Option<Waker> {
        let entry = self.entries.get_mut(key.0 as usize)?;
        let waker = entry.waker.take();
        let (previous, next) = (entry.previous, entry.next);
        entry.next = self.free;
        self.free = key.0;
        if waker.is_some() {
            self.link(previous, next, next, previous);
        }
        waker
    }

    /// Whether the deadline is still to come. If so `waker` is the one to be woken from now on,
    /// and the one it replaces is returned.
    #[inline]
    pub(super) fn renew(&mut self, key: &Key, waker: &Waker) -> (bool, Option<Waker>) {
        match self.entries.get_mut(key.0 as usize).and_then(|entry| entry.waker.as_mut()) {
            None => (false, None),
            Some(known) if known.will_wake(waker) => (true, None),
            Some(known) => (true, Some(core::mem::replace(known, waker.clone()))),
        }
    }

    /// Takes the earliest entry out of the list if its deadline is not after `now`. Its place
    /// stays with the holder of the key.
    pub(super) fn pop_expired(&mut self, now: Instant) -> Option<Waker> {
        let first = self.entries.get_mut(self.first as usize)?;
        if first.deadline > now {
            return None;
        }
        let waker = first.waker.take();
        let next = first.next;
        self.link(NONE, next, next, NONE);
        waker
    }

    /// The earliest deadline.
    pub(super) fn first(&self) -> Option<Instant> {
        self.entries.get(self.first as usize).map(|entry| entry.deadline)
    }

    /// How many deadlines are pending.
    pub(super) fn len(&self) -> usize {
        self.entries.iter().filter(|entry| entry.waker.is_some()).count()
    }

    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.entries.len()
    }

    /// Makes `after` the successor of `previous` and `before` the predecessor of `next`, where
    /// NONE stands for the ends of the list.
    #[inline]
    fn link(&mut self, previous: u32, next: u32, after: u32, before: u32) {
        match self.entries.get_mut(previous as usize) {
            Some(entry) => entry.next = after,
            None => self.first = after,
        }
        match self.entries.get_mut(next as usize) {
            Some(entry) => entry.previous = before,
            None => self.last = before,
        }
    }
}
