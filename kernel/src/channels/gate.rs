//! Who uses a channel, as something that tasks can wait for.

use crate::watched::Watched;
use core::cell::Cell;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::Poll;

/// What a channel is used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Use {
    /// Its own service.
    #[default]
    Service,
    /// Something that took it over, and gives it back.
    Claimed(&'static str),
    /// Nothing: it is gone. That is for ever.
    Closed,
}

/// The use of a channel. Tasks of one CPU wait for its change.
pub struct Gate {
    used: Watched<Use>,
    /// How often the use changed, plus one.
    changes: Cell<u64>,
    /// The service ended by itself, and nothing else had the channel since.
    over: Cell<bool>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { used: Watched::default(), changes: Cell::new(1), over: Cell::new(false) }
    }
}

impl Gate {
    /// What the channel is used for now.
    pub fn now(&self) -> Use {
        self.used.get()
    }

    /// Changes the use and wakes who waits; what is closed stays so.
    pub fn set(&self, new: Use) {
        if self.now() != Use::Closed {
            self.changes.set(self.changes.get().wrapping_add(1));
            self.over.set(self.over.get() && new == Use::Service);
            self.used.set(new);
        }
    }

    /// Takes the channel over from its service. False if somebody has done so, or it is closed.
    pub fn claim(&self, by: &'static str) -> bool {
        let free = self.now() == Use::Service;
        if free {
            self.set(Use::Claimed(by));
        }
        free
    }

    /// Gives the channel back to its service.
    pub fn release(&self) {
        self.set(Use::Service);
    }

    /// Waits until the channel is used in a way that is wanted, and returns it.
    pub async fn until(&self, wanted: impl Fn(Use) -> bool) -> Use {
        self.used.until(|now| wanted(now).then_some(now)).await
    }

    /// Whether nobody is there to take what comes: the channel is closed, or its service ended by itself.
    pub fn is_deserted(&self) -> bool {
        self.is_closed() || self.over.get()
    }

    /// Waits for the service's turn, which comes back only after something else had the channel once it ended by
    /// itself. False if the channel is closed.
    pub fn turn(&self) -> impl Future<Output = bool> {
        poll_fn(move |cx| {
            match self.now() {
                Use::Closed => return Poll::Ready(false),
                Use::Service if !self.over.get() => return Poll::Ready(true),
                _ => self.used.register(cx),
            }
            Poll::Pending
        })
    }

    /// Runs the channel's service while it has its turn; `None` if the turn ends before the service does. Polled by
    /// one task: while nothing changes, the waker that was left here once is not looked for again.
    pub fn while_service<F: Future>(
        &self,
        mut service: Pin<&mut F>,
    ) -> impl Future<Output = Option<F::Output>> {
        let mut seen = 0;
        poll_fn(move |cx| {
            if seen != self.changes.get() {
                if self.now() != Use::Service {
                    return Poll::Ready(None);
                }
                self.used.register(cx);
                seen = self.changes.get();
            }
            let polled = service.as_mut().poll(cx);
            if polled.is_ready() {
                self.over.set(true);
            }
            polled.map(Some)
        })
    }

    /// Whether the channel is closed.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.now() == Use::Closed
    }

    /// Waits until the channel is closed.
    pub async fn closed(&self) {
        self.until(|now| now == Use::Closed).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::pin::pin;
    use gunyah::fake::Tasks;

    #[test]
    fn a_change_wakes_those_who_wait_for_it() {
        let gate = Gate::default();
        let mut tasks = Tasks::new();
        let closed = tasks.spawn(gate.closed());
        let claimed = tasks.spawn(async {
            let taken = gate.until(|now| now != Use::Service).await;
            assert_eq!(taken, Use::Claimed("ring"));
        });
        tasks.run_until_idle();
        assert!(gate.claim("ring"));
        assert!(!gate.claim("another"));
        tasks.run_until_idle();
        assert!(tasks.is_done(claimed) && !tasks.is_done(closed));
        gate.release();
        gate.set(Use::Closed);
        gate.release();
        tasks.run_until_idle();
        assert!(tasks.is_done(closed));
        assert_eq!(gate.now(), Use::Closed);
        assert!(!gate.claim("ring"));
    }

    #[test]
    fn a_service_runs_until_the_channel_is_used_otherwise() {
        let (gate, polls) = (Gate::default(), Cell::new(0));
        let mut tasks = Tasks::new();
        let task = tasks.spawn(async {
            let service = pin!(poll_fn(|cx| {
                polls.set(polls.get() + 1);
                if polls.get() == 1 {
                    cx.waker().wake_by_ref();
                }
                Poll::<()>::Pending
            }));
            assert_eq!(gate.while_service(service).await, None);
        });
        tasks.run_until_idle();
        assert_eq!((polls.get(), gate.used.waiting()), (2, 1));
        // Taken and given back before the service could see it.
        assert!(gate.claim("ring"));
        gate.release();
        tasks.run_until_idle();
        assert_eq!((polls.get(), gate.used.waiting()), (3, 1));
        assert!(gate.claim("ring"));
        tasks.run_until_idle();
        assert!(tasks.is_done(task));
        assert_eq!(polls.get(), 3);
    }

    #[test]
    fn a_service_that_is_over_gets_its_turn_after_something_else() {
        let (gate, turns) = (Gate::default(), Cell::new(0));
        let mut tasks = Tasks::new();
        let task = tasks.spawn(async {
            while gate.turn().await {
                let service = pin!(async { turns.set(turns.get() + 1) });
                gate.while_service(service).await;
            }
        });
        for _ in 0..3 {
            tasks.run_until_idle();
            assert!(turns.get() == 1 && gate.is_deserted());
            gate.release();
        }
        assert!(gate.claim("ring") && !gate.is_deserted());
        tasks.run_until_idle();
        gate.release();
        tasks.run_until_idle();
        assert_eq!((turns.get(), tasks.is_done(task)), (2, false));
        gate.set(Use::Closed);
        tasks.run_until_idle();
        assert!(tasks.is_done(task) && gate.is_deserted());
    }

    #[test]
    fn a_service_may_end_by_itself() {
        let gate = Gate::default();
        let mut tasks = Tasks::new();
        let task = tasks.spawn(async {
            assert_eq!(gate.while_service(pin!(async { 7 })).await, Some(7));
        });
        tasks.run_until_idle();
        assert!(tasks.is_done(task));
    }

    #[test]
    fn a_task_that_looks_often_waits_once() {
        let gate = Gate::default();
        let mut tasks = Tasks::new();
        let task = tasks.spawn(gate.closed());
        for _ in 0..5 {
            tasks.run_one(task);
        }
        assert_eq!(gate.used.waiting(), 1);
    }
}
