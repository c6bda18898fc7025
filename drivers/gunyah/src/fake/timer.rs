//! A clock that a test moves by hand.

use crate::rm::Timer;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::poll_fn;
use core::task::{Poll, Waker};
use core::time::Duration;
use spin::mutex::SpinMutex;

#[derive(Default)]
struct Clock {
    now: Duration,
    sleepers: Vec<(Duration, Waker)>,
}

/// A clock that stands until [`FakeTimer::advance`]. Clones are the same clock.
#[derive(Clone, Default)]
pub struct FakeTimer {
    clock: Arc<SpinMutex<Clock>>,
}

impl FakeTimer {
    /// The time since the clock was made.
    pub fn now(&self) -> Duration {
        self.clock.lock().now
    }

    /// Moves the clock and wakes those whose time has come.
    pub fn advance(&self, by: Duration) {
        let mut clock = self.clock.lock();
        clock.now += by;
        let now = clock.now;
        let (due, waiting): (Vec<_>, Vec<_>) =
            clock.sleepers.drain(..).partition(|(deadline, _)| *deadline <= now);
        clock.sleepers = waiting;
        drop(clock);
        due.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// Moves the clock to the next deadline somebody sleeps for; false if nobody sleeps.
    pub fn advance_to_next(&self) -> bool {
        let clock = self.clock.lock();
        let next = clock.sleepers.iter().map(|(deadline, _)| *deadline).min();
        let by = next.map(|deadline| deadline.saturating_sub(clock.now));
        drop(clock);
        by.is_some_and(|by| {
            self.advance(by);
            true
        })
    }
}

impl Timer for FakeTimer {
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> {
        let deadline = self.now() + duration;
        poll_fn(move |cx| {
            let mut clock = self.clock.lock();
            if clock.now >= deadline {
                return Poll::Ready(());
            }
            clock.sleepers.push((deadline, cx.waker().clone()));
            Poll::Pending
        })
    }
}
