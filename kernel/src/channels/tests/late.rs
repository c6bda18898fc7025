//! Channels that come and go with what the Resource Manager lists.

use super::*;
use crate::services::{Answer, Binding, Reply, SERVICES_LABEL, Service};
use billy_protocol::{
    Frame, Kind,
    service::{FIRST_OWN, directory::Request},
};
use gunyah::fake::{DoorbellEnds, QueueEnds};
use gunyah::rm::Resource;
use gunyah_abi::rm::ResourceType;

const PEER: u16 = 0x80;

fn resource(kind: ResourceType, label: u32, capability: u64, intid: Option<u32>) -> Resource {
    Resource {
        kind,
        partner: PEER,
        label,
        handle: capability as u32,
        capability: Some(CapabilityId(capability)),
        intid,
        virq_handle: 0,
        memory: None,
    }
}

/// A doorbell each way and a queue each way, as the Resource Manager lists them.
struct Late {
    bell: DoorbellEnds,
    source: DoorbellEnds,
    tx: QueueEnds,
    rx: QueueEnds,
    list: Vec<Resource>,
}

impl Late {
    /// INTIDs from `intid` on.
    fn new(rig: &Rig, label: u32, intid: u32) -> Self {
        let bell = rig.hypervisor.doorbell(&rig.peer, &rig.guest);
        let source = rig.hypervisor.doorbell(&rig.guest, &rig.peer);
        let tx = rig.hypervisor.queue(&rig.guest, &rig.peer, 8, 1023);
        let rx = rig.hypervisor.queue(&rig.peer, &rig.guest, 8, 1023);
        rig.board.wire(intid, bell.virq);
        rig.board.wire(intid + 1, tx.tx_virq);
        rig.board.wire(intid + 2, rx.rx_virq);
        let list = vec![
            resource(ResourceType::Doorbell, label, bell.receiver.0, Some(intid)),
            resource(ResourceType::DoorbellSource, label, source.source.0, None),
            resource(ResourceType::MessageQueueReceive, label, rx.rx.0, Some(intid + 2)),
            resource(ResourceType::MessageQueueSend, label, tx.tx.0, Some(intid + 1)),
        ];
        Self { bell, source, tx, rx, list }
    }

    /// Sends a message; what comes back.
    fn echo(&self, rig: &Rig, tasks: &mut Tasks<'static>, message: &[u8]) -> Option<Vec<u8>> {
        rig.peer.msgqueue_send(self.rx.tx, message, true).unwrap();
        rig.settle(tasks);
        let mut buffer = [0; 1023];
        let received = rig.peer.msgqueue_receive(self.tx.rx, &mut buffer).ok()?;
        Some(buffer[..received.size].to_vec())
    }

    /// Rings; what is rung back.
    fn ring(&self, rig: &Rig, tasks: &mut Tasks<'static>) -> u64 {
        rig.peer.doorbell_send(self.bell.source, 1).unwrap();
        rig.settle(tasks);
        rig.peer.doorbell_receive(self.source.receiver, u64::MAX).unwrap()
    }

    fn works(&self, rig: &Rig, tasks: &mut Tasks<'static>) -> bool {
        self.ring(rig, tasks) == 1 << 32
            && self.echo(rig, tasks, b"hello").as_deref() == Some(b"hello")
    }
}

fn changes(made: usize, closed: usize, refused: usize) -> Changes {
    Changes { made, closed, refused }
}

#[test]
fn what_is_listed_works_and_what_is_listed_no_more_is_closed() {
    let rig = Rig::new();
    let mut tasks = Tasks::new();
    let late = Late::new(&rig, 7, 970);
    assert_eq!(rig.channels.learn(PEER, &late.list), changes(3, 0, 0));
    assert_eq!(rig.board.enabled(), [970, 971, 972]);
    assert!(late.works(&rig, &mut tasks));
    assert_eq!(rig.channels.learn(PEER, &late.list), changes(0, 0, 0));
    assert!(late.works(&rig, &mut tasks));
    // Another VM's list has nothing to do with it.
    assert_eq!(rig.channels.learn(3, &[]), changes(0, 0, 0));
    assert_eq!(rig.channels.learn(PEER, &[]), changes(0, 3, 0));
    assert!(rig.board.enabled().is_empty());
    rig.settle(&mut tasks);
    assert!((0..2).all(|task| tasks.is_done(task)));
    assert_eq!(rig.channels.learn(PEER, &late.list), changes(3, 0, 0));
    assert!(late.works(&rig, &mut tasks));
}

#[test]
fn long_messages_come_and_those_too_long_to_send_are_not_sent() {
    let rig = Rig::new();
    let mut tasks = Tasks::new();
    let late = Late::new(&rig, 7, 970);
    rig.channels.learn(PEER, &late.list);
    assert_eq!(late.echo(&rig, &mut tasks, &[1; 240]).as_deref(), Some(&[1; 240][..]));
    assert_eq!(late.echo(&rig, &mut tasks, &[2; 1023]), None);
    assert!(late.works(&rig, &mut tasks));
    let queue = rig.channels.queues().remove(0);
    assert_eq!(queue.receiver.as_ref().unwrap().statistics().bytes, 240 + 1023 + 5);
}

#[test]
fn others_lose_nothing_while_a_channel_comes_and_goes() {
    let rig = Rig::new();
    let mut tasks = Tasks::new();
    let (old, new) = (Late::new(&rig, 1, 960), Late::new(&rig, 2, 970));
    rig.channels.learn(PEER, &old.list);
    rig.settle(&mut tasks);
    let both: Vec<_> = old.list.iter().chain(&new.list).copied().collect();
    for round in 0..50_u8 {
        // On its way while the list changes, answered afterwards.
        rig.peer.msgqueue_send(old.rx.tx, &[round, 1], false).unwrap();
        rig.peer.doorbell_send(old.bell.source, 1).unwrap();
        let list = if round % 2 == 0 { &both } else { &old.list };
        rig.channels.learn(PEER, list);
        rig.peer.msgqueue_send(old.rx.tx, &[round, 2], false).unwrap();
        rig.settle(&mut tasks);
        let mut buffer = [0; 1023];
        for part in 1..=2 {
            let received = rig.peer.msgqueue_receive(old.tx.rx, &mut buffer).unwrap();
            assert_eq!(buffer[..received.size], [round, part]);
        }
        assert_eq!(rig.peer.doorbell_receive(old.source.receiver, u64::MAX), Ok(1 << 32));
        assert!(round % 2 == 1 || new.works(&rig, &mut tasks));
    }
    assert_eq!(rig.channels.resources(), 4);
}

#[test]
fn a_half_works_alone_and_becomes_a_pair() {
    let rig = Rig::new();
    let mut tasks = Tasks::new();
    let late = Late::new(&rig, 7, 970);
    let [_, _, rx, tx] = late.list[..] else { panic!("four") };
    assert_eq!(rig.channels.learn(PEER, &[rx]), changes(1, 0, 0));
    assert_eq!(late.echo(&rig, &mut tasks, b"counted"), None);
    let counted = |rig: &Rig| {
        let queue = rig.channels.queues().remove(0);
        queue.receiver.as_ref().map(|receiver| receiver.statistics().messages)
    };
    assert_eq!(counted(&rig), Some(1));
    // This one is received by the pair.
    rig.peer.msgqueue_send(late.rx.tx, b"waits", true).unwrap();
    assert_eq!(rig.channels.learn(PEER, &[rx, tx]), changes(1, 0, 0));
    assert_eq!(rig.channels.queues().len(), 1);
    assert_eq!(late.echo(&rig, &mut tasks, b"hello").as_deref(), Some(&b"waits"[..]));
    assert_eq!(rig.channels.learn(PEER, &[tx]), changes(1, 1, 0));
    assert_eq!(counted(&rig), None);
    assert_eq!(rig.board.enabled(), [971]);
}

#[test]
fn what_cannot_be_is_refused_and_disturbs_nothing() {
    let rig = Rig::new();
    let mut tasks = Tasks::new();
    let late = Late::new(&rig, 7, 970);
    let bell = late.list[0];
    let mut list = late.list.clone();
    let with = |change: fn(&mut Resource)| {
        let mut resource = resource(ResourceType::Doorbell, 9, 900, Some(980));
        change(&mut resource);
        resource
    };
    list.extend([
        with(|r| r.kind = ResourceType::Unknown(77)),
        with(|r| r.capability = None),
        with(|r| r.intid = None),
        with(|r| r.intid = Some(970)),
        Resource { kind: ResourceType::DoorbellSource, label: 10, ..bell },
        Resource { label: 11, ..bell },
    ]);
    // Known, and no channel.
    list.push(with(|r| r.kind = ResourceType::Vcpu));
    list.push(with(|r| r.kind = ResourceType::VirtioMmio));
    assert_eq!(rig.channels.learn(PEER, &list), changes(3, 0, 6));
    assert!(late.works(&rig, &mut tasks));
    assert_eq!(rig.channels.learn(PEER, &list), changes(0, 0, 6));
    assert!(late.works(&rig, &mut tasks));
    assert_eq!(rig.board.enabled(), [970, 971, 972]);
}

#[test]
fn a_list_without_end_is_cut() {
    let rig = Rig::new();
    let list: Vec<_> = (0..400)
        .map(|n| resource(ResourceType::DoorbellSource, n, 5000 + u64::from(n), None))
        .collect();
    assert_eq!(rig.channels.learn(PEER, &list), changes(MOST_RESOURCES, 0, 400 - MOST_RESOURCES));
    assert!(rig.channels.refused.borrow().len() <= 65);
    assert_eq!(rig.channels.learn(PEER, &[]), changes(0, MOST_RESOURCES, 0));
}

#[test]
fn what_the_tree_named_is_known_and_learns_its_peer() {
    let rig = Rig::new();
    let late = Late::new(&rig, 7, 970);
    let about = About::tree(Some(7), None, "/bell");
    let bell = rig.channels.add_bell(about, late.bell.receiver, edge(970)).unwrap();
    assert_eq!(rig.channels.learn(PEER, &late.list), changes(2, 0, 0));
    assert_eq!(bell.about.peer.get(), Some(PEER));
    assert!(bell.source().is_some());
    let source = rig.channels.sources().remove(0);
    rig.channels.close(&Channel::Source(source), "test");
    assert!(bell.source().is_none());
    assert_eq!(rig.channels.close_peer(PEER, "test"), 2);
    assert!(rig.channels.all().is_empty());
}

#[test]
fn the_same_capability_with_another_interrupt_is_another_channel() {
    let rig = Rig::new();
    let late = Late::new(&rig, 7, 970);
    rig.channels.learn(PEER, &late.list[..1]);
    let moved = Resource { intid: Some(990), ..late.list[0] };
    assert_eq!(rig.channels.learn(PEER, &[moved]), changes(1, 1, 0));
    assert_eq!(rig.board.enabled(), [990]);
}

/// Answers the peer, and nobody else.
struct ForPeer;

impl Service for ForPeer {
    type Request<'a> = Request;

    fn number(&self) -> u16 {
        FIRST_OWN
    }

    fn name(&self) -> &'static str {
        "for the peer"
    }

    fn bindings(&self) -> &[Binding] {
        &[Binding::Peer(PEER)]
    }

    async fn serve(&self, request: Request, reply: Reply<'_>) -> Answer {
        reply.send(&request).await
    }
}

#[test]
fn a_queue_is_opened_for_the_services_of_a_peer_that_is_known_late() {
    let rig = Rig::new();
    let mut tasks = Tasks::new();
    assert!(rig.channels.directory().add(&ForPeer));
    let late = Late::new(&rig, 7, 970);
    let end = |capability, intid| {
        Some(End { config: QueueConfig { capability, max_message_size: 200, depth: 8 }, intid })
    };
    let about = About::tree(Some(7), None, "/queue");
    rig.channels.add_queue(about, end(late.tx.tx, 971), end(late.rx.rx, 972)).unwrap();
    let mut request = [0; 8];
    let frame = Frame { kind: Kind::Request, service: FIRST_OWN, request: 1, payload: &[] };
    frame.write(&mut request).unwrap();
    assert_eq!(late.echo(&rig, &mut tasks, &request).as_deref(), Some(&request[..]));
    for _ in 0..2 {
        assert_eq!(rig.channels.learn(PEER, &late.list[2..]), changes(0, 0, 0));
        let reply = late.echo(&rig, &mut tasks, &request).unwrap();
        let frame = Frame::parse(&reply).unwrap();
        assert_eq!((frame.kind, frame.service), (Kind::Reply, FIRST_OWN));
    }
    let channel = rig.channels.all().remove(0);
    let Channel::Queue(queue) = &channel else { panic!("{channel}") };
    assert_eq!(queue.sender.as_ref().unwrap().max_message_size(), 200);
    assert_eq!(channel.to_string(), "msgq 7 of VMID 0x80 (/queue)");
    assert_eq!(rig.board.enabled(), [971, 972]);
}

#[test]
fn the_services_of_a_queue_name_its_peer_as_soon_as_it_is_known() {
    let rig = Rig::new();
    let mut tasks = Tasks::new();
    let late = Late::new(&rig, SERVICES_LABEL, 970);
    let end = |capability, intid| {
        Some(End { config: QueueConfig { capability, max_message_size: 200, depth: 8 }, intid })
    };
    let about = About::tree(Some(SERVICES_LABEL), None, "/queue");
    rig.channels.add_queue(about, end(late.tx.tx, 971), end(late.rx.rx, 972)).unwrap();
    rig.settle(&mut tasks);
    let served = rig.channels.directory().channels().remove(0);
    assert_eq!(served.identity().to_string(), "msgq 256");
    assert_eq!(rig.channels.learn(PEER, &late.list[2..]), changes(0, 0, 0));
    assert_eq!(served.identity().to_string(), "msgq 256 (VM 128)");
}
