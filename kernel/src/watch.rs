//! A look at every queue and doorbell, in case an interrupt was lost.
//!
//! Interrupts announce everything there is to receive, so this finds nothing on a hypervisor that
//! works. A VM that has nothing to do must cost nothing, so nobody looks then: a look comes with
//! the next sign of life, a key at the console, an event of the Resource Manager, a ring or a
//! message, and at most once in [`PERIOD`]. What it finds is received and reported: the interrupt
//! that should have announced it did not come.

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
    /// How much was found, and how many interrupts could have announced it.
    fn counts(&self) -> (u64, u64);
}

impl<H: Hypercalls> Announced for MessageReceiver<H> {
    fn look(&self) {
        Self::look(self);
    }

    fn counts(&self) -> (u64, u64) {
        (self.statistics().found, 0)
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
}

impl<H: Hypercalls> Announced for Doorbell<H> {
    fn look(&self) {
        Self::look(self);
    }

    fn counts(&self) -> (u64, u64) {
        (self.statistics().found, 0)
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
    let (before, interrupts) = object.counts();
    object.look();
    clock.sleep(RECEIVING).await;
    let (after, interrupts_after) = object.counts();
    if after != before && interrupts_after == interrupts {
        log::warn!(target: "irq", "{name}: an interrupt was lost, found by looking");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::tests::rig::Rig;
    use crate::{channels::Queue, services::BellService};
    use alloc::rc::Rc;
    use gunyah::fake::{FakeVm, Tasks};
    use gunyah_abi::Hypercall;

    /// The doorbell and the queue.
    fn first(rig: &Rig) -> (Rc<BellService<FakeVm>>, Rc<Queue<FakeVm>>) {
        (rig.system.channels.bells().remove(0), rig.system.channels.queues().remove(0))
    }

    /// All services and the watch, as tasks.
    fn tasks(rig: &Rig) -> Tasks<'_> {
        let mut tasks = Tasks::new();
        for (_, task) in rig.board.take_tasks() {
            tasks.spawn(task);
        }
        tasks.spawn(async { panic!("{}", rig.client.run().await) });
        tasks.spawn(async { watch(&rig.system, &rig.setup.timer).await });
        tasks.run_until_idle();
        tasks
    }

    /// Lets time pass, after a sign of life; no interrupt is delivered.
    fn pass(rig: &Rig, tasks: &mut Tasks<'_>, periods: u32) {
        rig.system.channels.life().sign();
        tasks.run_until_idle();
        let end = rig.setup.timer.now() + PERIOD * periods + PERIOD / 2;
        while rig.setup.timer.now() < end {
            if !rig.setup.timer.advance_to_next() {
                return;
            }
            tasks.run_until_idle();
        }
    }

    #[test]
    fn what_no_interrupt_announced_is_found() {
        let rig = Rig::new();
        let mut tasks = tasks(&rig);
        rig.peer.doorbell_send(rig.to_guest.source, 0x1).unwrap();
        rig.peer.msgqueue_send(rig.queue_to_guest.tx, b"hello", false).unwrap();
        pass(&rig, &mut tasks, 1);
        let (bell, queue) = first(&rig);
        assert_eq!(bell.answered(), 1);
        assert_eq!(queue.echoed.get(), 1);
        assert_eq!(bell.receiver.statistics().found, 1);
        assert_eq!(queue.receiver.as_ref().unwrap().statistics().found, 1);
    }

    #[test]
    fn room_that_no_interrupt_announced_is_found() {
        let rig = Rig::new();
        let mut tasks = tasks(&rig);
        let mut buffer = [0; 240];
        for number in 0..9 {
            rig.peer.msgqueue_send(rig.queue_to_guest.tx, &[number], false).unwrap();
            pass(&rig, &mut tasks, 1);
        }
        for _ in 0..8 {
            assert!(rig.peer.msgqueue_receive(rig.queue_to_peer.rx, &mut buffer).is_ok());
        }
        assert!(rig.peer.msgqueue_receive(rig.queue_to_peer.rx, &mut buffer).is_err());
        pass(&rig, &mut tasks, 1);
        assert!(rig.peer.msgqueue_receive(rig.queue_to_peer.rx, &mut buffer).is_ok());
        assert_eq!(buffer[0], 8);
    }

    #[test]
    fn without_a_sign_of_life_nobody_looks_and_nothing_happens() {
        let rig = Rig::new();
        let mut tasks = tasks(&rig);
        let calls = || {
            let hypervisor = rig.setup.guest.hypervisor();
            let calls = [Hypercall::DoorbellReceive, Hypercall::MsgqueueReceive];
            calls.map(|call| hypervisor.calls(call)).iter().sum::<u64>()
        };
        pass(&rig, &mut tasks, 3);
        let before = calls();
        // No deadline is left, so the CPU sleeps until something happens.
        assert!(!rig.setup.timer.advance_to_next());
        rig.setup.timer.advance(100 * PERIOD);
        tasks.run_until_idle();
        assert_eq!(calls(), before);
        rig.system.channels.life().sign();
        for _ in 0..10 {
            tasks.run_until_idle();
            rig.setup.timer.advance(RECEIVING);
        }
        assert!(calls() > before);
        let after = calls();
        for _ in 0..100 {
            rig.system.channels.life().sign();
            tasks.run_until_idle();
        }
        assert_eq!(calls(), after, "looks more than once in {PERIOD:?}");
    }

    #[test]
    fn a_look_that_finds_nothing_counts_nothing() {
        let rig = Rig::new();
        pass(&rig, &mut tasks(&rig), 3);
        let (bell, queue) = first(&rig);
        let counts = bell.receiver.statistics();
        assert_eq!((counts.interrupts, counts.kicks, counts.rings), (0, 0, 0));
        assert_eq!(queue.receiver.as_ref().unwrap().statistics().messages, 0);
        assert_eq!(queue.sender.as_ref().unwrap().statistics().messages, 0);
    }
}
