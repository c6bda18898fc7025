//! Interrupts: who handles which INTID, and how often that was.
//!
//! The table here is plain data; `gic` programs the GICv3 and dispatches. A handler runs with
//! interrupts masked, before the end of the interrupt is signalled: it notes what happened and
//! wakes a task. All other work is done in tasks. A level source is cleared in its handler.

pub mod affinity;
#[cfg(target_os = "none")]
pub mod gic;

use crate::dt::{Interrupt, Trigger};
use alloc::{boxed::Box, vec::Vec};
use core::cell::Cell;
use thiserror::Error;

/// What is called when an interrupt was acknowledged. The table owns it, and drops it when the
/// interrupt is disabled.
pub type Handler = Box<dyn Fn() + Send + Sync>;

/// An INTID that has a handler already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("INTID {intid} is taken by {name}")]
pub struct Taken {
    /// The INTID.
    pub intid: u32,
    /// Who has it.
    pub name: &'static str,
}

/// An interrupt in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// INTID and trigger.
    pub interrupt: Interrupt,
    /// What it is for.
    pub name: &'static str,
    /// How often it was taken.
    pub count: u64,
}

/// What became of an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its handler ran.
    Handled,
    /// It has no handler.
    Unexpected,
    /// Its handler ran, as it did [`STORM`] times before while no task ran: nothing clears its
    /// cause, or whoever raises it does nothing else. It is better disabled.
    Storm(Usage),
}

/// Interrupts of one INTID in a row, with no task polled between them, that are too many.
pub const STORM: u64 = 1 << 16;
/// INTIDs of a GICv3 without extended ranges.
const INTIDS: usize = 1020;

/// An interrupt with its handler. What changes in it does so with interrupts masked.
struct Entry {
    interrupt: Interrupt,
    name: &'static str,
    count: Cell<u64>,
    /// How many polls of tasks there had been at the last look.
    polls: Cell<Option<u64>>,
    handler: Handler,
}

impl Entry {
    fn usage(&self) -> Usage {
        Usage { interrupt: self.interrupt, name: self.name, count: self.count.get() }
    }

    #[cold]
    fn is_storm(&self, polls: u64) -> bool {
        self.polls.replace(Some(polls)) == Some(polls)
    }
}

/// The interrupts in use, by INTID.
pub struct Table {
    entries: Vec<Entry>,
    /// Where in `entries` an INTID is, plus one; 0 where it is not. One load per interrupt.
    places: [u16; INTIDS],
}

impl Default for Table {
    fn default() -> Self {
        Self::new()
    }
}

impl Table {
    /// A table without entries.
    pub const fn new() -> Self {
        Self { entries: Vec::new(), places: [0; INTIDS] }
    }

    /// Adds a handler. An INTID beyond those there are is never found.
    ///
    /// # Errors
    ///
    /// [`Taken`] if the INTID has one.
    pub fn add(
        &mut self,
        interrupt: Interrupt,
        name: &'static str,
        handler: Handler,
    ) -> Result<(), Taken> {
        let intid = interrupt.intid;
        if let Some(taken) = self.entries.iter().find(|entry| entry.interrupt.intid == intid) {
            return Err(Taken { intid, name: taken.name });
        }
        let (count, polls) = (Cell::new(0), Cell::new(None));
        self.entries.push(Entry { interrupt, name, count, polls, handler });
        self.set_place(intid, self.entries.len());
        Ok(())
    }

    /// Takes a handler out, for the caller to drop with interrupts enabled.
    pub fn remove(&mut self, intid: u32) -> Option<Handler> {
        let place = self.entries.iter().position(|entry| entry.interrupt.intid == intid)?;
        let removed = self.entries.swap_remove(place);
        self.set_place(intid, 0);
        if let Some(moved) = self.entries.get(place) {
            self.set_place(moved.interrupt.intid, place + 1);
        }
        Some(removed.handler)
    }

    fn set_place(&mut self, intid: u32, place: usize) {
        if let Some(entry) = self.places.get_mut(intid as usize) {
            *entry = place as u16;
        }
    }

    /// Counts an interrupt and runs its handler, which must not change the table. `polls` tells how
    /// many tasks were polled so far; it is asked once in [`STORM`] interrupts.
    #[inline]
    pub fn handle(&self, intid: u32, polls: impl FnOnce() -> u64) -> Outcome {
        let place = self.places.get(intid as usize).copied().unwrap_or_default();
        let Some(entry) = self.entries.get(usize::from(place).wrapping_sub(1)) else {
            return Outcome::Unexpected;
        };
        let count = entry.count.get().wrapping_add(1);
        entry.count.set(count);
        (entry.handler)();
        if count.is_multiple_of(STORM) && entry.is_storm(polls()) {
            return Outcome::Storm(entry.usage());
        }
        Outcome::Handled
    }

    /// All entries, in no order.
    pub fn usage(&self) -> impl Iterator<Item = Usage> + '_ {
        self.entries.iter().map(Entry::usage)
    }
}

/// An interrupt in words, for lists: `962 edge`.
pub fn trigger_name(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Edge => "edge",
        Trigger::Level => "level",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::{AtomicU32, Ordering};
    use std::sync::Arc;

    fn edge(intid: u32) -> Interrupt {
        Interrupt { intid, trigger: Trigger::Edge }
    }

    /// A table whose handlers count, and what they count in.
    fn counting(intids: &[u32]) -> (Table, Arc<AtomicU32>) {
        let (mut table, calls) = (Table::new(), Arc::new(AtomicU32::new(0)));
        for &intid in intids {
            let calls = calls.clone();
            let handler = move || {
                calls.fetch_add(intid, Ordering::Relaxed);
            };
            table.add(edge(intid), "test", Box::new(handler)).unwrap();
        }
        (table, calls)
    }

    #[test]
    fn handlers_are_found_and_counted() {
        let (table, calls) = counting(&[961, 27, 960]);
        assert_eq!(table.handle(960, || 0), Outcome::Handled);
        assert_eq!(table.handle(960, || 0), Outcome::Handled);
        assert_eq!(table.handle(962, || 0), Outcome::Unexpected);
        assert_eq!(table.handle(u32::MAX, || 0), Outcome::Unexpected);
        assert_eq!(calls.load(Ordering::Relaxed), 1920);
        let counts: Vec<_> = table.usage().map(|u| (u.interrupt.intid, u.count)).collect();
        assert_eq!(counts, [(961, 0), (27, 0), (960, 2)]);
    }

    #[test]
    fn an_intid_is_given_out_once() {
        let mut table = Table::new();
        table.add(edge(960), "rm tx", Box::new(|| {})).unwrap();
        let error = table.add(edge(960), "bell", Box::new(|| {})).unwrap_err();
        assert_eq!(error.to_string(), "INTID 960 is taken by rm tx");
    }

    #[test]
    fn what_is_removed_is_dropped_and_the_rest_is_found() {
        let (mut table, calls) = counting(&[960, 961, 962]);
        for (removed, left) in [(960, vec![961, 962]), (962, vec![961]), (961, vec![])] {
            assert!(table.remove(removed).is_some());
            assert!(table.remove(removed).is_none());
            assert_eq!(table.handle(removed, || 0), Outcome::Unexpected);
            for intid in left {
                calls.store(0, Ordering::Relaxed);
                assert_eq!(table.handle(intid, || 0), Outcome::Handled);
                assert_eq!(calls.load(Ordering::Relaxed), intid);
            }
        }
        assert_eq!(Arc::strong_count(&calls), 1);
        table.add(edge(961), "again", Box::new(|| {})).unwrap();
        assert_eq!(table.handle(961, || 0), Outcome::Handled);
    }

    #[test]
    fn a_storm_is_told_from_many_interrupts() {
        let (table, _) = counting(&[960]);
        let outcome = |polls: u64| {
            assert!((1..STORM).all(|_| table.handle(960, || unreachable!()) == Outcome::Handled));
            table.handle(960, || polls)
        };
        assert_eq!(outcome(7), Outcome::Handled);
        assert_eq!(outcome(8), Outcome::Handled);
        let Outcome::Storm(usage) = outcome(8) else { panic!("a storm") };
        assert_eq!((usage.name, usage.count), ("test", 3 * STORM));
    }
}
