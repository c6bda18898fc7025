//! The end, with services still busy and a console that does not close.

use super::*;
use crate::{
    channels::{self, About},
    services::SERVICES_LABEL,
    shell::tests::rig::Rig,
};
use core::cell::Cell;
use gunyah::{fake::Tasks, queue::QueueConfig};

/// Services and the end as tasks; the second value is the end's task.
fn tasks<'r>(rig: &'r Rig, ended: &'r Cell<Option<End>>) -> (Tasks<'r>, usize) {
    let mut tasks = Tasks::new();
    for (_, task) in rig.board.take_tasks() {
        tasks.spawn(task);
    }
    let wishes = wishes();
    rig.client.subscribe(wishes.clone());
    let end = tasks.spawn(async move {
        let system = &rig.system;
        let (channels, timer) = (&system.channels, &rig.setup.timer);
        ended.set(Some(system.ending.see_to(&wishes, channels, system.directory, timer).await));
    });
    tasks.run_until_idle();
    (tasks, end)
}

/// Lets time pass until the end, at most so long; returns how long it took.
fn pass(rig: &Rig, tasks: &mut Tasks<'_>, ended: &Cell<Option<End>>) -> Duration {
    let start = rig.setup.timer.now();
    loop {
        tasks.run_until_idle();
        while rig.board.deliver(rig.setup.guest.hypervisor()) {
            tasks.run_until_idle();
        }
        if ended.get().is_some() {
            return rig.setup.timer.now() - start;
        }
        assert!(rig.setup.timer.advance_to_next(), "no end comes");
    }
}

#[test]
fn with_nothing_to_do_it_comes_at_once() {
    let (rig, ended) = (Rig::new(), Cell::new(None));
    let (mut tasks, task) = tasks(&rig, &ended);
    assert!(!tasks.is_done(task));
    rig.system.ending.ask(End::PowerOff);
    // The first who asks says how.
    rig.system.ending.ask(End::Reboot);
    assert!(pass(&rig, &mut tasks, &ended) < Duration::from_millis(20));
    assert_eq!(ended.get(), Some(End::PowerOff));
}

#[test]
fn what_was_received_is_answered_first() {
    let (rig, ended) = (Rig::new(), Cell::new(None));
    let (mut tasks, _) = tasks(&rig, &ended);
    for number in 0..8 {
        rig.peer.msgqueue_send(rig.queue_to_guest.tx, &[number], false).unwrap();
    }
    rig.peer.doorbell_send(rig.to_guest.source, 1).unwrap();
    assert!(rig.board.deliver(rig.setup.guest.hypervisor()));
    rig.system.ending.ask(End::Reboot);
    assert!(pass(&rig, &mut tasks, &ended) < DRAIN);
    assert_eq!(ended.get(), Some(End::Reboot));
    let mut buffer = [0; 240];
    for number in 0..8 {
        rig.peer.msgqueue_receive(rig.queue_to_peer.rx, &mut buffer).unwrap();
        assert_eq!(buffer[0], number);
    }
    assert_eq!(rig.peer.doorbell_receive(rig.to_peer.receiver, u64::MAX), Ok(1 << 32));
}

#[test]
fn a_peer_that_takes_no_answers_holds_it_up_for_no_longer_than_the_deadline() {
    let (rig, ended) = (Rig::new(), Cell::new(None));
    let (mut tasks, _) = tasks(&rig, &ended);
    for number in 0..12 {
        rig.peer.msgqueue_send(rig.queue_to_guest.tx, &[number], false).unwrap();
        rig.board.deliver(rig.setup.guest.hypervisor());
        tasks.run_until_idle();
    }
    rig.system.ending.ask(End::PowerOff);
    let took = pass(&rig, &mut tasks, &ended);
    assert!((DRAIN..DRAIN + Duration::from_millis(20)).contains(&took), "{took:?}");
}

#[test]
fn a_peer_whose_nonsense_closed_its_channel_does_not_hold_it_up() {
    let (rig, ended) = (Rig::new(), Cell::new(None));
    let (guest, registry) = (&rig.setup.guest, &rig.system.channels);
    let hypervisor = guest.hypervisor();
    let (to_peer, to_guest) =
        (hypervisor.queue(guest, &rig.peer, 8, 240), hypervisor.queue(&rig.peer, guest, 8, 240));
    rig.board.wire(981, to_guest.rx_virq);
    let end = |capability, intid| {
        Some(channels::End {
            config: QueueConfig { capability, max_message_size: 240, depth: 8 },
            intid,
        })
    };
    let about = About::tree(Some(SERVICES_LABEL), None, "/services");
    registry.add_queue(about, end(to_peer.tx, 980), end(to_guest.rx, 981)).unwrap();
    let (mut tasks, _) = tasks(&rig, &ended);
    assert_eq!(rig.system.directory.channels().len(), 1);
    for _ in 0..17 {
        rig.peer.msgqueue_send(to_guest.tx, &[0], true).unwrap();
        rig.board.deliver(hypervisor);
        tasks.run_until_idle();
    }
    assert!(rig.system.directory.channels().is_empty());
    rig.system.ending.ask(End::PowerOff);
    assert!(pass(&rig, &mut tasks, &ended) < Duration::from_millis(20));
}

#[test]
fn a_console_that_does_not_close_holds_it_up_for_no_longer_than_the_deadline() {
    let (rig, ended) = (Rig::new(), Cell::new(None));
    let (mut tasks, _) = tasks(&rig, &ended);
    let console = rig.system.ending.console();
    rig.system.ending.ask(End::PowerOff);
    let took = pass(&rig, &mut tasks, &ended);
    assert!((CLOSE..CLOSE + Duration::from_millis(20)).contains(&took), "{took:?}");
    drop(console);
}

#[test]
fn a_console_that_closes_is_waited_for() {
    let (rig, ended) = (Rig::new(), Cell::new(None));
    let (mut tasks, task) = tasks(&rig, &ended);
    let console = tasks.spawn(async {
        let _open = rig.system.ending.console();
        assert_eq!(rig.system.ending.drained().await, End::PowerOff);
        rig.setup.timer.sleep(CLOSE / 2).await;
    });
    tasks.run_until_idle();
    rig.system.ending.ask(End::PowerOff);
    let took = pass(&rig, &mut tasks, &ended);
    assert!(tasks.is_done(console) && tasks.is_done(task));
    assert!((CLOSE / 2..CLOSE).contains(&took), "{took:?}");
}

#[test]
fn the_owner_may_ask_for_it() {
    let (mut rig, ended) = (Rig::new(), Cell::new(None));
    let client = rig.client;
    // It asks before any task has run.
    rig.setup.rm.notify(MessageId::VM_SHUTDOWN, &[5, 0, 0, 0]);
    rig.setup.rm.step();
    {
        let (mut tasks, _) = tasks(&rig, &ended);
        tasks.spawn(async { panic!("{}", client.run().await) });
        assert!(pass(&rig, &mut tasks, &ended) < Duration::from_millis(20));
    }
    assert_eq!(ended.get(), Some(End::PowerOff));
    assert_eq!(rig.system.ending.stage(), Stage::Drained(End::PowerOff));
}
