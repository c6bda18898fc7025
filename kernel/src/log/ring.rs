//! A ring of bytes that remembers how much was ever written to it.

use super::contents::Contents;
use crate::task::section;
use core::{
    cell::RefCell,
    fmt,
    future::poll_fn,
    task::{Context, Poll, Waker},
};
use critical_section::Mutex;

/// How many tasks can wait for news at once. More would wake each other without end.
pub const MAX_READERS: usize = 8;

struct State<const N: usize> {
    contents: Contents<N>,
    waiters: [Option<Waker>; MAX_READERS],
}

/// The log's last `N` bytes. Lives in a `static`; `N` must be a power of two.
///
/// In a memory dump it starts at the bytes `BILLYLOG`, then size and bytes ever written as
/// little-endian 64-bit words, then the ring itself.
pub struct LogRing<const N: usize = { 16 * 1024 }> {
    state: Mutex<RefCell<State<N>>>,
}

/// A place in the log from which to read on.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Reader {
    position: u64,
}

/// What a read brought.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Read {
    /// Bytes put into the buffer.
    pub bytes: usize,
    /// Bytes of the log that this reader will never see, those before the ones read: overwritten,
    /// or the rest of a line whose start was.
    pub lost: u64,
}

impl<const N: usize> LogRing<N> {
    /// Makes an empty log.
    pub const fn new() -> Self {
        let state = State { contents: Contents::new(), waiters: [const { None }; MAX_READERS] };
        Self { state: Mutex::new(RefCell::new(state)) }
    }

    /// Appends a whole line and wakes who waits for it. Of more than `N` bytes the end counts.
    pub fn append(&self, line: &[u8]) {
        let waiters = section::with(|token| {
            let state = &mut *self.state.borrow_ref_mut(token);
            state.contents.append(line);
            core::mem::take(&mut state.waiters)
        });
        waiters.into_iter().flatten().for_each(Waker::wake);
    }

    /// Appends a whole line and wakes nobody: for the panic path. False if the panic struck inside
    /// the log itself.
    pub fn try_append(&self, line: &[u8]) -> bool {
        section::with(|token| match self.state.borrow(token).try_borrow_mut() {
            Ok(mut state) => {
                state.contents.append(line);
                true
            }
            Err(_) => false,
        })
    }

    /// Bytes ever written: the position of the next one.
    pub fn written(&self) -> u64 {
        section::with(|token| self.state.borrow_ref(token).contents.written())
    }

    /// Copies what comes next for `reader` to `buffer`, as much as fits, and moves the reader on.
    ///
    /// A reader that was overtaken goes on at the start of the oldest whole line.
    pub fn read(&self, reader: &mut Reader, buffer: &mut [u8]) -> Read {
        section::with(|token| reader.read(&self.state.borrow_ref(token).contents, buffer))
    }

    /// As [`read`](Self::read), for the panic path: brings nothing if the panic struck inside the
    /// log itself.
    pub fn try_read(&self, reader: &mut Reader, buffer: &mut [u8]) -> Read {
        section::with(|token| match self.state.borrow(token).try_borrow() {
            Ok(state) => reader.read(&state.contents, buffer),
            Err(_) => Read::default(),
        })
    }

    /// A reader of the last `bytes` bytes at most, from the start of a line on.
    pub fn tail(&self, bytes: usize) -> Reader {
        section::with(|token| {
            let contents = &self.state.borrow_ref(token).contents;
            let position = contents.written().saturating_sub(bytes as u64).max(contents.oldest());
            Reader { position: contents.line_start(position) }
        })
    }

    /// Bytes there are to read for `reader`, lost ones not counted.
    pub fn unread(&self, reader: Reader) -> usize {
        self.written().saturating_sub(reader.position).min(N as u64) as usize
    }

    /// Waits until there is something to read for `reader`.
    pub async fn wait(&self, reader: Reader) {
        poll_fn(|context| self.poll_wait(reader, context)).await;
    }

    fn poll_wait(&self, reader: Reader, context: &Context<'_>) -> Poll<()> {
        let displaced = section::with(|token| {
            let state = &mut *self.state.borrow_ref_mut(token);
            if state.contents.written() > reader.position {
                return Err(());
            }
            Ok(state.register(context.waker()))
        });
        match displaced {
            Err(()) => Poll::Ready(()),
            Ok(displaced) => {
                if let Some(waker) = displaced {
                    waker.wake();
                }
                Poll::Pending
            }
        }
    }
}

impl<const N: usize> State<N> {
    /// Remembers a waker. With too many waiting, the one that waited longest is returned.
    fn register(&mut self, waker: &Waker) -> Option<Waker> {
        if self.waiters.iter().flatten().any(|known| known.will_wake(waker)) {
            return None;
        }
        if let Some(free) = self.waiters.iter_mut().find(|waiter| waiter.is_none()) {
            *free = Some(waker.clone());
            return None;
        }
        self.waiters.rotate_left(1);
        self.waiters.last_mut().and_then(|waiter| waiter.replace(waker.clone()))
    }
}

impl<const N: usize> Default for LogRing<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> fmt::Debug for LogRing<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogRing").field("written", &self.written()).finish_non_exhaustive()
    }
}

impl Reader {
    /// Reads from the very first byte on.
    pub const fn new() -> Self {
        Self { position: 0 }
    }

    fn read<const N: usize>(&mut self, contents: &Contents<N>, buffer: &mut [u8]) -> Read {
        let mut start = self.position;
        if start < contents.oldest() {
            start = contents.line_start(contents.oldest());
        }
        let lost = start - self.position;
        let bytes = contents.copy(start, buffer);
        self.position = start + bytes as u64;
        Read { bytes, lost }
    }

    /// Position of the next byte to read, counted from the first ever written.
    pub const fn position(&self) -> u64 {
        self.position
    }
}
