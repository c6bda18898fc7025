//! What the shell sends through rings.

use super::{lines, rig::Rig};
use crate::{
    memory::shared::{Access, Claim, SharedBuffer, Source, Territory, fake::FakeMapper},
    rings::Bells,
};
use gunyah::{
    fake::{DoorbellEnds, FakeVm, Tasks},
    hypercalls::Hypercalls,
};
use shared_ring::{Bell, Modes, RawMemory, Ring, Side};
use std::sync::Arc;

const OWN: u16 = 0x80;
const PEER: u16 = 3;
const SIZE: usize = 0x4000;

#[derive(Clone)]
struct PeerBell(FakeVm, DoorbellEnds);

impl Bell for PeerBell {
    fn ring(&self) {
        self.0.doorbell_send(self.1.source, 1).unwrap();
    }
}

/// Runs the tasks of the channels, and delivers interrupts, until nothing happens.
fn settle(rig: &Rig, tasks: &mut Tasks<'_>) {
    loop {
        for (_, task) in rig.board.take_tasks() {
            tasks.spawn(task);
        }
        tasks.run_until_idle();
        if !rig.board.deliver(rig.setup.guest.hypervisor()) && !rig.board.has_tasks() {
            return;
        }
    }
}

#[test]
fn what_is_sent_on_a_ring_comes_out_of_it() {
    let mut rig = Rig::new();
    for (line, answer) in [
        ("ring send", "ring send: say a label and a text"),
        ("ring send 3", "ring send: say a label and a text"),
        ("ring send x hello", "ring send: say a label and a text"),
        ("ring send 3 hello", "ring send: no ring has label 3"),
    ] {
        assert_eq!(lines(&mut rig, line), [answer], "{line}");
    }

    let maps = Arc::new(FakeMapper::default());
    let maps = maps.maps(Territory::new(&[], 0x8000_0000..0x8004_0000, [], []));
    let range = 0x9000_0000..0x9000_0000 + SIZE as u64;
    let region = maps.map(range, Access::ReadWrite, Claim::Parcel).unwrap();
    // SAFETY: the fake tables' memory lives as long as the mapping, which the test ends last.
    let memory = unsafe { RawMemory::new(region.as_ptr(), SIZE) }.unwrap();
    let buffer = SharedBuffer::new(Source::Tree(None), Some(3), Some(PEER), vec![region]);
    rig.system.rings.add(&buffer, Bells::default());
    rig.system.rings.pair(&rig.system.channels);
    let mut tasks = Tasks::new();
    settle(&rig, &mut tasks);
    let early = lines(&mut rig, "ring send 3 hello");
    assert_eq!(early, ["ring send: ring 3 waits for its peer"]);

    let bell = PeerBell(rig.peer.clone(), rig.to_guest);
    let side = Side::of(PEER, OWN);
    let (mut producer, mut consumer) = Ring::attach(memory, side, Modes::MESSAGES, bell).unwrap();
    for _ in 0..3 {
        settle(&rig, &mut tasks);
        // The peer looks whether somebody has come.
        let _ = (producer.room(), consumer.unread());
    }
    let mut text = [0; 64];
    assert_eq!(consumer.try_receive(&mut text), Ok(None));
    let answer = lines(&mut rig, "ring send  3  two  words ");
    assert_eq!(answer, ["10 bytes go out on ring 3"]);
    let answer = lines(&mut rig, "ring send 3 more");
    assert_eq!(answer, ["ring send: the one before waits for room"]);
    settle(&rig, &mut tasks);
    assert_eq!(consumer.try_receive(&mut text), Ok(Some(10)));
    assert_eq!(&text[..10], b"two  words");
    assert_eq!(consumer.try_receive(&mut text), Ok(None));
    drop((producer, consumer, tasks, buffer));
}
