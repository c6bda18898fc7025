//! The echo service against a fake hypervisor, with a peer that the test plays.

use super::*;
use crate::channels::About;
use alloc::sync::Arc;
use gunyah::fake::{FakeHypervisor, FakeVm, Fault, QueueEnds, Tasks};
use gunyah::queue::{MessageSender, QueueConfig};
use gunyah_abi::{Error, Hypercall};

/// A guest with one queue each way, and its peer.
struct Pair {
    hypervisor: FakeHypervisor,
    peer: FakeVm,
    to_guest: QueueEnds,
    to_peer: QueueEnds,
    service: Queue<FakeVm>,
}

fn pair(room_to_peer: u16) -> Pair {
    let hypervisor = FakeHypervisor::new();
    let (guest, peer) = (hypervisor.vm(), hypervisor.vm());
    let to_guest = hypervisor.queue(&peer, &guest, 8, 240);
    let to_peer = hypervisor.queue(&guest, &peer, 8, room_to_peer);
    let config =
        |capability, max_message_size| QueueConfig { capability, max_message_size, depth: 8 };
    let sender = MessageSender::new(guest.clone(), config(to_peer.tx, room_to_peer)).unwrap();
    let receiver = MessageReceiver::new(guest.clone(), config(to_guest.rx, 240)).unwrap();
    let (sender, receiver) = (Some(Arc::new(sender)), Some(Arc::new(receiver)));
    let about = About::tree(Some(2), None, "/queue");
    let service = Queue::new(about, [None; 2], sender, receiver);
    Pair { hypervisor, peer, to_guest, to_peer, service }
}

impl Pair {
    fn send(&self, message: &[u8]) {
        self.peer.msgqueue_send(self.to_guest.tx, message, false).unwrap();
    }

    /// Runs the service until nothing happens.
    fn settle(&self, tasks: &mut Tasks<'_>) {
        loop {
            tasks.run_until_idle();
            let rx = self.hypervisor.take_virq(self.to_guest.rx_virq);
            if rx {
                self.receiver().on_interrupt();
            }
            let tx = self.hypervisor.take_virq(self.to_peer.tx_virq);
            if tx {
                self.sender().on_interrupt();
            }
            if !rx && !tx {
                return;
            }
        }
    }

    fn sender(&self) -> &MessageSender<FakeVm> {
        self.service.sender.as_deref().unwrap()
    }

    fn receiver(&self) -> &MessageReceiver<FakeVm> {
        self.service.receiver.as_deref().unwrap()
    }

    async fn echo(&self) -> Result<(), QueueError> {
        echo(&self.service, self.receiver()).await
    }

    fn received(&self) -> Option<Vec<u8>> {
        let mut buffer = [0; 240];
        let received = self.peer.msgqueue_receive(self.to_peer.rx, &mut buffer).ok()?;
        Some(buffer[..received.size].to_vec())
    }

    fn serving(&self) -> Tasks<'_> {
        let mut tasks = Tasks::new();
        tasks.spawn(async { panic!("{:?}", self.echo().await) });
        tasks
    }
}

#[test]
fn messages_come_back_as_they_were() {
    let pair = pair(240);
    let mut tasks = pair.serving();
    for message in [&b"hello"[..], b"\0", &[0xff; 240], b"Re: not the prefix", b"re"] {
        pair.send(message);
        pair.settle(&mut tasks);
        assert_eq!(pair.received().as_deref(), Some(message));
    }
    assert_eq!((pair.service.echoed.get(), pair.service.answers.get()), (5, 0));
}

#[test]
fn answers_are_counted_and_never_echoed() {
    let pair = pair(240);
    let mut tasks = pair.serving();
    for message in [&b"re:"[..], b"re:hello", b"re:re:\xff\0"] {
        pair.send(message);
        pair.settle(&mut tasks);
    }
    assert_eq!(pair.received(), None);
    assert_eq!((pair.service.echoed.get(), pair.service.answers.get()), (0, 3));
}

#[test]
fn nothing_is_lost_while_the_peer_does_not_receive() {
    let pair = pair(240);
    let mut tasks = pair.serving();
    // One queue each way, and the message that the service holds.
    for number in 0..17 {
        pair.send(&[b'a' + number]);
        pair.settle(&mut tasks);
    }
    let refused = pair.peer.msgqueue_send(pair.to_guest.tx, b"z", false);
    assert_eq!(refused, Err(Error::MsgqueueFull));
    let mut echoes = Vec::new();
    while let Some(echo) = pair.received() {
        echoes.extend(echo);
        pair.settle(&mut tasks);
    }
    assert_eq!(echoes, b"abcdefghijklmnopq");
    assert_eq!(pair.service.echoed.get(), 17);
}

#[test]
fn what_is_too_large_to_send_back_is_left_out() {
    let pair = pair(4);
    let mut tasks = pair.serving();
    for message in ["12345", "1234"] {
        pair.send(message.as_bytes());
        pair.settle(&mut tasks);
    }
    assert_eq!(pair.received().as_deref(), Some(&b"1234"[..]));
    assert_eq!((pair.received(), pair.service.echoed.get()), (None, 1));
}

#[test]
fn a_broken_queue_ends_it() {
    let pair = pair(240);
    pair.hypervisor.inject(Hypercall::MsgqueueReceive, Fault::EmptySuccess);
    let mut tasks = Tasks::new();
    let task = tasks.spawn(async {
        let error = pair.echo().await.unwrap_err();
        assert!(matches!(error, QueueError::Broken { size: 0, .. }), "{error}");
    });
    tasks.run_until_idle();
    assert!(tasks.is_done(task));
    assert!(pair.receiver().is_broken());
}

#[test]
fn a_message_that_comes_again_and_again_is_dropped_in_the_end() {
    let pair = pair(240);
    let mut tasks = pair.serving();
    let mut echoed = 0;
    pair.send(b"hello");
    pair.settle(&mut tasks);
    while let Some(echo) = pair.received() {
        echoed += 1;
        assert!(echoed < 2 * LIMIT, "it never ends");
        pair.send(&echo);
        pair.settle(&mut tasks);
    }
    assert!(echoed >= LIMIT);
    pair.send(b"something else");
    pair.settle(&mut tasks);
    assert_eq!(pair.received().as_deref(), Some(&b"something else"[..]));
    assert!(!pair.service.about.is_working());
}
