//! Hypercalls that leave a trace.

use super::TraceRing;
use gunyah::hypercalls::{Hypercalls, Received, Threshold};
use gunyah_abi::{CapabilityId, Error, Hypercall, identity::HypIdentify};

/// The hypercalls of `H`, each recorded with its result when it returns.
#[derive(Clone, Copy, Debug)]
pub struct Traced<H> {
    calls: H,
    ring: &'static TraceRing,
}

impl<H> Traced<H> {
    /// Records the calls of `calls` in `ring`.
    pub const fn new(calls: H, ring: &'static TraceRing) -> Self {
        Self { calls, ring }
    }

    #[inline(always)]
    fn note<T>(
        &self,
        call: Hypercall,
        capability: CapabilityId,
        result: Result<T, Error>,
        value: impl FnOnce(&T) -> u64,
    ) -> Result<T, Error> {
        match &result {
            Ok(done) => self.ring.hypercall(call.code(), capability.0, value(done)),
            Err(error) => self.ring.refused(call.code(), capability.0, *error),
        }
        result
    }
}

/// No capability takes part.
const NOTHING: CapabilityId = CapabilityId(0);

impl<H: Hypercalls> Hypercalls for Traced<H> {
    fn hyp_identify(&self) -> HypIdentify {
        let identify = self.calls.hyp_identify();
        self.ring.hypercall(Hypercall::HypIdentify.code(), NOTHING.0, identify.api_info.0);
        identify
    }

    #[inline]
    fn doorbell_send(&self, doorbell: CapabilityId, flags: u64) -> Result<u64, Error> {
        let result = self.calls.doorbell_send(doorbell, flags);
        self.note(Hypercall::DoorbellSend, doorbell, result, |old| *old)
    }

    #[inline]
    fn doorbell_receive(&self, doorbell: CapabilityId, clear: u64) -> Result<u64, Error> {
        let result = self.calls.doorbell_receive(doorbell, clear);
        self.note(Hypercall::DoorbellReceive, doorbell, result, |old| *old)
    }

    fn doorbell_reset(&self, doorbell: CapabilityId) -> Result<(), Error> {
        let result = self.calls.doorbell_reset(doorbell);
        self.note(Hypercall::DoorbellReset, doorbell, result, |()| 0)
    }

    fn doorbell_mask(&self, doorbell: CapabilityId, enable: u64, ack: u64) -> Result<(), Error> {
        let result = self.calls.doorbell_mask(doorbell, enable, ack);
        self.note(Hypercall::DoorbellMask, doorbell, result, |()| 0)
    }

    #[inline]
    fn msgqueue_send(
        &self,
        queue: CapabilityId,
        message: &[u8],
        push: bool,
    ) -> Result<bool, Error> {
        let result = self.calls.msgqueue_send(queue, message, push);
        self.note(Hypercall::MsgqueueSend, queue, result, |not_full| u64::from(*not_full))
    }

    #[inline]
    fn msgqueue_receive(&self, queue: CapabilityId, buffer: &mut [u8]) -> Result<Received, Error> {
        let result = self.calls.msgqueue_receive(queue, buffer);
        self.note(Hypercall::MsgqueueReceive, queue, result, |received| received.size as u64)
    }

    fn msgqueue_flush(&self, queue: CapabilityId) -> Result<(), Error> {
        let result = self.calls.msgqueue_flush(queue);
        self.note(Hypercall::MsgqueueFlush, queue, result, |()| 0)
    }

    fn msgqueue_configure_send(
        &self,
        queue: CapabilityId,
        not_full: Threshold,
    ) -> Result<(), Error> {
        let result = self.calls.msgqueue_configure_send(queue, not_full);
        self.note(Hypercall::MsgqueueConfigureSend, queue, result, |()| 0)
    }

    fn msgqueue_configure_receive(
        &self,
        queue: CapabilityId,
        not_empty: Threshold,
    ) -> Result<(), Error> {
        let result = self.calls.msgqueue_configure_receive(queue, not_empty);
        self.note(Hypercall::MsgqueueConfigureReceive, queue, result, |()| 0)
    }

    fn prng_get_entropy(&self, bytes: &mut [u8]) -> Result<(), Error> {
        let length = bytes.len() as u64;
        let result = self.calls.prng_get_entropy(bytes);
        self.note(Hypercall::PrngGetEntropy, NOTHING, result, |()| length)
    }
}
