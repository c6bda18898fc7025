//! The smallest thing that can be said about a UART: how to send a byte.
//!
//! Used where there is no hypervisor to be a guest of. Firmware has set the line up.

use crate::dt::{Uart, UartKind};
use core::{fmt, ptr::NonNull};
use safe_mmio::{UniqueMmioPointer, fields::ReadPureWrite};

/// PL011: data register, flag register, its "transmit FIFO full".
const PL011_DATA: usize = 0x00;
const PL011_FLAGS: usize = 0x18;
const PL011_FULL: u32 = 1 << 5;
/// 16550: transmit holding register, line status register, its "holding register empty".
const NS16550_DATA: usize = 0;
const NS16550_STATUS: usize = 5;
const NS16550_EMPTY: u8 = 1 << 5;
/// Reads of the status register before a byte is sent regardless, so that a UART that is none
/// cannot stop the kernel.
const PATIENCE: usize = 100_000;

/// Sends text on a UART by polling, with CR before LF.
pub struct PolledUart {
    base: usize,
    kind: UartKind,
    shift: u32,
}

impl PolledUart {
    /// Sends on `uart`.
    ///
    /// # Safety
    ///
    /// The registers are those of such a UART, and mapped as device memory.
    pub unsafe fn new(uart: &Uart) -> Self {
        Self { base: uart.registers.start as usize, kind: uart.kind, shift: uart.reg_shift.min(3) }
    }

    fn register<T>(&self, offset: usize) -> Option<UniqueMmioPointer<'_, ReadPureWrite<T>>> {
        let pointer = NonNull::new((self.base + offset) as *mut ReadPureWrite<T>)?;
        // SAFETY: a register of the UART, by the promise given to `new`; it is used here only.
        Some(unsafe { UniqueMmioPointer::new(pointer) })
    }

    fn send(&self, byte: u8) -> Option<()> {
        match self.kind {
            UartKind::Pl011 => {
                let flags = self.register::<u32>(PL011_FLAGS)?;
                (0..PATIENCE).find(|_| flags.read() & PL011_FULL == 0);
                self.register::<u32>(PL011_DATA)?.write(u32::from(byte));
            }
            UartKind::Ns16550a => {
                let status = self.register::<u8>(NS16550_STATUS << self.shift)?;
                (0..PATIENCE).find(|_| status.read() & NS16550_EMPTY != 0);
                self.register::<u8>(NS16550_DATA)?.write(byte);
            }
        }
        Some(())
    }
}

impl fmt::Write for PolledUart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                self.send(b'\r');
            }
            self.send(byte);
        }
        Ok(())
    }
}
