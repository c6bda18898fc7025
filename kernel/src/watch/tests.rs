//! What is found by looking, and when nobody looks.

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

/// All services, as tasks.
fn services(rig: &Rig) -> Tasks<'_> {
    let mut tasks = Tasks::new();
    for (_, task) in rig.board.take_tasks() {
        tasks.spawn(task);
    }
    tasks.spawn(async { panic!("{}", rig.client.run().await) });
    tasks.run_until_idle();
    tasks
}

/// All services and the watch, as tasks.
fn tasks(rig: &Rig) -> Tasks<'_> {
    let mut tasks = services(rig);
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

/// Looks at an object after something came of which no interrupt told; what it says of that, where `meanwhile`
/// happens before it is asked again.
fn verdict(
    rig: &Rig,
    tasks: &mut Tasks<'_>,
    object: &impl Announced,
    meanwhile: impl FnOnce(&mut Tasks<'_>),
) -> bool {
    let (verdict, timer) = (core::cell::Cell::new(false), &rig.setup.timer);
    let mut watch = Tasks::new();
    let look = watch.spawn(async {
        verdict.set(finds_what_none_announced(object, timer).await);
    });
    watch.run_until_idle();
    tasks.run_until_idle();
    meanwhile(tasks);
    timer.advance(RECEIVING);
    watch.run_until_idle();
    assert!(watch.is_done(look));
    verdict.get()
}

#[test]
fn an_interrupt_that_comes_late_is_not_lost() {
    let rig = Rig::new();
    let mut tasks = services(&rig);
    let (bell, queue) = first(&rig);
    let receiver = queue.receiver.as_ref().unwrap();
    let hypervisor = rig.setup.guest.hypervisor();
    let ring = || rig.peer.doorbell_send(rig.to_guest.source, 0x1).unwrap();
    let send = || rig.peer.msgqueue_send(rig.queue_to_guest.tx, b"hello", false).unwrap();
    let late = |tasks: &mut Tasks<'_>| {
        assert!(rig.board.deliver(hypervisor));
        tasks.run_until_idle();
    };
    ring();
    assert!(!verdict(&rig, &mut tasks, &*bell.receiver, late));
    send();
    assert!(!verdict(&rig, &mut tasks, &**receiver, late));
    // It came, but its task had no turn yet.
    send();
    let untold = |_: &mut Tasks<'_>| assert!(rig.board.deliver(hypervisor));
    assert!(!verdict(&rig, &mut tasks, &**receiver, untold));
    tasks.run_until_idle();
    // Lost indeed, while what comes afterwards is announced as ever.
    ring();
    assert!(hypervisor.take_virq(rig.to_guest.virq));
    assert!(verdict(&rig, &mut tasks, &*bell.receiver, |tasks| {
        ring();
        late(tasks);
    }));
    send();
    assert!(hypervisor.take_virq(rig.queue_to_guest.rx_virq));
    assert!(verdict(&rig, &mut tasks, &**receiver, |tasks| {
        send();
        late(tasks);
    }));
    assert_eq!((bell.receiver.statistics().found, receiver.statistics().found), (2, 3));
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
