//! One counter, its alarm, and all who wait for it.

use super::{
    Counter, Elapsed, Frequency, Instant, Sleep,
    queue::{Key, Queue},
};
use crate::task::section;
use core::{
    cell::RefCell,
    fmt,
    future::poll_fn,
    pin::{Pin, pin},
    task::{Poll, Waker},
    time::Duration,
};
use critical_section::Mutex;

struct State {
    queue: Queue,
    /// What the alarm is set to.
    alarm: Option<Instant>,
}

/// The clock and the timers of the kernel, over one [`Counter`]. Lives in a `static`.
pub struct Timers<C> {
    counter: C,
    state: Mutex<RefCell<State>>,
}

impl<C> Timers<C> {
    /// Makes timers with nothing pending. The counter's alarm must be off.
    pub const fn new(counter: C) -> Self {
        let state = State { queue: Queue::new(), alarm: None };
        Self { counter, state: Mutex::new(RefCell::new(state)) }
    }

    /// The counter.
    pub const fn counter(&self) -> &C {
        &self.counter
    }
}

impl<C: Counter> Timers<C> {
    /// Reads the counter.
    pub fn now(&self) -> Instant {
        self.counter.now()
    }

    /// How fast the counter counts.
    pub fn frequency(&self) -> Frequency {
        self.counter.frequency()
    }

    /// Time since the counter started.
    pub fn uptime(&self) -> Duration {
        self.frequency().duration(self.now().ticks())
    }

    /// The moment `duration` from now, the end of time at most. Out of line, so that a future which
    /// seldom sleeps does not prepare for it at each poll.
    #[inline(never)]
    pub fn after(&self, duration: Duration) -> Instant {
        self.now().saturating_add(self.frequency().ticks(duration))
    }

    /// Waits for `duration`, counted from this call.
    pub fn sleep(&self, duration: Duration) -> Sleep<'_, C> {
        self.sleep_until(self.after(duration))
    }

    /// Waits until `deadline`.
    pub const fn sleep_until(&self, deadline: Instant) -> Sleep<'_, C> {
        Sleep::new(self, deadline)
    }

    /// Waits for `future`, for `duration` from this call at most.
    ///
    /// # Errors
    ///
    /// [`Elapsed`] when the future was not ready by then. The future is polled first, so one that
    /// became ready together with the deadline wins.
    pub fn timeout<F: Future>(
        &self,
        duration: Duration,
        future: F,
    ) -> impl Future<Output = Result<F::Output, Elapsed>> {
        let mut sleep = self.sleep(duration);
        async move {
            let mut future = pin!(future);
            poll_fn(|context| {
                if let Poll::Ready(output) = future.as_mut().poll(context) {
                    return Poll::Ready(Ok(output));
                }
                Pin::new(&mut sleep).poll(context).map(|()| Err(Elapsed))
            })
            .await
        }
    }

    /// The timer interrupt's handler: wakes whoever's deadline has passed, sets the alarm for the
    /// earliest deadline left and returns it.
    pub fn on_interrupt(&self) -> Option<Instant> {
        loop {
            let now = self.counter.now();
            let expired = section::with(|token| {
                let state = &mut *self.state.borrow_ref_mut(token);
                match state.queue.pop_expired(now) {
                    Some(waker) => Ok(waker),
                    None => {
                        let next = state.queue.first();
                        if state.alarm != next {
                            state.alarm = next;
                            self.counter.set_alarm(next);
                        }
                        Err(next)
                    }
                }
            });
            match expired {
                Ok(waker) => waker.wake(),
                Err(next) => return next,
            }
        }
    }

    /// How many deadlines are pending.
    pub fn pending(&self) -> usize {
        section::with(|token| self.state.borrow_ref(token).queue.len())
    }

    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        section::with(|token| self.state.borrow_ref(token).queue.places())
    }

    #[inline]
    pub(super) fn insert(&self, deadline: Instant, waker: &Waker) -> Key {
        let (key, replaced) = section::with(|token| {
            let state = &mut *self.state.borrow_ref_mut(token);
            let inserted = state.queue.insert(deadline, waker);
            if state.alarm.is_none_or(|alarm| deadline < alarm) {
                state.alarm = Some(deadline);
                self.counter.set_alarm(Some(deadline));
            }
            inserted
        });
        drop(replaced);
        key
    }

    #[inline(never)]
    pub(super) fn renew(&self, key: &Key, waker: &Waker) -> bool {
        let (pending, replaced) =
            section::with(|token| self.state.borrow_ref_mut(token).queue.renew(key, waker));
        drop(replaced);
        pending
    }
}

impl<C> Timers<C> {
    #[inline]
    pub(super) fn remove(&self, key: Key) {
        section::with(|token| self.state.borrow_ref_mut(token).queue.remove(key));
    }
}

impl<C: fmt::Debug> fmt::Debug for Timers<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timers").field("counter", &self.counter).finish_non_exhaustive()
    }
}
