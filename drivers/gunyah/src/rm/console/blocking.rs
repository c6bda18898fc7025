//! The console outside tasks: blocking `embedded-io` over the queues.

use super::RmConsole;
use crate::hypercalls::Hypercalls;
use crate::rm::client::Timer;
use crate::rm::error::RequestError;
use embedded_io::{ErrorType, Read, Write};

/// A console whose calls return when they are done. Fails with [`RequestError::Busy`] while a task has a request
/// outstanding, since nobody would let that task finish.
pub struct BlockingConsole<'c, 'a, H, T, I> {
    console: &'c mut RmConsole<'a, H, T>,
    idle: I,
}

impl<'c, 'a, H: Hypercalls, T: Timer, I: FnMut()> BlockingConsole<'c, 'a, H, T, I> {
    pub(super) fn new(console: &'c mut RmConsole<'a, H, T>, idle: I) -> Self {
        Self { console, idle }
    }

    /// Opens the console at RM.
    ///
    /// # Errors
    ///
    /// As [`RmConsole::open`], and [`RequestError::Busy`].
    pub fn open(&mut self) -> Result<(), RequestError> {
        let rm = self.console.writer.rm;
        rm.block_on(self.console.open(), &mut self.idle)?
    }

    /// Closes the console at RM.
    ///
    /// # Errors
    ///
    /// As [`RmConsole::close`], and [`RequestError::Busy`].
    pub fn close(&mut self) -> Result<(), RequestError> {
        let rm = self.console.writer.rm;
        rm.block_on(self.console.close(), &mut self.idle)?
    }
}

impl<H, T, I> ErrorType for BlockingConsole<'_, '_, H, T, I> {
    type Error = RequestError;
}

impl<H: Hypercalls, T: Timer, I: FnMut()> Read for BlockingConsole<'_, '_, H, T, I> {
    fn read(&mut self, target: &mut [u8]) -> Result<usize, RequestError> {
        let rm = self.console.writer.rm;
        let read = embedded_io_async::Read::read(self.console, target);
        rm.block_on(read, &mut self.idle)?
    }
}

impl<H: Hypercalls, T: Timer, I: FnMut()> Write for BlockingConsole<'_, '_, H, T, I> {
    fn write(&mut self, text: &[u8]) -> Result<usize, RequestError> {
        let rm = self.console.writer.rm;
        let write = embedded_io_async::Write::write(self.console, text);
        rm.block_on(write, &mut self.idle)?
    }

    /// Does nothing: RM has answered every write.
    fn flush(&mut self) -> Result<(), RequestError> {
        Ok(())
    }
}
