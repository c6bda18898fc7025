//! The peer at one end of a ring, the test at the other.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use shared_ring::{Bell, Consumer, Memory, Mode, Modes, Producer, Ring, RingError, Side};

use super::*;
use crate::machine_file::{DoorbellSource, ReceivedDoorbell, SharedBuffer};
use crate::pages::Pages;

const IPA: u64 = 0x4000_2000;
const MESSAGES: Modes = Modes { send: Mode::Messages, receive: Mode::Messages };
const BYTES: Modes = Modes { send: Mode::Bytes, receive: Mode::Bytes };

#[derive(Clone)]
pub(super) struct Words(Arc<Pages>);

impl Memory for Words {
    fn words(&self) -> &[AtomicU64] {
        self.0.words()
    }
}

#[derive(Clone, Default)]
pub(super) struct Wish(Rc<Cell<bool>>);

impl Bell for Wish {
    fn ring(&self) {
        self.0.set(true);
    }
}

/// A guest whose tree names a buffer, label 16, and its doorbells, label 17 with capabilities 6 and 7.
pub(super) struct Guest {
    pub(super) rig: Rig,
    pub(super) producer: Producer<Words, Wish>,
    pub(super) consumer: Consumer<Words, Wish>,
    wish: Wish,
}

fn rig(script: &str) -> Rig {
    let mut vm = config();
    vm.doorbells.push(ReceivedDoorbell { label: 17, peer: 3, cap: 6, intid: 970 });
    vm.sources.push(DoorbellSource { label: 17, peer: 3, cap: 7, can_clear: false });
    vm.shared.push(SharedBuffer {
        label: 16,
        peer: 3,
        ipa: IPA,
        size: 0x2000,
        handle: None,
        source: Some(7),
        doorbell: Some(6),
    });
    vm.set_script(script);
    Rig::new(&MachineFile::of(vm))
}

impl Guest {
    pub(super) fn new(script: &str, modes: Modes) -> Self {
        let mut rig = rig(script);
        rig.run();
        let (words, wish) = (Words(rig.mappings.pages(IPA)), Wish::default());
        let (producer, consumer) = Ring::attach(words, Side::Second, modes, wish.clone()).unwrap();
        let mut guest = Self { rig, producer, consumer, wish };
        guest.turn();
        // Both look whether somebody has come.
        let _ = (guest.producer.room(), guest.consumer.unread());
        guest.turn();
        guest
    }

    /// Rings the peer if the ring wants that, and gives it its turn.
    pub(super) fn pump(&mut self) -> Option<Event> {
        if self.wish.0.take() {
            assert_eq!(self.rig.native(0x12, &[7, 1, 0]), [0, 0]);
        }
        self.rig.pump()
    }

    pub(super) fn turn(&mut self) {
        assert_eq!(self.pump(), None);
    }

    /// Receives a message and asks for a ring before the next.
    pub(super) fn receive(&mut self) -> Option<Vec<u8>> {
        let mut buffer = [0; 2048];
        let length = self.consumer.try_receive(&mut buffer).unwrap();
        length.map(|length| buffer[..length].to_vec())
    }

    fn was_rung(&mut self) -> bool {
        self.rig.signals.take().contains(&Signal::Assert(970))
    }
}

#[test]
fn messages_go_both_ways_and_bells_only_to_sleepers() {
    let script = "attach 16\nexpect attached 16\npush 16 \"m {n}\" 2\nexpect message 16 \"re:m {n}\" 2\n\
        detach 16\nlog gone";
    let mut guest = Guest::new(script, MESSAGES);
    assert!(guest.was_rung());
    assert!(!guest.consumer.sleep().unwrap(), "there is something already");
    let message = guest.receive().unwrap();
    assert_eq!(message, b"m 1");
    guest.producer.try_send(b"re:m 1").unwrap();
    assert!(guest.wish.0.get(), "the peer sleeps");
    guest.turn();
    assert!(!guest.was_rung(), "the guest does not sleep");
    assert_eq!(guest.receive(), Some(b"m 2".to_vec()));
    assert_eq!((guest.receive(), guest.consumer.sleep()), (None, Ok(true)));
    guest.producer.try_send(b"re:m 2").unwrap();
    guest.turn();
    assert!(guest.was_rung(), "the peer went");
    let gone = guest.consumer.unread();
    assert_eq!(gone, Err(RingError::PeerGone));
    assert_eq!(guest.rig.machine.peers[0].unfinished(), None);
}

#[test]
fn a_guest_that_does_not_ring_is_not_heard() {
    let mut guest = Guest::new("attach 16\nexpect message 16 hello within 10\n", MESSAGES);
    guest.producer.try_send(b"hello").unwrap();
    assert!(guest.wish.0.take());
    guest.turn();
    guest.rig.clock.0.set(10_000_000);
    assert!(failure(&mut guest.rig).ends_with("0 of them came"));
}

#[test]
fn more_than_the_ring_holds_is_sent_as_there_is_room() {
    let script = "attach 16\npush 16 \"message number {n}\" 1000\nlog done";
    let mut guest = Guest::new(script, MESSAGES);
    let mut next = 1;
    while next <= 1000 {
        let came = guest.receive();
        match came {
            Some(message) => {
                assert_eq!(message, format!("message number {next}").into_bytes());
                next += 1;
            }
            None => {
                guest.consumer.sleep().unwrap();
                guest.turn();
            }
        }
    }
    guest.turn();
    assert_eq!(guest.rig.machine.peers[0].unfinished(), None);
}

#[test]
fn a_stream_comes_back_as_it_went() {
    let script = "attach 16 bytes\nstream 16 0x10000\nexpect streamed 16 0x10000\nstop";
    let mut guest = Guest::new(script, BYTES);
    let mut block = [0; 1000];
    for _ in 0..10_000 {
        // Reads no more than it can write, whole.
        let room = guest.producer.room().unwrap().unwrap_or(0).min(block.len());
        let count = guest.consumer.read(&mut block[..room]).unwrap();
        assert_eq!(guest.producer.write(&block[..count]), Ok(count));
        if count == 0 {
            let room_wanted = room == 0 && guest.producer.sleep(1).unwrap();
            let _ = room_wanted || guest.consumer.sleep().unwrap();
        }
        if let Some(event) = guest.pump() {
            assert_eq!(event, Event::Finished(Outcome::Success));
            return;
        }
    }
    panic!("no end");
}

#[test]
fn a_wrong_byte_fails_the_run() {
    let mut guest = Guest::new("attach 16 bytes\nexpect streamed 16 3", BYTES);
    guest.producer.write(&[0, 1, 3]).unwrap();
    guest.wish.0.take();
    guest.rig.native::<2>(0x12, &[7, 1, 0]);
    assert!(failure(&mut guest.rig).ends_with("byte 2 of the stream is 0x3, not 0x2"));
}

#[test]
fn the_peer_finds_out_what_is_corrupt() {
    let mut guest = Guest::new("attach 16\nexpect message 16 hello", MESSAGES);
    // The producer's index in the guest's line, far beyond its own.
    let line = 2 * 8;
    let words = guest.rig.mappings.pages(IPA);
    let place = &words.words()[line + 2];
    let value = place.load(std::sync::atomic::Ordering::Relaxed);
    place.store(value ^ 0x4000_0000, std::sync::atomic::Ordering::Relaxed);
    guest.rig.native::<2>(0x12, &[7, 1, 0]);
    guest.rig.run();
    let failed = format!("{:?}", guest.rig.machine.peers[0]);
    assert!(failed.contains("is invalid: 0x"), "{failed}");
}

#[test]
fn the_script_breaks_the_ring() {
    let script = "attach 16\nexpect attached 16\npoke 16 0x10 0xffffffff\nburst 17 1 3\nlog broken";
    let mut guest = Guest::new(script, MESSAGES);
    assert!(guest.was_rung());
    let error = guest.consumer.unread();
    assert!(matches!(error, Err(RingError::Corrupt { .. })), "{error:?}");
}

#[test]
fn the_peer_comes_again() {
    let mut guest = Guest::new("attach 16\nwait messages 1\nattach 16\npush 16 again", MESSAGES);
    assert_eq!(guest.rig.send(4, b"re:again"), 0);
    guest.turn();
    let mut anew = 0;
    for _ in 0..10 {
        let mut buffer = [0; 64];
        match guest.consumer.try_receive(&mut buffer) {
            Ok(Some(length)) => {
                assert_eq!(&buffer[..length], b"again");
                assert!(anew > 0);
                return;
            }
            Ok(None) => {
                guest.consumer.sleep().unwrap();
            }
            Err(RingError::PeerReset { .. } | RingError::PeerGone) => anew += 1,
            Err(error) => panic!("{error}"),
        }
        let _ = guest.producer.room();
        guest.turn();
    }
    panic!("no message came");
}

#[test]
fn what_has_begun_goes_on_when_the_peer_comes_again() {
    let script = "attach 16 bytes\nexpect attached 16\nbegin\nstream 16 100000\nend\nwait ms 1\n\
        detach 16\nwait ms 2\nattach 16 bytes\nexpect idle";
    let mut guest = Guest::new(script, BYTES);
    for now in [1_000_000, 3_000_000] {
        guest.rig.clock.0.set(now);
        guest.turn();
    }
    assert!(guest.rig.machine.peers[0].unfinished().is_some());
    for _ in 0..200 {
        // That the peer went and came is told as an error.
        let _ = guest.consumer.read(&mut [0; 4096]);
        let _ = (guest.consumer.sleep(), guest.producer.room());
        guest.turn();
    }
    assert_eq!(guest.rig.machine.peers[0].unfinished(), None);
}

#[test]
fn steps_with_rings_that_cannot_work_fail_by_name() {
    for (script, reason) in [
        ("attach 15", "there is no memory shared as 15"),
        ("detach 16", "the peer is not attached to ring 16"),
        ("push 16 x", "the peer is not attached to ring 16"),
        ("stream 16 1", "the peer is not attached to ring 16"),
        ("expect attached 16", "the peer is not attached to ring 16"),
    ] {
        assert_eq!(failure(&mut rig(script)), format!("script line 1 `{script}`: {reason}"));
    }
    let mut rig = rig("attach 16\nexpect attached 16 within 5");
    rig.run();
    rig.clock.0.set(5_000_000);
    assert!(failure(&mut rig).ends_with("not within 5 ms: the guest has not attached"));
    for (line, problem) in [
        ("attach 16 sideways", "`sideways` is too much"),
        ("push 16", "text is missing"),
        ("expect streamed 16", "bytes is missing"),
    ] {
        let error = Script::parse([line]).unwrap_err();
        assert_eq!(error.to_string(), format!("script line 1 `{line}`: {problem}"));
    }
}
