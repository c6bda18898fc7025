//! A ring from both ends: the peer is played with the same crate, or misbehaves.

use super::*;
use crate::{
    memory::shared::{
        Access, Claim, SharedBuffer, SharedMaps, Source, Territory, fake::FakeMapper,
    },
    services::shipped::Echo,
};
use billy_protocol::{ErrorCode, ErrorReply, Frame, Kind, decode, service::ECHO};
use gunyah::doorbell::DoorbellTrigger;
use gunyah::fake::{DoorbellEnds, FakeHypervisor, FakeTimer, FakeVm, Fault, Tasks};
use gunyah_abi::{Error, Hypercall};
use shared_ring::{Consumer, Producer, RawMemory};
use std::{boxed::Box, sync::Arc, vec, vec::Vec};

mod misuse;

const OWN: u16 = 0x80;
const PEER: u16 = 69;
/// Words of a control line; the peer has the lower VMID, so lines 0 and 1 of four are its direction out.
const LINE: usize = 8;

#[derive(Clone)]
struct PeerBell(FakeVm, DoorbellEnds);

impl Bell for PeerBell {
    fn ring(&self) {
        use gunyah::hypercalls::Hypercalls;
        self.0.doorbell_send(self.1.source, 1).unwrap();
    }
}

type Halves = (Producer<RawMemory, PeerBell>, Consumer<RawMemory, PeerBell>);

/// A guest with one ring, and what its peer has of it.
struct Rig {
    hypervisor: FakeHypervisor,
    to_guest: DoorbellEnds,
    peer: FakeVm,
    tables: Arc<FakeMapper>,
    buffer: Arc<SharedBuffer>,
    memory: RawMemory,
    channel: &'static RingChannel,
    bell: &'static Doorbell<FakeVm>,
    source: &'static DoorbellSource<FakeVm>,
    directory: &'static Directory,
    gate: &'static Gate,
    clock: FakeTimer,
    tasks: Tasks<'static>,
    task: usize,
}

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn maps(tables: &Arc<FakeMapper>) -> &'static SharedMaps {
    tables.maps(Territory::new(&[], 0x8000_0000..0x8004_0000, [], []))
}

impl Rig {
    fn new() -> Self {
        Self::with(0x4000, Access::ReadWrite)
    }

    fn with(size: u64, access: Access) -> Self {
        let hypervisor = FakeHypervisor::new();
        let (guest, peer) = (hypervisor.vm(), hypervisor.vm());
        let to_guest = hypervisor.doorbell(&peer, &guest);
        let to_peer = hypervisor.doorbell(&guest, &peer);
        let tables = Arc::new(FakeMapper::default());
        let range = 0x9000_0000..0x9000_0000 + size;
        let region = maps(&tables).map(range, access, Claim::Parcel).unwrap();
        let start = region.as_ptr();
        // SAFETY: the fake tables' memory lives as long as the mapping, which the tests end last.
        let memory = unsafe { RawMemory::new(start, size as usize) }.unwrap();
        let buffer = SharedBuffer::new(Source::Tree(None), Some(7), Some(PEER), vec![region]);
        let directory = leak(Directory::new(None));
        directory.add(&Echo);
        let mut rig = Self {
            hypervisor,
            to_guest,
            peer,
            tables,
            buffer,
            memory,
            channel: leak(RingChannel::new(Some(7), OWN, PEER)),
            bell: leak(Doorbell::new(guest.clone(), to_guest.receiver, DoorbellTrigger::Edge)),
            source: leak(DoorbellSource::new(guest, to_peer.source)),
            directory,
            gate: leak(Gate::default()),
            clock: FakeTimer::default(),
            tasks: Tasks::new(),
            task: 0,
        };
        let (channel, bell, source) = (rig.channel, rig.bell, rig.source);
        let (directory, gate) = (rig.directory, rig.gate);
        let lease = rig.buffer.lease().unwrap();
        let clock = rig.clock.clone();
        rig.task = rig.tasks.spawn(async move {
            channel.run(lease, bell, source, directory, [gate, gate], &clock).await;
        });
        rig.settle();
        rig
    }

    /// Delivers interrupts and runs the guest until nothing is left to do.
    fn settle(&mut self) {
        self.tasks.run_until_idle();
        while self.hypervisor.take_virq(self.to_guest.virq) {
            self.bell.on_interrupt();
            self.tasks.run_until_idle();
        }
    }

    /// The peer attaches.
    fn attach(&mut self, modes: Modes) -> Halves {
        let bell = PeerBell(self.peer.clone(), self.to_guest);
        let mut halves = Ring::attach(self.memory, Side::of(PEER, OWN), modes, bell).unwrap();
        self.settle();
        for _ in 0..3 {
            // The peer looks whether somebody has come.
            let _ = (halves.0.room(), halves.1.unread());
            self.settle();
        }
        halves
    }

    fn word(&self, at: usize) -> &core::sync::atomic::AtomicU64 {
        use shared_ring::Memory;
        &self.memory.words()[at]
    }

    /// Changes a word that the peer may write.
    fn spoil(&self, at: usize, change: fn(u64) -> u64) {
        use core::sync::atomic::Ordering::Relaxed;
        let word = self.word(at);
        word.store(change(word.load(Relaxed)), Relaxed);
    }

    fn ring(&mut self) {
        PeerBell(self.peer.clone(), self.to_guest).ring();
        self.settle();
    }

    fn end(&self) -> Option<RingEnd> {
        match self.channel.state() {
            RingState::Closed(end) => Some(end),
            _ => None,
        }
    }
}

fn request(id: u32, data: &[u8]) -> Vec<u8> {
    let mut payload = vec![data.len() as u8];
    payload.extend(data);
    let mut buffer = vec![0; payload.len() + 8];
    let frame = Frame { kind: Kind::Request, service: ECHO, request: id, payload: &payload };
    frame.write(&mut buffer).unwrap();
    buffer
}

fn echoed(rig: &mut Rig, halves: &mut Halves, id: u32, data: &[u8]) {
    assert!(halves.0.try_send(&request(id, data)).unwrap());
    rig.settle();
    let mut reply = [0; 256];
    let size = halves.1.try_receive(&mut reply).unwrap().expect("a reply");
    let frame = Frame::parse(&reply[..size]).unwrap();
    assert_eq!((frame.kind, frame.request), (Kind::Reply, id));
    assert_eq!(&frame.payload[1..], data);
}

#[test]
fn requests_in_messages_are_answered_by_the_services() {
    let mut rig = Rig::new();
    assert_eq!(rig.channel.state(), RingState::Waiting);
    let mut halves = rig.attach(Modes::MESSAGES);
    assert_eq!(rig.channel.state(), RingState::Open(Mode::Messages));
    for id in 0..300 {
        echoed(&mut rig, &mut halves, id, &[id as u8; 64]);
    }
    let counts = &rig.channel.counts;
    assert_eq!((counts.received.get(), counts.sent.get()), (300, 300));
    assert_eq!(counts.received_bytes.get(), 300 * 73);
    assert_eq!(counts.rung.get() + counts.saved(), 600);
    assert!(counts.rung.get() < 10, "a peer that never sleeps is not rung");
}

#[test]
fn bytes_come_back_as_they_came() {
    let mut rig = Rig::new();
    let (mut out, mut back) = rig.attach(Modes::BYTES);
    assert_eq!(rig.channel.state(), RingState::Open(Mode::Bytes));
    let data: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
    let (mut sent, mut received) = (0, Vec::<u8>::new());
    while received.len() < data.len() {
        sent += out.write(&data[sent..]).unwrap();
        out.sleep(1).unwrap();
        rig.ring();
        let mut block = [0; 1000];
        let size = back.read(&mut block).unwrap();
        back.sleep().unwrap();
        received.extend(&block[..size]);
    }
    assert_eq!(received, data);
    assert_eq!(rig.channel.counts.sent_bytes.get(), 100_000);
}

#[test]
fn a_peer_of_bytes_that_restarts_is_served_anew() {
    let mut rig = Rig::new();
    for restart in 0..4 {
        let (mut out, mut back) = rig.attach(Modes::BYTES);
        rig.ring();
        for text in [&b"sixteen bytes..."[..], b"and some more"] {
            assert_eq!(out.write(text), Ok(text.len()));
            rig.ring();
            let mut echo = [0; 64];
            assert_eq!(back.read(&mut echo), Ok(text.len()), "after {restart} restarts");
            assert_eq!(&echo[..text.len()], text);
        }
        assert_eq!(rig.channel.state(), RingState::Open(Mode::Bytes));
    }
    assert!(rig.channel.counts.restarts.get() >= 3);
}

#[test]
fn a_peer_that_was_there_first_is_found() {
    let mut rig = Rig::new();
    drop(rig.attach(Modes::BYTES));
    // It comes again with another mode than the one that its header, left behind, still states.
    let mut halves = rig.attach(Modes::MESSAGES);
    rig.ring();
    echoed(&mut rig, &mut halves, 1, b"hello");
    assert_eq!(rig.channel.state(), RingState::Open(Mode::Messages));
}

#[test]
fn a_peer_that_restarts_is_served_anew() {
    let mut rig = Rig::new();
    for id in 0..5 {
        let mut halves = rig.attach(Modes::MESSAGES);
        rig.ring();
        echoed(&mut rig, &mut halves, id, b"again");
    }
    assert!(rig.channel.counts.restarts.get() >= 4);
    assert_eq!(rig.end(), None);
}

/// Takes one reply after the other and returns how many there were.
fn drain(rig: &mut Rig, halves: &mut Halves) -> usize {
    let mut reply = [0; 256];
    let mut count = 0;
    loop {
        rig.settle();
        if halves.1.try_receive(&mut reply).unwrap().is_none() {
            return count;
        }
        count += 1;
    }
}

#[test]
fn a_reply_that_waits_for_room_is_sent_though_another_went_before_it() {
    let mut rig = Rig::new();
    let mut halves = rig.attach(Modes::MESSAGES);
    // Records of 80, 27 times 144 and 4 times 24 bytes: 32 of 4096 are free. Then 144 and 80 wait.
    let lengths = [vec![63], vec![127; 27], vec![7; 4], vec![127, 63]].concat();
    for (id, length) in lengths.iter().enumerate() {
        assert!(halves.0.try_send(&request(id as u32, &vec![0; *length])).unwrap());
        rig.ring();
    }
    assert_eq!(drain(&mut rig, &mut halves), lengths.len());
}

#[test]
fn a_word_of_the_shell_keeps_no_reply_from_being_sent() {
    let mut rig = Rig::new();
    let mut halves = rig.attach(Modes::MESSAGES);
    // The last one waits: 64 bytes are free.
    for id in 0..29 {
        assert!(halves.0.try_send(&request(id, &[0; 127])).unwrap());
        rig.ring();
    }
    assert!(rig.channel.say(&"x".repeat(100)));
    rig.settle();
    assert_eq!(drain(&mut rig, &mut halves), 30);
}

#[test]
fn memory_that_is_recalled_is_given_back_at_once() {
    let mut rig = Rig::new();
    let halves = rig.attach(Modes::MESSAGES);
    let buffer = rig.buffer.clone();
    let recalled = rig.tasks.spawn(async move { buffer.recall().await });
    rig.settle();
    assert_eq!(rig.end(), Some(RingEnd::Recalled));
    assert!(rig.tasks.is_done(recalled));
    assert_eq!(rig.tables.mapped(), []);
    core::mem::forget(halves);
}

#[test]
fn a_ring_whose_bells_go_ends() {
    let mut rig = Rig::new();
    let halves = rig.attach(Modes::BYTES);
    rig.gate.set(crate::channels::Use::Closed);
    rig.settle();
    assert_eq!(rig.end(), Some(RingEnd::Ended));
    drop(halves);
}

#[test]
fn the_shell_can_say_something() {
    let mut rig = Rig::new();
    assert!(!rig.channel.say("nobody is there"));
    let mut halves = rig.attach(Modes::MESSAGES);
    assert!(rig.channel.say("hello"));
    assert!(!rig.channel.say("one at a time"));
    rig.settle();
    let mut text = [0; 64];
    assert_eq!(halves.1.try_receive(&mut text).unwrap(), Some(5));
    assert_eq!(&text[..5], b"hello");
    drop(halves);
    let mut halves = rig.attach(Modes::BYTES);
    rig.ring();
    assert!(rig.channel.say("bytes"));
    rig.settle();
    assert_eq!(halves.1.read(&mut text).unwrap(), 5);
}

#[test]
fn a_peer_that_could_not_be_rung_is_rung_again_until_it_is_heard() {
    let mut rig = Rig::new();
    let (mut out, mut back) = rig.attach(Modes::MESSAGES);
    let rung = rig.channel.counts.rung.get();
    assert!(back.sleep().unwrap());
    assert!(out.try_send(&request(1, b"hello")).unwrap());
    // Four attempts each, and the peer's own bell is rung by the hand of the test before.
    assert!(rig.hypervisor.take_virq(rig.to_guest.virq));
    (0..12).for_each(|_| rig.hypervisor.inject(Hypercall::DoorbellSend, Fault::Error(Error::Busy)));
    rig.bell.on_interrupt();
    rig.settle();
    assert_eq!((rig.channel.counts.unheard.get(), rig.channel.counts.rung.get()), (1, rung));
    let start = rig.clock.now();
    while rig.channel.counts.rung.get() == rung {
        assert!(rig.clock.advance_to_next(), "nobody rings again");
        rig.settle();
    }
    assert_eq!(rig.channel.counts.unheard.get(), 3);
    assert_eq!(rig.clock.now() - start, 7 * FIRST_PAUSE);
    let mut reply = [0; 256];
    assert!(back.try_receive(&mut reply).unwrap().is_some());
    assert!(!rig.clock.advance_to_next(), "it is over");
}

#[test]
fn a_bell_that_is_refused_for_good_is_not_rung_again() {
    let mut rig = Rig::new();
    let (mut out, mut back) = rig.attach(Modes::MESSAGES);
    assert!(back.sleep().unwrap());
    assert!(out.try_send(&request(1, b"hello")).unwrap());
    assert!(rig.hypervisor.take_virq(rig.to_guest.virq));
    rig.hypervisor.inject(Hypercall::DoorbellSend, Fault::Error(Error::Denied));
    rig.bell.on_interrupt();
    rig.settle();
    assert_eq!(rig.channel.counts.unheard.get(), 1);
    assert!(!rig.clock.advance_to_next());
}
