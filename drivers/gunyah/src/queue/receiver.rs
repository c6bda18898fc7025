//! The receiving end of a message queue.

use super::{Counters, QueueConfig, QueueError, QueueStatistics};
use crate::hypercalls::{Hypercalls, Received, again};
use core::future::poll_fn;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll};
use embassy_sync::waitqueue::AtomicWaker;
use gunyah_abi::{CapabilityId, Error, Hypercall};

/// Receives messages; waits for the RX vIRQ while the queue is empty. One task at a time may wait.
pub struct MessageReceiver<H> {
    hypercalls: H,
    config: QueueConfig,
    /// Messages may be there. Cleared before each call, so that a vIRQ during the call is not lost.
    ready: AtomicBool,
    broken: AtomicBool,
    /// The next receive is a look without a vIRQ.
    looking: AtomicBool,
    waker: AtomicWaker,
    /// A task waits that goes before the one in `waker`.
    urgent: AtomicBool,
    urgent_waker: AtomicWaker,
    counters: Counters,
}

impl<H: Hypercalls> MessageReceiver<H> {
    /// Makes the receiver of a queue. Its first receive asks the hypervisor without waiting for a vIRQ.
    ///
    /// # Errors
    ///
    /// [`QueueError::Config`].
    pub fn new(hypercalls: H, config: QueueConfig) -> Result<Self, QueueError> {
        Ok(Self {
            hypercalls,
            config: config.check()?,
            ready: AtomicBool::new(true),
            broken: AtomicBool::new(false),
            looking: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            urgent: AtomicBool::new(false),
            urgent_waker: AtomicWaker::new(),
            counters: Counters::default(),
        })
    }

    /// The RX vIRQ's handler: messages may be there.
    pub fn on_interrupt(&self) {
        self.counters.interrupts.fetch_add(1, Ordering::Relaxed);
        self.looking.store(false, Ordering::Relaxed);
        self.ready.store(true, Ordering::SeqCst);
        if self.urgent.load(Ordering::SeqCst) {
            self.urgent_waker.wake();
        } else {
            self.waker.wake();
        }
    }

    /// Has the waiting task ask the hypervisor once, though no vIRQ came: one may have been lost. Not for polling.
    pub fn look(&self) {
        if !self.ready.swap(true, Ordering::SeqCst) {
            self.looking.store(true, Ordering::Relaxed);
        }
        self.waker.wake();
    }

    /// Makes the next attempt ask the hypervisor, though no vIRQ came.
    pub(crate) fn recheck(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// Receives a message into `buffer`, which must hold the queue's largest, and returns its size in bytes.
    ///
    /// # Errors
    ///
    /// [`QueueError::Empty`], [`QueueError::BufferSize`], [`QueueError::Broken`] (then for ever),
    /// [`QueueError::Refused`].
    pub fn try_receive(&self, buffer: &mut [u8]) -> Result<usize, QueueError> {
        let (queue, max) = (self.config.capability, usize::from(self.config.max_message_size));
        if buffer.len() < max {
            let size = buffer.len();
            return Err(QueueError::BufferSize { queue, size, max });
        }
        if !self.ready.swap(false, Ordering::AcqRel) {
            return Err(QueueError::Empty { queue });
        }
        if self.broken.load(Ordering::Relaxed) {
            self.recheck();
            return Err(QueueError::Broken { queue, size: 0 });
        }
        match again(|| self.hypercalls.msgqueue_receive(queue, buffer)) {
            Ok(Received { size, not_empty }) if size > 0 && size <= buffer.len() => {
                if not_empty {
                    self.recheck();
                }
                if self.looking.load(Ordering::Relaxed) {
                    self.looking.store(false, Ordering::Relaxed);
                    self.counters.found.fetch_add(1, Ordering::Relaxed);
                }
                self.counters.message(size);
                Ok(size)
            }
            Ok(Received { size, .. }) => {
                self.broken.store(true, Ordering::Relaxed);
                self.recheck();
                self.counters.errors.fetch_add(1, Ordering::Relaxed);
                Err(QueueError::Broken { queue, size })
            }
            Err(Error::MsgqueueEmpty) => {
                self.looking.store(false, Ordering::Relaxed);
                self.counters.waits.fetch_add(1, Ordering::Relaxed);
                Err(QueueError::Empty { queue })
            }
            Err(error) => {
                // What waits brings no further vIRQ.
                self.recheck();
                self.counters.errors.fetch_add(1, Ordering::Relaxed);
                let call = Hypercall::MsgqueueReceive;
                Err(QueueError::Refused { queue, call, error })
            }
        }
    }

    /// Receives a message, or registers the task for the RX vIRQ.
    pub fn poll_receive(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Result<usize, QueueError>> {
        loop {
            match self.try_receive(buffer) {
                Err(QueueError::Empty { .. }) => {
                    if self.poll_ready(cx).is_pending() {
                        return Poll::Pending;
                    }
                }
                result => return Poll::Ready(result),
            }
        }
    }

    /// Tells that a receive is worth trying, or registers the task for the RX vIRQ. Makes no hypercall.
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.ready.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        self.waker.register(cx.waker());
        // A vIRQ that came before the waker was there has set the flag.
        if self.ready.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Whether a receive is worth trying.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// As [`Self::poll_ready`], but the vIRQ wakes this task and not the one waiting there, until [`Self::end_urgent`].
    pub(crate) fn poll_urgent(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_ready() {
            return Poll::Ready(());
        }
        self.urgent_waker.register(cx.waker());
        self.urgent.store(true, Ordering::SeqCst);
        // A vIRQ that came before the waker was there has set the flag.
        if self.ready.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Wakes the task that went before.
    pub(crate) fn wake_urgent(&self) {
        self.urgent_waker.wake();
    }

    /// Lets the vIRQ wake the task in [`Self::poll_ready`] again, and wakes it if something is left for it.
    pub(crate) fn end_urgent(&self) {
        self.urgent.store(false, Ordering::SeqCst);
        if self.ready.load(Ordering::SeqCst) {
            self.waker.wake();
        }
    }

    /// Waits until a receive is worth trying.
    pub async fn ready(&self) {
        poll_fn(|cx| self.poll_ready(cx)).await;
    }

    /// Receives a message into `buffer`, waiting for one, and returns its size in bytes.
    ///
    /// # Errors
    ///
    /// As [`Self::try_receive`], but never [`QueueError::Empty`].
    pub async fn receive(&self, buffer: &mut [u8]) -> Result<usize, QueueError> {
        poll_fn(|cx| self.poll_receive(cx, buffer)).await
    }

    /// Receives a message outside tasks; `wait` waits for an interrupt.
    ///
    /// # Errors
    ///
    /// As [`Self::receive`].
    pub fn receive_blocking(
        &self,
        buffer: &mut [u8],
        mut wait: impl FnMut(),
    ) -> Result<usize, QueueError> {
        loop {
            match self.try_receive(buffer) {
                Err(QueueError::Empty { .. }) => {
                    wait();
                    self.recheck();
                }
                result => return result,
            }
        }
    }

    /// Whether the queue has answered what no queue may answer; no more calls are made then.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// The capability.
    pub fn capability(&self) -> CapabilityId {
        self.config.capability
    }

    /// Largest message in bytes; buffers to receive into need this much.
    pub fn max_message_size(&self) -> usize {
        usize::from(self.config.max_message_size)
    }

    /// Messages the queue holds.
    pub fn depth(&self) -> u16 {
        self.config.depth
    }

    /// What happened so far.
    pub fn statistics(&self) -> QueueStatistics {
        self.counters.snapshot()
    }
}
