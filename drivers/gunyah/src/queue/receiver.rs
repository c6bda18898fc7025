//! The receiving end of a message queue.

use super::{QueueConfig, QueueError, QueueStatistics, end::End};
use crate::hypercalls::{Hypercalls, Received};
use crate::waiter::Waiter;
use core::future::poll_fn;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll};
use gunyah_abi::{CapabilityId, Hypercall};

/// Receives messages; waits for the RX vIRQ while the queue is empty. One task at a time may wait.
pub struct MessageReceiver<H> {
    end: End<H>,
    broken: AtomicBool,
    /// A task waits that goes before the one that waits in `end`.
    urgent: AtomicBool,
    urgent_waiter: Waiter,
}

impl<H: Hypercalls> MessageReceiver<H> {
    /// Makes the receiver of a queue. Its first receive asks the hypervisor without waiting for a vIRQ.
    ///
    /// # Errors
    ///
    /// [`QueueError::Config`].
    pub fn new(hypercalls: H, config: QueueConfig) -> Result<Self, QueueError> {
        Ok(Self {
            end: End::new(hypercalls, config)?,
            broken: AtomicBool::new(false),
            urgent: AtomicBool::new(false),
            urgent_waiter: Waiter::new(),
        })
    }

    /// The RX vIRQ's handler: messages may be there.
    #[inline]
    pub fn on_interrupt(&self) {
        self.end.interrupted();
        if self.urgent.load(Ordering::SeqCst) {
            self.urgent_waiter.wake();
        } else {
            self.end.wake();
        }
    }

    /// Has the waiting task ask the hypervisor once, though no vIRQ came: one may have been lost. Not for polling.
    pub fn look(&self) {
        self.end.look();
    }

    /// Makes the next attempt ask the hypervisor, though no vIRQ came.
    pub(crate) fn recheck(&self) {
        self.end.recheck();
    }

    /// Receives a message into `buffer`, which must hold the queue's largest, and returns its size in bytes.
    ///
    /// # Errors
    ///
    /// [`QueueError::Empty`], [`QueueError::BufferSize`], [`QueueError::Broken`] (then for ever),
    /// [`QueueError::Refused`].
    pub fn try_receive(&self, buffer: &mut [u8]) -> Result<usize, QueueError> {
        self.receive_now(buffer)
    }

    /// [`Self::try_receive`], inlined where each instruction counts.
    #[inline(always)]
    pub(crate) fn receive_now(&self, buffer: &mut [u8]) -> Result<usize, QueueError> {
        let (queue, room, max) = (self.capability(), buffer.len(), self.max_message_size());
        if room < max {
            return Err(QueueError::BufferSize { queue, size: room, max });
        }
        if self.is_broken() {
            return Err(QueueError::Broken { queue, size: 0 });
        }
        let receive = || self.end.hypercalls.msgqueue_receive(queue, buffer);
        self.end.call(Hypercall::MsgqueueReceive, receive, |Received { size, not_empty }| {
            if size > 0 && size <= room {
                Ok((size, not_empty))
            } else {
                self.broken.store(true, Ordering::Relaxed);
                self.end.count_error();
                Err(QueueError::Broken { queue, size })
            }
        })
    }

    /// Receives a message, or registers the task for the RX vIRQ.
    #[inline]
    pub fn poll_receive(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Result<usize, QueueError>> {
        self.end.poll(cx, || self.try_receive(buffer))
    }

    /// Tells that a receive is worth trying, or registers the task for the RX vIRQ. Makes no hypercall.
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.end.poll_ready(cx)
    }

    /// Whether a receive is worth trying.
    #[inline]
    pub fn is_ready(&self) -> bool {
        self.end.is_ready()
    }

    /// As [`Self::poll_ready`], but the vIRQ wakes this task and not the one waiting there, until [`Self::end_urgent`].
    #[inline]
    pub(crate) fn poll_urgent(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_ready() {
            return Poll::Ready(());
        }
        self.urgent_waiter.register(cx.waker());
        self.urgent.store(true, Ordering::SeqCst);
        // A vIRQ that came before the waker was there has changed the state.
        if self.is_ready() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Wakes the task that went before.
    pub(crate) fn wake_urgent(&self) {
        self.urgent_waiter.wake();
    }

    /// Lets the vIRQ wake the task in [`Self::poll_ready`] again, and wakes it if something is left for it.
    #[inline]
    pub(crate) fn end_urgent(&self) {
        self.urgent.store(false, Ordering::SeqCst);
        if self.is_ready() {
            self.end.wake();
        }
    }

    /// Waits until a receive is worth trying.
    pub fn ready(&self) -> impl Future<Output = ()> {
        poll_fn(|cx| self.poll_ready(cx))
    }

    /// Receives a message into `buffer`, waiting for one, and returns its size in bytes.
    ///
    /// # Errors
    ///
    /// As [`Self::try_receive`], but never [`QueueError::Empty`].
    pub fn receive(&self, buffer: &mut [u8]) -> impl Future<Output = Result<usize, QueueError>> {
        poll_fn(|cx| self.poll_receive(cx, buffer))
    }

    /// Receives a message outside tasks; `wait` waits for an interrupt.
    ///
    /// # Errors
    ///
    /// As [`Self::receive`].
    pub fn receive_blocking(
        &self,
        buffer: &mut [u8],
        wait: impl FnMut(),
    ) -> Result<usize, QueueError> {
        self.end.block(wait, || self.try_receive(buffer))
    }

    /// Whether the queue has answered what no queue may answer; no more calls are made then.
    #[inline]
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// The capability.
    pub fn capability(&self) -> CapabilityId {
        self.end.config.capability
    }

    /// Largest message in bytes; buffers to receive into need this much.
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
