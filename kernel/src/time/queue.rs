//! Deadlines in order, each with the waker of who waits for it.

use super::Instant;
use alloc::vec::Vec;
use core::task::Waker;

/// No entry: the end of a list.
const NONE: u32 = u32::MAX;

/// The predecessor of an entry that is not in the list: its deadline has passed or was cancelled.
const UNLINKED: u32 = u32::MAX - 1;

/// A place in the queue, owned by whoever got it from `insert` until given to `remove`.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Key(u32);

struct Entry {
    deadline: Instant,
    /// Stays when the deadline is cancelled: the task that used this place last is likely to use
    /// it next, and then need not clone its waker again.
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

    /// Inserts a deadline behind those that are not later. A waker this replaces is returned too,
    /// for the caller to drop outside of any lock.
    ///
    /// Looks from the latest one on: timeouts are of similar length, so most go to the end.
    #[inline]
    pub(super) fn insert(&mut self, deadline: Instant, waker: &Waker) -> (Key, Option<Waker>) {
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
        let mut place = self.free;
        let mut replaced = None;
        match self.entries.get_mut(place as usize) {
            Some(entry) => {
                self.free = entry.next;
                (entry.deadline, entry.previous, entry.next) = (deadline, previous, next);
                if !entry.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
                    replaced = replace(&mut entry.waker, waker);
                }
            }
            None => place = self.grow(deadline, waker, previous, next),
        }
        self.link(previous, next, place, place);
        (Key(place), replaced)
    }

    /// Gives a place back.
    #[inline]
    pub(super) fn remove(&mut self, key: Key) {
        let Some(entry) = self.entries.get_mut(key.0 as usize) else { return };
        let (previous, next) = (entry.previous, entry.next);
        (entry.previous, entry.next) = (UNLINKED, self.free);
        self.free = key.0;
        if previous != UNLINKED {
            self.link(previous, next, next, previous);
        }
    }

    /// Whether the deadline is still to come. If so `waker` is the one to be woken from now on,
    /// and the one it replaces is returned.
    #[inline]
    pub(super) fn renew(&mut self, key: &Key, waker: &Waker) -> (bool, Option<Waker>) {
        match self.entries.get_mut(key.0 as usize) {
            Some(entry) if entry.previous != UNLINKED => match &mut entry.waker {
                Some(known) if known.will_wake(waker) => (true, None),
                known => (true, replace(known, waker)),
            },
            _ => (false, None),
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
        first.previous = UNLINKED;
        self.link(NONE, next, next, NONE);
        waker
    }

    /// The earliest deadline.
    pub(super) fn first(&self) -> Option<Instant> {
        self.entries.get(self.first as usize).map(|entry| entry.deadline)
    }

    /// Adds an entry in a new place.
    #[cold]
    fn grow(&mut self, deadline: Instant, waker: &Waker, previous: u32, next: u32) -> u32 {
        let place = self.entries.len() as u32;
        self.entries.push(Entry { deadline, waker: Some(waker.clone()), previous, next });
        place
    }

    /// How many deadlines are pending.
    pub(super) fn len(&self) -> usize {
        self.entries.iter().filter(|entry| entry.previous != UNLINKED).count()
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

/// Out of line, since it is rare on the path of a timeout that is armed and cancelled.
#[inline(never)]
fn replace(known: &mut Option<Waker>, waker: &Waker) -> Option<Waker> {
    known.replace(waker.clone())
}
