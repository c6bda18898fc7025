//! Message queues: nothing lost, nothing polled, and what a broken queue gets.

use gunyah::fake::{FakeHypervisor, FakeVm, Fault, QueueEnds, Tasks};
use gunyah::hypercalls::Hypercalls;
use gunyah::queue::{MessageReceiver, MessageSender, QueueConfig, QueueError};
use gunyah_abi::{CapabilityId, Error, Hypercall};
use std::cell::RefCell;

const DEPTH: u16 = 4;
const MAX: u16 = 32;

fn config(capability: CapabilityId) -> QueueConfig {
    QueueConfig { capability, max_message_size: MAX, depth: DEPTH }
}

struct Pair {
    hypervisor: FakeHypervisor,
    sender_vm: FakeVm,
    receiver_vm: FakeVm,
    ends: QueueEnds,
}

impl Pair {
    fn new() -> Self {
        let hypervisor = FakeHypervisor::new();
        let (sender_vm, receiver_vm) = (hypervisor.vm(), hypervisor.vm());
        let ends = hypervisor.queue(&sender_vm, &receiver_vm, DEPTH, MAX);
        Self { hypervisor, sender_vm, receiver_vm, ends }
    }

    fn sender(&self) -> MessageSender<&FakeVm> {
        MessageSender::new(&self.sender_vm, config(self.ends.tx)).unwrap()
    }

    fn receiver(&self) -> MessageReceiver<&FakeVm> {
        MessageReceiver::new(&self.receiver_vm, config(self.ends.rx)).unwrap()
    }
}

#[test]
fn what_came_before_the_interrupt_was_enabled_is_drained() {
    let pair = Pair::new();
    pair.sender_vm.msgqueue_send(pair.ends.tx, b"one", false).unwrap();
    pair.sender_vm.msgqueue_send(pair.ends.tx, b"two", false).unwrap();
    assert!(pair.hypervisor.take_virq(pair.ends.rx_virq), "and is not delivered");
    let receiver = pair.receiver();
    let got = RefCell::new(Vec::new());
    let mut tasks = Tasks::new();
    tasks.spawn(async {
        let mut buffer = [0; MAX as usize];
        loop {
            let size = receiver.receive(&mut buffer).await.unwrap();
            got.borrow_mut().push(buffer[..size].to_vec());
        }
    });
    tasks.run_until_idle();
    assert_eq!(*got.borrow(), [b"one", b"two"]);
    assert_eq!(pair.hypervisor.calls(Hypercall::MsgqueueReceive), 2, "no third to find it empty");
}

#[test]
fn an_idle_receiver_makes_no_calls() {
    let pair = Pair::new();
    let receiver = pair.receiver();
    let queue = pair.ends.rx;
    let mut buffer = [0; MAX as usize];
    for _ in 0..10 {
        assert_eq!(receiver.try_receive(&mut buffer), Err(QueueError::Empty { queue }));
    }
    assert_eq!(pair.hypervisor.calls(Hypercall::MsgqueueReceive), 1);
    receiver.on_interrupt();
    assert_eq!(receiver.try_receive(&mut buffer), Err(QueueError::Empty { queue }));
    assert_eq!(
        pair.hypervisor.calls(Hypercall::MsgqueueReceive),
        2,
        "a spurious interrupt costs one"
    );
    let statistics = receiver.statistics();
    assert_eq!((statistics.interrupts, statistics.waits), (1, 2));
}

#[test]
fn success_with_size_0_breaks_the_queue_and_ends_the_drain() {
    let pair = Pair::new();
    pair.sender_vm.msgqueue_send(pair.ends.tx, b"kept", false).unwrap();
    let receiver = pair.receiver();
    let queue = pair.ends.rx;
    let mut buffer = [0; MAX as usize];
    pair.hypervisor.inject(Hypercall::MsgqueueReceive, Fault::EmptySuccess);
    for _ in 0..3 {
        assert_eq!(receiver.try_receive(&mut buffer), Err(QueueError::Broken { queue, size: 0 }));
        receiver.on_interrupt();
    }
    assert!(receiver.is_broken());
    assert_eq!(pair.hypervisor.calls(Hypercall::MsgqueueReceive), 1);
    let mut tasks = Tasks::new();
    let waiting = tasks.spawn(async {
        let result = receiver.receive(&mut buffer).await;
        assert_eq!(result, Err(QueueError::Broken { queue, size: 0 }));
    });
    tasks.run_until_idle();
    assert!(tasks.is_done(waiting));
}

#[test]
fn sizes_are_checked_before_the_hypervisor_would_lose_them() {
    let pair = Pair::new();
    let (sender, receiver) = (pair.sender(), pair.receiver());
    for size in [0, 33, 5000] {
        let result = sender.try_send(&vec![0; size], false);
        let queue = pair.ends.tx;
        assert_eq!(result, Err(QueueError::MessageSize { queue, size, max: 32 }));
    }
    let short = receiver.try_receive(&mut [0; 31]);
    let queue = pair.ends.rx;
    assert_eq!(short, Err(QueueError::BufferSize { queue, size: 31, max: 32 }));
    assert_eq!(pair.hypervisor.calls(Hypercall::MsgqueueSend), 0);
    assert_eq!(pair.hypervisor.calls(Hypercall::MsgqueueReceive), 0);
    for (max_message_size, depth) in [(0, 8), (1024, 8), (240, 0), (240, 256)] {
        let capability = pair.ends.tx;
        let wrong = QueueConfig { capability, max_message_size, depth };
        assert!(MessageSender::new(&pair.sender_vm, wrong).is_err());
    }
}

#[test]
fn a_full_queue_keeps_the_message_and_makes_no_calls() {
    let pair = Pair::new();
    let sender = pair.sender();
    let queue = pair.ends.tx;
    for message in [b"a", b"b", b"c", b"d"] {
        assert_eq!(sender.try_send(message, false), Ok(()));
    }
    let mut tasks = Tasks::new();
    let waiting = tasks.spawn(async { sender.send(b"e", false).await.unwrap() });
    tasks.run_until_idle();
    assert_eq!(sender.try_send(b"x", false), Err(QueueError::Full { queue }));
    assert_eq!(pair.hypervisor.calls(Hypercall::MsgqueueSend), 4, "told so by the fourth");
    assert!(!tasks.is_done(waiting));

    let mut buffer = [0; 32];
    pair.receiver_vm.msgqueue_receive(pair.ends.rx, &mut buffer).unwrap();
    assert!(pair.hypervisor.take_virq(pair.ends.tx_virq));
    sender.on_interrupt();
    tasks.run_until_idle();
    assert!(tasks.is_done(waiting));
    for expected in [b"b", b"c", b"d", b"e"] {
        pair.receiver_vm.msgqueue_receive(pair.ends.rx, &mut buffer).unwrap();
        assert_eq!(&buffer[..1], expected);
    }
}

#[test]
fn refusals_are_named_and_leave_the_sender_usable() {
    let pair = Pair::new();
    let (sender, receiver) = (pair.sender(), pair.receiver());
    pair.hypervisor.inject(Hypercall::MsgqueueSend, Fault::Error(Error::Denied));
    let refused = sender.try_send(b"a", false).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "MSGQUEUE_SEND (0x1b) on message queue 0x0 failed: DENIED (30)"
    );
    assert_eq!(sender.try_send(b"a", false), Ok(()));
    pair.hypervisor.revoke(&pair.receiver_vm, pair.ends.rx);
    let refused = receiver.try_receive(&mut [0; 32]).unwrap_err();
    assert!(matches!(refused, QueueError::Refused { error: Error::CspaceCapRevoked, .. }));
    assert_eq!(sender.statistics().errors + receiver.statistics().errors, 2);
}

#[test]
fn blocking_calls_wait_by_the_callers_closure() {
    let pair = Pair::new();
    let (sender, receiver) = (pair.sender(), pair.receiver());
    let mut waits = 0;
    let mut buffer = [0; 32];
    let size = receiver
        .receive_blocking(&mut buffer, || {
            waits += 1;
            if waits == 3 {
                sender.try_send(b"late", false).unwrap();
            }
        })
        .unwrap();
    assert_eq!((&buffer[..size], waits), (&b"late"[..], 3));

    for _ in 0..DEPTH {
        sender.send_blocking(b"fill", false, || panic!("there is room")).unwrap();
    }
    let mut waits = 0;
    sender
        .send_blocking(b"last", false, || {
            waits += 1;
            receiver.on_interrupt();
            receiver.receive_blocking(&mut [0; 32], || panic!("it is full")).unwrap();
        })
        .unwrap();
    assert_eq!(waits, 1);
}

#[test]
fn push_interrupts_a_receiver_that_has_messages() {
    let pair = Pair::new();
    let sender = pair.sender();
    sender.try_send(b"a", false).unwrap();
    pair.hypervisor.take_virq(pair.ends.rx_virq);
    sender.try_send(b"b", false).unwrap();
    assert!(!pair.hypervisor.take_virq(pair.ends.rx_virq));
    sender.try_send(b"c", true).unwrap();
    assert!(pair.hypervisor.take_virq(pair.ends.rx_virq));
}
