//! The ring, its words, and the calls that fill it.

use super::*;
use gunyah::{fake::FakeHypervisor, hypercalls::Hypercalls};
use gunyah_abi::{CapabilityId, Error, Hypercall};

fn words(ring: &TraceRing, count: usize) -> Vec<String> {
    ring.last(count).map(|event| event.what.to_string()).collect()
}

fn new() -> &'static TraceRing {
    Box::leak(Box::default())
}

#[test]
fn events_read_as_they_were_recorded() {
    static NAME: &str = "shell";
    let ring = new();
    assert_eq!(ring.last(8).count(), 0);
    ring.interrupt(962);
    ring.woken(&NAME);
    ring.hypercall(Hypercall::DoorbellReceive.code(), 0x1234_5678_9abc_def0, 0xffff_0000_0000_0008);
    ring.refused(Hypercall::MsgqueueSend.code(), 7, Error::MsgqueueFull);
    ring.refused(Hypercall::DoorbellSend.code(), 7, Error::Unimplemented);
    assert_eq!(
        words(ring, 8),
        [
            "interrupt 962",
            "woken shell",
            "DOORBELL_RECEIVE 0x123456789abcdef0 = 0x8",
            "MSGQUEUE_SEND 0x7 refused: MSGQUEUE_FULL (61)",
            "DOORBELL_SEND 0x7 refused: UNIMPLEMENTED (-1)",
        ]
    );
    assert_eq!(words(ring, 1), ["DOORBELL_SEND 0x7 refused: UNIMPLEMENTED (-1)"]);
}

#[test]
fn the_newest_events_are_kept() {
    let ring = new();
    for intid in 0..1000 {
        ring.interrupt(intid);
    }
    assert_eq!(ring.recorded(), 1000);
    assert_eq!(ring.last(1000).count(), EVENTS);
    assert_eq!(words(ring, 2), ["interrupt 998", "interrupt 999"]);
    let oldest = ring.last(1000).next().map(|event| event.what);
    assert_eq!(oldest, Some(What::Interrupt(1000 - EVENTS as u32)));
}

#[test]
fn a_place_that_was_never_written_whole_is_told_as_such() {
    let ring = new();
    ring.recorded.store(2, Relaxed);
    ring.ring[1].what.store(Kind::Woken.pack(0, 0), Relaxed);
    assert_eq!(words(ring, 8), ["unknown event 0x0", "unknown event 0x40000000000"]);
}

#[test]
fn the_layout_is_what_a_debugger_expects() {
    let ring = new();
    ring.start();
    ring.interrupt(27);
    let start = ptr::from_ref(ring).cast::<u64>();
    // SAFETY: words inside the ring, of which nobody else knows.
    let word = |n| unsafe { start.add(n).read() };
    assert_eq!(word(0).to_le_bytes(), *b"BILLYTRC");
    assert_eq!((word(1), word(2)), (EVENTS as u64, 1));
    assert_eq!(word(5), 1 << 40 | 27);
}

#[test]
fn every_traced_call_is_recorded_and_passed_on() {
    let hypervisor = FakeHypervisor::new();
    let (ringer, listener) = (hypervisor.vm(), hypervisor.vm());
    let bell = hypervisor.doorbell(&ringer, &listener);
    let queue = hypervisor.queue(&ringer, &listener, 4, 240);
    let ring = new();
    let (ringer, listener) = (Traced::new(ringer, ring), Traced::new(listener, ring));
    assert_eq!(ringer.doorbell_send(bell.source, 5), Ok(0));
    assert_eq!(listener.doorbell_receive(bell.receiver, u64::MAX), Ok(5));
    assert_eq!(ringer.msgqueue_send(queue.tx, b"hello", false), Ok(true));
    let mut buffer = [0; 240];
    assert_eq!(listener.msgqueue_receive(queue.rx, &mut buffer).map(|r| r.size), Ok(5));
    assert!(listener.msgqueue_receive(queue.rx, &mut buffer).is_err());
    assert!(listener.doorbell_reset(CapabilityId(99)).is_err());
    let calls: Vec<_> = ring.last(8).collect();
    let seen: Vec<_> = calls
        .iter()
        .map(|event| match event.what {
            What::Hypercall { call, capability, result } => (call, capability, result.ok()),
            other => panic!("{other} is no hypercall"),
        })
        .collect();
    assert_eq!(
        seen,
        [
            (Hypercall::DoorbellSend, bell.source.0, Some(0)),
            (Hypercall::DoorbellReceive, bell.receiver.0, Some(5)),
            (Hypercall::MsgqueueSend, queue.tx.0, Some(1)),
            (Hypercall::MsgqueueReceive, queue.rx.0, Some(5)),
            (Hypercall::MsgqueueReceive, queue.rx.0, None),
            (Hypercall::DoorbellReset, 99, None),
        ]
    );
}
