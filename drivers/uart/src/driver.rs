//! The driver for tasks: input collected in a ring, output by polling.

use crate::error::UartError;
use crate::port::Port;
use crate::registers::Registers;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use core::time::Duration;
use embassy_futures::yield_now;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::pipe::Pipe;
use embedded_io_async::{ErrorType, Read, Write};

/// Bytes of input that are kept until they are read.
pub const INPUT_CAPACITY: usize = 1024;

/// Time between two looks at a UART without an interrupt, while something comes.
pub const SHORTEST_PAUSE: Duration = Duration::from_millis(5);

/// The same, when nothing has come for a while: the time doubles up to this.
pub const LONGEST_PAUSE: Duration = Duration::from_millis(80);

/// Bytes written before other tasks get their turn.
const TURN: usize = 128;

/// Looks at a full transmitter before the writer sleeps, and for how long it does.
const LOOKS: u32 = 4;
const SEND_PAUSE: Duration = Duration::from_millis(1);

/// Such sleeps before a write gives up: some two seconds.
const SEND_PAUSES: u32 = 2000;

/// What the driver needs to wait.
pub trait Timer {
    /// Completes after `duration`, or a little later.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()>;
}

/// How the driver learns of received bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receive {
    /// [`Uart::on_interrupt`] is called.
    ByInterrupt,
    /// The reader looks from time to time.
    ByPolling,
}

/// What has come in so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes taken from the UART.
    pub received: u64,
    /// Times the UART lost bytes, because nobody had read the ones before.
    pub overruns: u64,
    /// Bytes with a wrong parity or frame, and breaks.
    pub faulty: u64,
}

/// A UART with its input. One reader and one writer use it by shared reference.
pub struct Uart<R, T> {
    port: Port<R>,
    timer: T,
    input: Pipe<CriticalSectionRawMutex, INPUT_CAPACITY>,
    receive: Receive,
    /// The interrupt is turned off until there is room in the ring.
    full: AtomicBool,
    /// Milliseconds until a reader without interrupts looks again.
    pause: AtomicU32,
    received: AtomicU64,
}

impl<R: Registers, T: Timer> Uart<R, T> {
    /// Makes the driver; [`Self::start`] follows.
    pub const fn new(port: Port<R>, timer: T, receive: Receive) -> Self {
        Self {
            port,
            timer,
            input: Pipe::new(),
            receive,
            full: AtomicBool::new(false),
            pause: AtomicU32::new(SHORTEST_PAUSE.as_millis() as u32),
            received: AtomicU64::new(0),
        }
    }

    /// Sets the UART up and begins to receive; what it has received before is kept.
    ///
    /// With interrupts, the handler must be in place before.
    pub fn start(&self) {
        self.collect();
        self.port.set_up();
        if self.receive == Receive::ByInterrupt {
            self.port.set_receive_interrupt(true);
        }
    }

    /// To be called when the UART interrupts, before the end of the interrupt is signalled: empties
    /// the UART, so that a level falls.
    ///
    /// With the ring full, the UART keeps what it has, muted until somebody has read.
    pub fn on_interrupt(&self) {
        let before = self.received.load(Relaxed);
        if !self.collect() {
            self.full.store(true, Relaxed);
            self.port.set_receive_interrupt(false);
        } else if self.received.load(Relaxed) == before {
            self.port.quiet();
            // What came before that would interrupt no more.
            self.collect();
        }
    }

    /// Takes what the UART has received, as far as there is room; returns whether it is empty.
    fn collect(&self) -> bool {
        self.port.receive(self.input.free_capacity(), |byte| {
            self.received.fetch_add(1, Relaxed);
            // There is room: nobody else writes.
            let _ = self.input.try_write(&[byte]);
        })
    }

    async fn read_input(&self, target: &mut [u8]) -> usize {
        if target.is_empty() {
            return 0;
        }
        loop {
            if self.receive == Receive::ByInterrupt {
                let count = self.input.read(target).await;
                if self.full.swap(false, Relaxed) {
                    self.port.set_receive_interrupt(true);
                }
                return count;
            }
            self.collect();
            if let Ok(count) = self.input.try_read(target) {
                self.pause.store(SHORTEST_PAUSE.as_millis() as u32, Relaxed);
                return count;
            }
            let pause = self.pause.load(Relaxed);
            self.timer.sleep(Duration::from_millis(pause.into())).await;
            self.pause.store((2 * pause).min(LONGEST_PAUSE.as_millis() as u32), Relaxed);
        }
    }

    async fn write_output(&self, bytes: &[u8]) -> Result<usize, UartError> {
        let bytes = bytes.get(..TURN).unwrap_or(bytes);
        let mut written = 0;
        let mut pauses = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            let sent = (0..LOOKS).map(|_| self.port.send_some(rest)).find(|sent| *sent > 0);
            match sent {
                Some(sent) => written += sent,
                None if written > 0 => return Ok(written),
                None if pauses == SEND_PAUSES => return Err(UartError::Stuck),
                None => {
                    pauses += 1;
                    self.timer.sleep(SEND_PAUSE).await;
                }
            }
        }
        yield_now().await;
        Ok(written)
    }

    async fn drain_output(&self) -> Result<(), UartError> {
        for _ in 0..SEND_PAUSES {
            if self.port.is_idle() {
                return Ok(());
            }
            self.timer.sleep(SEND_PAUSE).await;
        }
        Err(UartError::Stuck)
    }

    /// The UART itself.
    pub const fn port(&self) -> &Port<R> {
        &self.port
    }

    /// How input comes.
    pub const fn receives(&self) -> Receive {
        self.receive
    }

    /// What has come in so far.
    pub fn counters(&self) -> Counters {
        Counters {
            received: self.received.load(Relaxed),
            overruns: self.port.overruns(),
            faulty: self.port.faulty(),
        }
    }
}

impl<R, T> ErrorType for &Uart<R, T> {
    type Error = UartError;
}

impl<R: Registers, T: Timer> Read for &Uart<R, T> {
    async fn read(&mut self, target: &mut [u8]) -> Result<usize, UartError> {
        Ok(self.read_input(target).await)
    }
}

impl<R: Registers, T: Timer> Write for &Uart<R, T> {
    /// Writes some of `bytes`, then lets other tasks run.
    ///
    /// # Errors
    ///
    /// [`UartError::Stuck`] if the UART takes nothing for some two seconds.
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, UartError> {
        self.write_output(bytes).await
    }

    /// Waits until everything has left the UART.
    ///
    /// # Errors
    ///
    /// [`UartError::Stuck`] if that does not happen in some two seconds.
    async fn flush(&mut self) -> Result<(), UartError> {
        self.drain_output().await
    }
}

#[cfg(test)]
mod tests;
