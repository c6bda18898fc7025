//! One UART of either kind, register access by register access.

use crate::registers::Registers;
use crate::{ns16550a, pl011};
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

/// Which UART.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `ns16550a`.
    Ns16550a,
    /// `arm,pl011`.
    Pl011,
}

/// What one look at the receiver brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    /// Whether there was something.
    pub any: bool,
    /// The byte, unless it was faulty.
    pub byte: Option<u8>,
    /// Whether the UART lost bytes before it.
    pub overrun: bool,
}

impl Received {
    pub(crate) const NOTHING: Self = Self { any: false, byte: None, overrun: false };
}

/// A UART.
#[derive(Debug)]
pub struct Port<R> {
    kind: Kind,
    registers: R,
    /// Bytes that an empty transmitter takes.
    fifo: AtomicU8,
    overruns: AtomicU64,
    faulty: AtomicU64,
}

impl<R: Registers> Port<R> {
    /// A UART as it is; nothing is accessed. It can send at once if firmware has set it up.
    pub const fn new(kind: Kind, registers: R) -> Self {
        Self {
            kind,
            registers,
            fifo: AtomicU8::new(1),
            overruns: AtomicU64::new(0),
            faulty: AtomicU64::new(0),
        }
    }

    /// Which UART it is.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Its registers.
    pub const fn registers(&self) -> &R {
        &self.registers
    }

    /// Loads a register whose loading changes nothing, to see whether there is one.
    pub fn touch(&self) {
        match self.kind {
            Kind::Ns16550a => ns16550a::touch(&self.registers),
            Kind::Pl011 => pl011::touch(&self.registers),
        }
    }

    /// Sets eight bits without parity, FIFOs, transmitter and receiver on, interrupts off. The baud
    /// rate stays. Bytes not yet received may be lost.
    pub fn set_up(&self) {
        let fifo = match self.kind {
            Kind::Ns16550a => ns16550a::set_up(&self.registers),
            Kind::Pl011 => pl011::set_up(&self.registers),
        };
        self.fifo.store(fifo, Relaxed);
    }

    /// Lets the UART interrupt when it has received something, or not.
    pub fn set_receive_interrupt(&self, enabled: bool) {
        match self.kind {
            Kind::Ns16550a => ns16550a::interrupt_on_receive(&self.registers, enabled),
            Kind::Pl011 => pl011::interrupt_on_receive(&self.registers, enabled),
        }
    }

    /// How many bytes may be sent before the next look.
    pub fn room(&self) -> usize {
        let fifo = self.fifo.load(Relaxed);
        match self.kind {
            Kind::Ns16550a => {
                let (empty, overrun) = ns16550a::has_room(&self.registers);
                // Reading the status has forgotten it.
                self.overruns.fetch_add(overrun.into(), Relaxed);
                if empty { fifo.into() } else { 0 }
            }
            Kind::Pl011 => pl011::room(&self.registers, fifo).into(),
        }
    }

    /// Sends a byte; it is lost if there is no [room](Self::room).
    pub fn send(&self, byte: u8) {
        match self.kind {
            Kind::Ns16550a => ns16550a::send(&self.registers, byte),
            Kind::Pl011 => pl011::send(&self.registers, byte),
        }
    }

    /// Sends what there is room for, with one look at the status; returns how many bytes.
    pub fn send_some(&self, bytes: &[u8]) -> usize {
        let room = self.room();
        let sent = bytes.get(..room).unwrap_or(bytes);
        for byte in sent {
            self.send(*byte);
        }
        sent.len()
    }

    /// Whether everything has left the UART.
    pub fn is_idle(&self) -> bool {
        match self.kind {
            Kind::Ns16550a => ns16550a::is_idle(&self.registers),
            Kind::Pl011 => pl011::is_idle(&self.registers),
        }
    }

    /// Takes received bytes out of the UART, at most `limit`, faulty ones not counted among the
    /// results but counted; returns whether it is empty now.
    pub fn receive(&self, limit: usize, mut take: impl FnMut(u8)) -> bool {
        for _ in 0..limit {
            let received = match self.kind {
                Kind::Ns16550a => ns16550a::receive(&self.registers),
                Kind::Pl011 => pl011::receive(&self.registers),
            };
            self.overruns.fetch_add(received.overrun.into(), Relaxed);
            match received.byte {
                Some(byte) => take(byte),
                None if received.any => {
                    self.faulty.fetch_add(1, Relaxed);
                }
                None => return true,
            }
        }
        false
    }

    /// Removes the cause of an interrupt that came although nothing was received.
    pub fn quiet(&self) {
        match self.kind {
            Kind::Ns16550a => ns16550a::quiet(&self.registers),
            Kind::Pl011 => pl011::quiet(&self.registers),
        }
    }

    /// How often the UART itself lost received bytes.
    pub fn overruns(&self) -> u64 {
        self.overruns.load(Relaxed)
    }

    /// Received bytes with a wrong parity or frame, and breaks; they are dropped.
    pub fn faulty(&self) -> u64 {
        self.faulty.load(Relaxed)
    }
}
