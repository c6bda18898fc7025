//! Doorbells as edges and as levels.

use gunyah::doorbell::{Doorbell, DoorbellSource, DoorbellTrigger};
use gunyah::fake::{DoorbellEnds, FakeHypervisor, FakeVm, Fault, Tasks};
use gunyah::hypercalls::Hypercalls;
use gunyah_abi::{Error, Hypercall};
use std::cell::RefCell;

struct Pair {
    hypervisor: FakeHypervisor,
    ringer: FakeVm,
    listener: FakeVm,
    ends: DoorbellEnds,
}

impl Pair {
    fn new() -> Self {
        let hypervisor = FakeHypervisor::new();
        let (ringer, listener) = (hypervisor.vm(), hypervisor.vm());
        let ends = hypervisor.doorbell(&ringer, &listener);
        Self { hypervisor, ringer, listener, ends }
    }

    fn bell(&self, trigger: DoorbellTrigger) -> Doorbell<&FakeVm> {
        Doorbell::new(&self.listener, self.ends.receiver, trigger)
    }

    fn source(&self) -> DoorbellSource<&FakeVm> {
        DoorbellSource::new(&self.ringer, self.ends.source)
    }

    /// Delivers the interrupt as the configured trigger demands; a level fires until it is cleared.
    fn interrupt(&self, bell: &Doorbell<&FakeVm>) {
        if self.hypervisor.take_virq(self.ends.virq) {
            bell.on_interrupt();
        }
        if bell.trigger() == DoorbellTrigger::Level {
            assert!(!self.hypervisor.level(self.ends.virq), "fires again at once");
        }
    }
}

#[test]
fn every_flag_arrives_once_in_both_modes() {
    for trigger in [DoorbellTrigger::Edge, DoorbellTrigger::Level] {
        let pair = Pair::new();
        let (bell, source) = (pair.bell(trigger), pair.source());
        let got = RefCell::new(Vec::new());
        let mut tasks = Tasks::new();
        tasks.spawn(async {
            loop {
                let flags = bell.wait().await.unwrap();
                got.borrow_mut().push(flags);
            }
        });
        tasks.run_until_idle();
        for number in 0..1000_u32 {
            assert_eq!(source.ring(1 << (number % 64)), Ok(0));
            pair.interrupt(&bell);
            tasks.run_until_idle();
        }
        let expected: Vec<u64> = (0..1000_u32).map(|number| 1 << (number % 64)).collect();
        assert_eq!(*got.borrow(), expected, "{trigger:?}");
        let statistics = bell.statistics();
        assert_eq!((statistics.interrupts, statistics.rings), (1000, 1000), "{trigger:?}");
        assert_eq!((statistics.kicks, statistics.errors), (0, 0), "{trigger:?}");
    }
}

#[test]
fn rings_before_anybody_looks_merge() {
    for trigger in [DoorbellTrigger::Edge, DoorbellTrigger::Level] {
        let pair = Pair::new();
        let (bell, source) = (pair.bell(trigger), pair.source());
        assert_eq!(source.ring(0b001), Ok(0));
        assert_eq!(source.ring(0b110), Ok(0b001));
        assert_eq!(source.ring(0b100), Ok(0b111));
        assert_eq!((source.rings(), source.merged()), (3, 1));
        pair.interrupt(&bell);
        assert_eq!(bell.try_take(), Ok(Some(0b111)), "{trigger:?}");
        assert_eq!(bell.try_take(), Ok(None), "{trigger:?}");
    }
}

#[test]
fn flags_set_before_the_interrupt_was_enabled_are_found() {
    let pair = Pair::new();
    pair.source().ring(0b1000).unwrap();
    assert!(pair.hypervisor.take_virq(pair.ends.virq), "and is not delivered");
    let bell = pair.bell(DoorbellTrigger::Edge);
    assert_eq!(bell.try_take(), Ok(Some(0b1000)));
}

#[test]
fn a_plain_kick_is_counted_and_wakes_nobody_for_good() {
    for trigger in [DoorbellTrigger::Edge, DoorbellTrigger::Level] {
        let pair = Pair::new();
        let (bell, source) = (pair.bell(trigger), pair.source());
        let mut tasks = Tasks::new();
        let waiting = tasks.spawn(async {
            assert_eq!(bell.wait().await, Ok(0b10));
        });
        tasks.run_until_idle();
        for _ in 0..3 {
            source.ring(0).unwrap();
            pair.interrupt(&bell);
            tasks.run_until_idle();
        }
        assert_eq!(bell.statistics().kicks, 3, "{trigger:?}");
        assert!(!tasks.is_done(waiting), "{trigger:?}");
        source.ring(0b10).unwrap();
        pair.interrupt(&bell);
        tasks.run_until_idle();
        assert!(tasks.is_done(waiting), "{trigger:?}");
    }
}

#[test]
fn a_ring_between_receive_and_wait_is_not_lost() {
    let pair = Pair::new();
    let (bell, source) = (pair.bell(DoorbellTrigger::Edge), pair.source());
    source.ring(1).unwrap();
    pair.interrupt(&bell);
    assert_eq!(bell.try_take(), Ok(Some(1)));
    source.ring(2).unwrap();
    assert_eq!(bell.try_take(), Ok(Some(2)), "received until none is left, without an interrupt");
    pair.interrupt(&bell);
    assert_eq!(bell.try_take(), Ok(None));
    assert_eq!(bell.statistics().kicks, 1);
}

#[test]
fn an_idle_doorbell_makes_no_calls() {
    let pair = Pair::new();
    let bell = pair.bell(DoorbellTrigger::Edge);
    for _ in 0..10 {
        assert_eq!(bell.try_take(), Ok(None));
    }
    assert_eq!(pair.hypervisor.calls(Hypercall::DoorbellReceive), 1);
}

#[test]
fn masks_and_reset_reach_the_hypervisor() {
    let pair = Pair::new();
    let (bell, source) = (pair.bell(DoorbellTrigger::Level), pair.source());
    bell.mask(0b10, 0).unwrap();
    source.ring(0b01).unwrap();
    assert!(!pair.hypervisor.level(pair.ends.virq));
    bell.reset().unwrap();
    assert_eq!(pair.listener.doorbell_receive(pair.ends.receiver, u64::MAX), Ok(0));
}

#[test]
fn refusals_are_named_in_both_modes() {
    for trigger in [DoorbellTrigger::Edge, DoorbellTrigger::Level] {
        let pair = Pair::new();
        let (bell, source) = (pair.bell(trigger), pair.source());
        let mut tasks = Tasks::new();
        let waiting = tasks.spawn(async {
            let error = bell.wait().await.unwrap_err();
            assert_eq!(
                error.to_string(),
                "DOORBELL_RECEIVE (0x13) on doorbell 0x0 failed: CSPACE_CAP_REVOKED (51)"
            );
        });
        tasks.run_until_idle();
        source.ring(1).unwrap();
        pair.hypervisor.revoke(&pair.listener, pair.ends.receiver);
        assert!(pair.hypervisor.take_virq(pair.ends.virq));
        bell.on_interrupt();
        tasks.run_until_idle();
        assert!(tasks.is_done(waiting), "{trigger:?}");
        assert!(bell.statistics().errors > 0);
        // What may be tried again is, some times.
        pair.hypervisor.inject(Hypercall::DoorbellSend, Fault::Error(Error::Busy));
        assert_eq!(source.ring(0), Ok(1));
        for _ in 0..4 {
            pair.hypervisor.inject(Hypercall::DoorbellSend, Fault::Error(Error::Busy));
        }
        assert_eq!(source.ring(1).unwrap_err().error, Error::Busy);
        assert_eq!(source.rings(), 2);
    }
}
