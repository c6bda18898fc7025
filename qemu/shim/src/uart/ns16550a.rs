//! The registers of a 16550A, after the PC16550D data sheet.
//!
//! The trigger level of the receive FIFO is ignored: the interrupt comes from the first byte on.

use super::fifo::ReceiveFifo;

const RECEIVE_INTERRUPT: u8 = 1 << 0;
const TRANSMIT_INTERRUPT: u8 = 1 << 1;
const STATUS_INTERRUPT: u8 = 1 << 2;
const FIFOS_ENABLED: u8 = 3 << 6;
const DIVISOR_LATCH: u8 = 1 << 7;
const LOOP_BACK: u8 = 1 << 4;
/// Data terminal ready, request to send.
const READY: u8 = 3;
const OVERRUN: u8 = 1 << 1;
/// Transmit holding register and transmitter are always empty.
const TRANSMITTER_EMPTY: u8 = 3 << 5;
/// Clear to send, data set ready, carrier detected.
const PEER_READY: u8 = 0xb0;
const IDENTIFIED_NONE: u8 = 1;

/// A 16550A.
#[derive(Debug, Default)]
pub(super) struct Ns16550a {
    received: ReceiveFifo,
    interrupt_enable: u8,
    line_control: u8,
    modem_control: u8,
    scratch: u8,
    divisor: [u8; 2],
    overrun: bool,
    /// The transmitter ran empty, and nobody has been told.
    sent: bool,
}

impl Ns16550a {
    fn latch(&self) -> bool {
        self.line_control & DIVISOR_LATCH != 0
    }

    /// The cause of the interrupt with the highest priority.
    fn identification(&self) -> u8 {
        let enabled = |interrupt| self.interrupt_enable & interrupt != 0;
        if enabled(STATUS_INTERRUPT) && self.overrun {
            6
        } else if enabled(RECEIVE_INTERRUPT) && !self.received.is_empty() {
            4
        } else if enabled(TRANSMIT_INTERRUPT) && self.sent {
            2
        } else {
            IDENTIFIED_NONE
        }
    }

    pub(super) fn line(&self) -> bool {
        self.identification() != IDENTIFIED_NONE
    }

    pub(super) fn read(&mut self, register: u64) -> u8 {
        match register {
            0 if self.latch() => self.divisor[0],
            0 => self.received.pop().unwrap_or_default(),
            1 if self.latch() => self.divisor[1],
            1 => self.interrupt_enable,
            2 => {
                let cause = self.identification();
                self.sent &= cause != 2;
                cause | if self.received.is_enabled() { FIFOS_ENABLED } else { 0 }
            }
            3 => self.line_control,
            4 => self.modem_control,
            5 => {
                let overrun = core::mem::take(&mut self.overrun);
                u8::from(!self.received.is_empty())
                    | if overrun { OVERRUN } else { 0 }
                    | TRANSMITTER_EMPTY
            }
            6 if self.modem_control & LOOP_BACK != 0 => {
                let control = self.modem_control;
                (control & 1) << 5 | (control & 2) << 3 | (control & 0xc) << 4
            }
            6 => PEER_READY,
            7 => self.scratch,
            _ => 0,
        }
    }

    /// Returns the byte that leaves the UART, if one does.
    pub(super) fn write(&mut self, register: u64, value: u8) -> Option<u8> {
        match register {
            0 if self.latch() => self.divisor[0] = value,
            0 => {
                self.sent = true;
                if self.modem_control & LOOP_BACK == 0 {
                    return Some(value);
                }
                self.receive(value);
            }
            1 if self.latch() => self.divisor[1] = value,
            1 => {
                self.sent |= value & !self.interrupt_enable & TRANSMIT_INTERRUPT != 0;
                self.interrupt_enable = value & 0xf;
            }
            2 => {
                self.received.enable(value & 1 != 0);
                if value & 2 != 0 {
                    self.received.clear();
                }
            }
            3 => self.line_control = value,
            4 => self.modem_control = value & 0x1f,
            7 => self.scratch = value,
            _ => {}
        }
        None
    }

    pub(super) fn room(&self) -> usize {
        let ready =
            self.modem_control & READY != 0 || self.interrupt_enable & RECEIVE_INTERRUPT != 0;
        if ready && self.modem_control & LOOP_BACK == 0 { self.received.room() } else { 0 }
    }

    pub(super) fn receive(&mut self, byte: u8) {
        self.overrun |= !self.received.push(byte);
    }
}
