//! The VM's console at the Resource Manager, over `embedded-io` traits.
//!
//! Output goes out in requests of up to [`WRITE_SIZE`] bytes, each answered by RM: one reply for four send hypercalls. When RM is out of memory, because the owner does not drain, the writer waits and goes on. When RM does not
//! answer, the output may be lost: the writer goes on, and says so in the next output that is answered. Input arrives
//! as notifications, without flow control: [`ConsoleInput`] keeps up to [`INPUT_CAPACITY`] bytes, and counts what it drops.

mod blocking;
mod input;

pub use blocking::BlockingConsole;
pub use input::{ConsoleInput, ConsoleReader, INPUT_CAPACITY};

use super::client::{ResourceManager, Timer};
use super::error::RequestError;
use super::packet::content_of;
use crate::hypercalls::Hypercalls;
use crate::queue::QueueError;
use alloc::format;
use alloc::sync::Arc;
use core::time::Duration;
use embedded_io_async::{BufRead, ErrorType, Read, Write};
use gunyah_abi::Hypercall;
use gunyah_abi::rm::payload::ConsoleWriteHeader;
use gunyah_abi::rm::{RmError, SELF_VMID};

/// Bytes one write sends at most: what four packets carry.
///
/// RM would take more, but hands each write to the owner as it came, and the console driver of a
/// Linux owner (`hvc_gunyah`) drops what goes beyond the 1,024 bytes of its FIFO.
pub const WRITE_SIZE: usize = content_of(4) - size_of::<ConsoleWriteHeader>();

/// First wait after RM ran out of memory; it doubles each time.
const NOMEM_FIRST_WAIT: Duration = Duration::from_millis(5);

/// Longest such wait.
const NOMEM_LONGEST_WAIT: Duration = Duration::from_millis(320);

/// Such waits before a write gives up: some ten seconds.
const NOMEM_WAITS: u32 = 36;

/// Wait after a write that RM did not answer.
const DOUBT_WAIT: Duration = Duration::from_millis(100);

/// Writes the console. Writers may be copied; each write reaches the owner in one piece.
pub struct ConsoleWriter<'a, H, T> {
    rm: &'a ResourceManager<H, T>,
}

impl<H, T> Clone for ConsoleWriter<'_, H, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<H, T> Copy for ConsoleWriter<'_, H, T> {}

impl<'a, H, T> ConsoleWriter<'a, H, T> {
    /// Makes a writer to the caller's own console, which must be open when it is used.
    pub const fn new(rm: &'a ResourceManager<H, T>) -> Self {
        Self { rm }
    }
}

/// Whether the request was not carried out and may be made again later.
fn is_put_off(error: &RequestError) -> bool {
    match error {
        RequestError::Refused { error, .. } => matches!(error, RmError::Nomem | RmError::Busy),
        RequestError::Queue { error: QueueError::Refused { call, .. }, .. } => {
            *call == Hypercall::MsgqueueSend
        }
        _ => false,
    }
}

impl<H: Hypercalls, T: Timer> ConsoleWriter<'_, H, T> {
    /// Writes in one request, again and again while RM puts it off.
    async fn print(&self, text: &[u8]) -> Result<(), RequestError> {
        let mut wait = NOMEM_FIRST_WAIT;
        for _ in 0..NOMEM_WAITS {
            match self.rm.print(text).await {
                Err(error) if is_put_off(&error) => {
                    self.rm.count_nomem_wait();
                    self.rm.timer().sleep(wait).await;
                    wait = (wait * 2).min(NOMEM_LONGEST_WAIT);
                }
                result => return result,
            }
        }
        self.rm.print(text).await
    }

    /// Says how much of the output may be missing.
    async fn tell_doubts(&self) -> Result<(), RequestError> {
        let bytes = self.rm.console_doubts();
        let text = format!("\r\n[{bytes} bytes of output may be lost: RM did not answer]\r\n");
        match self.print(text.as_bytes()).await {
            Ok(()) => self.rm.console_doubts_are_told(bytes),
            Err(error) if error.is_doubtful() => self.rm.doubt_console_output(0, error)?,
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl<H, T> ErrorType for ConsoleWriter<'_, H, T> {
    type Error = RequestError;
}

impl<H: Hypercalls, T: Timer> Write for ConsoleWriter<'_, H, T> {
    /// Writes up to [`WRITE_SIZE`] bytes and waits for RM's answer; never gives `Ok(0)` for a non-empty `text`.
    async fn write(&mut self, text: &[u8]) -> Result<usize, RequestError> {
        if text.is_empty() {
            return Ok(0);
        }
        let text = text.get(..WRITE_SIZE).unwrap_or(text);
        if self.rm.console_doubts() > 0 {
            self.tell_doubts().await?;
        }
        match self.print(text).await {
            Ok(()) => self.rm.console_is_heard(),
            Err(error) if error.is_doubtful() => {
                self.rm.doubt_console_output(text.len(), error)?;
                self.rm.timer().sleep(DOUBT_WAIT).await;
            }
            Err(error) => return Err(error),
        }
        Ok(text.len())
    }

    /// Does nothing: RM has answered every write.
    async fn flush(&mut self) -> Result<(), RequestError> {
        Ok(())
    }
}

/// The VM's own console: a reader and a writer.
pub struct RmConsole<'a, H, T> {
    reader: ConsoleReader,
    writer: ConsoleWriter<'a, H, T>,
}

impl<'a, H: Hypercalls, T: Timer> RmConsole<'a, H, T> {
    /// Makes the console and begins to collect input; to be done once for a client. [`Self::open`] follows.
    pub fn new(rm: &'a ResourceManager<H, T>) -> Self {
        let input = Arc::new(ConsoleInput::new());
        rm.subscribe(input.clone());
        Self { reader: ConsoleReader::new(input), writer: ConsoleWriter::new(rm) }
    }

    /// Opens the console at RM.
    ///
    /// # Errors
    ///
    /// `ARGUMENT_INVALID` from RM means that this VM has no console; else as [`ResourceManager::request`].
    pub async fn open(&mut self) -> Result<(), RequestError> {
        self.writer.rm.console_open(SELF_VMID).await
    }

    /// Closes the console at RM, as a VM does before it ends.
    ///
    /// # Errors
    ///
    /// As [`ResourceManager::request`].
    pub async fn close(&mut self) -> Result<(), RequestError> {
        self.writer.rm.console_close(SELF_VMID).await
    }

    /// Where the input is collected, for its counters.
    pub fn input(&self) -> &Arc<ConsoleInput> {
        self.reader.input()
    }

    /// Separates reader and writer, for two tasks.
    pub fn split(self) -> (ConsoleReader, ConsoleWriter<'a, H, T>) {
        (self.reader, self.writer)
    }

    /// Uses the console outside tasks; see [`ResourceManager::block_on`] for what `idle` must do.
    pub fn blocking<I: FnMut()>(&mut self, idle: I) -> BlockingConsole<'_, 'a, H, T, I> {
        BlockingConsole::new(self, idle)
    }
}

impl<H, T> ErrorType for RmConsole<'_, H, T> {
    type Error = RequestError;
}

impl<H: Hypercalls, T: Timer> Read for RmConsole<'_, H, T> {
    async fn read(&mut self, target: &mut [u8]) -> Result<usize, RequestError> {
        let Ok(amount) = self.reader.read(target).await;
        Ok(amount)
    }
}

impl<H: Hypercalls, T: Timer> BufRead for RmConsole<'_, H, T> {
    async fn fill_buf(&mut self) -> Result<&[u8], RequestError> {
        let Ok(ready) = self.reader.fill_buf().await;
        Ok(ready)
    }

    fn consume(&mut self, amount: usize) {
        self.reader.consume(amount);
    }
}

impl<H: Hypercalls, T: Timer> Write for RmConsole<'_, H, T> {
    async fn write(&mut self, text: &[u8]) -> Result<usize, RequestError> {
        self.writer.write(text).await
    }

    async fn flush(&mut self) -> Result<(), RequestError> {
        self.writer.flush().await
    }
}
