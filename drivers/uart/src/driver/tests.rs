//! The driver on a fake UART: what comes, what is lost, what waits.

use super::*;
use crate::fake::{Fake, ports};
use embassy_futures::block_on;
use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// A clock that jumps: every sleep is over at once, and noted.
#[derive(Default)]
struct Slept {
    pauses: RefCell<Vec<Duration>>,
    /// Called at each sleep with their number.
    then: Option<Box<dyn Fn(usize)>>,
}

impl Timer for &Slept {
    async fn sleep(&self, duration: Duration) {
        self.pauses.borrow_mut().push(duration);
        let count = self.pauses.borrow().len();
        if let Some(then) = &self.then {
            then(count);
        }
    }
}

struct Never;

impl Timer for Never {
    async fn sleep(&self, _: Duration) {
        panic!("nothing to wait for");
    }
}

fn by_interrupt(kind: crate::Kind, fake: &Fake) -> Uart<&Fake, Never> {
    let uart = Uart::new(Port::new(kind, fake), Never, Receive::ByInterrupt);
    uart.start();
    uart
}

fn read<R: Registers, T: Timer>(uart: &Uart<R, T>) -> Vec<u8> {
    let mut buffer = [0; 2 * INPUT_CAPACITY];
    let count = block_on((&mut &*uart).read(&mut buffer)).unwrap();
    buffer[..count].to_vec()
}

#[test]
fn the_handler_empties_the_uart() {
    for (kind, fake) in ports() {
        let uart = by_interrupt(kind, &fake);
        assert!(!fake.line());
        fake.receive(b"hello");
        assert!(fake.line());
        uart.on_interrupt();
        assert!(!fake.line());
        assert_eq!(read(&uart), b"hello");
        assert_eq!(uart.counters(), Counters { received: 5, ..Counters::default() });
    }
}

#[test]
fn a_waiting_reader_is_woken_by_the_interrupt() {
    for (kind, fake) in ports() {
        let uart = by_interrupt(kind, &fake);
        let mut reader = &uart;
        let mut buffer = [0; 4];
        let mut reading = pin!(reader.read(&mut buffer));
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(reading.as_mut().poll(&mut context), Poll::Pending);
        fake.receive(b"k");
        uart.on_interrupt();
        assert_eq!(reading.as_mut().poll(&mut context), Poll::Ready(Ok(1)));
    }
}

#[test]
fn what_came_before_the_start_is_kept() {
    for (kind, fake) in ports() {
        fake.receive(b"early");
        let uart = by_interrupt(kind, &fake);
        assert_eq!(read(&uart), b"early");
    }
}

#[test]
fn a_full_ring_leaves_the_rest_in_the_uart() {
    for (kind, fake) in ports() {
        let uart = by_interrupt(kind, &fake);
        let flood: Vec<u8> = (0..3 * INPUT_CAPACITY).map(|n| n as u8).collect();
        fake.receive(&flood);
        let mut seen = Vec::new();
        for _ in 0..3 {
            assert!(fake.line());
            uart.on_interrupt();
            // A level falls even if bytes are left.
            assert!(!fake.line());
            assert_eq!(uart.counters().received, (seen.len() + INPUT_CAPACITY) as u64);
            seen.extend(read(&uart));
        }
        assert_eq!(seen, flood);
        // Everything is read: a new byte interrupts as before.
        fake.receive(b"k");
        assert!(fake.line());
        uart.on_interrupt();
        assert_eq!(read(&uart), b"k");
    }
}

#[test]
fn damaged_bytes_are_counted_not_delivered() {
    for (kind, fake) in ports() {
        let uart = by_interrupt(kind, &fake);
        fake.receive_damaged();
        uart.on_interrupt();
        assert_eq!(read(&uart), b"!");
        let expected = Counters { received: 1, faulty: 1, overruns: 1 };
        assert_eq!(uart.counters(), expected);
    }
}

#[test]
fn a_uart_that_never_runs_dry_does_not_hold_the_handler() {
    for (kind, fake) in ports() {
        let uart = by_interrupt(kind, &fake);
        fake.never_ends();
        uart.on_interrupt();
        assert!(!fake.line());
        assert_eq!(read(&uart), vec![b'e'; INPUT_CAPACITY]);
        assert!(fake.line());
    }
}

#[test]
fn an_interrupt_without_a_byte_is_quieted() {
    for (kind, fake) in ports() {
        let uart = by_interrupt(kind, &fake);
        fake.time_out();
        assert!(fake.line());
        uart.on_interrupt();
        assert!(!fake.line(), "{kind:?}");
        if kind == crate::Kind::Pl011 {
            assert_eq!(fake.cleared(), 0x7ff);
        }
    }
}

#[test]
fn without_an_interrupt_the_reader_looks_less_and_less_often() {
    let fake: &'static Fake = Box::leak(Box::new(Fake::new(crate::Kind::Ns16550a)));
    let clock = Slept {
        then: Some(Box::new(|n| {
            if n == 8 {
                fake.receive(b"x")
            }
        })),
        ..Slept::default()
    };
    let uart = Uart::new(Port::new(crate::Kind::Ns16550a, fake), &clock, Receive::ByPolling);
    uart.start();
    assert_eq!(read(&uart), b"x");
    let millis = |pauses: &[Duration]| pauses.iter().map(Duration::as_millis).collect::<Vec<_>>();
    assert_eq!(millis(&clock.pauses.borrow()), [5, 10, 20, 40, 80, 80, 80, 80]);
    // What came makes it look often again.
    clock.pauses.borrow_mut().clear();
    assert_eq!(read(&uart), b"x");
    assert_eq!(millis(&clock.pauses.borrow()), [5, 10, 20, 40, 80, 80, 80, 80]);
    assert!(!fake.line());
}

#[test]
fn output_is_whole_and_costs_one_look_a_fifo() {
    for (kind, fake) in ports() {
        let uart = by_interrupt(kind, &fake);
        let text: Vec<u8> = (0..1600_u32).map(|n| n as u8).collect();
        let before = fake.accesses();
        block_on((&mut &uart).write_all(&text)).unwrap();
        assert_eq!(fake.sent(), text);
        assert_eq!(fake.accesses() - before, 1700);
        block_on((&mut &uart).flush()).unwrap();
    }
}

#[test]
fn a_full_transmitter_is_waited_for() {
    for kind in [crate::Kind::Ns16550a, crate::Kind::Pl011] {
        let fake: &'static Fake = Box::leak(Box::new(Fake::new(kind)));
        let clock = Slept {
            then: Some(Box::new(|n| {
                if n == 3 {
                    fake.release()
                }
            })),
            ..Slept::default()
        };
        let uart = Uart::new(Port::new(kind, fake), &clock, Receive::ByPolling);
        uart.start();
        fake.jam();
        block_on((&mut &uart).write_all(b"more than sixteen bytes")).unwrap();
        assert_eq!(fake.sent(), b"more than sixteen bytes");
        assert_eq!(*clock.pauses.borrow(), [SEND_PAUSE; 3]);
    }
}

#[test]
fn a_stuck_transmitter_is_given_up() {
    for (kind, fake) in ports() {
        let clock = Slept::default();
        let uart = Uart::new(Port::new(kind, &fake), &clock, Receive::ByPolling);
        uart.start();
        fake.jam();
        let outcome = block_on((&mut &uart).write_all(b"more than sixteen bytes"));
        assert_eq!(outcome, Err(UartError::Stuck));
        assert_eq!(block_on((&mut &uart).flush()), Err(UartError::Stuck));
        let slept: Duration = clock.pauses.borrow().iter().sum();
        assert_eq!(slept, 2 * SEND_PAUSE * SEND_PAUSES);
    }
}

#[test]
fn a_long_write_lets_others_run() {
    for (kind, fake) in ports() {
        let uart = by_interrupt(kind, &fake);
        let turns = Cell::new(0);
        let mut writer = &uart;
        let mut writing = pin!(writer.write_all(&[b'x'; 10 * TURN]));
        let mut context = Context::from_waker(Waker::noop());
        while writing.as_mut().poll(&mut context).is_pending() {
            turns.set(turns.get() + 1);
        }
        assert_eq!(turns.get(), 10);
    }
}
