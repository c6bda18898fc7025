//! The sending end of a message queue.

use super::{QueueConfig, QueueError, QueueStatistics, end::End};
use crate::hypercalls::Hypercalls;
use crate::turn::Turn;
use core::future::poll_fn;
use core::task::{Context, Poll};
use gunyah_abi::{CapabilityId, Hypercall};

/// Sends messages; waits for the TX vIRQ while the queue is full.
pub struct MessageSender<H> {
    end: End<H>,
    turn: Turn,
}

impl<H: Hypercalls> MessageSender<H> {
    /// Makes the sender of a queue.
    ///
    /// # Errors
    ///
    /// [`QueueError::Config`].
    pub fn new(hypercalls: H, config: QueueConfig) -> Result<Self, QueueError> {
        Ok(Self { end: End::new(hypercalls, config)?, turn: Turn::default() })
    }

    /// The TX vIRQ's handler: room may be there again.
    #[inline]
    pub fn on_interrupt(&self) {
        self.end.interrupted();
        self.end.wake();
    }

    /// Has the waiting task ask the hypervisor once, though no vIRQ came: one may have been lost. Not for polling.
    pub fn look(&self) {
        self.end.look();
    }

    /// Makes the next attempt ask the hypervisor, though no vIRQ came.
    pub(crate) fn recheck(&self) {
        self.end.recheck();
    }

    /// Sends a message if there is room. `push` interrupts the receiver even if it has messages waiting.
    ///
    /// # Errors
    ///
    /// [`QueueError::Full`], [`QueueError::MessageSize`], [`QueueError::Refused`].
    pub fn try_send(&self, message: &[u8], push: bool) -> Result<(), QueueError> {
        self.send_now(message, push)
    }

    /// [`Self::try_send`], inlined where each instruction counts.
    #[inline(always)]
    pub(crate) fn send_now(&self, message: &[u8], push: bool) -> Result<(), QueueError> {
        let (queue, size, max) = (self.capability(), message.len(), self.max_message_size());
        if message.is_empty() || size > max {
            return Err(QueueError::MessageSize { queue, size, max });
        }
        let send = || self.end.hypercalls.msgqueue_send(queue, message, push);
        self.end.call(Hypercall::MsgqueueSend, send, |not_full| Ok((size, not_full))).map(drop)
    }

    /// Sends a message, or registers the task for the TX vIRQ. Only one task may use this at a time; [`Self::send`] sees
    /// to that by itself.
    #[inline]
    pub fn poll_send(
        &self,
        cx: &mut Context<'_>,
        message: &[u8],
        push: bool,
    ) -> Poll<Result<(), QueueError>> {
        self.end.poll(cx, || self.try_send(message, push))
    }

    /// Tells that a send is worth trying, or registers the task for the TX vIRQ. Makes no hypercall.
    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.end.poll_ready(cx)
    }

    /// Sends a message, waiting for room. Any number of tasks may wait.
    ///
    /// # Errors
    ///
    /// [`QueueError::MessageSize`], [`QueueError::Refused`].
    pub async fn send(&self, message: &[u8], push: bool) -> Result<(), QueueError> {
        let _turn = self.turn.take().await;
        poll_fn(|cx| self.poll_send(cx, message, push)).await
    }

    /// Sends a message outside tasks; `wait` waits for an interrupt.
    ///
    /// # Errors
    ///
    /// [`QueueError::MessageSize`], [`QueueError::Refused`].
    pub fn send_blocking(
        &self,
        message: &[u8],
        push: bool,
        wait: impl FnMut(),
    ) -> Result<(), QueueError> {
        self.end.block(wait, || self.try_send(message, push))
    }

    /// Whether a message did not fit, or the last one left no room, and no vIRQ has come since.
    pub fn is_full(&self) -> bool {
        !self.end.is_ready()
    }

    /// The capability.
    pub fn capability(&self) -> CapabilityId {
        self.end.config.capability
    }

    /// Largest message in bytes.
    pub fn max_message_size(&self) -> usize {
        usize::from(self.end.config.max_message_size)
    }

    /// Messages the queue holds.
    pub fn depth(&self) -> u16 {
        self.end.config.depth
    }

    /// What happened so far.
    pub fn statistics(&self) -> QueueStatistics {
        self.end.statistics()
    }
}
