//! What the two threads do.

use super::error::RingError;
use super::forward::{forward_any, forward_plain};
use super::input::Input;
use super::layout::{LINE_WORDS, LINES, Mode, record_size};
use super::link::{Lines, Link, fresh_session};
use super::output::Output;
use super::sync::AtomicU64;
use loom::sync::{Condvar, Mutex};
use loom::thread;
use std::sync::Arc;

const CAPACITY: u32 = 16;
const PRODUCER: usize = 0;
const CONSUMER: usize = 1;
const DATA: usize = LINES * LINE_WORDS;

/// A doorbell: stays rung until somebody has waited for it.
struct Bell(Mutex<bool>, Condvar);

impl Bell {
    fn ring(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_one();
    }

    fn wait(&self) {
        let mut rung = self.0.lock().unwrap();
        while !*rung {
            rung = self.1.wait(rung).unwrap();
        }
        *rung = false;
    }
}

/// One direction, as both ends share it.
struct Shared {
    words: Vec<AtomicU64>,
    for_producer: Bell,
    for_consumer: Bell,
}

impl Shared {
    fn new() -> Arc<Self> {
        let bell = || Bell(Mutex::new(false), Condvar::new());
        Arc::new(Self {
            words: (0..DATA + CAPACITY as usize / 8).map(|_| AtomicU64::new(0)).collect(),
            for_producer: bell(),
            for_consumer: bell(),
        })
    }

    /// Begins a session of the end with `own` line.
    fn link(&self, own: usize, peer: usize, mode: Mode, bell: &Bell) -> Link {
        let lines = Lines { own, peer, data: DATA };
        let session = fresh_session(&self.words, [lines, lines]);
        let mut link = Link::new(lines, CAPACITY, mode, session);
        let view = link.view(&self.words).unwrap();
        link.announce(view);
        assert!(link.take_ring());
        bell.ring();
        link
    }

    fn producer(self: &Arc<Self>, mode: Mode) -> Producer {
        let link = self.link(PRODUCER, CONSUMER, mode, &self.for_consumer);
        Producer(self.clone(), Output::new(link))
    }

    fn consumer(self: &Arc<Self>, mode: Mode) -> Consumer {
        let link = self.link(CONSUMER, PRODUCER, mode, &self.for_producer);
        Consumer(self.clone(), Input::new(link))
    }

    /// Both ends, connected.
    fn both(mode: Mode) -> (Producer, Consumer) {
        let shared = Self::new();
        let mut producer = shared.producer(mode);
        let mut consumer = shared.consumer(mode);
        assert_eq!(producer.1.free(&shared.words), Ok(None));
        assert_eq!(consumer.1.unread(&shared.words), Ok(Some(0)));
        assert_eq!(producer.1.free(&shared.words), Ok(Some(CAPACITY)));
        producer.1.link.take_ring();
        consumer.1.link.take_ring();
        *shared.for_producer.0.lock().unwrap() = false;
        *shared.for_consumer.0.lock().unwrap() = false;
        (producer, consumer)
    }
}

struct Producer(Arc<Shared>, Output);

impl Producer {
    /// Does `attempt` until it succeeds, sleeping until `wanted` bytes are free.
    fn insist<T>(
        &mut self,
        wanted: u32,
        attempt: impl Fn(&mut Output, &[AtomicU64]) -> Result<Option<T>, RingError>,
    ) -> Result<T, RingError> {
        loop {
            let result = attempt(&mut self.1, &self.0.words).transpose();
            let result =
                result.map_or_else(|| self.1.sleep(&self.0.words, wanted).map(Err), |r| r.map(Ok));
            if self.1.link.take_ring() {
                self.0.for_consumer.ring();
            }
            match result? {
                Ok(done) => return Ok(done),
                Err(true) => self.0.for_producer.wait(),
                Err(false) => {}
            }
        }
    }

    fn send(&mut self, message: &[u8]) -> Result<(), RingError> {
        let size = record_size(message.len() as u32);
        self.insist(size, |output, words| Ok(output.try_send(words, message)?.then_some(())))
    }

    fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let attempt = |output: &mut Output, words: &[AtomicU64]| {
                Ok(Some(output.write(words, bytes)?).filter(|count| *count > 0))
            };
            let count = self.insist(1, attempt).unwrap();
            bytes = &bytes[count..];
        }
    }
}

struct Consumer(Arc<Shared>, Input);

impl Consumer {
    /// Does `attempt` until it succeeds, sleeping until there is something.
    fn insist<T>(
        &mut self,
        mut attempt: impl FnMut(&mut Input, &[AtomicU64]) -> Result<Option<T>, RingError>,
    ) -> Result<T, RingError> {
        loop {
            let result = attempt(&mut self.1, &self.0.words).transpose();
            let result = result.map_or_else(|| self.1.sleep(&self.0.words).map(Err), |r| r.map(Ok));
            if self.1.link.take_ring() {
                self.0.for_producer.ring();
            }
            match result? {
                Ok(done) => return Ok(done),
                Err(true) => self.0.for_consumer.wait(),
                Err(false) => {}
            }
        }
    }

    fn receive(&mut self) -> Result<Vec<u8>, RingError> {
        let mut buffer = [0; 8];
        let length = self.insist(|input, words| input.try_receive(words, &mut buffer))?;
        Ok(buffer[..length].to_vec())
    }

    /// Passes on what there is, `limit` bytes at most, once there is something.
    fn pass_on(&mut self, to: &mut Producer, limit: usize) -> usize {
        let (input, output) = (&mut self.1, &mut to.1);
        let (from, into) = (&self.0.words, &to.0.words);
        loop {
            let passed = match forward_plain(input, from, output, into, limit, || false) {
                Some(passed) => passed,
                None => forward_any(input, from, output, into, limit, || false).unwrap(),
            };
            let waits = (passed == 0).then(|| {
                let empty = input.sleep(from).unwrap();
                (empty, !empty && output.sleep(into, 1).unwrap())
            });
            if output.link.take_ring() {
                to.0.for_consumer.ring();
            }
            if input.link.take_ring() {
                self.0.for_producer.ring();
            }
            match waits {
                None => return passed,
                Some((true, _)) => self.0.for_consumer.wait(),
                Some((_, true)) => to.0.for_producer.wait(),
                Some(_) => {}
            }
        }
    }

    fn read(&mut self, target: &mut [u8]) {
        let mut done = 0;
        while done < target.len() {
            let rest = &mut target[done..];
            let attempt = |input: &mut Input, words: &[AtomicU64]| {
                Ok(Some(input.read(words, rest)?).filter(|count| *count > 0))
            };
            done += self.insist(attempt).unwrap();
        }
    }
}

/// Three messages through a ring that holds one: both ends sleep and are woken.
pub fn messages() {
    let (mut producer, mut consumer) = Shared::both(Mode::Messages);
    let thread = thread::spawn(move || {
        for message in [b"one", b"two", b"six"] {
            producer.send(message).unwrap();
        }
    });
    for message in [b"one", b"two", b"six"] {
        assert_eq!(consumer.receive().unwrap(), message);
    }
    thread.join().unwrap();
}

/// Bytes that share words, around the end of the ring.
pub fn bytes() {
    let (mut producer, mut consumer) = Shared::both(Mode::Bytes);
    let thread = thread::spawn(move || {
        producer.write(b"abc");
        producer.write(b"defghijklmnopqrstu");
    });
    let mut text = [0; 21];
    let (start, end) = text.split_at_mut(5);
    consumer.read(start);
    consumer.read(end);
    assert_eq!(&text, b"abcdefghijklmnopqrstu");
    thread.join().unwrap();
}

/// One end passes on what comes to the direction back, in pieces that do not fill words; both ends sleep.
pub fn passed_on() {
    let (mut out, mut input) = Shared::both(Mode::Bytes);
    let (mut output, mut back) = Shared::both(Mode::Bytes);
    let thread = thread::spawn(move || {
        out.write(b"abc");
        let mut text = [0; 3];
        back.read(&mut text);
        assert_eq!(&text, b"abc");
        out.write(b"defghijkl");
        let mut text = [0; 9];
        back.read(&mut text);
        assert_eq!(&text, b"defghijkl");
        // Whoever drops its bells while the other may ring them is none of this.
        (out, back)
    });
    let mut rest = 12;
    while rest > 0 {
        rest -= input.pass_on(&mut output, rest);
    }
    thread.join().unwrap();
}

/// Both ends begin at the same time.
pub fn handshake() {
    let shared = Shared::new();
    let other = shared.clone();
    let thread = thread::spawn(move || {
        let mut producer = other.producer(Mode::Messages);
        producer.send(b"hello").unwrap();
        producer
    });
    let mut consumer = shared.consumer(Mode::Messages);
    assert_eq!(consumer.receive().unwrap(), b"hello");
    thread.join().unwrap();
}

/// The producer sends, reboots, and sends again.
pub fn producer_restarts() {
    let (mut producer, mut consumer) = Shared::both(Mode::Messages);
    let shared = producer.0.clone();
    let thread = thread::spawn(move || {
        producer.send(b"old").unwrap();
        drop(producer);
        shared.producer(Mode::Messages).send(b"new").unwrap();
    });
    let mut first = consumer.receive();
    if first.as_deref() == Ok(b"old") {
        first = consumer.receive();
    }
    assert!(matches!(first, Err(RingError::PeerReset { .. })), "{first:?}");
    assert_eq!(consumer.receive().unwrap(), b"new");
    thread.join().unwrap();
}

/// The consumer reboots while the producer sends.
pub fn consumer_restarts() {
    let (mut producer, consumer) = Shared::both(Mode::Messages);
    let shared = consumer.0.clone();
    let thread = thread::spawn(move || {
        drop(consumer);
        let mut consumer = shared.consumer(Mode::Messages);
        consumer.receive().unwrap()
    });
    // The second of these waits for room, until it is told.
    let told = loop {
        if let Err(error) = producer.send(b"old") {
            break error;
        }
    };
    assert!(matches!(told, RingError::PeerReset { .. }), "{told:?}");
    producer.send(b"new").unwrap();
    assert_eq!(thread.join().unwrap(), b"new");
}
