//! The two halves of a ring in use: whole messages for the services, or a stream of bytes.

use super::{
    channel::{Counts, bump},
    memory::{RingMemory, Ringer},
};
use crate::services::{Limits, Transport, TransportError};
use alloc::boxed::Box;
use core::{
    cell::RefCell,
    future::poll_fn,
    task::{Context, Poll, ready},
};
use gunyah::{doorbell::Doorbell, hypercalls::Hypercalls};
use shared_ring::{Consumer, Producer, RingError};

/// The largest message, in bytes, whatever the ring could take: there are buffers for it.
pub(super) const LARGEST: usize = 4096;
/// Bytes that are moved at a time.
const BLOCK: usize = 4096;
/// Blocks that are moved before other tasks get their turn.
const BURST: u32 = 16;

/// Aligned, so that words are moved and not bytes.
#[repr(C, align(64))]
struct Block([u8; BLOCK]);

/// Bytes on their way back to the peer.
pub(super) struct Echo {
    block: Box<Block>,
    /// Bytes in the block, and how many of them are sent.
    size: usize,
    sent: usize,
    /// Blocks since other tasks had their turn.
    blocks: u32,
}

impl Default for Echo {
    fn default() -> Self {
        Self { block: Box::new(Block([0; BLOCK])), size: 0, sent: 0, blocks: 0 }
    }
}

/// A ring in use.
pub(super) struct Link<'a, H: Hypercalls> {
    pub bell: &'a Doorbell<H>,
    pub counts: &'a Counts,
    pub memory: &'a RingMemory,
    pub producer: RefCell<Producer<RingMemory, Ringer<'a, H>>>,
    pub consumer: RefCell<Consumer<RingMemory, Ringer<'a, H>>>,
}

impl<H: Hypercalls> Link<'_, H> {
    /// Sends everything back as it came; ready only with why it ends.
    pub fn poll_echo(&self, cx: &Context<'_>, echo: &mut Echo) -> Poll<TransportError> {
        loop {
            let rest = echo.block.0.get(echo.sent..echo.size).unwrap_or_default();
            if !rest.is_empty() {
                match ready!(self.poll_write(cx, rest)) {
                    Ok(written) => echo.sent += written,
                    Err(error) => return Poll::Ready(error),
                }
                continue;
            }
            if echo.blocks == BURST {
                echo.blocks = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match ready!(self.poll_read(cx, &mut echo.block.0)) {
                Ok(size) => (echo.size, echo.sent) = (size, 0),
                Err(error) => return Poll::Ready(error),
            }
            echo.blocks += 1;
        }
    }

    /// Takes note of a peer that restarted or went, which each half tells once.
    pub fn note_restart(&self) -> Result<(), TransportError> {
        let halves =
            [self.producer.borrow_mut().room().err(), self.consumer.borrow_mut().unread().err()];
        for error in halves.into_iter().flatten() {
            match error {
                RingError::PeerReset { .. } | RingError::PeerGone => {}
                error => return Err(self.failed(error)),
            }
        }
        Ok(())
    }

    /// Lets the peer see that somebody sends, though nothing is sent yet.
    pub fn greet(&self) -> Result<(), TransportError> {
        let mut producer = self.producer.borrow_mut();
        if producer.peer_session().is_none() {
            // Rung for when the peer has seen it.
            producer.sleep(1).map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    /// Sends what a person at the shell wants sent, if there is room for all of it.
    pub fn try_say(&self, text: &[u8], whole: bool) -> Result<bool, TransportError> {
        let mut producer = self.producer.borrow_mut();
        let sent = match whole {
            true => producer.try_send(text),
            false => match producer.room() {
                Ok(Some(room)) if room >= text.len() => producer.write(text).map(|_| true),
                other => other.map(|_| false),
            },
        };
        let sent = sent.map_err(|error| self.failed(error))?;
        if sent {
            self.count_sent(text.len());
        }
        Ok(sent)
    }

    fn poll_read(&self, cx: &Context<'_>, to: &mut [u8]) -> Poll<Result<usize, TransportError>> {
        let mut half = self.consumer.borrow_mut();
        let attempt = |half: &mut Consumer<_, _>| Ok(Some(half.read(to)?).filter(|size| *size > 0));
        self.poll(cx, &mut *half, attempt, Consumer::sleep).map_ok(|size| self.count_received(size))
    }

    fn poll_write(&self, cx: &Context<'_>, bytes: &[u8]) -> Poll<Result<usize, TransportError>> {
        let mut half = self.producer.borrow_mut();
        let attempt = |half: &mut Producer<_, _>| Ok(Some(half.write(bytes)?).filter(|n| *n > 0));
        let sleep = |half: &mut Producer<_, _>| half.sleep(bytes.len());
        self.poll(cx, &mut *half, attempt, sleep).map_ok(|size| self.count_sent(size))
    }

    /// Makes an attempt, and one more once the peer knows that we sleep.
    fn poll<T, P>(
        &self,
        cx: &Context<'_>,
        half: &mut P,
        mut attempt: impl FnMut(&mut P) -> Result<Option<T>, RingError>,
        sleep: impl FnOnce(&mut P) -> Result<bool, RingError>,
    ) -> Poll<Result<T, TransportError>> {
        match attempt(half) {
            Ok(None) => {}
            // What came from a page that is not shared any more is nobody's.
            _ if self.memory.is_gone() => return Poll::Ready(Err(self.gone())),
            Ok(Some(done)) => return Poll::Ready(Ok(done)),
            Err(error) => return Poll::Ready(Err(error.into())),
        }
        self.bell.register(cx);
        let done = match sleep(half) {
            Ok(true) => Ok(None),
            Ok(false) => attempt(half).inspect(|done| {
                if done.is_none() {
                    // It came and went, which no honest peer can make. Others go first.
                    cx.waker().wake_by_ref();
                }
            }),
            Err(error) => Err(error),
        };
        match done {
            _ if self.memory.is_gone() => Poll::Ready(Err(self.gone())),
            Ok(Some(done)) => Poll::Ready(Ok(done)),
            Ok(None) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }

    fn failed(&self, error: RingError) -> TransportError {
        if self.memory.is_gone() { self.gone() } else { error.into() }
    }

    fn gone(&self) -> TransportError {
        TransportError::Broken("its memory was taken away")
    }

    fn count_received(&self, size: usize) -> usize {
        bump(&self.counts.received, 1);
        bump(&self.counts.received_bytes, size as u64);
        size
    }

    fn count_sent(&self, size: usize) -> usize {
        bump(&self.counts.sent, 1);
        bump(&self.counts.sent_bytes, size as u64);
        size
    }
}

impl<H: Hypercalls> Transport for Link<'_, H> {
    fn limits(&self) -> Limits {
        Limits {
            receive: self.consumer.borrow().max_message().min(LARGEST),
            send: self.producer.borrow().max_message().min(LARGEST),
        }
    }

    async fn receive(&self, buffer: &mut [u8]) -> Result<usize, TransportError> {
        let result = poll_fn(|cx| {
            let mut half = self.consumer.borrow_mut();
            self.poll(cx, &mut *half, |half| half.try_receive(buffer), Consumer::sleep)
        });
        match result.await {
            Ok(size) => Ok(self.count_received(size)),
            Err(TransportError::Ring(RingError::TargetTooSmall { length, buffer })) => {
                self.consumer.borrow_mut().skip()?;
                Err(TransportError::TooLarge { size: length, max: buffer })
            }
            Err(error) => Err(error),
        }
    }

    async fn send(&self, message: &[u8]) -> Result<(), TransportError> {
        let sent = poll_fn(|cx| {
            let mut half = self.producer.borrow_mut();
            let attempt = |half: &mut Producer<_, _>| Ok(half.try_send(message)?.then_some(()));
            let sleep = |half: &mut Producer<_, _>| half.sleep(message.len());
            self.poll(cx, &mut *half, attempt, sleep)
        });
        match sent.await {
            Ok(()) => {
                self.count_sent(message.len());
                Ok(())
            }
            Err(TransportError::Ring(RingError::MessageTooLong { length, limit })) => {
                Err(TransportError::TooLarge { size: length, max: limit })
            }
            Err(error) => Err(error),
        }
    }
}
