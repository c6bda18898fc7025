//! The PL011: registers four bytes apart, and two FIFOs of at least 16 bytes.
//!
//! Facts are those of Arm DDI 0183; the baud rate divisors are not touched.

use crate::port::Received;
use crate::registers::Registers;

/// Data: the byte; read with its errors in bits 11:8.
const DATA: usize = 0x00;
const FAULTY: u32 = 1 << 8 | 1 << 9 | 1 << 10;
const OVERRUN: u32 = 1 << 11;
/// Flags.
const FLAGS: usize = 0x18;
const BUSY: u32 = 1 << 3;
const RECEIVE_EMPTY: u32 = 1 << 4;
const TRANSMIT_FULL: u32 = 1 << 5;
const TRANSMIT_EMPTY: u32 = 1 << 7;
/// Line control: eight bits, FIFOs on.
const LINE_CONTROL: usize = 0x2c;
const EIGHT_BITS_FIFOS: u32 = 3 << 5 | 1 << 4;
/// Control: UART, transmitter and receiver on, ready to receive (DTR, RTS).
const CONTROL: usize = 0x30;
const ON: u32 = 1 << 0 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11;
/// FIFO levels for interrupts: each at one eighth.
const FIFO_LEVELS: usize = 0x34;
/// Interrupt mask (set: enabled) and clear: receive, receive timeout.
const INTERRUPT_MASK: usize = 0x38;
const INTERRUPT_CLEAR: usize = 0x44;
const RECEIVE: u32 = 1 << 4 | 1 << 6;
const ALL: u32 = 0x7ff;

/// Bytes that the transmit FIFO has in every revision.
const FIFO: u8 = 16;

pub(crate) fn touch(registers: &impl Registers) {
    registers.read(FLAGS);
}

/// Sets the line up; returns how many bytes an empty transmitter takes.
pub(crate) fn set_up(registers: &impl Registers) -> u8 {
    registers.write(INTERRUPT_MASK, 0);
    // The line control register may change only while the UART is off; FIFOs that are on already
    // must not be touched, since they would be emptied.
    if registers.read(LINE_CONTROL) & 0xff != EIGHT_BITS_FIFOS {
        registers.write(CONTROL, 0);
        registers.write(LINE_CONTROL, EIGHT_BITS_FIFOS);
    }
    registers.write(FIFO_LEVELS, 0);
    registers.write(INTERRUPT_CLEAR, ALL);
    registers.write(CONTROL, ON);
    FIFO
}

pub(crate) fn interrupt_on_receive(registers: &impl Registers, enabled: bool) {
    registers.write(INTERRUPT_MASK, if enabled { RECEIVE } else { 0 });
}

/// How many bytes the transmitter takes: none, one, or `fifo` when it is empty.
pub(crate) fn room(registers: &impl Registers, fifo: u8) -> u8 {
    match registers.read(FLAGS) {
        flags if flags & TRANSMIT_FULL != 0 => 0,
        flags if flags & TRANSMIT_EMPTY != 0 => fifo,
        _ => 1,
    }
}

pub(crate) fn is_idle(registers: &impl Registers) -> bool {
    registers.read(FLAGS) & (BUSY | TRANSMIT_EMPTY) == TRANSMIT_EMPTY
}

pub(crate) fn send(registers: &impl Registers, byte: u8) {
    registers.write(DATA, byte.into());
}

pub(crate) fn receive(registers: &impl Registers) -> Received {
    if registers.read(FLAGS) & RECEIVE_EMPTY != 0 {
        return Received::NOTHING;
    }
    let word = registers.read(DATA);
    let faulty = word & FAULTY != 0;
    Received { any: true, byte: (!faulty).then_some(word as u8), overrun: word & OVERRUN != 0 }
}

/// Removes the cause of interrupts that do not end by reading.
pub(crate) fn quiet(registers: &impl Registers) {
    registers.write(INTERRUPT_CLEAR, ALL);
}
