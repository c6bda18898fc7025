//! A rare look at every queue and doorbell, in case an interrupt was lost.
//!
//! Interrupts announce everything there is to receive, so this finds nothing on a hypervisor that
//! works, and costs a hypercall for each object in [`PERIOD`]. What it finds is received and
//! reported: the interrupt that should have announced it did not come.

use crate::{channels::Channel, system::System};
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

/// Looks at everything, again and again.
pub async fn watch<H: Hypercalls, C: Timer>(system: &System<H, C>, clock: &impl Timer) -> ! {
    loop {
        clock.sleep(PERIOD).await;
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

    /// Lets time pass; no interrupt is delivered.
    fn pass(rig: &Rig, tasks: &mut Tasks<'_>, periods: u32) {
        let end = rig.setup.timer.now() + PERIOD * periods + PERIOD / 2;
        while rig.setup.timer.now() < end {
            assert!(rig.setup.timer.advance_to_next());
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
