//! The two ends of a ring, taking turns.

#[path = "support/page.rs"]
mod page;

use page::{Count, Page, attach, connect};
use shared_ring::{Field, Memory, Mode, Modes, Ring, RingError, Side, capacity_of};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

#[test]
fn data_areas_are_the_greatest_powers_of_two_that_fit() {
    assert_eq!(capacity_of(4095), None);
    assert_eq!(capacity_of(4096), Some(1024));
    assert_eq!(capacity_of(4096 + 256 - 1), Some(1024));
    assert_eq!(capacity_of(4096 + 256), Some(2048));
    assert_eq!(capacity_of(64 << 10), Some(16 << 10));
    assert_eq!(capacity_of(usize::MAX), Some(1 << 30));
}

#[test]
fn the_layout_is_the_documented_one() {
    let (page, bells) = (Page::new(), [Count::default(), Count::default()]);
    let modes = Modes { send: Mode::Messages, receive: Mode::Bytes };
    let mut first = attach(&page, Side::First, modes, &bells[0]);
    let modes = Modes { send: Mode::Bytes, receive: Mode::Messages };
    let mut second = attach(&page, Side::Second, modes, &bells[1]);
    connect(&mut first, &mut second);
    assert_eq!(first.0.try_send(b"message"), Ok(true));
    assert_eq!(first.0.try_send(b"another"), Ok(true));
    assert_eq!(second.1.skip(), Ok(Some(7)));
    assert_eq!(second.0.write(b"byte"), Ok(4));
    assert_eq!(first.1.read(&mut [0; 3]), Ok(3));
    assert_eq!(second.1.skip(), Ok(Some(7)));
    assert_eq!(second.1.sleep(), Ok(true));
    let bytes = |offset: usize| page.get(offset).to_le_bytes();
    for (line, mode) in [(0x000, 2), (0x040, 2), (0x080, 1), (0x0C0, 1)] {
        assert_eq!(bytes(line), [b'B', b'R', b'N', b'G', 1, 0, mode, 0]);
        assert_eq!(bytes(line + 0x08), [0, 4, 0, 0, 0, 0, 0, 0]);
    }
    assert_eq!(bytes(0x010), [32, 0, 0, 0, 1, 0, 1, 0]);
    assert_eq!(bytes(0x050), [32, 0, 0, 0, 1, 0, 1, 0]);
    assert_eq!(bytes(0x090), [4, 0, 0, 0, 1, 0, 1, 0]);
    assert_eq!(bytes(0x0D0), [3, 0, 0, 0, 1, 0, 1, 0]);
    assert_eq!(bytes(0x018), [0; 8]);
    assert_eq!(bytes(0x058), [1, 0, 0, 0, 1, 0, 0, 0]);
    assert_eq!(bytes(0x100), [7, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bytes(0x108), *b"message\0");
    assert_eq!(bytes(0x118), *b"another\0");
    assert_eq!(bytes(0x500), *b"byte\0\0\0\0");
    drop(second);
    assert_eq!(bytes(0x050), [32, 0, 0, 0, 1, 0, 0, 0]);
}

#[test]
fn what_the_peer_says_can_be_asked_before_attaching() {
    let (page, bells) = (Page::new(), [Count::default(), Count::default()]);
    assert_eq!(Ring::peer(&page.words(), Side::First), None);
    let modes = Modes { send: Mode::Messages, receive: Mode::Bytes };
    let second = attach(&page, Side::Second, modes, &bells[1]);
    let seen = Modes { send: Mode::Bytes, receive: Mode::Messages };
    assert_eq!(Ring::peer(&page.words(), Side::First), Some((1, seen)));
    assert_eq!(Ring::peer(&page.words(), Side::Second), None);
    drop(second);
    let _second = attach(&page, Side::Second, Modes::BYTES, &bells[1]);
    assert_eq!(Ring::peer(&page.words(), Side::First), Some((2, Modes::BYTES)));
    page.set(0x40, u64::MAX);
    assert_eq!(Ring::peer(&page.words(), Side::First), None);
}

#[test]
fn messages_go_both_ways() {
    let (page, bells) = (Page::new(), [Count::default(), Count::default()]);
    let mut first = attach(&page, Side::First, Modes::MESSAGES, &bells[0]);
    assert_eq!(first.0.try_send(b"nobody there"), Ok(false));
    let mut second = attach(&page, Side::Second, Modes::MESSAGES, &bells[1]);
    connect(&mut first, &mut second);
    let mut buffer = [0; 64];
    for round in 0..500usize {
        let message: Vec<u8> = (0..round % 60).map(|byte| (byte + round) as u8).collect();
        assert_eq!(first.0.try_send(&message), Ok(true));
        assert_eq!(second.1.try_receive(&mut buffer), Ok(Some(message.len())));
        assert_eq!(buffer[..message.len()], message);
        assert_eq!(second.0.try_send(&buffer[..message.len()]), Ok(true));
        assert_eq!(first.1.try_receive(&mut buffer), Ok(Some(message.len())));
        assert_eq!(buffer[..message.len()], message);
        assert_eq!(first.1.try_receive(&mut buffer), Ok(None));
    }
}

#[test]
fn a_message_too_long_for_ring_or_buffer_is_refused() {
    let (page, bells) = (Page::new(), [Count::default(), Count::default()]);
    let mut first = attach(&page, Side::First, Modes::MESSAGES, &bells[0]);
    let mut second = attach(&page, Side::Second, Modes::MESSAGES, &bells[1]);
    connect(&mut first, &mut second);
    assert_eq!(first.0.max_message(), 1016);
    let error = RingError::MessageTooLong { length: 1017, limit: 1016 };
    assert_eq!(first.0.try_send(&[1; 1017]), Err(error));
    assert_eq!(first.0.try_send(&[1; 1016]), Ok(true));
    assert_eq!(first.0.try_send(b""), Ok(false));
    let error = RingError::TargetTooSmall { length: 1016, buffer: 1015 };
    assert_eq!(second.1.try_receive(&mut [0; 1015]), Err(error));
    assert_eq!(second.1.try_receive(&mut [0; 1016]), Ok(Some(1016)));
    assert_eq!(first.0.try_send(b""), Ok(true));
    assert_eq!(first.0.try_send(b"next"), Ok(true));
    assert_eq!(second.1.skip(), Ok(Some(0)));
    assert_eq!(second.1.skip(), Ok(Some(4)));
    assert_eq!(second.1.skip(), Ok(None));
    assert_eq!(first.0.is_drained(), Ok(true));
}

#[test]
fn bytes_are_passed_on_to_who_sent_them() {
    let (page, bells) = (Page::new(), [Count::default(), Count::default()]);
    let mut first = attach(&page, Side::First, Modes::BYTES, &bells[0]);
    assert_eq!(first.1.forward(&mut first.0, 100), Ok(0));
    let mut second = attach(&page, Side::Second, Modes::BYTES, &bells[1]);
    connect(&mut first, &mut second);
    let mut buffer = [0; 1024];
    let text: Vec<u8> = (0..1000u32).map(|at| (at % 251) as u8).collect();
    for length in [64, 64, 7, 1, 13, 200, 1000, 24, 3, 5, 1000] {
        bells.iter().for_each(|bell| _ = bell.take());
        assert_eq!(second.0.write(&text[..length]), Ok(length));
        assert_eq!(second.1.sleep(), Ok(true));
        let mut passed = 0;
        while passed < length {
            passed += first.1.forward(&mut first.0, 300).unwrap();
        }
        assert_eq!(first.1.forward(&mut first.0, 300), Ok(0));
        assert_eq!(bells[0].take(), 1);
        assert_eq!(second.1.read(&mut buffer), Ok(length));
        assert_eq!(buffer[..length], text[..length], "{length} bytes");
    }
}

#[test]
fn nothing_is_passed_on_into_a_ring_that_is_full_or_left() {
    let (page, bells) = (Page::new(), [Count::default(), Count::default()]);
    let mut first = attach(&page, Side::First, Modes::BYTES, &bells[0]);
    let mut second = attach(&page, Side::Second, Modes::BYTES, &bells[1]);
    connect(&mut first, &mut second);
    assert_eq!(first.0.write(&[1; 1024]), Ok(1024));
    assert_eq!(second.0.write(b"more"), Ok(4));
    assert_eq!(first.1.forward(&mut first.0, 100), Ok(0));
    assert_eq!(first.0.sleep(4), Ok(true));
    bells[1].take();
    assert_eq!(second.1.read(&mut [0; 8]), Ok(8));
    assert_eq!(bells[1].take(), 1);
    assert_eq!(first.1.forward(&mut first.0, 100), Ok(4));
    assert_eq!(second.0.write(b"and more"), Ok(8));
    drop(second);
    // What there is stays unread, since nobody is there for it.
    assert_eq!(first.1.forward(&mut first.0, 100), Err(RingError::PeerGone));
    assert_eq!(first.1.forward(&mut first.0, 100), Ok(0));
}

#[test]
fn messages_are_not_passed_on() {
    let (page, bells) = (Page::new(), [Count::default(), Count::default()]);
    let modes = Modes { send: Mode::Bytes, receive: Mode::Messages };
    let mut first = attach(&page, Side::First, modes, &bells[0]);
    assert_eq!(first.1.forward(&mut first.0, 100), Err(RingError::WrongMode));
}

/// A buffer that can be taken away.
#[derive(Clone, Copy)]
struct Taken<'a>(&'a Page, &'a AtomicBool);

impl Memory for Taken<'_> {
    fn words(&self) -> &[AtomicU64] {
        self.0.words()
    }

    fn is_gone(&self) -> bool {
        self.1.load(Ordering::Relaxed)
    }
}

#[test]
fn what_came_from_memory_that_is_gone_is_not_passed_on() {
    for length in [64, 63] {
        let (page, gone) = (Page::new(), AtomicBool::new(false));
        let bells = [Count::default(), Count::default()];
        let memory = Taken(&page, &gone);
        let mut first = Ring::attach(memory, Side::First, Modes::BYTES, &bells[0]).unwrap();
        let mut second = attach(&page, Side::Second, Modes::BYTES, &bells[1]);
        for _ in 0..3 {
            let _ = (first.0.room(), first.1.unread(), second.0.room(), second.1.unread());
        }
        // Odd, so that the second piece does not begin with a word.
        for _ in 0..2 {
            assert_eq!(second.0.write(&[7; 100][..length]), Ok(length));
            assert_eq!(first.1.forward(&mut first.0, 100), Ok(length));
        }
        assert_eq!(second.1.read(&mut [0; 200]), Ok(2 * length));
        assert_eq!(second.0.write(&[7; 100][..length]), Ok(length));
        gone.store(true, Ordering::Relaxed);
        assert_eq!(first.1.forward(&mut first.0, 100), Err(RingError::MemoryGone));
        assert_eq!(second.1.unread(), Ok(Some(0)));
        assert_eq!(first.1.unread(), Ok(Some(length)));
    }
}

#[test]
fn bytes_flow_until_the_ring_is_full() {
    let (page, bells) = (Page::new(), [Count::default(), Count::default()]);
    let mut first = attach(&page, Side::First, Modes::BYTES, &bells[0]);
    let mut second = attach(&page, Side::Second, Modes::BYTES, &bells[1]);
    connect(&mut first, &mut second);
    assert_eq!(first.0.write(&[7; 1000]), Ok(1000));
    assert_eq!(first.0.write(&[8; 1000]), Ok(24));
    assert_eq!(first.0.write(b"x"), Ok(0));
    let mut buffer = [0; 2000];
    assert_eq!(second.1.read(&mut buffer[..3]), Ok(3));
    assert_eq!(second.1.read(&mut buffer), Ok(1021));
    assert_eq!((buffer[996], buffer[997], buffer[1020]), (7, 8, 8));
    assert_eq!(second.1.read(&mut buffer), Ok(0));
    assert_eq!(first.0.try_send(b"x"), Err(RingError::WrongMode));
    assert_eq!(second.1.try_receive(&mut buffer), Err(RingError::WrongMode));
}

#[test]
fn the_bell_rings_once_for_each_sleep() {
    let (page, bells) = (Page::new(), [Count::default(), Count::default()]);
    let mut first = attach(&page, Side::First, Modes::MESSAGES, &bells[0]);
    let mut second = attach(&page, Side::Second, Modes::MESSAGES, &bells[1]);
    connect(&mut first, &mut second);
    assert!(bells.iter().all(|bell| bell.take() > 0));
    assert_eq!(first.0.try_send(b"1"), Ok(true));
    assert_eq!(bells[0].take(), 0);
    assert_eq!(second.1.sleep(), Ok(false));
    assert_eq!(second.1.skip(), Ok(Some(1)));
    assert_eq!(second.1.sleep(), Ok(true));
    for rings in [1, 0, 0] {
        assert_eq!(first.0.try_send(&[0; 300]), Ok(true));
        assert_eq!(bells[0].take(), rings);
    }
    assert_eq!(first.0.try_send(&[0; 300]), Ok(false));
    assert_eq!(first.0.sleep(400), Ok(true));
    // 408 bytes are wanted; 88 are free, then 400, 712, 1024.
    for rings in [0, 1, 0] {
        assert_eq!(second.1.skip(), Ok(Some(300)));
        assert_eq!(bells[1].take(), rings);
    }
}

#[test]
fn of_a_message_that_is_too_large_the_front_can_be_had() {
    let (page, bells) = (Page::new(), [Count::default(), Count::default()]);
    let mut first = attach(&page, Side::First, Modes::MESSAGES, &bells[0]);
    let mut second = attach(&page, Side::Second, Modes::MESSAGES, &bells[1]);
    connect(&mut first, &mut second);
    assert_eq!(second.1.try_receive_front(&mut [0; 8]), Ok(None));
    // Around the end of the data, in each place.
    for start in 0..200_u8 {
        let message: [u8; 300] = core::array::from_fn(|n| start.wrapping_add(n as u8));
        assert_eq!(first.0.try_send(&message), Ok(true));
        assert_eq!(first.0.try_send(&message[..5]), Ok(true));
        let mut front = [0; 21];
        assert_eq!(second.1.try_receive_front(&mut front), Ok(Some(300)));
        assert_eq!(front, message[..21]);
        assert_eq!(second.1.try_receive_front(&mut front), Ok(Some(5)));
        assert_eq!((&front[..5], &front[5..]), (&message[..5], &message[5..21]));
        assert_eq!(first.0.is_drained(), Ok(true));
    }
    assert_eq!(first.1.try_receive_front(&mut []), Ok(None));
}

#[test]
fn a_restart_is_told_once_and_empties_both_directions() {
    let (page, bells) = (Page::new(), [Count::default(), Count::default()]);
    let mut first = attach(&page, Side::First, Modes::MESSAGES, &bells[0]);
    let mut second = attach(&page, Side::Second, Modes::MESSAGES, &bells[1]);
    connect(&mut first, &mut second);
    let mut sessions = Vec::new();
    for _ in 0..5 {
        assert_eq!(first.0.try_send(b"to the old one"), Ok(true));
        assert_eq!(second.0.try_send(b"from the old one"), Ok(true));
        bells[1].take();
        // As a reboot does, without a word.
        std::mem::forget(std::mem::replace(
            &mut second,
            attach(&page, Side::Second, Modes::MESSAGES, &bells[1]),
        ));
        assert!(bells[1].take() > 0);
        assert_eq!(second.1.try_receive(&mut [0; 64]), Ok(None));
        assert_eq!(second.0.try_send(b"too early"), Ok(false));
        let Err(RingError::PeerReset { session }) = first.0.try_send(b"reply to the old one")
        else {
            panic!("not told");
        };
        assert_eq!(first.1.try_receive(&mut [0; 64]), Err(RingError::PeerReset { session }));
        sessions.push(session);
        assert_eq!(first.1.try_receive(&mut [0; 64]), Ok(None));
        connect(&mut first, &mut second);
        assert_eq!(first.0.peer_session(), Some(session));
        assert_eq!(first.0.try_send(b"hello"), Ok(true));
        let mut buffer = [0; 64];
        assert_eq!(second.1.try_receive(&mut buffer), Ok(Some(5)));
        assert_eq!(&buffer[..5], b"hello");
        assert_eq!(second.0.try_send(b"hello yourself"), Ok(true));
        assert_eq!(first.1.try_receive(&mut buffer), Ok(Some(14)));
        assert_eq!(first.1.try_receive(&mut buffer), Ok(None));
    }
    sessions.sort_unstable();
    sessions.dedup();
    assert_eq!(sessions.len(), 5);
}

#[test]
fn a_restarted_sleeper_is_rung_for_though_it_counts_its_sleeps_anew() {
    let (page, bells) = (Page::new(), [Count::default(), Count::default()]);
    let mut first = attach(&page, Side::First, Modes::MESSAGES, &bells[0]);
    let mut second = attach(&page, Side::Second, Modes::MESSAGES, &bells[1]);
    connect(&mut first, &mut second);
    for _ in 0..3 {
        bells[0].take();
        assert_eq!(second.1.sleep(), Ok(true));
        assert_eq!(first.0.try_send(b"x"), Ok(true));
        assert_eq!(bells[0].take(), 1);
        let again = attach(&page, Side::Second, Modes::MESSAGES, &bells[1]);
        std::mem::forget(std::mem::replace(&mut second, again));
        assert_eq!(second.1.sleep(), Ok(true));
        assert!(matches!(first.0.try_send(b"x"), Err(RingError::PeerReset { .. })));
        assert_eq!(bells[0].take(), 1);
        connect(&mut first, &mut second);
    }
}

#[test]
fn both_may_restart_at_once() {
    let (page, bells) = (Page::new(), [Count::default(), Count::default()]);
    let mut first = attach(&page, Side::First, Modes::BYTES, &bells[0]);
    let mut second = attach(&page, Side::Second, Modes::BYTES, &bells[1]);
    connect(&mut first, &mut second);
    assert_eq!(first.0.write(b"lost"), Ok(4));
    std::mem::forget((first, second));
    let mut first = attach(&page, Side::First, Modes::BYTES, &bells[0]);
    assert_eq!(first.0.write(b"early"), Ok(0));
    assert_eq!(first.1.read(&mut [0; 8]), Ok(0));
    let mut second = attach(&page, Side::Second, Modes::BYTES, &bells[1]);
    connect(&mut first, &mut second);
    assert_eq!(second.1.read(&mut [0; 8]), Ok(0));
    assert_eq!(first.0.write(b"new"), Ok(3));
    assert_eq!(second.1.read(&mut [0; 8]), Ok(3));
}

#[test]
fn who_detaches_is_gone_and_may_return() {
    let (page, bells) = (Page::new(), [Count::default(), Count::default()]);
    let mut first = attach(&page, Side::First, Modes::BYTES, &bells[0]);
    let mut second = attach(&page, Side::Second, Modes::BYTES, &bells[1]);
    connect(&mut first, &mut second);
    assert_eq!(first.1.sleep(), Ok(true));
    bells[1].take();
    drop(second);
    assert_eq!(bells[1].take(), 1);
    assert_eq!(first.1.read(&mut [0; 8]), Err(RingError::PeerGone));
    assert_eq!(first.1.read(&mut [0; 8]), Ok(0));
    assert_eq!(first.0.write(b"x"), Err(RingError::PeerGone));
    assert_eq!(first.0.write(b"x"), Ok(0));
    assert_eq!(first.0.peer_session(), None);
    let mut second = attach(&page, Side::Second, Modes::BYTES, &bells[1]);
    connect(&mut first, &mut second);
    assert_eq!(first.0.write(b"x"), Ok(1));
    assert_eq!(second.1.read(&mut [0; 8]), Ok(1));
}

#[test]
fn what_was_sent_before_detaching_arrives() {
    let (page, bells) = (Page::new(), [Count::default(), Count::default()]);
    let mut first = attach(&page, Side::First, Modes::MESSAGES, &bells[0]);
    let mut second = attach(&page, Side::Second, Modes::MESSAGES, &bells[1]);
    connect(&mut first, &mut second);
    assert_eq!(second.0.try_send(b"last"), Ok(true));
    assert_eq!(second.0.try_send(b"words"), Ok(true));
    assert_eq!(first.0.try_send(b"heard"), Ok(true));
    assert_eq!(second.1.skip(), Ok(Some(5)));
    drop(second);
    assert_eq!(first.0.is_drained(), Ok(true));
    assert_eq!(first.0.is_drained(), Ok(false));
    assert_eq!(first.1.skip(), Ok(Some(4)));
    assert_eq!(first.1.sleep(), Ok(false));
    assert_eq!(first.1.skip(), Ok(Some(5)));
    assert_eq!(first.1.sleep(), Err(RingError::PeerGone));
    assert_eq!(first.1.skip(), Ok(None));
    assert_eq!(first.1.sleep(), Ok(true));
}

#[test]
fn sides_that_differ_are_told_in_what() {
    let cases = [
        (0x04, 0x0002_0002, Field::Version, 2),
        (0x04, 0x0001_0001, Field::Mode, 1),
        (0x08, 2048, Field::Capacity, 2048),
    ];
    for (offset, value, field, told) in cases {
        let (page, bells) = (Page::new(), [Count::default(), Count::default()]);
        let mut first = attach(&page, Side::First, Modes::MESSAGES, &bells[0]);
        let mut second = attach(&page, Side::Second, Modes::MESSAGES, &bells[1]);
        let line = page.get(0xC0 - 0x40 + offset / 8 * 8);
        let word = match offset % 8 {
            0 => value,
            _ => line & 0xFFFF_FFFF | value << 32,
        };
        page.set(0x80 + offset / 8 * 8, word);
        assert_eq!(first.1.try_receive(&mut [0; 8]), Ok(None));
        // Not before the peer has seen us: it might be a line that was left behind.
        let _ = second.0.try_send(b"");
        let error = RingError::Corrupt { field, value: told };
        assert_eq!(first.1.try_receive(&mut [0; 8]), Err(error));
        assert_eq!(first.1.try_receive(&mut [0; 8]), Err(error));
    }
}

#[test]
fn the_end_of_a_session_is_told_apart_from_the_one_that_follows() {
    let (page, bells) = (Page::new(), [Count::default(), Count::default()]);
    let mut first = attach(&page, Side::First, Modes::BYTES, &bells[0]);
    let mut second = attach(&page, Side::Second, Modes::BYTES, &bells[1]);
    connect(&mut first, &mut second);
    let session = first.1.peer_session();
    assert_eq!(first.1.ended_session(), None);
    drop(second);
    assert_eq!(first.1.forward(&mut first.0, 100), Err(RingError::PeerGone));
    // The next one is there before anybody asks.
    let _second = attach(&page, Side::Second, Modes::BYTES, &bells[1]);
    let ended = [first.0.ended_session(), first.1.ended_session()];
    assert!(ended.contains(&session), "{ended:?}");
    let (now, _) = Ring::peer(&page.words(), Side::First).unwrap();
    assert!(!ended.contains(&Some(now)), "{ended:?}");
}
