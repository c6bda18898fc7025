//! What can go wrong at a serial port.

use thiserror::Error;

/// A serial port does not do what it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UartError {
    /// The transmitter stays full, for longer than the caller wants to wait.
    #[error("the UART takes no bytes")]
    Stuck,
    /// Nothing was received for as long as the caller wanted to wait.
    #[error("nothing was received")]
    Silent,
}

impl embedded_io::Error for UartError {
    fn kind(&self) -> embedded_io::ErrorKind {
        embedded_io::ErrorKind::TimedOut
    }
}
