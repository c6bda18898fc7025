//! Interrupts: who handles which INTID, and how often that was.
//!
//! The table here is plain data; `gic` programs the GICv3 and dispatches. A handler runs with
//! interrupts masked, before the end of the interrupt is signalled: it notes what happened and
//! wakes a task. All other work is done in tasks. A level source is cleared in its handler.

#[cfg(target_os = "none")]
pub mod gic;

use crate::dt::{Interrupt, Trigger};
use alloc::vec::Vec;
use thiserror::Error;

/// What is called when an interrupt was acknowledged.
pub type Handler = &'static (dyn Fn() + Sync);

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

/// INTIDs of a GICv3 without extended ranges.
const INTIDS: usize = 1020;

/// The interrupts in use, by INTID.
pub struct Table {
    entries: Vec<(Usage, Handler)>,
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
        if let Some(taken) = self.usage().find(|usage| usage.interrupt.intid == intid) {
            return Err(Taken { intid, name: taken.name });
        }
        self.entries.push((Usage { interrupt, name, count: 0 }, handler));
        if let Some(place) = self.places.get_mut(intid as usize) {
            *place = self.entries.len() as u16;
        }
        Ok(())
    }

    /// Counts an interrupt and finds its handler.
    #[inline]
    pub fn take(&mut self, intid: u32) -> Option<Handler> {
        let place = usize::from(*self.places.get(intid as usize)?);
        let (usage, handler) = self.entries.get_mut(place.wrapping_sub(1))?;
        usage.count += 1;
        Some(*handler)
    }

    /// All entries, in the order in which they came.
    pub fn usage(&self) -> impl Iterator<Item = Usage> + '_ {
        self.entries.iter().map(|(usage, _)| *usage)
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

    fn edge(intid: u32) -> Interrupt {
        Interrupt { intid, trigger: Trigger::Edge }
    }

    #[test]
    fn handlers_are_found_and_counted() {
        static CALLS: AtomicU32 = AtomicU32::new(0);
        let mut table = Table::new();
        for intid in [961, 27, 960] {
            table
                .add(edge(intid), "test", &|| {
                    CALLS.fetch_add(1, Ordering::Relaxed);
                })
                .unwrap();
        }
        table.take(960).unwrap()();
        table.take(960).unwrap()();
        assert!(table.take(962).is_none());
        assert_eq!(CALLS.load(Ordering::Relaxed), 2);
        let counts: Vec<_> = table.usage().map(|u| (u.interrupt.intid, u.count)).collect();
        assert_eq!(counts, [(961, 0), (27, 0), (960, 2)]);
    }

    #[test]
    fn an_intid_is_given_out_once() {
        let mut table = Table::new();
        table.add(edge(960), "rm tx", &|| {}).unwrap();
        let error = table.add(edge(960), "bell", &|| {}).unwrap_err();
        assert_eq!(error.to_string(), "INTID 960 is taken by rm tx");
    }
}
