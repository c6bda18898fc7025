//! Indices that run over.

use super::*;
use crate::layout::Modes;
use crate::sync::AtomicU64;

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
