//! The models against Billy's own driver, and register by register.

use std::cell::RefCell;
use std::time::Duration;

use super::*;
use crate::fake::{Signal as Seen, Signals, virq};
use crate::object::doorbell::Doorbell;
use uart::{Port, Receive, Registers, Timer};

const BASE: u64 = 0x3f8;
const KINDS: [(UartKind, ::uart::Kind); 2] =
    [(UartKind::Ns16550a, ::uart::Kind::Ns16550a), (UartKind::Pl011, ::uart::Kind::Pl011)];

/// A model as the guest's driver reaches it.
struct Guest {
    state: RefCell<(Uart, Objects, Signals, Vec<u8>)>,
}

impl Guest {
    fn new(kind: UartKind, intid: Option<u32>) -> Self {
        let signal = intid.map_or(Signal::None, |intid| Signal::Line(virq(intid)));
        Self::with(kind, 0, signal, Objects::default())
    }

    fn with(kind: UartKind, shift: u32, signal: Signal, objects: Objects) -> Self {
        let config = UartConfig { kind, base: BASE, size: 0x1000, shift, intid: None };
        let uart = Uart::new(VmIndex(0), config, signal);
        Self { state: RefCell::new((uart, objects, Signals::default(), Vec::new())) }
    }

    /// The peer sends what there is room for; returns how many bytes.
    fn type_in(&self, bytes: &[u8]) -> usize {
        let (uart, objects, signals, _) = &mut *self.state.borrow_mut();
        let count = uart.room().min(bytes.len());
        uart.receive(&bytes[..count], objects, signals);
        count
    }

    fn signals(&self) -> Vec<Seen> {
        self.state.borrow_mut().2.take()
    }

    fn sent(&self) -> Vec<u8> {
        core::mem::take(&mut self.state.borrow_mut().3)
    }

    fn is_high(&self, intid: u32) -> bool {
        self.state.borrow().0.is_source_pending(virq(intid))
    }
}

impl Registers for Guest {
    fn read(&self, number: usize) -> u32 {
        let (uart, objects, signals, _) = &mut *self.state.borrow_mut();
        uart.read(BASE + number as u64, objects, signals).expect("a register") as u32
    }

    fn write(&self, number: usize, value: u32) {
        let (uart, objects, signals, sent) = &mut *self.state.borrow_mut();
        uart.write(BASE + number as u64, value.into(), sent, objects, signals).expect("a register");
    }
}

struct Never;

impl Timer for Never {
    async fn sleep(&self, _: Duration) {
        panic!("nothing to wait for");
    }
}

fn received(port: &Port<&Guest>) -> Vec<u8> {
    let mut bytes = Vec::new();
    assert!(port.receive(1000, |byte| bytes.push(byte)));
    bytes
}

#[test]
fn the_driver_sends_and_receives() {
    for (kind, driver) in KINDS {
        let guest = Guest::new(kind, None);
        assert_eq!(guest.type_in(b"early"), 0, "{kind:?} is not ready");
        let port = Port::new(driver, &guest);
        port.set_up();
        assert_eq!(port.send_some(&[b'x'; 20]), 16, "FIFOs are on");
        assert_eq!(guest.sent(), [b'x'; 16]);
        assert!(port.is_idle());
        assert_eq!(guest.type_in(b"a line that is longer than the FIFO"), 16);
        assert_eq!(received(&port), b"a line that is l");
        assert_eq!((port.overruns(), port.faulty()), (0, 0));
        assert_eq!(guest.signals(), []);
    }
}

#[test]
fn the_line_is_high_while_bytes_wait() {
    for (kind, driver) in KINDS {
        let guest = Guest::new(kind, Some(36));
        let uart = ::uart::Uart::new(Port::new(driver, &guest), Never, Receive::ByInterrupt);
        uart.start();
        assert_eq!(guest.signals(), []);
        guest.type_in(b"one");
        guest.type_in(b"two");
        assert_eq!(guest.signals(), [Seen::Assert(36)]);
        assert!(guest.is_high(36) && !guest.is_high(37));
        uart.on_interrupt();
        assert_eq!(guest.signals(), [Seen::Clear(36)]);
        assert!(!guest.is_high(36));
        assert_eq!(uart.counters().received, 6);
        guest.type_in(b"!");
        assert_eq!(guest.signals(), [Seen::Assert(36)]);
    }
}

#[test]
fn a_masked_uart_does_not_interrupt() {
    for (kind, driver) in KINDS {
        let guest = Guest::new(kind, Some(36));
        let port = Port::new(driver, &guest);
        port.set_up();
        guest.type_in(b"x");
        assert_eq!(guest.signals(), []);
        port.set_receive_interrupt(true);
        assert_eq!(guest.signals(), [Seen::Assert(36)]);
        port.set_receive_interrupt(false);
        assert_eq!(guest.signals(), [Seen::Clear(36)]);
    }
}

#[test]
fn a_doorbell_rings_when_the_line_rises() {
    let mut objects = Objects::default();
    let bell = objects.add_doorbell(Doorbell::new(Some(virq(962))));
    let guest = Guest::with(UartKind::Ns16550a, 0, Signal::Doorbell(bell), objects);
    let uart =
        ::uart::Uart::new(Port::new(::uart::Kind::Ns16550a, &guest), Never, Receive::ByInterrupt);
    uart.start();
    guest.type_in(b"x");
    guest.type_in(b"y");
    assert_eq!(guest.signals(), [Seen::Assert(962)]);
    assert_eq!(guest.state.borrow_mut().1.doorbell(bell).receive(u64::MAX), 1);
    uart.on_interrupt();
    assert_eq!(guest.signals(), []);
    guest.type_in(b"z");
    assert_eq!(guest.signals(), [Seen::Assert(962)]);
}

#[test]
fn transmit_interrupts_of_a_16550() {
    let guest = Guest::new(UartKind::Ns16550a, Some(36));
    guest.write(1, 2);
    assert_eq!(guest.signals(), [Seen::Assert(36)]);
    assert_eq!(guest.read(2), 2);
    assert_eq!(guest.read(2), 1, "identification ends it");
    assert_eq!(guest.signals(), [Seen::Clear(36)]);
    guest.write(0, b'x'.into());
    assert_eq!(guest.signals(), [Seen::Assert(36)]);
}

#[test]
fn a_16550_keeps_divisor_scratch_and_loops_back() {
    let guest = Guest::new(UartKind::Ns16550a, None);
    guest.write(3, 0x83);
    guest.write(0, 0x0c);
    guest.write(1, 0x01);
    assert_eq!((guest.read(0), guest.read(1)), (0x0c, 0x01));
    guest.write(3, 0x03);
    guest.write(7, 0x5a);
    assert_eq!((guest.read(0), guest.read(1), guest.read(7)), (0, 0, 0x5a));
    assert_eq!(guest.sent(), []);
    // OUT2 and RTS come back as carrier and clear-to-send.
    guest.write(4, 0x1a);
    assert_eq!(guest.read(6), 0x90);
    guest.write(0, b'l'.into());
    assert_eq!((guest.read(5) & 1, guest.read(0)), (1, b'l'.into()));
    assert_eq!(guest.sent(), []);
    guest.write(0, b'1'.into());
    guest.write(0, b'2'.into());
    assert_eq!(guest.read(5) & 3, 3, "one byte without FIFO, then overrun");
    assert_eq!(guest.read(5) & 3, 1);
}

#[test]
fn a_pl011_says_what_it_is_and_interrupts_on_transmit() {
    let guest = Guest::new(UartKind::Pl011, Some(33));
    let id: Vec<u32> = (0..8).map(|number| guest.read(0xfe0 + 4 * number)).collect();
    assert_eq!(id, [0x11, 0x10, 0x34, 0x00, 0x0d, 0xf0, 0x05, 0xb1]);
    guest.write(0x24, 26);
    assert_eq!(guest.read(0x24), 26);
    guest.write(0x38, 0x20);
    assert_eq!(guest.signals(), []);
    guest.write(0, b'x'.into());
    assert_eq!((guest.sent(), guest.signals()), (b"x".to_vec(), vec![Seen::Assert(33)]));
    assert_eq!(guest.read(0x40), 0x20);
    guest.write(0x44, 0x20);
    assert_eq!((guest.read(0x3c), guest.signals()), (0, vec![Seen::Clear(33)]));
}

#[test]
fn registers_lie_where_the_shift_says() {
    let guest = Guest::with(UartKind::Ns16550a, 2, Signal::None, Objects::default());
    guest.write(7 << 2, 0x77);
    assert_eq!(guest.read(7 << 2), 0x77);
    let (uart, objects, signals, sent) = &mut *guest.state.borrow_mut();
    assert_eq!(uart.read(BASE - 1, objects, signals), None);
    assert_eq!(uart.read(BASE + 0x1000, objects, signals), None);
    assert_eq!(uart.write(u64::MAX, 0, sent, objects, signals), None);
}

#[test]
fn a_restart_forgets_everything() {
    for (kind, driver) in KINDS {
        let guest = Guest::new(kind, Some(36));
        let port = Port::new(driver, &guest);
        port.set_up();
        port.set_receive_interrupt(true);
        guest.type_in(b"x");
        let mut state = guest.state.borrow_mut();
        state.0.restart();
        assert_eq!(state.0.room(), 0);
        assert!(!state.0.is_source_pending(virq(36)));
    }
}
