//! Doorbells: the receiving end in its two interrupt modes, and the source.

use crate::counter::count;
use crate::hypercalls::{Hypercalls, again, again_after};
use crate::waiter::Waiter;
use core::future::poll_fn;
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use core::task::{Context, Poll};
use gunyah_abi::doorbell::ALL_FLAGS;
use gunyah_abi::{CapabilityId, Error as HypercallError, Hypercall};
use thiserror::Error;

/// The hypervisor refused a doorbell call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{call} on doorbell {doorbell} failed: {error}")]
pub struct DoorbellError {
    /// Which doorbell.
    pub doorbell: CapabilityId,
    /// The hypercall.
    pub call: Hypercall,
    /// What it answered.
    pub error: HypercallError,
}

impl DoorbellError {
    /// Whether the same call may succeed later (`RETRY`, `BUSY`).
    pub fn may_pass(&self) -> bool {
        matches!(self.error, HypercallError::Retry | HypercallError::Busy)
    }
}

fn refused(
    doorbell: CapabilityId,
    call: Hypercall,
) -> impl FnOnce(HypercallError) -> DoorbellError {
    move |error| DoorbellError { doorbell, call, error }
}

/// How a doorbell's vIRQ is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DoorbellTrigger {
    /// Edge: the handler only wakes the task, which receives until no flag is left.
    Edge,
    /// Level: the handler receives, before the end of interrupt, else it fires again at once.
    Level,
}

/// What happened at a doorbell since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DoorbellStatistics {
    /// vIRQs.
    pub interrupts: u64,
    /// vIRQs for which no flag was found: plain kicks, or flags already received.
    pub kicks: u64,
    /// Receives that gave flags.
    pub rings: u64,
    /// Hypercalls that failed.
    pub errors: u64,
    /// Looks without a vIRQ that found flags: vIRQs that were lost, or late.
    pub found: u64,
}

#[derive(Debug, Default)]
struct Counters {
    interrupts: AtomicU64,
    kicks: AtomicU64,
    rings: AtomicU64,
    errors: AtomicU64,
    found: AtomicU64,
}

/// Nothing is known to be there.
const QUIET: u8 = 0;
/// Flags were received; another receive makes sure that none came since.
const AGAIN: u8 = 1;
/// A vIRQ came.
const RUNG: u8 = 2;
/// A look without a vIRQ.
const LOOK: u8 = 3;

/// The receiving end of a doorbell. One task at a time may wait.
pub struct Doorbell<H> {
    hypercalls: H,
    capability: CapabilityId,
    trigger: DoorbellTrigger,
    /// Edge: one of the states above.
    state: AtomicU8,
    /// Level: flags the handler received.
    flags: AtomicU64,
    waiter: Waiter,
    counters: Counters,
}

impl<H: Hypercalls> Doorbell<H> {
    /// Makes the receiver of a doorbell. Flags set before the vIRQ was enabled are found by the first wait.
    pub fn new(hypercalls: H, capability: CapabilityId, trigger: DoorbellTrigger) -> Self {
        Self {
            hypercalls,
            capability,
            trigger,
            state: AtomicU8::new(AGAIN),
            flags: AtomicU64::new(0),
            waiter: Waiter::new(),
            counters: Counters::default(),
        }
    }

    /// The vIRQ's handler, to be called before the end of interrupt.
    #[inline]
    pub fn on_interrupt(&self) {
        count(&self.counters.interrupts, 1);
        match self.trigger {
            DoorbellTrigger::Edge => self.state.store(RUNG, Ordering::Release),
            DoorbellTrigger::Level => match self.receive() {
                Ok(0) => {
                    self.counters.kicks.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                Ok(flags) => {
                    self.counters.rings.fetch_add(1, Ordering::Relaxed);
                    self.flags.fetch_or(flags, Ordering::AcqRel);
                }
                // Left for the waiting task, which asks again and gets the error.
                Err(_) => self.state.store(RUNG, Ordering::Release),
            },
        }
        self.waiter.wake();
    }

    /// Has the waiting task ask the hypervisor once, though no vIRQ came: one may have been lost. Not for polling.
    pub fn look(&self) {
        let (new, old) = (Ordering::AcqRel, Ordering::Relaxed);
        if self.state.compare_exchange(QUIET, LOOK, new, old).is_ok() {
            self.waiter.wake();
        }
    }

    /// Waits for flags, takes all that are set, and returns them; never 0. Plain kicks are only counted.
    ///
    /// # Errors
    ///
    /// [`DoorbellError`] if the doorbell cannot be received from.
    pub async fn wait(&self) -> Result<u64, DoorbellError> {
        poll_fn(|cx| self.poll_wait(cx)).await
    }

    /// Takes flags, or registers the task for the vIRQ.
    pub fn poll_wait(&self, cx: &mut Context<'_>) -> Poll<Result<u64, DoorbellError>> {
        let mut registered = false;
        loop {
            match self.try_take() {
                Ok(None) if registered => return Poll::Pending,
                Ok(None) => {
                    // A vIRQ that came before the waker was there is seen by one more look.
                    self.waiter.register(cx.waker());
                    registered = true;
                }
                Ok(Some(flags)) => return Poll::Ready(Ok(flags)),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Has the task woken by the next vIRQ, whatever flags it brings: for who looks elsewhere for what there is to do,
    /// and does so after this call. Flags stay where they are, unless [`Self::mask`] has them clear themselves.
    #[inline]
    pub fn register(&self, cx: &Context<'_>) {
        self.waiter.register(cx.waker());
        self.state.store(QUIET, Ordering::Release);
    }

    /// Takes the flags that are set, if any.
    ///
    /// # Errors
    ///
    /// [`DoorbellError`] if the doorbell cannot be received from.
    pub fn try_take(&self) -> Result<Option<u64>, DoorbellError> {
        let mut taken = 0;
        if self.trigger == DoorbellTrigger::Level {
            taken = self.flags.swap(0, Ordering::AcqRel);
        }
        let state = self.state.swap(QUIET, Ordering::AcqRel);
        if state != QUIET {
            // A doorbell that was not received from brings no further vIRQ.
            let received = self.receive().inspect_err(|_| {
                self.state.fetch_max(state, Ordering::AcqRel);
                self.flags.fetch_or(taken, Ordering::AcqRel);
            })?;
            if received != 0 {
                if state == LOOK {
                    self.counters.found.fetch_add(1, Ordering::Relaxed);
                }
                self.counters.rings.fetch_add(1, Ordering::Relaxed);
                // Keeps RUNG if a vIRQ came meanwhile.
                self.state.fetch_max(AGAIN, Ordering::AcqRel);
            } else if state == RUNG {
                self.counters.kicks.fetch_add(1, Ordering::Relaxed);
            }
            taken |= received;
        }
        Ok((taken != 0).then_some(taken))
    }

    /// Whether taking flags is worth trying: flags or a vIRQ came.
    pub fn is_ready(&self) -> bool {
        self.state.load(Ordering::Relaxed) != QUIET || self.flags.load(Ordering::Relaxed) != 0
    }

    fn receive(&self) -> Result<u64, DoorbellError> {
        again(|| self.hypercalls.doorbell_receive(self.capability, ALL_FLAGS))
            .map_err(self.failed(Hypercall::DoorbellReceive))
    }

    /// Sets which flags interrupt, and which of those clear themselves when they do.
    ///
    /// # Errors
    ///
    /// [`DoorbellError`] if the hypervisor refuses.
    pub fn mask(&self, enable: u64, ack: u64) -> Result<(), DoorbellError> {
        self.hypercalls
            .doorbell_mask(self.capability, enable, ack)
            .map_err(self.failed(Hypercall::DoorbellMask))
    }

    /// Clears flags, masks and interrupt.
    ///
    /// # Errors
    ///
    /// [`DoorbellError`] if the hypervisor refuses.
    pub fn reset(&self) -> Result<(), DoorbellError> {
        self.flags.store(0, Ordering::Release);
        self.hypercalls
            .doorbell_reset(self.capability)
            .map_err(self.failed(Hypercall::DoorbellReset))
    }

    fn failed(&self, call: Hypercall) -> impl FnOnce(HypercallError) -> DoorbellError {
        let describe = refused(self.capability, call);
        |error| {
            self.counters.errors.fetch_add(1, Ordering::Relaxed);
            describe(error)
        }
    }

    /// The capability.
    pub fn capability(&self) -> CapabilityId {
        self.capability
    }

    /// How the vIRQ is configured.
    pub fn trigger(&self) -> DoorbellTrigger {
        self.trigger
    }

    /// What happened so far.
    pub fn statistics(&self) -> DoorbellStatistics {
        DoorbellStatistics {
            interrupts: self.counters.interrupts.load(Ordering::Relaxed),
            kicks: self.counters.kicks.load(Ordering::Relaxed),
            rings: self.counters.rings.load(Ordering::Relaxed),
            errors: self.counters.errors.load(Ordering::Relaxed),
            found: self.counters.found.load(Ordering::Relaxed),
        }
    }
}

/// The ringing end of a doorbell.
pub struct DoorbellSource<H> {
    hypercalls: H,
    capability: CapabilityId,
    rings: AtomicU64,
    merged: AtomicU64,
}

impl<H: Hypercalls> DoorbellSource<H> {
    /// Makes the source of a doorbell.
    pub fn new(hypercalls: H, capability: CapabilityId) -> Self {
        Self { hypercalls, capability, rings: AtomicU64::new(0), merged: AtomicU64::new(0) }
    }

    /// Sets flags and returns the old ones; 0 is a plain kick. A flag among the old ones has not been received yet.
    ///
    /// # Errors
    ///
    /// [`DoorbellError`] if the hypervisor refuses.
    #[inline]
    pub fn ring(&self, flags: u64) -> Result<u64, DoorbellError> {
        let old = match self.hypercalls.doorbell_send(self.capability, flags) {
            Ok(old) => old,
            Err(error) => self.ring_again(flags, error)?,
        };
        self.rings.fetch_add(1, Ordering::Relaxed);
        if old & flags != 0 {
            self.merged.fetch_add(1, Ordering::Relaxed);
        }
        Ok(old)
    }

    #[cold]
    #[inline(never)]
    fn ring_again(&self, flags: u64, error: HypercallError) -> Result<u64, DoorbellError> {
        again_after(error, || self.hypercalls.doorbell_send(self.capability, flags))
            .map_err(refused(self.capability, Hypercall::DoorbellSend))
    }

    /// The capability.
    pub fn capability(&self) -> CapabilityId {
        self.capability
    }

    /// How often it was rung.
    pub fn rings(&self) -> u64 {
        self.rings.load(Ordering::Relaxed)
    }

    /// How often a flag was rung that the receiver had not taken yet.
    pub fn merged(&self) -> u64 {
        self.merged.load(Ordering::Relaxed)
    }
}
