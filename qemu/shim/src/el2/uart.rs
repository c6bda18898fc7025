//! The serial line: QEMU's PL011, bridged by the peer to the guest's console.
//!
//! QEMU's UART sends and receives as it comes out of reset. It is left that way: enabling its FIFOs
//! would throw away what was typed before.

use arm_pl011_uart::{Interrupts, PL011Registers, Uart, UniqueMmioPointer};
use billy_shim::{
    seam::Console,
    serial::{Receiver, SerialInput},
};
use core::ptr::NonNull;

/// The first PL011 of QEMU's `virt` machine.
const REGISTERS: usize = 0x0900_0000;

/// The serial line, interrupting when bytes have arrived.
pub struct SerialLine {
    uart: Pl011,
    input: SerialInput,
}

struct Pl011(Uart<'static>);

impl Receiver for Pl011 {
    fn receive(&mut self) -> Option<u8> {
        loop {
            // A break or a framing error carries no byte.
            if let Ok(byte) = self.0.read_word() {
                return byte;
            }
        }
    }

    fn set_interrupt(&mut self, enabled: bool) {
        let interrupts = if enabled { Interrupts::RXI } else { Interrupts::empty() };
        self.0.set_interrupt_masks(interrupts);
    }
}

impl SerialLine {
    /// Sets the line up.
    pub fn new() -> Self {
        let registers = NonNull::new(REGISTERS as *mut PL011Registers).expect("not null");
        // SAFETY: QEMU's PL011 is there, mapped as device memory, and this is the one driver.
        let mut uart = Pl011(Uart::new(unsafe { UniqueMmioPointer::new(registers) }));
        uart.set_interrupt(true);
        Self { uart, input: SerialInput::default() }
    }

    /// Collects what has arrived.
    pub fn on_interrupt(&mut self) {
        self.input.collect(&mut self.uart);
    }
}

impl Console for SerialLine {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            while self.uart.0.is_tx_fifo_full() {}
            self.uart.0.write_word(*byte);
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> usize {
        self.input.read(&mut self.uart, buffer)
    }
}
