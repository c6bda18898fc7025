//! Message queues while interrupts and the other side strike at any moment.

use gunyah::fake::{FakeHypervisor, FakeVm, QueueEnds, Tasks};
use gunyah::hypercalls::{Hypercalls, Received, Threshold};
use gunyah::queue::{MessageReceiver, MessageSender, QueueConfig};
use gunyah_abi::identity::HypIdentify;
use gunyah_abi::{CapabilityId, Error, Hypercall};
use proptest::prelude::*;
use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;

const MESSAGES: u32 = 2000;
const DEPTH: u16 = 3;
const MAX: u16 = 8;

/// Something that happens before and after each hypercall, as on a CPU whose interrupts are enabled.
type Hook = Rc<dyn Fn()>;

/// A VM whose queue calls are surrounded by a hook.
#[derive(Clone)]
struct Racing {
    vm: FakeVm,
    hook: Rc<OnceCell<Hook>>,
}

impl Racing {
    fn new(vm: FakeVm) -> Self {
        Self { vm, hook: Rc::default() }
    }

    fn strike(&self) {
        if let Some(hook) = self.hook.get() {
            hook();
        }
    }
}

impl Hypercalls for Racing {
    fn msgqueue_send(
        &self,
        queue: CapabilityId,
        message: &[u8],
        push: bool,
    ) -> Result<bool, Error> {
        self.strike();
        let result = self.vm.msgqueue_send(queue, message, push);
        self.strike();
        result
    }

    fn msgqueue_receive(&self, queue: CapabilityId, buffer: &mut [u8]) -> Result<Received, Error> {
        self.strike();
        let result = self.vm.msgqueue_receive(queue, buffer);
        self.strike();
        result
    }

    fn hyp_identify(&self) -> HypIdentify {
        self.vm.hyp_identify()
    }

    fn doorbell_send(&self, doorbell: CapabilityId, flags: u64) -> Result<u64, Error> {
        self.vm.doorbell_send(doorbell, flags)
    }

    fn doorbell_receive(&self, doorbell: CapabilityId, clear: u64) -> Result<u64, Error> {
        self.vm.doorbell_receive(doorbell, clear)
    }

    fn doorbell_reset(&self, doorbell: CapabilityId) -> Result<(), Error> {
        self.vm.doorbell_reset(doorbell)
    }

    fn doorbell_mask(&self, doorbell: CapabilityId, enable: u64, ack: u64) -> Result<(), Error> {
        self.vm.doorbell_mask(doorbell, enable, ack)
    }

    fn msgqueue_flush(&self, queue: CapabilityId) -> Result<(), Error> {
        self.vm.msgqueue_flush(queue)
    }

    fn msgqueue_configure_send(
        &self,
        queue: CapabilityId,
        threshold: Threshold,
    ) -> Result<(), Error> {
        self.vm.msgqueue_configure_send(queue, threshold)
    }

    fn msgqueue_configure_receive(
        &self,
        queue: CapabilityId,
        threshold: Threshold,
    ) -> Result<(), Error> {
        self.vm.msgqueue_configure_receive(queue, threshold)
    }

    fn prng_get_entropy(&self, bytes: &mut [u8]) -> Result<(), Error> {
        self.vm.prng_get_entropy(bytes)
    }
}

/// A small generator of decisions.
struct Dice(Cell<u64>);

impl Dice {
    fn roll(&self, sides: u64) -> u64 {
        let mut state = self.0.get();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.0.set(state);
        state % sides
    }
}

fn config(capability: CapabilityId) -> QueueConfig {
    QueueConfig { capability, max_message_size: MAX, depth: DEPTH }
}

struct World {
    hypervisor: FakeHypervisor,
    sender_vm: FakeVm,
    receiver_vm: FakeVm,
    ends: QueueEnds,
    dice: Rc<Dice>,
}

impl World {
    fn new(seed: u64) -> Self {
        let hypervisor = FakeHypervisor::new();
        let (sender_vm, receiver_vm) = (hypervisor.vm(), hypervisor.vm());
        let ends = hypervisor.queue(&sender_vm, &receiver_vm, DEPTH, MAX);
        Self { hypervisor, sender_vm, receiver_vm, ends, dice: Rc::new(Dice(Cell::new(seed | 1))) }
    }
}

/// A raw peer sends; the receiver under test takes interrupts at any moment.
fn receive_everything(seed: u64) {
    let world = World::new(seed);
    let racing = Racing::new(world.receiver_vm.clone());
    let hook_cell = Rc::clone(&racing.hook);
    let receiver = Rc::new(MessageReceiver::new(racing, config(world.ends.rx)).unwrap());
    let sent = Rc::new(Cell::new(0_u32));

    let peer = {
        let (vm, ends, sent, dice) =
            (world.sender_vm.clone(), world.ends, Rc::clone(&sent), Rc::clone(&world.dice));
        move || {
            for _ in 0..dice.roll(u64::from(DEPTH) + 2) {
                let number = sent.get();
                let message = number.to_le_bytes();
                if number < MESSAGES
                    && vm.msgqueue_send(ends.tx, &message, dice.roll(5) == 0).is_ok()
                {
                    sent.set(number + 1);
                }
            }
        }
    };
    let interrupt = {
        let (hypervisor, virq) = (world.hypervisor.clone(), world.ends.rx_virq);
        let receiver = Rc::downgrade(&receiver);
        move || {
            let Some(receiver) = receiver.upgrade() else { return };
            if hypervisor.take_virq(virq) {
                receiver.on_interrupt();
            }
        }
    };
    let hook: Hook = {
        let (dice, peer, interrupt) = (Rc::clone(&world.dice), peer.clone(), interrupt.clone());
        Rc::new(move || {
            if dice.roll(3) == 0 {
                peer();
            }
            if dice.roll(2) == 0 {
                interrupt();
            }
        })
    };
    assert!(hook_cell.set(hook).is_ok());

    let got = RefCell::new(Vec::new());
    let mut tasks = Tasks::new();
    tasks.spawn(async {
        let mut buffer = [0; MAX as usize];
        loop {
            let size = receiver.receive(&mut buffer).await.unwrap();
            got.borrow_mut().push(u32::from_le_bytes(buffer[..size].try_into().unwrap()));
        }
    });
    let mut rounds = 0;
    while got.borrow().len() < MESSAGES as usize {
        tasks.run_until_idle();
        peer();
        interrupt();
        rounds += 1;
        assert!(rounds < 20 * MESSAGES, "stuck at {} of {}", got.borrow().len(), sent.get());
    }
    assert!(got.borrow().iter().copied().eq(0..MESSAGES));
    let statistics = receiver.statistics();
    let calls = world.hypervisor.calls(Hypercall::MsgqueueReceive);
    assert!(
        calls <= statistics.messages + statistics.interrupts + 1,
        "polled: {calls} calls, {statistics:?}"
    );
}

/// Two tasks send through the sender under test, which takes interrupts at any moment; a raw peer receives.
fn send_everything(seed: u64) {
    let world = World::new(seed);
    let racing = Racing::new(world.sender_vm.clone());
    let hook_cell = Rc::clone(&racing.hook);
    let sender = Rc::new(MessageSender::new(racing, config(world.ends.tx)).unwrap());
    let got = Rc::new(RefCell::new(Vec::new()));

    let peer = {
        let (vm, ends, got, dice) =
            (world.receiver_vm.clone(), world.ends, Rc::clone(&got), Rc::clone(&world.dice));
        move || {
            let mut buffer = [0; MAX as usize];
            for _ in 0..dice.roll(u64::from(DEPTH) + 2) {
                if let Ok(received) = vm.msgqueue_receive(ends.rx, &mut buffer) {
                    got.borrow_mut().push(buffer[..received.size].to_vec());
                }
            }
        }
    };
    let interrupt = {
        let (hypervisor, virq) = (world.hypervisor.clone(), world.ends.tx_virq);
        let sender = Rc::downgrade(&sender);
        move || {
            let Some(sender) = sender.upgrade() else { return };
            if hypervisor.take_virq(virq) {
                sender.on_interrupt();
            }
        }
    };
    let hook: Hook = {
        let (dice, peer, interrupt) = (Rc::clone(&world.dice), peer.clone(), interrupt.clone());
        Rc::new(move || {
            if dice.roll(4) == 0 {
                peer();
            }
            if dice.roll(2) == 0 {
                interrupt();
            }
        })
    };
    assert!(hook_cell.set(hook).is_ok());

    let mut tasks = Tasks::new();
    let senders: Vec<usize> = [b'a', b'b']
        .into_iter()
        .map(|name| {
            let sender = Rc::clone(&sender);
            tasks.spawn(async move {
                for number in 0..MESSAGES {
                    let mut message = vec![name];
                    message.extend(number.to_le_bytes());
                    sender.send(&message, false).await.unwrap();
                }
            })
        })
        .collect();
    let mut rounds = 0;
    while got.borrow().len() < 2 * MESSAGES as usize {
        tasks.run_until_idle();
        peer();
        interrupt();
        rounds += 1;
        assert!(rounds < 40 * MESSAGES, "stuck at {}", got.borrow().len());
    }
    tasks.run_until_idle();
    assert!(senders.iter().all(|&task| tasks.is_done(task)));
    for name in [b'a', b'b'] {
        let got = got.borrow();
        let numbers = got
            .iter()
            .filter(|message| message[0] == name)
            .map(|message| u32::from_le_bytes(message[1..].try_into().unwrap()));
        assert!(numbers.eq(0..MESSAGES), "order of {}", char::from(name));
    }
    let statistics = sender.statistics();
    let calls = world.hypervisor.calls(Hypercall::MsgqueueSend);
    assert_eq!(calls, statistics.messages + statistics.waits);
    assert!(statistics.waits <= statistics.interrupts + 1, "polled: {statistics:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn nothing_is_lost_on_the_way_in(seed in any::<u64>()) {
        receive_everything(seed);
    }

    #[test]
    fn nothing_is_lost_on_the_way_out(seed in any::<u64>()) {
        send_everything(seed);
    }
}
