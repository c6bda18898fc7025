//! What carries whole messages to and from one peer, whatever it is made of.

use gunyah::{
    hypercalls::Hypercalls,
    queue::{MessageReceiver, MessageSender, QueueError},
};
use thiserror::Error;

/// The largest messages of a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the largest message that can come.
    pub receive: usize,
    /// Bytes of the largest message that can be sent.
    pub send: usize,
}

/// Why a transport carries no more, or not this message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TransportError {
    /// The message queue says why.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The other side broke the rules of the transport.
    #[error("the peer broke the channel: {0}")]
    Broken(&'static str),
    /// The ring says why; after a restart of the peer it can be used again.
    #[error(transparent)]
    Ring(#[from] shared_ring::RingError),
    /// The channel is gone, or was closed on this side.
    #[error("the channel is closed")]
    Closed,
}

/// Carries whole messages to and from one peer.
///
/// Any number of futures may send at the same time; one at a time receives. Dropping the future of
/// either before it is ready carries nothing and loses nothing.
pub trait Transport {
    /// The largest messages.
    fn limits(&self) -> Limits;

    /// Waits for a message, puts it into `buffer`, which must hold [`Limits::receive`] bytes, and
    /// returns its size in bytes. Of a message that is larger the front is put there and the rest
    /// dropped; its size is that of all of it.
    ///
    /// # Errors
    ///
    /// See [`TransportError`].
    fn receive(&self, buffer: &mut [u8]) -> impl Future<Output = Result<usize, TransportError>>;

    /// Sends a message, waiting for room.
    ///
    /// # Errors
    ///
    /// See [`TransportError`].
    fn send(&self, message: &[u8]) -> impl Future<Output = Result<(), TransportError>>;
}

/// A pair of message queues as a transport.
pub struct QueuePair<'q, H> {
    /// To the peer.
    pub sender: &'q MessageSender<H>,
    /// From the peer.
    pub receiver: &'q MessageReceiver<H>,
}

impl<H: Hypercalls> Transport for QueuePair<'_, H> {
    fn limits(&self) -> Limits {
        Limits { receive: self.receiver.max_message_size(), send: self.sender.max_message_size() }
    }

    async fn receive(&self, buffer: &mut [u8]) -> Result<usize, TransportError> {
        Ok(self.receiver.receive(buffer).await?)
    }

    async fn send(&self, message: &[u8]) -> Result<(), TransportError> {
        Ok(self.sender.send(message, true).await?)
    }
}

impl<T: Transport> Transport for &T {
    fn limits(&self) -> Limits {
        (**self).limits()
    }

    fn receive(&self, buffer: &mut [u8]) -> impl Future<Output = Result<usize, TransportError>> {
        (**self).receive(buffer)
    }

    fn send(&self, message: &[u8]) -> impl Future<Output = Result<(), TransportError>> {
        (**self).send(message)
    }
}
