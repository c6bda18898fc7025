//! The two halves of a ring in use: whole messages, or a stream of bytes.

use super::{
    channel::{Counts, bump},
    memory::{RingMemory, Ringer},
};
use crate::{
    services::{Limits, Transport, TransportError},
    task::yield_now,
};
use alloc::boxed::Box;
use core::{
    cell::{Cell, RefCell},
    future::poll_fn,
    task::{Context, Poll},
};
use gunyah::{doorbell::Doorbell, hypercalls::Hypercalls};
use shared_ring::{Consumer, Memory, Producer, RingError};

/// The largest message, in bytes, whatever the ring could take: there are buffers for it.
pub(super) const LARGEST: usize = 4096;
/// Bytes that are moved at a time.
const BLOCK: usize = 4096;
/// How often bytes are moved before other tasks get their turn.
const BURST: u32 = 16;

/// A ring of bytes in use, polled before what else its task does, since that is all that happens there.
pub(super) struct Echo<'a, H: Hypercalls> {
    link: Cell<Option<Box<Link<'a, H>>>>,
    /// The link, and why it is over.
    over: Cell<Option<(Box<Link<'a, H>>, TransportError)>>,
}

impl<H: Hypercalls> Default for Echo<'_, H> {
    fn default() -> Self {
        Self { link: Cell::new(None), over: Cell::new(None) }
    }
}

impl<'a, H: Hypercalls> Echo<'a, H> {
    /// Pending while everything goes back, and what is done `beside` that, well; ready where there is no link, or it is
    /// over.
    #[inline]
    pub fn poll(
        &self,
        cx: &Context<'_>,
        beside: impl FnOnce(&Link<'a, H>) -> Poll<TransportError>,
    ) -> Poll<()> {
        let Some(mut link) = self.link.take() else { return Poll::Ready(()) };
        let over = match link.poll_echo(cx) {
            Poll::Pending => beside(&link),
            over => over,
        };
        match over {
            Poll::Pending => self.link.set(Some(link)),
            Poll::Ready(error) => self.over.set(Some((link, error))),
        }
        over.map(drop)
    }

    /// Has everything sent back that comes through a link, until that fails.
    pub async fn run(&self, link: Box<Link<'a, H>>) -> (Box<Link<'a, H>>, TransportError) {
        self.link.set(Some(link));
        // The next poll of the task is that of the link.
        yield_now().await;
        poll_fn(|_| self.over.take().map_or(Poll::Pending, Poll::Ready)).await
    }
}

/// A ring in use.
pub(super) struct Link<'a, H: Hypercalls> {
    pub bell: &'a Doorbell<H>,
    pub counts: &'a Counts,
    pub memory: &'a RingMemory,
    pub producer: RefCell<Producer<RingMemory, Ringer<'a, H>>>,
    pub consumer: RefCell<Consumer<RingMemory, Ringer<'a, H>>>,
    /// Somebody waits for room. The producer's one request to be rung is taken back by whoever sends.
    pub waits_for_room: Cell<bool>,
}

impl<H: Hypercalls> Link<'_, H> {
    /// Sends everything back as it came; ready only with why it ends.
    #[inline]
    pub fn poll_echo(&mut self, cx: &Context<'_>) -> Poll<TransportError> {
        for _ in 0..BURST {
            match self.consumer.get_mut().forward(self.producer.get_mut(), BLOCK) {
                Ok(0) => match self.wait(cx) {
                    Ok(true) => return Poll::Pending,
                    Ok(false) => {}
                    Err(error) => return Poll::Ready(error),
                },
                Ok(size) => {
                    self.count_received(size);
                    self.count_sent(size);
                }
                Err(error) => return Poll::Ready(self.failed(error)),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Waits for something to pass on, or for room for it; false if there is both now.
    #[inline(never)]
    fn wait(&mut self, cx: &Context<'_>) -> Result<bool, TransportError> {
        self.bell.register(cx);
        let (consumer, producer) = (self.consumer.get_mut(), self.producer.get_mut());
        let mut sleep = || {
            if consumer.sleep()? {
                return Ok(true);
            }
            let unread = consumer.unread()?.unwrap_or(0);
            let waits = producer.sleep(unread.min(BLOCK))?;
            self.waits_for_room.set(waits);
            Ok(waits)
        };
        let waits = sleep().map_err(|error| self.failed(error))?;
        if self.memory.is_gone() { Err(self.gone()) } else { Ok(waits) }
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

    /// The sessions of the peer that each half found to be gone.
    pub fn ended_sessions(&self) -> [Option<u16>; 2] {
        [self.producer.borrow().ended_session(), self.consumer.borrow().ended_session()]
    }

    /// Lets the peer see that somebody sends, though nothing is sent yet.
    pub fn greet(&self, cx: &Context<'_>) -> Result<(), TransportError> {
        let mut producer = self.producer.borrow_mut();
        if producer.peer_session().is_none() {
            // Rung for when the peer has seen it.
            self.wait_for_room(cx, &mut producer, 1)?;
        }
        Ok(())
    }

    /// Asks to be rung when there is room for `size` bytes. If there is now, the task is polled again instead, with all
    /// who waited before.
    fn wait_for_room(
        &self,
        cx: &Context<'_>,
        producer: &mut Producer<RingMemory, Ringer<'_, H>>,
        size: usize,
    ) -> Result<(), TransportError> {
        let waits = producer.sleep(size).map_err(|error| self.failed(error))?;
        self.waits_for_room.set(waits);
        if !waits {
            cx.waker().wake_by_ref();
        }
        Ok(())
    }

    /// To be called when something was sent: who waited for room has to ask again to be rung.
    fn note_sent(&self, cx: &Context<'_>) {
        if self.waits_for_room.replace(false) {
            cx.waker().wake_by_ref();
        }
    }

    /// Sends what a person at the shell wants sent, if there is room for all of it; waits for that else.
    pub fn try_say(
        &self,
        cx: &Context<'_>,
        text: &[u8],
        whole: bool,
    ) -> Result<bool, TransportError> {
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
            self.note_sent(cx);
        } else {
            self.wait_for_room(cx, &mut producer, text.len())?;
        }
        Ok(sent)
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
            let attempt = |half: &mut Consumer<_, _>| match half.try_receive(buffer) {
                Err(RingError::TargetTooSmall { .. }) => half.try_receive_front(buffer),
                received => received,
            };
            self.poll(cx, &mut *half, attempt, Consumer::sleep)
        });
        result.await.map(|size| self.count_received(size))
    }

    async fn send(&self, message: &[u8]) -> Result<(), TransportError> {
        let sent = poll_fn(|cx| {
            let mut half = self.producer.borrow_mut();
            let attempt = |half: &mut Producer<_, _>| Ok(half.try_send(message)?.then_some(()));
            let sleep = |half: &mut Producer<_, _>| half.sleep(message.len());
            let sent = self.poll(cx, &mut *half, attempt, sleep);
            match sent {
                Poll::Pending => self.waits_for_room.set(true),
                Poll::Ready(_) => self.note_sent(cx),
            }
            sent
        });
        sent.await?;
        self.count_sent(message.len());
        Ok(())
    }
}
