//! The halves outside tasks: `embedded_io` traits that wait as their user says.

use crate::error::RingError;
use crate::memory::Memory;
use crate::ring::{Bell, Consumer, Producer};
use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};

/// A half in [`Mode::Bytes`](crate::Mode::Bytes) whose calls return when they are done, or when the caller's patience ends.
#[derive(Debug)]
pub struct Blocking<H, W> {
    half: H,
    wait: W,
}

impl<H, W: FnMut() -> bool> Blocking<H, W> {
    /// Uses `half`; `wait` is called whenever nothing can be done. It returns when the other side may have rung, and
    /// tells whether to look again. A ring that came before it is called must not be lost.
    pub const fn new(half: H, wait: W) -> Self {
        Self { half, wait }
    }

    /// The half that does not wait.
    pub const fn half(&mut self) -> &mut H {
        &mut self.half
    }
}

impl<H, W> ErrorType for Blocking<H, W> {
    type Error = RingError;
}

impl<M: Memory, B: Bell, W: FnMut() -> bool> Write for Blocking<Producer<M, B>, W> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, RingError> {
        loop {
            let written = self.half.write(bytes)?;
            if written > 0 || bytes.is_empty() {
                return Ok(written);
            }
            if self.half.sleep(bytes.len())? && !(self.wait)() {
                return Err(RingError::GaveUp);
            }
        }
    }

    /// Does nothing: what is written is in the shared buffer.
    fn flush(&mut self) -> Result<(), RingError> {
        Ok(())
    }
}

impl<M: Memory, B: Bell, W: FnMut() -> bool> Read for Blocking<Consumer<M, B>, W> {
    fn read(&mut self, target: &mut [u8]) -> Result<usize, RingError> {
        loop {
            let count = self.half.read(target)?;
            if count > 0 || target.is_empty() {
                return Ok(count);
            }
            if self.half.sleep()? && !(self.wait)() {
                return Err(RingError::GaveUp);
            }
        }
    }
}

impl<M: Memory, B: Bell, W: FnMut() -> bool> WriteReady for Blocking<Producer<M, B>, W> {
    fn write_ready(&mut self) -> Result<bool, RingError> {
        Ok(self.half.room()?.is_some_and(|room| room > 0))
    }
}

impl<M: Memory, B: Bell, W: FnMut() -> bool> ReadReady for Blocking<Consumer<M, B>, W> {
    fn read_ready(&mut self) -> Result<bool, RingError> {
        Ok(self.half.unread()?.is_some_and(|unread| unread > 0))
    }
}
