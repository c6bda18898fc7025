//! A counter that moves when told.

use super::{Counter, Frequency, Instant};
use core::cell::Cell;

/// One tick of the fake counter is a nanosecond.
#[derive(Default)]
pub(crate) struct FakeCounter {
    pub(crate) now: Cell<u64>,
    pub(crate) alarm: Cell<Option<Instant>>,
    pub(crate) alarms_set: Cell<usize>,
}

impl FakeCounter {
    /// Whether the alarm's interrupt is asserted.
    pub(crate) fn asserted(&self) -> bool {
        self.alarm.get().is_some_and(|alarm| alarm.ticks() <= self.now.get())
    }
}

impl Counter for FakeCounter {
    fn now(&self) -> Instant {
        Instant::from_ticks(self.now.get())
    }

    fn frequency(&self) -> Frequency {
        Frequency::from_hertz(1_000_000_000).unwrap()
    }

    fn set_alarm(&self, deadline: Option<Instant>) {
        self.alarm.set(deadline);
        self.alarms_set.set(self.alarms_set.get() + 1);
    }
}
