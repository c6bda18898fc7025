//! The fake hypervisor answers as the real one was seen to.

use gunyah::fake::FakeHypervisor;
use gunyah::hypercalls::{Hypercalls, Received, Threshold};
use gunyah_abi::{CapabilityId, Error};

fn received(size: usize, not_empty: bool) -> Result<Received, Error> {
    Ok(Received { size, not_empty })
}

#[test]
fn calls_seen_on_the_real_hypervisor() {
    let hypervisor = FakeHypervisor::new();
    let (guest, peer) = (hypervisor.vm(), hypervisor.vm());
    let out = hypervisor.queue(&guest, &peer, 8, 240);
    let back = hypervisor.queue(&peer, &guest, 8, 240);
    let bell = hypervisor.doorbell(&peer, &guest);
    let mut buffer = [0; 240];

    assert_eq!(guest.msgqueue_send(out.tx, &[7; 14], false), Ok(true));
    assert_eq!(guest.msgqueue_send(out.tx, &[], false), Ok(true));
    assert_eq!(guest.msgqueue_send(out.tx, &[0; 241], false), Ok(true));
    let nowhere = CapabilityId(99);
    assert_eq!(guest.msgqueue_send(nowhere, &[1], false), Err(Error::ArgumentInvalid));
    assert_eq!(
        guest.msgqueue_send(CapabilityId::INVALID, &[1], false),
        Err(Error::ArgumentInvalid)
    );
    let own_rx = guest.msgqueue_send(back.rx, &[1], false);
    assert_eq!(own_rx, Err(Error::CspaceInsufficientRights));
    let doorbell = guest.msgqueue_send(bell.receiver, &[1], false);
    assert_eq!(doorbell, Err(Error::CspaceWrongObjectType));

    assert_eq!(peer.msgqueue_receive(out.rx, &mut buffer), received(14, false));
    assert_eq!(peer.msgqueue_receive(out.rx, &mut buffer), Err(Error::MsgqueueEmpty));

    assert_eq!(peer.doorbell_send(bell.source, 0x100), Ok(0));
    assert_eq!(guest.doorbell_receive(bell.receiver, u64::MAX), Ok(0x100));
    assert_eq!(guest.doorbell_receive(bell.receiver, u64::MAX), Ok(0));
    assert_eq!(guest.doorbell_receive(bell.receiver, 0), Err(Error::ArgumentInvalid));
    assert_eq!(peer.doorbell_mask(bell.source, 1, 0), Err(Error::CspaceInsufficientRights));

    hypervisor.revoke(&guest, out.tx);
    assert_eq!(guest.msgqueue_send(out.tx, &[1], false), Err(Error::CspaceCapRevoked));
}

#[test]
fn queue_interrupts_are_edges_at_the_thresholds() {
    let hypervisor = FakeHypervisor::new();
    let (a, b) = (hypervisor.vm(), hypervisor.vm());
    let queue = hypervisor.queue(&a, &b, 3, 16);
    let mut buffer = [0; 16];
    assert_eq!(a.msgqueue_send(queue.tx, b"1", false), Ok(true));
    assert!(hypervisor.take_virq(queue.rx_virq));
    assert_eq!(a.msgqueue_send(queue.tx, b"2", false), Ok(true));
    assert!(!hypervisor.take_virq(queue.rx_virq));
    assert_eq!(a.msgqueue_send(queue.tx, b"3", true), Ok(false));
    assert!(hypervisor.take_virq(queue.rx_virq));
    assert_eq!(a.msgqueue_send(queue.tx, b"4", true), Err(Error::MsgqueueFull));
    assert!(!hypervisor.take_virq(queue.rx_virq));
    assert!(!hypervisor.take_virq(queue.tx_virq));

    assert_eq!(b.msgqueue_receive(queue.rx, &mut buffer), received(1, true));
    assert!(hypervisor.take_virq(queue.tx_virq));
    assert_eq!(b.msgqueue_receive(queue.rx, &mut buffer), received(1, true));
    assert!(!hypervisor.take_virq(queue.tx_virq));
    assert!(hypervisor.level(queue.tx_virq) && hypervisor.level(queue.rx_virq));
    assert_eq!(b.msgqueue_flush(queue.rx), Ok(()));
    assert!(hypervisor.take_virq(queue.tx_virq));
    assert_eq!(b.msgqueue_receive(queue.rx, &mut buffer), Err(Error::MsgqueueEmpty));
}

#[test]
fn configuring_a_threshold_evaluates_the_interrupt_again() {
    let hypervisor = FakeHypervisor::new();
    let (a, b) = (hypervisor.vm(), hypervisor.vm());
    let queue = hypervisor.queue(&a, &b, 3, 16);
    assert_eq!(a.msgqueue_configure_send(queue.tx, Threshold::Keep), Ok(()));
    assert!(hypervisor.take_virq(queue.tx_virq));
    let depth = a.msgqueue_configure_send(queue.tx, Threshold::Messages(3));
    assert_eq!(depth, Err(Error::ArgumentInvalid));
    let zero = b.msgqueue_configure_receive(queue.rx, Threshold::Messages(0));
    assert_eq!(zero, Err(Error::ArgumentInvalid));
    assert_eq!(b.msgqueue_configure_receive(queue.rx, Threshold::Messages(2)), Ok(()));
    assert_eq!(a.msgqueue_send(queue.tx, b"1", false), Ok(true));
    assert!(!hypervisor.take_virq(queue.rx_virq));
    assert_eq!(a.msgqueue_send(queue.tx, b"2", false), Ok(true));
    assert!(hypervisor.take_virq(queue.rx_virq));
}

#[test]
fn misuse_is_silent_unless_the_document_is_followed() {
    let hypervisor = FakeHypervisor::new();
    let (a, b) = (hypervisor.vm(), hypervisor.vm());
    let queue = hypervisor.queue(&a, &b, 3, 16);
    assert_eq!(a.msgqueue_send(queue.tx, b"message", false), Ok(true));
    assert_eq!(b.msgqueue_receive(queue.rx, &mut [0; 3]), received(0, true));
    assert_eq!(hypervisor.queued(&b, queue.rx), 1);
    hypervisor.document_errors();
    assert_eq!(b.msgqueue_receive(queue.rx, &mut [0; 3]), Err(Error::AddrOverflow));
    assert_eq!(a.msgqueue_send(queue.tx, &[], false), Err(Error::ArgumentSize));
    assert_eq!(a.msgqueue_send(queue.tx, &[0; 17], false), Err(Error::ArgumentSize));
}

#[test]
fn doorbells_fire_for_masked_flags_and_re_fire_as_levels() {
    let hypervisor = FakeHypervisor::new();
    let (a, b) = (hypervisor.vm(), hypervisor.vm());
    let bell = hypervisor.doorbell(&a, &b);
    assert_eq!(a.doorbell_send(bell.source, 0), Ok(0));
    assert!(hypervisor.take_virq(bell.virq));
    assert!(!hypervisor.level(bell.virq));

    assert_eq!(b.doorbell_mask(bell.receiver, 0b01, 0), Ok(()));
    assert_eq!(a.doorbell_send(bell.source, 0b10), Ok(0));
    assert!(hypervisor.take_virq(bell.virq) && !hypervisor.level(bell.virq));
    assert_eq!(b.doorbell_mask(bell.receiver, 0b11, 0b10), Ok(()));
    assert!(hypervisor.take_virq(bell.virq));
    assert_eq!(b.doorbell_receive(bell.receiver, u64::MAX), Ok(0), "acknowledged by the mask");

    assert_eq!(b.doorbell_reset(bell.receiver), Ok(()));
    assert_eq!(a.doorbell_send(bell.source, 0b100), Ok(0));
    assert!(hypervisor.level(bell.virq));
    assert_eq!(b.doorbell_receive(bell.receiver, 0b100), Ok(0b100));
    assert!(!hypervisor.level(bell.virq));
}

#[test]
fn entropy_is_limited() {
    let hypervisor = FakeHypervisor::new();
    let vm = hypervisor.vm();
    assert_eq!(vm.prng_get_entropy(&mut [0; 20]), Err(Error::ArgumentSize));
    assert_eq!(vm.prng_get_entropy(&mut []), Err(Error::ArgumentSize));
    assert_eq!(vm.prng_get_entropy(&mut [0; 5]), Err(Error::ArgumentAlignment));
    for _ in 0..4 {
        assert_eq!(vm.prng_get_entropy(&mut [0; 16]), Ok(()));
    }
    assert_eq!(vm.prng_get_entropy(&mut [0; 16]), Err(Error::Busy));
    hypervisor.refill_entropy();
    assert_eq!(vm.prng_get_entropy(&mut [0; 4]), Ok(()));
}
