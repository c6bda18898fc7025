//! The console's input: what RM notifies of, kept until it is read.

use crate::rm::notification::{Claim, Notification, NotificationHandler};
use alloc::sync::Arc;
use core::convert::Infallible;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::pipe::Pipe;
use embedded_io_async::{BufRead, ErrorType, Read};
use gunyah_abi::rm::notification::ConsoleChars;
use gunyah_abi::rm::{MessageId, SELF_VMID};

/// Bytes of input that are kept until they are read.
pub const INPUT_CAPACITY: usize = 1024;

/// What was typed and not yet read.
pub struct ConsoleInput {
    pipe: Pipe<CriticalSectionRawMutex, INPUT_CAPACITY>,
    received: AtomicU64,
    dropped: AtomicU64,
    malformed: AtomicU64,
}

impl Default for ConsoleInput {
    fn default() -> Self {
        Self::new()
    }
}

impl ConsoleInput {
    /// Makes an empty one.
    pub const fn new() -> Self {
        Self {
            pipe: Pipe::new(),
            received: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            malformed: AtomicU64::new(0),
        }
    }

    /// Bytes that arrived, dropped ones included.
    pub fn received(&self) -> u64 {
        self.received.load(Relaxed)
    }

    /// Bytes that were dropped because nobody had read the ones before.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Notifications that were shorter than they said.
    pub fn malformed(&self) -> u64 {
        self.malformed.load(Relaxed)
    }

    fn put(&self, mut text: &[u8]) {
        self.received.fetch_add(text.len() as u64, Relaxed);
        while !text.is_empty() {
            let Ok(taken) = self.pipe.try_write(text) else {
                self.dropped.fetch_add(text.len() as u64, Relaxed);
                return;
            };
            text = text.get(taken..).unwrap_or_default();
        }
    }
}

impl NotificationHandler for ConsoleInput {
    fn notify(&self, notification: &Notification<'_>) -> Claim {
        if notification.id != MessageId::CONSOLE_CHARS {
            return Claim::No;
        }
        match ConsoleChars::parse(notification.content) {
            Some((SELF_VMID, text)) => {
                self.put(text);
                Claim::Taken
            }
            // From a VM we own; not our console.
            Some(_) => Claim::No,
            None => {
                self.malformed.fetch_add(1, Relaxed);
                Claim::Malformed
            }
        }
    }
}

/// Reads the console. Two readers of one console each get a part of what is typed.
pub struct ConsoleReader {
    input: Arc<ConsoleInput>,
    buffer: [u8; 64],
    start: usize,
    end: usize,
}

impl ConsoleReader {
    /// Makes a reader of what `input` collects.
    pub fn new(input: Arc<ConsoleInput>) -> Self {
        Self { input, buffer: [0; 64], start: 0, end: 0 }
    }

    /// Where the input is collected, for its counters.
    pub fn input(&self) -> &Arc<ConsoleInput> {
        &self.input
    }
}

impl ErrorType for ConsoleReader {
    type Error = Infallible;
}

impl BufRead for ConsoleReader {
    async fn fill_buf(&mut self) -> Result<&[u8], Infallible> {
        if self.start >= self.end {
            self.end = self.input.pipe.read(&mut self.buffer).await;
            self.start = 0;
        }
        Ok(self.buffer.get(self.start..self.end).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        self.start = self.end.min(self.start.saturating_add(amount));
    }
}

impl Read for ConsoleReader {
    async fn read(&mut self, target: &mut [u8]) -> Result<usize, Infallible> {
        if target.is_empty() {
            return Ok(0);
        }
        if self.start >= self.end {
            return Ok(self.input.pipe.read(target).await);
        }
        let ready = self.fill_buf().await?;
        let amount = ready.len().min(target.len());
        for (to, from) in target.iter_mut().zip(ready) {
            *to = *from;
        }
        self.consume(amount);
        Ok(amount)
    }
}
