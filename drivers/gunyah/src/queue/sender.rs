//! The sending end of a message queue.

use super::{Counters, QueueConfig, QueueError, QueueStatistics};
use crate::hypercalls::{Hypercalls, again};
use crate::turn::Turn;
use core::future::poll_fn;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll};
use embassy_sync::waitqueue::AtomicWaker;
use gunyah_abi::{CapabilityId, Error, Hypercall};

/// Sends messages; waits for the TX vIRQ while the queue is full.
pub struct MessageSender<H> {
    hypercalls: H,
    config: QueueConfig,
    /// The queue was full and no vIRQ has come since. Set before each call, so that a vIRQ during the call is not lost.
    full: AtomicBool,
    waker: AtomicWaker,
    turn: Turn,
    counters: Counters,
}

impl<H: Hypercalls> MessageSender<H> {
    /// Makes the sender of a queue.
    ///
    /// # Errors
    ///
    /// [`QueueError::Config`].
    pub fn new(hypercalls: H, config: QueueConfig) -> Result<Self, QueueError> {
        Ok(Self {
            hypercalls,
            config: config.check()?,
            full: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            turn: Turn::default(),
            counters: Counters::default(),
        })
    }

    /// The TX vIRQ's handler: room may be there again.
    pub fn on_interrupt(&self) {
        self.counters.interrupts.fetch_add(1, Ordering::Relaxed);
        self.recheck();
        self.waker.wake();
    }

    /// Has the waiting task ask the hypervisor once, though no vIRQ came: one may have been lost. Not for polling.
    pub fn look(&self) {
        self.recheck();
        self.waker.wake();
    }

    /// Makes the next attempt ask the hypervisor, though no vIRQ came.
    pub(crate) fn recheck(&self) {
        self.full.store(false, Ordering::Release);
    }

    /// Sends a message if there is room. `push` interrupts the receiver even if it has messages waiting.
    ///
    /// # Errors
    ///
    /// [`QueueError::Full`], [`QueueError::MessageSize`], [`QueueError::Refused`].
    pub fn try_send(&self, message: &[u8], push: bool) -> Result<(), QueueError> {
        let (queue, max) = (self.config.capability, usize::from(self.config.max_message_size));
        if message.is_empty() || message.len() > max {
            let size = message.len();
            return Err(QueueError::MessageSize { queue, size, max });
        }
        if self.full.swap(true, Ordering::AcqRel) {
            return Err(QueueError::Full { queue });
        }
        match again(|| self.hypercalls.msgqueue_send(queue, message, push)) {
            Ok(not_full) => {
                if not_full {
                    self.recheck();
                }
                self.counters.message(message.len());
                Ok(())
            }
            Err(Error::MsgqueueFull) => {
                self.counters.waits.fetch_add(1, Ordering::Relaxed);
                Err(QueueError::Full { queue })
            }
            Err(error) => {
                self.recheck();
                self.counters.errors.fetch_add(1, Ordering::Relaxed);
                let call = Hypercall::MsgqueueSend;
                Err(QueueError::Refused { queue, call, error })
            }
        }
    }

    /// Sends a message, or registers the task for the TX vIRQ. Only one task may use this at a time; [`Self::send`] sees
    /// to that by itself.
    pub fn poll_send(
        &self,
        cx: &mut Context<'_>,
        message: &[u8],
        push: bool,
    ) -> Poll<Result<(), QueueError>> {
        let mut registered = false;
        loop {
            match self.try_send(message, push) {
                Err(QueueError::Full { .. }) if registered => return Poll::Pending,
                Err(QueueError::Full { .. }) => {
                    // A vIRQ that came before the waker was there cleared the flag: try once more.
                    self.waker.register(cx.waker());
                    registered = true;
                }
                result => return Poll::Ready(result),
            }
        }
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
        mut wait: impl FnMut(),
    ) -> Result<(), QueueError> {
        loop {
            match self.try_send(message, push) {
                Err(QueueError::Full { .. }) => {
                    wait();
                    self.recheck();
                }
                result => return result,
            }
        }
    }

    /// Whether a message did not fit, or the last one left no room, and no vIRQ has come since.
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    /// The capability.
    pub fn capability(&self) -> CapabilityId {
        self.config.capability
    }

    /// Largest message in bytes.
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
