//! The registers of a PL011, after Arm DDI 0183.
//!
//! The levels of the FIFOs are ignored: a received byte interrupts at once.

use super::fifo::ReceiveFifo;

const DATA: u64 = 0x00;
const FLAGS: u64 = 0x18;
const LINE_CONTROL: u64 = 0x2c;
const CONTROL: u64 = 0x30;
const INTERRUPT_MASK: u64 = 0x38;
const RAW_INTERRUPTS: u64 = 0x3c;
const MASKED_INTERRUPTS: u64 = 0x40;
const INTERRUPT_CLEAR: u64 = 0x44;

/// Transmit FIFO empty; nothing is ever on its way.
const TRANSMIT_EMPTY: u16 = 1 << 7;
const RECEIVE_FULL: u16 = 1 << 6;
const RECEIVE_EMPTY: u16 = 1 << 4;
/// Clear to send, data set ready, carrier detected.
const PEER_READY: u16 = 7;
const FIFOS: u16 = 1 << 4;
/// UART and receiver on.
const RECEIVING: u16 = 1 << 0 | 1 << 9;
const LOOP_BACK: u16 = 1 << 7;
/// Control after reset: transmitter and receiver on, the UART off.
const CONTROL_AT_RESET: u16 = 0x300;
/// Receive and receive timeout; transmit; overrun.
const RECEIVE: u16 = 1 << 4 | 1 << 6;
const TRANSMIT: u16 = 1 << 5;
const OVERRUN: u16 = 1 << 10;

/// Peripheral and PrimeCell identification of revision 1p5.
const IDENTIFICATION: [u16; 8] = [0x11, 0x10, 0x34, 0x00, 0x0d, 0xf0, 0x05, 0xb1];

/// A PL011.
#[derive(Debug)]
pub(super) struct Pl011 {
    received: ReceiveFifo,
    control: u16,
    line_control: u16,
    interrupt_mask: u16,
    raw_interrupts: u16,
    /// Registers that are only kept: baud rate divisors, FIFO levels, DMA control.
    kept: [u16; 4],
    overrun: bool,
}

impl Default for Pl011 {
    fn default() -> Self {
        Self {
            received: ReceiveFifo::default(),
            control: CONTROL_AT_RESET,
            line_control: 0,
            interrupt_mask: 0,
            raw_interrupts: 0,
            kept: [0, 0, 0x12, 0],
            overrun: false,
        }
    }
}

fn kept(register: u64) -> Option<usize> {
    [0x24, 0x28, 0x34, 0x48].iter().position(|kept| *kept == register)
}

impl Pl011 {
    pub(super) fn line(&self) -> bool {
        self.raw_interrupts & self.interrupt_mask != 0
    }

    pub(super) fn read(&mut self, register: u64) -> u16 {
        match register {
            DATA => {
                let byte = self.received.pop().unwrap_or_default();
                if self.received.is_empty() {
                    self.raw_interrupts &= !RECEIVE;
                }
                let overrun = core::mem::take(&mut self.overrun);
                u16::from(byte) | u16::from(overrun) << 11
            }
            FLAGS => {
                let mut flags = TRANSMIT_EMPTY | PEER_READY;
                if self.received.is_empty() {
                    flags |= RECEIVE_EMPTY;
                }
                if self.received.room() == 0 {
                    flags |= RECEIVE_FULL;
                }
                flags
            }
            LINE_CONTROL => self.line_control,
            CONTROL => self.control,
            INTERRUPT_MASK => self.interrupt_mask,
            RAW_INTERRUPTS => self.raw_interrupts,
            MASKED_INTERRUPTS => self.raw_interrupts & self.interrupt_mask,
            0xfe0..0x1000 => {
                let number = (register - 0xfe0) / 4;
                IDENTIFICATION.get(number as usize).copied().unwrap_or_default()
            }
            other => kept(other).and_then(|kept| self.kept.get(kept)).copied().unwrap_or_default(),
        }
    }

    /// Returns the byte that leaves the UART, if one does.
    pub(super) fn write(&mut self, register: u64, value: u16) -> Option<u8> {
        match register {
            DATA => {
                self.raw_interrupts |= TRANSMIT;
                if self.control & LOOP_BACK == 0 {
                    return Some(value as u8);
                }
                self.receive(value as u8);
            }
            LINE_CONTROL => {
                self.line_control = value & 0xff;
                self.received.enable(value & FIFOS != 0);
                if self.received.is_empty() {
                    self.raw_interrupts &= !RECEIVE;
                }
            }
            CONTROL => self.control = value,
            INTERRUPT_MASK => self.interrupt_mask = value & 0x7ff,
            INTERRUPT_CLEAR => self.raw_interrupts &= !value,
            other => {
                if let Some(register) = kept(other).and_then(|kept| self.kept.get_mut(kept)) {
                    *register = value;
                }
            }
        }
        None
    }

    pub(super) fn room(&self) -> usize {
        let receiving = self.control & (RECEIVING | LOOP_BACK) == RECEIVING;
        if receiving { self.received.room() } else { 0 }
    }

    pub(super) fn receive(&mut self, byte: u8) {
        if self.received.push(byte) {
            self.raw_interrupts |= RECEIVE;
        } else {
            self.overrun = true;
            self.raw_interrupts |= OVERRUN;
        }
    }
}
