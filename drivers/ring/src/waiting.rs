//! The halves for tasks: calls that wait, woken by the doorbell's interrupt.

use crate::error::RingError;
use crate::memory::Memory;
use crate::ring::{Bell, Consumer, Producer};
use core::fmt;
use core::future::poll_fn;
use core::ops::Deref;
use core::task::{Context, Poll};
use embassy_sync::waitqueue::AtomicWaker;
use embedded_io_async::{ErrorType, Read, Write};

/// Where the tasks that use the two halves of a ring leave word.
pub struct Wakers {
    producer: AtomicWaker,
    consumer: AtomicWaker,
}

impl Wakers {
    /// Nobody waits.
    pub const fn new() -> Self {
        Self { producer: AtomicWaker::new(), consumer: AtomicWaker::new() }
    }

    /// To be called when the other side has rung, from a task or an interrupt handler: wakes both halves.
    pub fn on_bell(&self) {
        self.producer.wake();
        self.consumer.wake();
    }
}

impl fmt::Debug for Wakers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wakers").finish_non_exhaustive()
    }
}

impl Default for Wakers {
    fn default() -> Self {
        Self::new()
    }
}

/// A [`Producer`] whose calls wait until they are done. All of them may be cancelled; nothing is sent then.
#[derive(Debug)]
pub struct AsyncProducer<M: Memory, B: Bell, W> {
    half: Producer<M, B>,
    wakers: W,
}

/// A [`Consumer`] whose calls wait until they are done. All of them may be cancelled; nothing is received then.
#[derive(Debug)]
pub struct AsyncConsumer<M: Memory, B: Bell, W> {
    half: Consumer<M, B>,
    wakers: W,
}

impl<M: Memory, B: Bell> Producer<M, B> {
    /// The half for a task, woken by [`Wakers::on_bell`]. `wakers` is a reference or an `Arc`.
    pub const fn into_async<W: Deref<Target = Wakers>>(self, wakers: W) -> AsyncProducer<M, B, W> {
        AsyncProducer { half: self, wakers }
    }
}

impl<M: Memory, B: Bell> Consumer<M, B> {
    /// The half for a task, woken by [`Wakers::on_bell`]. `wakers` is a reference or an `Arc`.
    pub const fn into_async<W: Deref<Target = Wakers>>(self, wakers: W) -> AsyncConsumer<M, B, W> {
        AsyncConsumer { half: self, wakers }
    }
}

impl<M: Memory, B: Bell, W: Deref<Target = Wakers>> AsyncProducer<M, B, W> {
    /// The half that does not wait.
    pub const fn half(&mut self) -> &mut Producer<M, B> {
        &mut self.half
    }

    /// Sends `message`, in [`Mode::Messages`](crate::Mode::Messages), as soon as there is a peer and room.
    ///
    /// # Errors
    ///
    /// As [`Producer::try_send`].
    pub fn send<'a>(
        &'a mut self,
        message: &'a [u8],
    ) -> impl Future<Output = Result<(), RingError>> + use<'a, M, B, W> {
        poll_fn(move |context| self.poll_send(context, message))
    }

    /// [`Self::send`] for who writes futures by hand.
    ///
    /// # Errors
    ///
    /// As [`Producer::try_send`].
    pub fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        message: &[u8],
    ) -> Poll<Result<(), RingError>> {
        let attempt = |half: &mut Producer<M, B>| Ok(half.try_send(message)?.then_some(()));
        self.poll(context, message.len(), attempt)
    }

    /// Waits until the other side has read everything: the moment to detach without loss.
    ///
    /// # Errors
    ///
    /// As [`Producer::write`].
    pub async fn drained(&mut self) -> Result<(), RingError> {
        let all = self.half.capacity();
        poll_fn(|context| {
            if self.half.is_drained()? {
                return Poll::Ready(Ok(()));
            }
            self.wakers.producer.register(context.waker());
            self.half.sleep_until(all as u32)?;
            match self.half.is_drained()? {
                true => Poll::Ready(Ok(())),
                false => Poll::Pending,
            }
        })
        .await
    }

    fn poll<T>(
        &mut self,
        context: &mut Context<'_>,
        length: usize,
        mut attempt: impl FnMut(&mut Producer<M, B>) -> Result<Option<T>, RingError>,
    ) -> Poll<Result<T, RingError>> {
        if let Some(done) = attempt(&mut self.half)? {
            return Poll::Ready(Ok(done));
        }
        self.wakers.producer.register(context.waker());
        if self.half.sleep(length)? {
            return Poll::Pending;
        }
        if let Some(done) = attempt(&mut self.half)? {
            return Poll::Ready(Ok(done));
        }
        // Room came and went, which no honest peer can make.
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<M: Memory, B: Bell, W: Deref<Target = Wakers>> AsyncConsumer<M, B, W> {
    /// The half that does not wait.
    pub const fn half(&mut self) -> &mut Consumer<M, B> {
        &mut self.half
    }

    /// Receives one message into `target` and returns its length, in [`Mode::Messages`](crate::Mode::Messages).
    ///
    /// # Errors
    ///
    /// As [`Consumer::try_receive`].
    pub fn receive<'a>(
        &'a mut self,
        target: &'a mut [u8],
    ) -> impl Future<Output = Result<usize, RingError>> + use<'a, M, B, W> {
        poll_fn(move |context| self.poll_receive(context, target))
    }

    /// [`Self::receive`] for who writes futures by hand.
    ///
    /// # Errors
    ///
    /// As [`Consumer::try_receive`].
    pub fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        target: &mut [u8],
    ) -> Poll<Result<usize, RingError>> {
        self.poll(context, |half| half.try_receive(target))
    }

    fn poll<T>(
        &mut self,
        context: &mut Context<'_>,
        mut attempt: impl FnMut(&mut Consumer<M, B>) -> Result<Option<T>, RingError>,
    ) -> Poll<Result<T, RingError>> {
        if let Some(done) = attempt(&mut self.half)? {
            return Poll::Ready(Ok(done));
        }
        self.wakers.consumer.register(context.waker());
        if self.half.sleep()? {
            return Poll::Pending;
        }
        if let Some(done) = attempt(&mut self.half)? {
            return Poll::Ready(Ok(done));
        }
        // Data came and went, which no honest peer can make.
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<M: Memory, B: Bell, W> ErrorType for AsyncProducer<M, B, W> {
    type Error = RingError;
}

impl<M: Memory, B: Bell, W> ErrorType for AsyncConsumer<M, B, W> {
    type Error = RingError;
}

/// For [`Mode::Bytes`](crate::Mode::Bytes).
impl<M: Memory, B: Bell, W: Deref<Target = Wakers>> Write for AsyncProducer<M, B, W> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, RingError> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let attempt = |half: &mut Producer<M, B>| Ok(Some(half.write(bytes)?).filter(|n| *n > 0));
        poll_fn(|context| self.poll(context, bytes.len(), attempt)).await
    }

    /// Does nothing: what is written is in the shared buffer. See [`AsyncProducer::drained`].
    async fn flush(&mut self) -> Result<(), RingError> {
        Ok(())
    }
}

/// For [`Mode::Bytes`](crate::Mode::Bytes).
impl<M: Memory, B: Bell, W: Deref<Target = Wakers>> Read for AsyncConsumer<M, B, W> {
    async fn read(&mut self, target: &mut [u8]) -> Result<usize, RingError> {
        if target.is_empty() {
            return Ok(0);
        }
        poll_fn(|context| {
            self.poll(context, |half| Ok(Some(half.read(target)?).filter(|count| *count > 0)))
        })
        .await
    }
}
