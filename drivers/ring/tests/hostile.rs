//! A peer that writes anything anywhere at any time.

#[path = "support/page.rs"]
mod page;

use page::{Count, End, Page, attach, connect};
use proptest::prelude::*;
use shared_ring::{Field, Modes, RingError, Side};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// What the victim does with its halves; whatever comes of it, in bounds.
fn use_end(end: &mut End<'_>, modes: Modes, step: u8, length: usize) -> [Option<RingError>; 2] {
    let mut buffer = [0xA5; 1400];
    let (area, guard) = buffer.split_at_mut(1200);
    let area = &mut area[..length.min(1200)];
    let bytes = modes == Modes::BYTES;
    let errors = match step % 5 {
        0 if bytes => [end.0.write(area).err(), end.1.read(area).err()],
        0 => [end.0.try_send(area).err(), end.1.try_receive(area).err()],
        1 => [end.0.sleep(length).err(), end.1.sleep().err()],
        2 => [end.0.room().err(), end.1.unread().err()],
        3 => {
            // Whichever half it was that failed tells so again.
            let _ = end.1.forward(&mut end.0, length);
            [end.0.room().err(), end.1.unread().err()]
        }
        _ if bytes => [end.0.is_drained().err(), end.1.read(area).err()],
        _ => [end.0.is_drained().err(), end.1.try_receive_front(area).err()],
    };
    assert!(guard.iter().all(|byte| *byte == 0xA5));
    errors
}

/// Changes to the buffer: words that get far (positions of the right session, small lengths) and any others.
fn change() -> impl Strategy<Value = (usize, u64, u64)> {
    let small =
        prop_oneof![0..64u64, Just(1024), Just(1032), Just(u64::from(u32::MAX)), any::<u64>()];
    prop_oneof![
        // An index of a peer's line, with the session as it is.
        (prop_oneof![Just(0x50usize), Just(0x90)], small.clone()).prop_map(|(at, index)| (
            at,
            0xFFFF_FFFF,
            index & 0xFFFF_FFFF
        )),
        // A session, with the index as it is.
        (prop_oneof![Just(0x50usize), Just(0x90)], 0..4u64, 0..4u64).prop_map(|(at, own, seen)| (
            at,
            !0xFFFF_FFFF,
            own << 32 | seen << 48
        )),
        (0..512usize, small.clone()).prop_map(|(at, word)| (at * 8, !0, word)),
        (0x100..0x300usize, small).prop_map(|(at, word)| (
            at & !7,
            0xFFFF_FFFF,
            word & 0xFFFF_FFFF
        )),
        (0..4096usize, any::<u8>()).prop_map(|(at, byte)| (
            at & !7,
            0xFF << (at % 8 * 8),
            u64::from(byte) << (at % 8 * 8)
        )),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn nothing_a_peer_writes_does_more_than_close_the_ring(
        bytes: bool,
        steps in prop::collection::vec((any::<u8>(), 0..1300usize, change()), 1..80),
    ) {
        let modes = if bytes { Modes::BYTES } else { Modes::MESSAGES };
        let (page, bells) = (Page::new(), [Count::default(), Count::default()]);
        let mut victim = attach(&page, Side::First, modes, &bells[0]);
        let mut peer = attach(&page, Side::Second, modes, &bells[1]);
        connect(&mut victim, &mut peer);
        let mut failures = [None, None];
        for (step, length, (at, mask, word)) in steps {
            let _ = use_end(&mut peer, modes, step / 4, length);
            page.set(at, page.get(at) & !mask | word);
            let errors = use_end(&mut victim, modes, step, length);
            for (failure, error) in failures.iter_mut().zip(errors) {
                if let Some(failure) = failure {
                    prop_assert_eq!(error, Some(*failure));
                } else if matches!(error, Some(RingError::Corrupt { .. })) {
                    *failure = error;
                }
            }
        }
    }
}

#[test]
fn words_that_change_during_an_operation_do_no_harm() {
    for modes in [Modes::BYTES, Modes::MESSAGES] {
        let (page, bells) = (Page::new(), [Count::default(), Count::default()]);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut random = 1u64;
                while !stop.load(Relaxed) {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let (at, index) = (random >> 33 & 0xFF8, random >> 50 & 0x7F8);
                    let position = match random >> 61 {
                        0..6 => index | 1 << 32 | 1 << 48,
                        _ => random,
                    };
                    page.set(0x50, position);
                    page.set(0x90, position);
                    page.set(at as usize, random >> 54);
                }
            });
            for round in 0..2000 {
                let mut victim = attach(&page, Side::First, modes, &bells[0]);
                for step in 0..20u8 {
                    let length = (round * 7 + usize::from(step) * 61) % 1200;
                    let _ = use_end(&mut victim, modes, step, length);
                }
            }
            stop.store(true, Relaxed);
        });
    }
}

/// Both ends, with some data under way in messages of eight bytes.
fn with_traffic<'a>(page: &'a Page, modes: Modes, bells: &'a [Count; 2]) -> [End<'a>; 2] {
    let mut victim = attach(page, Side::First, modes, &bells[0]);
    let mut peer = attach(page, Side::Second, modes, &bells[1]);
    connect(&mut victim, &mut peer);
    if modes == Modes::MESSAGES {
        assert_eq!(victim.0.try_send(b"8 bytes."), Ok(true));
        assert_eq!(peer.0.try_send(b"8 bytes."), Ok(true));
        assert_eq!(peer.0.try_send(b"8 bytes."), Ok(true));
    }
    [victim, peer]
}

#[test]
fn what_is_wrong_is_named() {
    const TAIL: usize = 0x40 + 0x10;
    const HEAD: usize = 0x80 + 0x10;
    const RECORD: usize = 0x100 + 0x400;
    let session = |page: &Page, at: usize, index: u64| page.get(at) & !0xFFFF_FFFF | index;
    for (at, index, field) in [
        // More read than was written; less than before is the same, seen from the other end of the numbers.
        (TAIL, 24, Field::Tail),
        (TAIL, 0xFFFF_FFF8, Field::Tail),
        (TAIL, 4, Field::Tail),
        // More written than fits, less than there was, not a whole record.
        (HEAD, 1032, Field::Head),
        (HEAD, 0xFFFF_FFF8, Field::Head),
        (HEAD, 12, Field::Head),
    ] {
        let (page, bells) = (Page::new(), [Count::default(), Count::default()]);
        let [mut victim, _peer] = with_traffic(&page, Modes::MESSAGES, &bells);
        page.set(at, session(&page, at, index));
        let error = RingError::Corrupt { field, value: index as u32 };
        let errors = [victim.0.try_send(b"").err(), victim.1.try_receive(&mut [0; 64]).err()];
        assert_eq!(errors.map(|found| found == Some(error)), [at == TAIL, at == HEAD]);
    }
    for (word, field, value) in [
        (25, Field::Length, 25),
        (0xFFFF_FFFF, Field::Length, 0xFFFF_FFFF),
        (8 | 1 << 63, Field::Reserved, 0x8000_0000),
    ] {
        let (page, bells) = (Page::new(), [Count::default(), Count::default()]);
        let [mut victim, _peer] = with_traffic(&page, Modes::MESSAGES, &bells);
        page.set(RECORD, word);
        let error = RingError::Corrupt { field, value };
        assert_eq!(victim.1.try_receive(&mut [0; 64]), Err(error));
        // The other half is as it was.
        assert_eq!(victim.0.try_send(b""), Ok(true));
    }
    let (page, bells) = (Page::new(), [Count::default(), Count::default()]);
    let [mut victim, _peer] = with_traffic(&page, Modes::BYTES, &bells);
    page.set(HEAD, page.get(HEAD) & 0xFFFF_FFFF_FFFF | 9 << 48);
    let error = RingError::Corrupt { field: Field::Seen, value: 9 };
    assert_eq!(victim.1.read(&mut [0; 64]), Err(error));
    assert_eq!(error.to_string(), "the peer's session seen is invalid: 0x9");
}

#[test]
fn a_head_that_goes_back_is_wrong_even_within_the_ring() {
    let (page, bells) = (Page::new(), [Count::default(), Count::default()]);
    let [mut victim, mut peer] = with_traffic(&page, Modes::BYTES, &bells);
    assert_eq!(peer.0.write(&[1; 100]), Ok(100));
    assert_eq!(victim.1.read(&mut [0; 50]), Ok(50));
    page.set(0x90, page.get(0x90) - 1);
    let error = RingError::Corrupt { field: Field::Head, value: 99 };
    assert_eq!(victim.1.read(&mut [0; 50]), Err(error));
}

#[test]
fn garbage_in_a_new_buffer_is_nobody() {
    for garbage in [0xFFu64, u64::MAX, 0x0101_0101_0101_0101] {
        let (page, bells) = (Page::new(), [Count::default(), Count::default()]);
        (0..512).for_each(|word| page.set(word * 8, garbage));
        let mut first = attach(&page, Side::First, Modes::MESSAGES, &bells[0]);
        assert_eq!(first.1.try_receive(&mut [0; 64]), Ok(None));
        assert_eq!(first.0.try_send(b"x"), Ok(false));
        let mut second = attach(&page, Side::Second, Modes::MESSAGES, &bells[1]);
        connect(&mut first, &mut second);
        assert_eq!(first.0.try_send(b"x"), Ok(true));
        assert_eq!(second.1.try_receive(&mut [0; 64]), Ok(Some(1)));
    }
}
