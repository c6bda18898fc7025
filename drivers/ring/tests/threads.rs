//! The two ends as two threads, which sleep and wake each other.

use embedded_io::{Read, Write};
use embedded_io_async::{Read as _, Write as _};
use shared_ring::{Bell, Blocking, Modes, Ring, RingError, Side, Wakers};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// Nothing here takes as long; a lost wake-up takes for ever.
const FOR_EVER: Duration = Duration::from_secs(60);

/// A buffer of a page.
#[repr(align(64))]
struct Page([AtomicU64; 512]);

fn page() -> Page {
    Page([const { AtomicU64::new(0) }; 512])
}

/// Stays rung until waited for.
#[derive(Default)]
struct Latch {
    rung: Mutex<bool>,
    changed: Condvar,
    rings: AtomicUsize,
}

impl Bell for Latch {
    fn ring(&self) {
        self.rings.fetch_add(1, Relaxed);
        *self.rung.lock().unwrap() = true;
        self.changed.notify_one();
    }
}

impl Latch {
    fn wait(&self) -> bool {
        let rung = self.rung.lock().unwrap();
        let (mut rung, timeout) =
            self.changed.wait_timeout_while(rung, FOR_EVER, |rung| !*rung).unwrap();
        *rung = false;
        !timeout.timed_out()
    }
}

impl Wake for Latch {
    fn wake(self: Arc<Self>) {
        Bell::ring(&*self);
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let latch = Arc::new(Latch::default());
    let waker = Waker::from(latch.clone());
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return result;
        }
        assert!(latch.wait(), "a wake-up was lost");
    }
}

/// Byte `index` of the stream that the tests send.
fn byte(index: usize) -> u8 {
    (index ^ index >> 8).wrapping_mul(31) as u8
}

#[test]
fn a_stream_through_embedded_io() {
    const TOTAL: usize = 4 << 20;
    let (page, latches) = (page(), [Latch::default(), Latch::default()]);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (producer, _back) =
                Ring::attach(&page.0[..], Side::First, Modes::BYTES, &latches[1]).unwrap();
            let mut producer = Blocking::new(producer, || latches[0].wait());
            let mut sent = 0;
            while sent < TOTAL {
                let length = (sent * 7 % 1500 + 1).min(TOTAL - sent);
                let piece: Vec<u8> = (sent..sent + length).map(byte).collect();
                producer.write_all(&piece).unwrap();
                sent += length;
            }
            while !producer.half().is_drained().unwrap() {
                std::thread::yield_now();
            }
        });
        let (_back, consumer) =
            Ring::attach(&page.0[..], Side::Second, Modes::BYTES, &latches[0]).unwrap();
        let mut consumer = Blocking::new(consumer, || latches[1].wait());
        let mut buffer = [0; 700];
        let mut received = 0;
        while received < TOTAL {
            let count = consumer.read(&mut buffer[..received % 699 + 1]).unwrap();
            for value in &buffer[..count] {
                assert_eq!(*value, byte(received));
                received += 1;
            }
        }
    });
}

#[test]
fn messages_both_ways_between_tasks() {
    const COUNT: usize = 30_000;
    struct ToPeer<'a>(&'a Wakers, &'a AtomicUsize);
    impl Bell for ToPeer<'_> {
        fn ring(&self) {
            self.1.fetch_add(1, Relaxed);
            self.0.on_bell();
        }
    }
    let (page, wakers) = (page(), [Wakers::new(), Wakers::new()]);
    let rings = AtomicUsize::new(0);
    let bells = [ToPeer(&wakers[1], &rings), ToPeer(&wakers[0], &rings)];
    let length = |number: usize| number * 13 % 200;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (producer, consumer) =
                Ring::attach(&page.0[..], Side::Second, Modes::MESSAGES, &bells[1]).unwrap();
            let mut producer = producer.into_async(&wakers[1]);
            let mut consumer = consumer.into_async(&wakers[1]);
            block_on(async {
                let mut buffer = [0; 256];
                for _ in 0..COUNT {
                    let count = consumer.receive(&mut buffer).await.unwrap();
                    producer.send(&buffer[..count]).await.unwrap();
                }
                producer.drained().await.unwrap();
            });
        });
        let (producer, consumer) =
            Ring::attach(&page.0[..], Side::First, Modes::MESSAGES, &bells[0]).unwrap();
        let mut producer = producer.into_async(&wakers[0]);
        let mut consumer = consumer.into_async(&wakers[0]);
        let sender = scope.spawn(move || {
            block_on(async {
                for number in 0..COUNT {
                    producer.send(&vec![number as u8; length(number)]).await.unwrap();
                }
            });
            producer
        });
        block_on(async {
            let mut buffer = [0; 256];
            for number in 0..COUNT {
                let count = consumer.receive(&mut buffer).await.unwrap();
                assert_eq!(buffer[..count], vec![number as u8; length(number)]);
            }
        });
        sender.join().unwrap();
    });
}

#[test]
fn bytes_between_tasks_until_the_peer_is_gone() {
    const TOTAL: usize = 1 << 20;
    struct ToPeer<'a>(&'a Wakers);
    impl Bell for ToPeer<'_> {
        fn ring(&self) {
            self.0.on_bell();
        }
    }
    let (page, wakers) = (page(), [Wakers::new(), Wakers::new()]);
    let bells = [ToPeer(&wakers[1]), ToPeer(&wakers[0])];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (producer, _back) =
                Ring::attach(&page.0[..], Side::First, Modes::BYTES, &bells[0]).unwrap();
            let mut producer = producer.into_async(&wakers[0]);
            let all: Vec<u8> = (0..TOTAL).map(byte).collect();
            block_on(async {
                producer.write_all(&all).await.unwrap();
                producer.flush().await.unwrap();
            });
        });
        let (_back, consumer) =
            Ring::attach(&page.0[..], Side::Second, Modes::BYTES, &bells[1]).unwrap();
        let mut consumer = consumer.into_async(&wakers[1]);
        block_on(async {
            let mut buffer = [0; 300];
            let mut received = 0;
            let end = loop {
                match consumer.read(&mut buffer).await {
                    Ok(count) => {
                        for value in &buffer[..count] {
                            assert_eq!(*value, byte(received));
                            received += 1;
                        }
                    }
                    Err(error) => break error,
                }
            };
            assert_eq!((received, end), (TOTAL, RingError::PeerGone));
        });
    });
}

#[test]
fn patience_ends() {
    let (page, bell) = (page(), Latch::default());
    let (producer, consumer) = Ring::attach(&page.0[..], Side::First, Modes::BYTES, &bell).unwrap();
    let mut looks = 0;
    let mut producer = Blocking::new(producer, || {
        looks += 1;
        looks < 3
    });
    assert_eq!(producer.write(b"x"), Err(RingError::GaveUp));
    assert_eq!(looks, 3);
    let mut consumer = Blocking::new(consumer, || false);
    assert_eq!(consumer.read(&mut [0; 4]), Err(RingError::GaveUp));
}
