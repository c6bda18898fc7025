//! Who uses a channel, as something that tasks can wait for.

use crate::watched::Watched;

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
#[derive(Default)]
pub struct Gate(Watched<Use>);

impl Gate {
    /// What the channel is used for now.
    pub fn now(&self) -> Use {
        self.0.get()
    }

    /// Changes the use and wakes who waits; what is closed stays so.
    pub fn set(&self, new: Use) {
        if self.now() != Use::Closed {
            self.0.set(new);
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
        self.0.until(|now| wanted(now).then_some(now)).await
    }

    /// Whether the channel is closed.
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
    fn a_task_that_looks_often_waits_once() {
        let gate = Gate::default();
        let mut tasks = Tasks::new();
        let task = tasks.spawn(gate.closed());
        for _ in 0..5 {
            tasks.run_one(task);
        }
        assert_eq!(gate.0.waiting(), 1);
    }
}
