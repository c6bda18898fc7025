//! The doorbell service against a fake hypervisor, the test being the peer.

use super::*;
use gunyah::doorbell::DoorbellTrigger;
use gunyah::fake::{DoorbellEnds, FakeHypervisor, FakeVm, Fault, Tasks};
use gunyah_abi::{Error, Hypercall};

type Service = BellService<FakeVm>;

/// A guest with one doorbell each way, and its peer.
struct Pair {
    hypervisor: FakeHypervisor,
    peer: FakeVm,
    to_guest: DoorbellEnds,
    to_peer: DoorbellEnds,
    service: Service,
}

fn pair(paired: bool) -> Pair {
    let hypervisor = FakeHypervisor::new();
    let (guest, peer) = (hypervisor.vm(), hypervisor.vm());
    let to_guest = hypervisor.doorbell(&peer, &guest);
    let to_peer = hypervisor.doorbell(&guest, &peer);
    let source = DoorbellSource::new(guest.clone(), to_peer.source);
    let source = Rc::new(BellSource { about: About::tree(Some(3), None, ""), source });
    let receiver = Doorbell::new(guest.clone(), to_guest.receiver, DoorbellTrigger::Edge);
    let about = About::tree(Some(3), None, "/bell");
    let service = BellService::new(about, 960, Arc::new(receiver));
    if paired {
        service.answer_on(source);
    }
    Pair { hypervisor, peer, to_guest, to_peer, service }
}

impl Pair {
    fn ring(&self, flags: u64) {
        self.peer.doorbell_send(self.to_guest.source, flags).unwrap();
        assert!(self.hypervisor.take_virq(self.to_guest.virq));
        self.service.receiver.on_interrupt();
    }

    fn answer(&self) -> u64 {
        self.peer.doorbell_receive(self.to_peer.receiver, u64::MAX).unwrap()
    }

    fn counts(&self) -> Vec<(usize, u64)> {
        self.service.flags().collect()
    }

    fn serving(&self) -> Tasks<'_> {
        let mut tasks = Tasks::new();
        tasks.spawn(async { panic!("{:?}", self.service.serve().await) });
        tasks.run_until_idle();
        tasks
    }
}

#[test]
fn requests_are_answered_32_flags_higher() {
    let pair = pair(true);
    let mut tasks = pair.serving();
    for (flags, answer) in [(0x1, 1 << 32), (0x8000_0001, 0x8000_0001 << 32)] {
        pair.ring(flags);
        tasks.run_until_idle();
        assert_eq!(pair.answer(), answer);
    }
    assert_eq!(pair.counts(), [(0, 2), (31, 1)]);
    assert_eq!(pair.service.answered(), 3);
}

#[test]
fn answers_and_kicks_are_only_counted() {
    let pair = pair(true);
    let mut tasks = pair.serving();
    pair.ring(1 << 32 | 1 << 63);
    tasks.run_until_idle();
    pair.ring(0);
    tasks.run_until_idle();
    assert!(!pair.hypervisor.take_virq(pair.to_peer.virq));
    assert_eq!(pair.counts(), [(32, 1), (63, 1)]);
    assert_eq!(pair.service.answered(), 0);
    let statistics = pair.service.receiver.statistics();
    assert_eq!((statistics.interrupts, statistics.rings, statistics.kicks), (2, 1, 1));
}

#[test]
fn a_mixture_is_answered_for_its_requests() {
    let pair = pair(true);
    let mut tasks = pair.serving();
    pair.ring(0x5 | 0x2 << 32);
    tasks.run_until_idle();
    assert_eq!(pair.answer(), 0x5 << 32);
    assert_eq!(pair.counts(), [(0, 1), (2, 1), (33, 1)]);
}

#[test]
fn without_a_source_requests_are_only_counted() {
    let pair = pair(false);
    let mut tasks = pair.serving();
    pair.ring(0x3);
    tasks.run_until_idle();
    assert_eq!(pair.answer(), 0);
    assert_eq!(pair.counts(), [(0, 1), (1, 1)]);
    assert_eq!(pair.service.answered(), 0);
}

#[test]
fn flags_that_came_before_the_service_are_served() {
    let pair = pair(true);
    pair.peer.doorbell_send(pair.to_guest.source, 0x10).unwrap();
    let tasks = pair.serving();
    assert_eq!(pair.answer(), 0x10 << 32);
    drop(tasks);
}

#[test]
fn a_refusal_ends_it_and_loses_no_flag() {
    let pair = pair(true);
    let mut tasks = Tasks::new();
    let first = tasks.spawn(async {
        let error = pair.service.serve().await.unwrap_err().to_string();
        assert!(error.contains("DOORBELL_RECEIVE") && error.contains("DENIED"), "{error}");
    });
    tasks.run_until_idle();
    pair.hypervisor.inject(Hypercall::DoorbellReceive, Fault::Error(Error::Denied));
    pair.ring(0x4);
    tasks.run_until_idle();
    assert!(tasks.is_done(first));
    drop(tasks);
    let tasks = pair.serving();
    assert_eq!(pair.answer(), 0x4 << 32);
    drop(tasks);
}

#[test]
fn an_answer_that_was_put_off_comes_when_it_is_served_again() {
    let pair = pair(true);
    let mut tasks = Tasks::new();
    let first = tasks.spawn(async {
        let error = pair.service.serve().await.unwrap_err().to_string();
        assert!(error.contains("DOORBELL_SEND") && error.contains("BUSY"), "{error}");
    });
    tasks.run_until_idle();
    pair.peer.doorbell_send(pair.to_guest.source, 0x4).unwrap();
    for _ in 0..4 {
        pair.hypervisor.inject(Hypercall::DoorbellSend, Fault::Error(Error::Busy));
    }
    assert!(pair.hypervisor.take_virq(pair.to_guest.virq));
    pair.service.receiver.on_interrupt();
    tasks.run_until_idle();
    assert!(tasks.is_done(first) && pair.service.owes());
    assert_eq!(pair.answer(), 0);
    drop(tasks);
    let tasks = pair.serving();
    assert_eq!(pair.answer(), 0x4 << 32);
    assert!(!pair.service.owes() && pair.service.answered() == 1);
    drop(tasks);
}
