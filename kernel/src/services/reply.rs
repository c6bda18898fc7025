//! The way back from a service to whoever asked.

use super::{
    channel::{Channel, Slot},
    service::{Answer, Done, Refusal},
};
use billy_protocol::{EncodeError, Frame, HEADER_SIZE, Kind};
use core::{
    future::poll_fn,
    task::{Context, Poll},
};
use serde::Serialize;

/// Answers one request. It is encoded into the channel's buffer and sent from there.
pub struct Reply<'a> {
    channel: &'a Channel,
    slot: &'a Slot,
}

impl<'a> Reply<'a> {
    pub(super) const fn new(channel: &'a Channel, slot: &'a Slot) -> Self {
        Self { channel, slot }
    }

    /// Sends the reply, or its last part.
    ///
    /// # Errors
    ///
    /// It does not fit into a message of the channel.
    pub async fn send<T: Serialize + ?Sized>(self, value: &T) -> Answer {
        self.put(Kind::Reply, |frame, buffer| frame.encode(value, buffer)).await?;
        Ok(Done(()))
    }

    /// Sends a part of the reply, and waits until the channel has taken it.
    ///
    /// # Errors
    ///
    /// It does not fit into a message of the channel.
    pub async fn part<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), Refusal> {
        self.put(Kind::Part, |frame, buffer| frame.encode(value, buffer)).await?;
        self.sent().await;
        Ok(())
    }

    /// A reply that is a list, in as many parts as it takes.
    pub fn list(self) -> List<'a> {
        List { reply: self, size: 0 }
    }

    /// The largest payload of a message, in bytes.
    pub fn room(&self) -> usize {
        self.slot.room().saturating_sub(HEADER_SIZE)
    }

    /// Waits until the channel is to end in order: the time to send the last part.
    pub async fn ending(&self) {
        let ending = |_: &mut Context<'_>| match self.channel.is_ending() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        };
        poll_fn(ending).await;
    }

    async fn sent(&self) {
        poll_fn(
            |_: &mut Context<'_>| {
                if self.slot.is_sent() { Poll::Ready(()) } else { Poll::Pending }
            },
        )
        .await;
    }

    async fn put(
        &self,
        kind: Kind,
        encode: impl FnOnce(Frame<'_>, &mut [u8]) -> Result<usize, EncodeError>,
    ) -> Result<(), Refusal> {
        // A part whose future was dropped may still be on its way.
        self.sent().await;
        Ok(self.slot.put(kind, encode)?)
    }
}

/// A reply that is a list: entries one behind the other, in as many messages as it takes.
pub struct List<'a> {
    reply: Reply<'a>,
    /// Bytes of entries in the message being filled.
    size: usize,
}

impl List<'_> {
    /// Adds an entry; sends what came before if the message is full.
    ///
    /// # Errors
    ///
    /// The entry alone does not fit into a message of the channel.
    pub async fn push<T: Serialize + ?Sized>(&mut self, entry: &T) -> Result<(), Refusal> {
        let slot = self.reply.slot;
        self.reply.sent().await;
        if self.size > 0 {
            match slot.append(self.size, entry) {
                Ok(size) => {
                    self.size += size;
                    return Ok(());
                }
                Err(EncodeError::Room) => {
                    slot.finish(Kind::Part, self.size)?;
                    self.size = 0;
                    self.reply.sent().await;
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.size = slot.append(0, entry)?;
        Ok(())
    }

    /// Sends the last part.
    ///
    /// # Errors
    ///
    /// The channel has no room for any message.
    pub async fn end(self) -> Answer {
        self.reply.sent().await;
        self.reply.slot.finish(Kind::Reply, self.size)?;
        Ok(Done(()))
    }
}
