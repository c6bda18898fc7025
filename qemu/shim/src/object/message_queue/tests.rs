//! Message queues: order, thresholds, and when each end is interrupted.

use super::*;
use crate::fake::{Signal, Signals, virq};

const TX: u32 = 960;
const RX: u32 = 961;

fn queue(depth: u16) -> (MessageQueue, Signals) {
    let mut queue = MessageQueue::new(depth, 240).expect("legal sizes");
    queue.tx_virq = Some(virq(TX));
    queue.rx_virq = Some(virq(RX));
    (queue, Signals::default())
}

fn send(queue: &mut MessageQueue, byte: u8, signals: &mut Signals) -> Result<bool, QueueError> {
    queue.send_bytes(&[byte; 3], signals)
}

#[test]
fn only_legal_sizes_make_a_queue() {
    for (depth, size) in [(0, 240), (256, 240), (8, 0), (8, 1024)] {
        assert!(MessageQueue::new(depth, size).is_none());
    }
    assert!(MessageQueue::new(255, 1023).is_some());
}

#[test]
fn the_receiver_hears_the_first_message_and_every_push() {
    let (mut queue, mut signals) = queue(8);
    assert_eq!(send(&mut queue, 1, &mut signals), Ok(true));
    assert_eq!(send(&mut queue, 2, &mut signals), Ok(true));
    assert_eq!(signals.take(), [Signal::Assert(RX)]);
    assert_eq!(queue.send(1, true, |_| Ok(()), &mut signals), Ok(true));
    assert_eq!(signals.take(), [Signal::Assert(RX)]);
}

#[test]
fn the_sender_hears_that_a_full_queue_has_room() {
    let (mut queue, mut signals) = queue(2);
    assert_eq!(send(&mut queue, 1, &mut signals), Ok(true));
    assert_eq!(send(&mut queue, 2, &mut signals), Ok(false));
    assert_eq!(send(&mut queue, 3, &mut signals), Err(QueueError::Full));
    signals.take();
    assert_eq!(queue.receive_bytes(&mut signals), Some(vec![1; 3]));
    assert_eq!(signals.take(), [Signal::Assert(TX)]);
    assert_eq!(queue.receive_bytes(&mut signals), Some(vec![2; 3]));
    assert_eq!(queue.receive_bytes(&mut signals), None);
    assert!(signals.take().is_empty());
}

#[test]
fn order_holds_around_the_end_of_the_storage() {
    let (mut queue, mut signals) = queue(3);
    for round in 0..10u8 {
        queue.send_bytes(&[round], &mut signals).unwrap();
        queue.send_bytes(&[round, 99], &mut signals).unwrap();
        assert_eq!(queue.receive_bytes(&mut signals), Some(vec![round]));
        assert_eq!(queue.receive_bytes(&mut signals), Some(vec![round, 99]));
    }
}

#[test]
fn refused_messages_change_nothing() {
    let (mut queue, mut signals) = queue(8);
    let fault = GuestFault { address: 5 };
    let refuse = |_: &mut [u8]| Err(fault);
    for size in [0, 241, 0x1_0001] {
        let result = queue.send(size, true, |_| Ok(()), &mut signals);
        assert_eq!(result, Err(QueueError::Size));
    }
    let result = queue.send(4, true, refuse, &mut signals);
    assert_eq!(result, Err(QueueError::Fault(fault)));
    assert!(signals.take().is_empty());
    assert_eq!(queue.count(), 0);

    send(&mut queue, 1, &mut signals).unwrap();
    signals.take();
    let result = queue.receive(2, |_| Ok(()), &mut signals);
    assert_eq!(result, Err(QueueError::BufferTooSmall));
    let result = queue.receive(3, |_| Err(fault), &mut signals);
    assert_eq!(result, Err(QueueError::Fault(fault)));
    assert_eq!(queue.count(), 1);
    let result = queue.receive(3, |_| Ok(()), &mut signals);
    assert_eq!(result, Ok((3, false)));
}

#[test]
fn flush_tells_the_sender_and_quiets_the_receiver() {
    let (mut queue, mut signals) = queue(8);
    queue.flush(&mut signals);
    assert!(signals.take().is_empty());
    send(&mut queue, 1, &mut signals).unwrap();
    signals.take();
    queue.flush(&mut signals);
    assert_eq!(signals.take(), [Signal::Assert(TX), Signal::Clear(RX)]);
    assert_eq!(queue.count(), 0);
}

#[test]
fn configuring_evaluates_the_send_side_again() {
    let (mut queue, mut signals) = queue(4);
    let configure = MessageQueue::configure_send;
    let refused = configure(&mut queue, Some(4), &mut signals);
    assert_eq!(refused, Err(ThresholdOutOfRange));
    configure(&mut queue, Some(0), &mut signals).unwrap();
    assert_eq!(signals.take(), [Signal::Assert(TX)]);
    send(&mut queue, 1, &mut signals).unwrap();
    signals.take();
    configure(&mut queue, None, &mut signals).unwrap();
    assert_eq!(signals.take(), [Signal::Clear(TX)]);
    queue.receive_bytes(&mut signals);
    assert_eq!(signals.take(), [Signal::Assert(TX)]);
}

#[test]
fn configuring_evaluates_the_receive_side_again_except_for_the_depth_form() {
    let (mut queue, mut signals) = queue(4);
    let configure = MessageQueue::configure_receive;
    for threshold in [0, 5, u32::MAX - 5] {
        let threshold = NotEmptyThreshold::Messages(threshold);
        let refused = configure(&mut queue, threshold, &mut signals);
        assert_eq!(refused, Err(ThresholdOutOfRange));
    }
    configure(&mut queue, NotEmptyThreshold::Messages(2), &mut signals).unwrap();
    assert_eq!(signals.take(), [Signal::Clear(RX)]);
    send(&mut queue, 1, &mut signals).unwrap();
    assert!(signals.take().is_empty());
    send(&mut queue, 2, &mut signals).unwrap();
    assert_eq!(signals.take(), [Signal::Assert(RX)]);
    configure(&mut queue, NotEmptyThreshold::Keep, &mut signals).unwrap();
    assert_eq!(signals.take(), [Signal::Assert(RX)]);
    configure(&mut queue, NotEmptyThreshold::Depth, &mut signals).unwrap();
    assert!(signals.take().is_empty());
    assert!(!queue.is_rx_pending());
}

#[test]
fn level_sources_follow_the_thresholds() {
    let (mut queue, mut signals) = queue(2);
    assert!(queue.is_tx_pending() && !queue.is_rx_pending());
    send(&mut queue, 1, &mut signals).unwrap();
    assert!(queue.is_tx_pending() && queue.is_rx_pending());
    send(&mut queue, 2, &mut signals).unwrap();
    assert!(!queue.is_tx_pending() && queue.is_rx_pending());
    queue.restart();
    assert!(queue.is_tx_pending() && !queue.is_rx_pending());
}
