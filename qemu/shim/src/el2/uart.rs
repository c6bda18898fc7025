//! The serial line: QEMU's PL011, which the peer bridges to the guest's console.
//!
//! QEMU's UART sends and receives as it comes out of reset. It is left that way: enabling its FIFOs
//! would throw away what was typed before.

use arm_pl011_uart::{Interrupts, PL011Registers, Uart, UniqueMmioPointer};
use billy_shim::seam::Console;
use core::ptr::NonNull;

/// The first PL011 of QEMU's `virt` machine.
const REGISTERS: usize = 0x0900_0000;
/// How many received bytes are held here until the peer takes them.
const RING: usize = 64;

/// The serial line, interrupting when bytes have arrived.
pub struct SerialLine {
    uart: Uart<'static>,
    received: heapless::Deque<u8, RING>,
}

impl SerialLine {
    /// Sets the line up.
    pub fn new() -> Self {
        let registers = NonNull::new(REGISTERS as *mut PL011Registers).expect("not null");
        // SAFETY: QEMU's PL011 is there, mapped as device memory, and this is the one driver.
        let mut uart = Uart::new(unsafe { UniqueMmioPointer::new(registers) });
        uart.set_interrupt_masks(Interrupts::RXI);
        Self { uart, received: heapless::Deque::new() }
    }

    /// Takes what has arrived. With the ring full the line is left alone, interrupt masked, until
    /// the peer has read: QEMU then holds its input back.
    pub fn on_interrupt(&mut self) {
        self.fill();
    }

    fn fill(&mut self) {
        while !self.received.is_full() {
            match self.uart.read_word() {
                Ok(Some(byte)) => {
                    let _ = self.received.push_back(byte);
                }
                Ok(None) => break,
                // A break or a framing error carries no byte.
                Err(_) => {}
            }
        }
        let open = if self.received.is_full() { Interrupts::empty() } else { Interrupts::RXI };
        self.uart.set_interrupt_masks(open);
    }
}

impl Console for SerialLine {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            while self.uart.is_tx_fifo_full() {}
            self.uart.write_word(*byte);
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> usize {
        let mut count = 0;
        for place in buffer {
            let Some(byte) = self.received.pop_front() else { break };
            *place = byte;
            count += 1;
        }
        self.fill();
        count
    }
}
