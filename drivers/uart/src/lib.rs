//! Serial ports: `ns16550a` and `arm,pl011`, by interrupt or by polling.
//!
//! | type | what |
//! |---|---|
//! | [`Port`] | one UART, register by register: set up, room to send, received bytes |
//! | [`Uart`] | the driver for tasks: `embedded_io_async` `Read` and `Write` |
//! | [`Blocking`] | the same port outside tasks: `embedded_io` `Read` and `Write` |
//! | [`Mmio`] | the registers of a real UART; anything else that is [`Registers`] serves as well |
//!
//! The driver is made for virtual machines, in which every register access traps to a hypervisor
//! and costs thousands of instructions:
//!
//! * Received bytes come by interrupt where there is one. The handler empties the UART, which
//!   drops a level interrupt before its end is signalled, into a ring of [`INPUT_CAPACITY`] bytes.
//!   While that is full the UART is left alone and muted: a line with flow control holds the rest
//!   back, without it the UART loses it, which is counted. Without an interrupt the reader looks
//!   every [`SHORTEST_PAUSE`], more and more rarely while nothing comes.
//! * Sending looks at the status once for a whole FIFO of bytes. Transmit interrupts are not used:
//!   an emulated FIFO is empty again at once, and turning them on and off costs two accesses and
//!   an interrupt each time. While a FIFO is full the writer sleeps, with a bounded patience.
//! * Each access is a single load or store of the width that the device tree asks for, the only
//!   kind that a hypervisor can emulate.
//!
//! Baud rate and pins are left as firmware has set them. The crate knows no kernel: it needs an
//! interrupt handler that calls [`Uart::on_interrupt`], a [`Timer`], and a `critical-section`
//! implementation.
//!
//! # Examples
//!
//! A 16550 whose registers are four bytes apart, here plain memory with "nothing to send" in its
//! status register, says hello:
//!
//! ```
//! use embedded_io::Write;
//! use uart::{Blocking, Kind, Mmio, Port, Width};
//!
//! let mut block = [0_u32; 8];
//! block[5] = 0x60;
//! let base = block.as_mut_ptr() as usize;
//! // SAFETY: the block is ours, and as long as a 16550 with a shift of two.
//! let registers = unsafe { Mmio::new(base, 2, Width::Four) }.expect("not null");
//! let port = Port::new(Kind::Ns16550a, registers);
//! port.set_up();
//! let mut looks = 1000;
//! let in_time = || {
//!     looks -= 1;
//!     looks > 0
//! };
//! Blocking::new(&port, in_time).write_all(b"hello").unwrap();
//! assert_eq!(block[0], u32::from(b'o'));
//! ```
#![cfg_attr(not(test), no_std)]

mod blocking;
mod driver;
mod error;
#[cfg(test)]
mod fake;
mod ns16550a;
mod pl011;
mod port;
mod registers;

pub use blocking::Blocking;
pub use driver::{Counters, INPUT_CAPACITY, LONGEST_PAUSE, Receive, SHORTEST_PAUSE, Timer, Uart};
pub use error::UartError;
pub use port::{Kind, Port};
pub use registers::{Mmio, Registers, Width};
