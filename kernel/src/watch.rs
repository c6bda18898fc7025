//! A look at every queue and doorbell, in case an interrupt was lost.
//!
//! Interrupts announce everything there is to receive, so this finds nothing on a hypervisor that
//! works. A VM that has nothing to do must cost nothing, so nobody looks then: a look comes with
//! the next sign of life, a key at the console, an event of the Resource Manager, a ring or a
//! message, and at most once in [`PERIOD`]. What it finds is received and reported: the interrupt
//! that should have announced it did not come. Where it came late, since the sender runs on another
//! CPU, nothing is reported; such an interrupt is told by there being nothing left when it comes.

use crate::{channels::Channel, system::System, watched::Watched};
use core::fmt::Display;
use core::time::Duration;
use gunyah::{
    doorbell::Doorbell,
    hypercalls::Hypercalls,
    queue::{MessageReceiver, MessageSender},
    rm::Timer,
};

/// Time from one look to the next.
pub const PERIOD: Duration = Duration::from_secs(5);
/// How long what is found may take to be received.
const RECEIVING: Duration = Duration::from_millis(20);

/// Something that an interrupt announces.
trait Announced {
    /// Has its task look.
    fn look(&self);
    /// How much was found, and how many interrupts came that could have announced it.
    fn counts(&self) -> (u64, u64);
    /// Whether an interrupt came that nobody has looked into yet.
    fn is_pending(&self) -> bool;
}

impl<H: Hypercalls> Announced for MessageReceiver<H> {
    fn look(&self) {
        Self::look(self);
    }

    fn counts(&self) -> (u64, u64) {
        let counts = self.statistics();
        (counts.found, counts.waits)
    }

    fn is_pending(&self) -> bool {
        self.is_ready()
    }
}

impl<H: Hypercalls> Announced for MessageSender<H> {
    fn look(&self) {
        Self::look(self);
    }

    fn counts(&self) -> (u64, u64) {
        let counts = self.statistics();
        (counts.messages, counts.interrupts)
    }

    fn is_pending(&self) -> bool {
        false
    }
}

impl<H: Hypercalls> Announced for Doorbell<H> {
    fn look(&self) {
        Self::look(self);
    }

    fn counts(&self) -> (u64, u64) {
        let counts = self.statistics();
        (counts.found, counts.kicks)
    }

    fn is_pending(&self) -> bool {
        self.is_ready()
    }
}

/// Signs of life, of which the watch takes note.
#[derive(Default)]
pub struct Life(Watched<bool>);

impl Life {
    /// Something happens. Costs next to nothing, however often.
    #[inline]
    pub fn sign(&self) {
        if !self.0.get() {
            self.0.set(true);
        }
    }

    async fn next(&self) {
        self.0.until(|alive| alive.then_some(())).await;
        self.0.set(false);
    }
}

/// Looks at everything, with every sign of life, but not more often than once in [`PERIOD`].
pub async fn watch<H, C>(system: &System<H, C>, clock: &impl Timer) -> !
where
    H: Hypercalls + Clone + Send + Sync + 'static,
    C: Timer + Clone + 'static,
{
    loop {
        system.channels.life().next().await;
        if let Some(manager) = system.manager.filter(|manager| !manager.is_busy()) {
            look(manager.receiver(), clock, &"rm").await;
        }
        for channel in system.channels.all() {
            match &channel {
                Channel::Queue(queue) => {
                    if let Some(receiver) = &queue.receiver {
                        look(&**receiver, clock, &channel).await;
                    }
                    // Without a message that waits for room this asks nobody.
                    if let Some(sender) = queue.sender.as_ref().filter(|sender| sender.is_full()) {
                        look(&**sender, clock, &channel).await;
                    }
                }
                Channel::Bell(bell) => look(&*bell.receiver, clock, &channel).await,
                Channel::Source(_) | Channel::Buffer(_) => {}
            }
        }
        clock.sleep(PERIOD).await;
    }
}

async fn look(object: &impl Announced, clock: &impl Timer, name: &dyn Display) {
    if finds_what_none_announced(object, clock).await {
        log::warn!(target: "irq", "{name}: an interrupt was lost, found by looking");
    }
}

async fn finds_what_none_announced(object: &impl Announced, clock: &impl Timer) -> bool {
    let (before, interrupts) = object.counts();
    object.look();
    clock.sleep(RECEIVING).await;
    let (after, interrupts_after) = object.counts();
    after != before && interrupts_after == interrupts && !object.is_pending()
}

#[cfg(test)]
mod tests;
