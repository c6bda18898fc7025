//! Indices that run over, and every way in which bytes can lie.

use super::*;
use crate::copy;
use crate::layout::Modes;
use crate::sync::{AtomicU64, Ordering};

#[repr(align(64))]
struct Page([AtomicU64; 512]);

struct Silent;

impl Bell for Silent {
    fn ring(&self) {}
}

type End<'a> = Halves<&'a [AtomicU64], &'a Silent>;

/// Both ends of a ring through which `start` bytes have gone each way.
fn ends(page: &Page, start: u32, modes: Modes) -> [End<'_>; 2] {
    let attach = |side| Ring::attach(&page.0[..], side, modes, &Silent).unwrap();
    let mut ends = [attach(Side::First), attach(Side::Second)];
    for (producer, consumer) in &mut ends {
        assert!(producer.room().is_ok());
        assert!(consumer.unread().is_ok());
    }
    for (producer, consumer) in &mut ends {
        assert_eq!(producer.room(), Ok(Some(1024)));
        assert_eq!(consumer.unread(), Ok(Some(0)));
    }
    for (producer, consumer) in &mut ends {
        for link in [&mut producer.output.link, &mut consumer.input.link] {
            link.index = start;
            link.other = start;
            let view = link.view(&page.0).unwrap();
            link.publish(view, 0);
        }
    }
    ends
}

#[test]
fn bytes_go_on_where_the_index_runs_over() {
    let page = Page([const { AtomicU64::new(0) }; 512]);
    let [mut first, mut second] = ends(&page, u32::MAX - 5000, Modes::BYTES);
    let mut sent = 0u32;
    let mut received = 0u32;
    while received < 20_000 {
        let piece: Vec<u8> = (sent..sent + sent % 701 + 1).map(|byte| byte as u8).collect();
        sent += first.0.write(&piece).unwrap() as u32;
        let mut buffer = vec![0; received as usize % 503 + 1];
        let count = second.1.read(&mut buffer).unwrap();
        for byte in &buffer[..count] {
            assert_eq!(*byte, received as u8);
            received += 1;
        }
    }
}

#[test]
fn messages_go_on_where_the_index_runs_over() {
    let page = Page([const { AtomicU64::new(0) }; 512]);
    let [mut first, mut second] = ends(&page, 5000u32.wrapping_neg(), Modes::MESSAGES);
    let mut buffer = [0; 128];
    for number in 0..200u8 {
        let message = vec![number; usize::from(number) % 120];
        assert_eq!(first.0.try_send(&message), Ok(true));
        assert_eq!(second.1.try_receive(&mut buffer), Ok(Some(message.len())));
        assert_eq!(buffer[..message.len()], message);
    }
}

#[test]
fn words_are_passed_on_with_the_rest_of_the_last_as_zero() {
    for words in 1..20 {
        for rest in 0..8 {
            let from: Vec<_> = (0..words).map(|at| AtomicU64::new(u64::MAX - at)).collect();
            let to: Vec<_> = (0..words).map(|_| AtomicU64::new(0x55)).collect();
            let last = copy::pass(&from, &to, rest);
            for at in 0..words as usize {
                let mut expected = u64::from_le(from[at].load(Ordering::Relaxed));
                if rest != 0 && at + 1 == words as usize {
                    expected &= (1 << (8 * rest)) - 1;
                    assert_eq!(last, expected);
                }
                assert_eq!(
                    u64::from_le(to[at].load(Ordering::Relaxed)),
                    expected,
                    "{at} of {words}"
                );
            }
            assert!(rest != 0 || last == 0);
        }
    }
}

#[test]
fn bytes_are_copied_wherever_they_lie() {
    const SIZE: usize = 64;
    #[repr(align(8))]
    struct Aligned([u8; SIZE]);
    let source = Aligned(core::array::from_fn(|index| index as u8 + 1));
    for index in 0..SIZE {
        for offset in 0..9 {
            for length in 1..SIZE - 8 {
                let data: [AtomicU64; SIZE / 8] = [const { AtomicU64::new(u64::MAX) }; SIZE / 8];
                // What the word at the index holds already is 0x77 in each byte.
                let partial = 0x7777_7777_7777_7777 & !(u64::MAX << (8 * (index % 8)));
                let bytes = &source.0[offset..offset + length];
                let last = copy::store(&data, index as u32, partial, bytes);
                let stored = |at: usize| copy::load_word(&data, at / 8).to_le_bytes()[at % 8];
                for (at, byte) in bytes.iter().enumerate() {
                    assert_eq!(stored(index + at), *byte, "{index} {offset} {length}: {at}");
                }
                for at in index / 8 * 8..index {
                    assert_eq!(stored(at), 0x77, "{index} {offset} {length}");
                }
                let end = index + length;
                if !end.is_multiple_of(8) {
                    assert_eq!(last, copy::load_word(&data, end / 8), "{index} {offset} {length}");
                } else {
                    assert_eq!(last, 0, "{index} {offset} {length}");
                }
                // Words in which nothing lies are as they were.
                for word in end.div_ceil(8)..index / 8 + SIZE / 8 {
                    assert_eq!(copy::load_word(&data, word), u64::MAX, "{index} {offset} {length}");
                }
                let mut target = Aligned([0; SIZE]);
                copy::load(&data, index as u32, &mut target.0[offset..offset + length]);
                let (before, rest) = target.0.split_at(offset);
                let (loaded, behind) = rest.split_at(length);
                assert_eq!(loaded, bytes, "{index} {offset} {length}");
                assert!(before.iter().chain(behind).all(|byte| *byte == 0));
            }
        }
    }
}
