//! What both ends of a message queue share: vIRQ, waiting, the call, counters.

use super::{QueueConfig, QueueError, QueueStatistics};
use crate::counter::count;
use crate::hypercalls::again;
use crate::waiter::Waiter;
use core::sync::atomic::{
    AtomicU8, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use core::task::{Context, Poll};
use gunyah_abi::{Error, Hypercall};

/// A call is not worth making: the last one found nothing to do, and no vIRQ has come since.
const QUIET: u8 = 0;
/// It may be worth making.
const READY: u8 = 1;
/// The next call is a look without a vIRQ.
const LOOK: u8 = 2;

/// One end of a queue.
pub(super) struct End<H> {
    pub hypercalls: H,
    pub config: QueueConfig,
    /// One of the states above. QUIET before each call, so that a vIRQ during the call is not lost.
    state: AtomicU8,
    waiter: Waiter,
    counters: Counters,
}

/// Each is changed by one side only: `interrupts` by the handler, the others by whoever makes the calls.
#[derive(Debug, Default)]
struct Counters {
    messages: AtomicU64,
    bytes: AtomicU64,
    interrupts: AtomicU64,
    waits: AtomicU64,
    errors: AtomicU64,
    found: AtomicU64,
}

impl<H> End<H> {
    /// Makes one whose first call is made without waiting for a vIRQ.
    pub fn new(hypercalls: H, config: QueueConfig) -> Result<Self, QueueError> {
        Ok(Self {
            hypercalls,
            config: config.check()?,
            state: AtomicU8::new(READY),
            waiter: Waiter::new(),
            counters: Counters::default(),
        })
    }

    /// Takes note of the vIRQ; the caller wakes whom it wants.
    #[inline(always)]
    pub fn interrupted(&self) {
        count(&self.counters.interrupts, 1);
        self.recheck();
    }

    /// Wakes the waiting task.
    #[inline(always)]
    pub fn wake(&self) {
        self.waiter.wake();
    }

    /// Has the waiting task make one call though no vIRQ came.
    pub fn look(&self) {
        // Fails if the next call is worth making anyway.
        let _ = self.state.compare_exchange(QUIET, LOOK, SeqCst, Relaxed);
        self.wake();
    }

    /// Makes the next call worth making though no vIRQ came.
    #[inline(always)]
    pub fn recheck(&self) {
        self.state.store(READY, SeqCst);
    }

    /// Whether a call is worth making.
    #[inline(always)]
    pub fn is_ready(&self) -> bool {
        self.state.load(SeqCst) != QUIET
    }

    /// Tells that a call is worth making, or registers the task for the vIRQ.
    #[inline]
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_ready() {
            return Poll::Ready(());
        }
        self.waiter.register(cx.waker());
        // A vIRQ that came before the waker was there has changed the state.
        if self.is_ready() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Makes a call if it is worth making. `size_of` tells the size of the message that went through.
    #[inline(always)]
    pub fn call<R>(
        &self,
        call: Hypercall,
        make: impl FnMut() -> Result<R, Error>,
        check: impl FnOnce(R) -> Result<(usize, bool), QueueError>,
    ) -> Result<usize, QueueError> {
        let state = self.state.swap(QUIET, SeqCst);
        if state == QUIET {
            return Err(self.not_now(call));
        }
        let (size, more) = match again(make) {
            Ok(done) => check(done)?,
            Err(error) => return Err(self.failed(call, error)),
        };
        if more {
            self.recheck();
        }
        if state == LOOK {
            count(&self.counters.found, 1);
        }
        count(&self.counters.messages, 1);
        count(&self.counters.bytes, size as u64);
        Ok(size)
    }

    /// Nothing to receive, or no room.
    fn not_now(&self, call: Hypercall) -> QueueError {
        let queue = self.config.capability;
        match call {
            Hypercall::MsgqueueSend => QueueError::Full { queue },
            _ => QueueError::Empty { queue },
        }
    }

    #[cold]
    fn failed(&self, call: Hypercall, error: Error) -> QueueError {
        let queue = self.config.capability;
        match error {
            Error::MsgqueueEmpty | Error::MsgqueueFull => {
                count(&self.counters.waits, 1);
                self.not_now(call)
            }
            error => {
                self.count_error();
                QueueError::Refused { queue, call, error }
            }
        }
    }

    /// Counts a call that went wrong. It leaves things as they were, and brings no further vIRQ.
    pub fn count_error(&self) {
        self.recheck();
        count(&self.counters.errors, 1);
    }

    /// Makes `attempt` until there is no need to wait, or registers the task for the vIRQ.
    #[inline(always)]
    pub fn poll<R>(
        &self,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut() -> Result<R, QueueError>,
    ) -> Poll<Result<R, QueueError>> {
        loop {
            match attempt() {
                Err(error) if error.is_wait() => {
                    if self.poll_ready(cx).is_pending() {
                        return Poll::Pending;
                    }
                }
                result => return Poll::Ready(result),
            }
        }
    }

    /// Makes `attempt` until there is no need to wait. After each `wait` the hypervisor is asked, vIRQ or not.
    pub fn block<R>(
        &self,
        mut wait: impl FnMut(),
        mut attempt: impl FnMut() -> Result<R, QueueError>,
    ) -> Result<R, QueueError> {
        loop {
            match attempt() {
                Err(error) if error.is_wait() => {
                    wait();
                    self.recheck();
                }
                result => return result,
            }
        }
    }

    /// What happened so far.
    pub fn statistics(&self) -> QueueStatistics {
        QueueStatistics {
            messages: self.counters.messages.load(Relaxed),
            bytes: self.counters.bytes.load(Relaxed),
            interrupts: self.counters.interrupts.load(Relaxed),
            waits: self.counters.waits.load(Relaxed),
            errors: self.counters.errors.load(Relaxed),
            found: self.counters.found.load(Relaxed),
        }
    }
}
