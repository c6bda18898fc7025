//! A port outside tasks: `embedded_io` by looking at the status until done.

use crate::error::UartError;
use crate::port::Port;
use crate::registers::Registers;
use embedded_io::{ErrorType, Read, Write};

/// A port whose calls return when they are done, or when the caller's patience ends.
#[derive(Debug)]
pub struct Blocking<'a, R, W> {
    port: &'a Port<R>,
    wait: W,
}

impl<'a, R: Registers, W: FnMut() -> bool> Blocking<'a, R, W> {
    /// Uses `port`; `wait` is called whenever nothing can be done, and tells whether to look again.
    pub const fn new(port: &'a Port<R>, wait: W) -> Self {
        Self { port, wait }
    }
}

impl<R, W> ErrorType for Blocking<'_, R, W> {
    type Error = UartError;
}

impl<R: Registers, W: FnMut() -> bool> Write for Blocking<'_, R, W> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, UartError> {
        if bytes.is_empty() {
            return Ok(0);
        }
        loop {
            match self.port.send_some(bytes) {
                0 if (self.wait)() => {}
                0 => return Err(UartError::Stuck),
                sent => return Ok(sent),
            }
        }
    }

    fn flush(&mut self) -> Result<(), UartError> {
        while !self.port.is_idle() {
            if !(self.wait)() {
                return Err(UartError::Stuck);
            }
        }
        Ok(())
    }
}

impl<R: Registers, W: FnMut() -> bool> Read for Blocking<'_, R, W> {
    fn read(&mut self, target: &mut [u8]) -> Result<usize, UartError> {
        if target.is_empty() {
            return Ok(0);
        }
        loop {
            let mut count = 0;
            let limit = target.len();
            self.port.receive(limit, |byte| {
                if let Some(place) = target.get_mut(count) {
                    *place = byte;
                    count += 1;
                }
            });
            if count > 0 {
                return Ok(count);
            }
            if !(self.wait)() {
                return Err(UartError::Silent);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Fake, ports};

    #[test]
    fn bytes_go_out_and_come_in() {
        for (kind, fake) in ports() {
            let port = Port::new(kind, &fake);
            port.set_up();
            fake.receive(b"in");
            let mut blocking = Blocking::new(&port, || panic!("nothing to wait for"));
            blocking.write_all(b"out\r\n").unwrap();
            assert_eq!(fake.sent(), b"out\r\n");
            let mut buffer = [0; 8];
            assert_eq!(blocking.read(&mut buffer), Ok(2));
            assert_eq!(&buffer[..2], b"in");
            assert_eq!((blocking.write(b""), blocking.read(&mut [])), (Ok(0), Ok(0)));
        }
    }

    #[test]
    fn patience_ends() {
        for (kind, fake) in ports() {
            let port = Port::new(kind, &fake);
            port.set_up();
            let mut looks = 3;
            let mut blocking = Blocking::new(&port, || {
                looks -= 1;
                looks > 0
            });
            assert_eq!(blocking.read(&mut [0]), Err(UartError::Silent));
            assert_eq!(looks, 0);
            fake.jam();
            // An empty FIFO is filled, in one go; then no more goes in.
            let mut blocking = Blocking::new(&port, || false);
            assert_eq!(blocking.write(&[b'x'; 100]), Ok(16));
            assert_eq!(blocking.write(b"y"), Err(UartError::Stuck));
            assert_eq!(blocking.flush(), Err(UartError::Stuck));
        }
    }

    #[test]
    fn a_full_fifo_costs_one_look() {
        for (kind, fake) in ports() {
            let port = Port::new(kind, &fake);
            port.set_up();
            let before = fake.accesses();
            let mut blocking = Blocking::new(&port, || panic!("nothing to wait for"));
            assert_eq!(blocking.write(&[b'x'; 16]), Ok(16));
            assert_eq!(fake.accesses() - before, 17);
        }
    }

    #[test]
    fn where_no_uart_is_nothing_is_received() {
        let nowhere = Fake::absent();
        let port = Port::new(crate::Kind::Ns16550a, &nowhere);
        assert!(port.receive(10, |byte| panic!("received {byte}")));
    }
}
