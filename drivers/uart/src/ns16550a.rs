//! The 16550A: eight registers and two FIFOs of 16 bytes.
//!
//! Facts are those of the PC16550D data sheet; the divisor latch is not touched.

use crate::port::Received;
use crate::registers::Registers;

/// Receiver buffer (read), transmitter holding register (written).
const DATA: usize = 0;
/// Interrupt enable; its "received data available".
const INTERRUPT_ENABLE: usize = 1;
const RECEIVED_DATA: u32 = 1 << 0;
/// Interrupt identification (read): the cause in bits 3:0, "FIFOs enabled" in bits 7:6.
const IDENTIFICATION: usize = 2;
const CAUSE: u32 = 0xf;
const CAUSE_TIMEOUT: u32 = 0xc;
const CAUSE_MODEM: u32 = 0;
const FIFOS_ENABLED: u32 = 3 << 6;
/// FIFO control (written): FIFOs on, an interrupt from the first received byte on.
const FIFO_CONTROL: usize = 2;
const FIFOS_ON: u32 = 1;
/// Line control: eight bits, one stop bit, no parity, divisor latch off.
const LINE_CONTROL: usize = 3;
const EIGHT_BITS: u32 = 3;
/// Modem control: ready to receive (DTR, RTS), and OUT2, which lets interrupts out on PCs.
const MODEM_CONTROL: usize = 4;
const READY: u32 = 1 << 0 | 1 << 1 | 1 << 3;
/// Line status.
const LINE_STATUS: usize = 5;
const DATA_READY: u32 = 1 << 0;
const OVERRUN: u32 = 1 << 1;
const FAULTY: u32 = 1 << 2 | 1 << 3 | 1 << 4;
const HOLDING_EMPTY: u32 = 1 << 5;
const TRANSMITTER_EMPTY: u32 = 1 << 6;
/// Modem status.
const MODEM_STATUS: usize = 6;
/// What the status reads as where no UART is.
const NOBODY: u32 = 0xff;

/// Bytes of the transmit FIFO.
const FIFO: u8 = 16;

pub(crate) fn touch(registers: &impl Registers) {
    registers.read(LINE_CONTROL);
}

/// Sets the line up; returns how many bytes an empty transmitter takes.
pub(crate) fn set_up(registers: &impl Registers) -> u8 {
    registers.write(INTERRUPT_ENABLE, 0);
    registers.write(LINE_CONTROL, EIGHT_BITS);
    registers.write(FIFO_CONTROL, FIFOS_ON);
    registers.write(MODEM_CONTROL, READY);
    if registers.read(IDENTIFICATION) & FIFOS_ENABLED == FIFOS_ENABLED { FIFO } else { 1 }
}

pub(crate) fn interrupt_on_receive(registers: &impl Registers, enabled: bool) {
    registers.write(INTERRUPT_ENABLE, if enabled { RECEIVED_DATA } else { 0 });
}

/// Whether the transmitter is empty; whether received bytes were lost before.
pub(crate) fn has_room(registers: &impl Registers) -> (bool, bool) {
    let status = registers.read(LINE_STATUS);
    (status & HOLDING_EMPTY != 0, status & OVERRUN != 0)
}

pub(crate) fn is_idle(registers: &impl Registers) -> bool {
    registers.read(LINE_STATUS) & TRANSMITTER_EMPTY != 0
}

pub(crate) fn send(registers: &impl Registers, byte: u8) {
    registers.write(DATA, byte.into());
}

pub(crate) fn receive(registers: &impl Registers) -> Received {
    let status = registers.read(LINE_STATUS);
    if status & NOBODY == NOBODY {
        return Received::NOTHING;
    }
    let overrun = status & OVERRUN != 0;
    if status & DATA_READY == 0 {
        return Received { overrun, ..Received::NOTHING };
    }
    let byte = registers.read(DATA) as u8;
    let faulty = status & FAULTY != 0;
    Received { any: true, byte: (!faulty).then_some(byte), overrun }
}

/// Removes the cause of an interrupt that came without a byte.
pub(crate) fn quiet(registers: &impl Registers) {
    match registers.read(IDENTIFICATION) & CAUSE {
        // Some 16550s time out over an empty FIFO; only a read ends that.
        CAUSE_TIMEOUT => {
            registers.read(DATA);
        }
        CAUSE_MODEM => {
            registers.read(MODEM_STATUS);
        }
        _ => {}
    }
}
