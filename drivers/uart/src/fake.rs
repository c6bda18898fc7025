//! A UART in memory: well-behaved registers, a line, and defects on demand.

use crate::port::Kind;
use crate::registers::Registers;
use std::collections::VecDeque;
use std::sync::Mutex;

const DEPTH: usize = 16;

#[derive(Debug, Default)]
struct State {
    /// As a PL011's data register has them: errors in bits 11:8.
    incoming: VecDeque<u16>,
    outgoing: Vec<u8>,
    sent: Vec<u8>,
    jammed: bool,
    endless: bool,
    absent: bool,
    fifos: bool,
    interrupt_enabled: bool,
    timeout: bool,
    overrun: bool,
    cleared: u32,
    accesses: usize,
}

/// A UART of one kind.
#[derive(Debug)]
pub struct Fake {
    kind: Kind,
    state: Mutex<State>,
}

/// One of each kind.
pub fn ports() -> [(Kind, Fake); 2] {
    [Kind::Ns16550a, Kind::Pl011].map(|kind| (kind, Fake::new(kind)))
}

impl Fake {
    pub fn new(kind: Kind) -> Self {
        Self { kind, state: Mutex::default() }
    }

    /// All registers read as ones.
    pub fn absent() -> Self {
        let fake = Self::new(Kind::Ns16550a);
        fake.with(|state| state.absent = true);
        fake
    }

    fn with<T>(&self, action: impl FnOnce(&mut State) -> T) -> T {
        action(&mut self.state.lock().unwrap())
    }

    pub fn receive(&self, bytes: &[u8]) {
        self.with(|state| state.incoming.extend(bytes.iter().map(|byte| u16::from(*byte))));
    }

    /// A byte with a framing error; then one behind a loss.
    pub fn receive_damaged(&self) {
        self.with(|state| {
            state.incoming.extend([1 << 8 | u16::from(b'?'), 1 << 11 | u16::from(b'!')])
        });
    }

    pub fn sent(&self) -> Vec<u8> {
        self.with(|state| state.sent.clone())
    }

    /// Nothing leaves the UART any more.
    pub fn jam(&self) {
        self.with(|state| state.jammed = true);
    }

    /// What was jammed leaves.
    pub fn release(&self) {
        self.with(|state| {
            state.jammed = false;
            state.sent.append(&mut state.outgoing);
        });
    }

    /// There is always one byte more.
    pub fn never_ends(&self) {
        self.with(|state| state.endless = true);
    }

    /// Interrupts by a timeout without a byte (16550).
    pub fn time_out(&self) {
        self.with(|state| state.timeout = true);
    }

    /// The interrupt line.
    pub fn line(&self) -> bool {
        self.with(|state| {
            let cause = !state.incoming.is_empty() || state.timeout || state.endless;
            cause && state.interrupt_enabled
        })
    }

    pub fn accesses(&self) -> usize {
        self.with(|state| state.accesses)
    }

    /// What was written to the PL011's interrupt clear register.
    pub fn cleared(&self) -> u32 {
        self.with(|state| state.cleared)
    }
}

impl State {
    fn take(&mut self) -> u16 {
        self.timeout = false;
        if self.endless {
            return b'e'.into();
        }
        self.incoming.pop_front().expect("a received byte")
    }

    fn put(&mut self, value: u32) {
        let depth = if self.fifos { DEPTH } else { 1 };
        assert!(self.outgoing.len() < depth, "sent without room");
        self.outgoing.push(value as u8);
        if !self.jammed {
            self.sent.append(&mut self.outgoing);
        }
    }

    fn has_byte(&self) -> bool {
        self.endless || !self.incoming.is_empty()
    }

    fn ns16550a_status(&mut self) -> u32 {
        let mut status = u32::from(self.has_byte());
        if let Some(word) = self.incoming.front() {
            status |= u32::from(word >> 11 & 1) << 1 | u32::from(word >> 8 & 1) << 3;
        }
        status |= u32::from(core::mem::take(&mut self.overrun)) << 1;
        if self.outgoing.is_empty() { status | 0x60 } else { status }
    }
}

impl Registers for Fake {
    fn read(&self, number: usize) -> u32 {
        self.with(|state| {
            state.accesses += 1;
            if state.absent {
                return u32::MAX;
            }
            match (self.kind, number) {
                (Kind::Ns16550a, 0) if state.timeout && !state.has_byte() => {
                    state.timeout = false;
                    0
                }
                (Kind::Ns16550a, 0) => u32::from(state.take()) & 0xff,
                (Kind::Ns16550a, 2) => {
                    let fifos = if state.fifos { 0xc0 } else { 0 };
                    fifos | if state.timeout { 0xc } else { 1 }
                }
                (Kind::Ns16550a, 5) => state.ns16550a_status(),
                (Kind::Pl011, 0) => state.take().into(),
                (Kind::Pl011, 0x18) => {
                    let full = state.outgoing.len() >= if state.fifos { DEPTH } else { 1 };
                    let empty = state.outgoing.is_empty();
                    u32::from(!empty) << 3
                        | u32::from(!state.has_byte()) << 4
                        | u32::from(full) << 5
                        | u32::from(empty) << 7
                }
                (Kind::Pl011, 0x2c) => u32::from(state.fifos) * 0x70,
                other => panic!("read of {other:x?}"),
            }
        })
    }

    fn write(&self, number: usize, value: u32) {
        self.with(|state| {
            state.accesses += 1;
            match (self.kind, number) {
                (Kind::Ns16550a | Kind::Pl011, 0) => state.put(value),
                (Kind::Ns16550a, 1) => state.interrupt_enabled = value & 1 != 0,
                (Kind::Ns16550a, 2) => {
                    state.fifos = value & 1 != 0;
                    state.incoming.clear();
                }
                (Kind::Ns16550a, 3) => assert_eq!(value, 3),
                (Kind::Pl011, 0x2c) => {
                    state.fifos = value & 0x10 != 0;
                    state.incoming.clear();
                }
                (Kind::Pl011, 0x38) => state.interrupt_enabled = value & 0x50 == 0x50,
                (Kind::Pl011, 0x44) => {
                    state.cleared |= value;
                    state.timeout = false;
                }
                (Kind::Ns16550a, 4) | (Kind::Pl011, 0x30 | 0x34) => {}
                other => panic!("write of {value:#x} to {other:x?}"),
            }
        });
    }
}
