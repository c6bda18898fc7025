//! One VM's view of the fake hypervisor.

use super::objects::{DOORBELL, FakeDoorbell, FakeQueue, Object, QUEUE, RECEIVE, SEND};
use super::{FakeHypervisor, Fault, State, Virq};
use crate::hypercalls::{Hypercalls, Received, Threshold};
use gunyah_abi::hypercall::PRNG_BYTES;
use gunyah_abi::identity::HypIdentify;
use gunyah_abi::{CapabilityId, Error, Hypercall};

/// Entropy calls before the fake answers `BUSY`, as within the real one's 33 ms.
const ENTROPY_CALLS: u32 = 4;

/// A VM with its own capability table. Clones are the same VM.
#[derive(Clone)]
pub struct FakeVm {
    hypervisor: FakeHypervisor,
    index: usize,
}

impl FakeVm {
    pub(super) fn new(hypervisor: FakeHypervisor, index: usize) -> Self {
        Self { hypervisor, index }
    }

    pub(super) fn index(&self) -> usize {
        self.index
    }

    /// The hypervisor below.
    pub fn hypervisor(&self) -> &FakeHypervisor {
        &self.hypervisor
    }

    /// Makes a call unless a test has spoilt it.
    fn call<R>(
        &self,
        call: Hypercall,
        body: impl FnOnce(&mut State) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let mut state = self.hypervisor.state.lock();
        match state.begin(call) {
            Some(Fault::Error(error)) => Err(error),
            _ => body(&mut state),
        }
    }

    fn with_queue<R>(
        &self,
        call: Hypercall,
        queue: CapabilityId,
        right: u32,
        body: impl FnOnce(&mut FakeQueue, bool) -> Result<(R, Option<Virq>), Error>,
    ) -> Result<R, Error> {
        self.call(call, |state| {
            let documented_errors = state.documented_errors;
            let Object::Queue(queue) = state.lookup(self.index, queue, QUEUE | right)? else {
                return Err(Error::CspaceWrongObjectType);
            };
            let (result, virq) = body(queue, documented_errors)?;
            state.assert(virq);
            Ok(result)
        })
    }

    fn with_doorbell<R>(
        &self,
        call: Hypercall,
        doorbell: CapabilityId,
        right: u32,
        body: impl FnOnce(&mut FakeDoorbell) -> Result<(R, Option<Virq>), Error>,
    ) -> Result<R, Error> {
        self.call(call, |state| {
            let object = state.lookup(self.index, doorbell, DOORBELL | right)?;
            let Object::Doorbell(doorbell) = object else {
                return Err(Error::CspaceWrongObjectType);
            };
            let (result, virq) = body(doorbell)?;
            state.assert(virq);
            Ok(result)
        })
    }
}

impl Hypercalls for FakeVm {
    fn hyp_identify(&self) -> HypIdentify {
        HypIdentify::QEMU
    }

    fn doorbell_send(&self, doorbell: CapabilityId, flags: u64) -> Result<u64, Error> {
        self.with_doorbell(Hypercall::DoorbellSend, doorbell, SEND, |bell| Ok(bell.send(flags)))
    }

    fn doorbell_receive(&self, doorbell: CapabilityId, clear: u64) -> Result<u64, Error> {
        self.with_doorbell(Hypercall::DoorbellReceive, doorbell, RECEIVE, |bell| {
            bell.receive(clear).map(|old| (old, None))
        })
    }

    fn doorbell_reset(&self, doorbell: CapabilityId) -> Result<(), Error> {
        self.with_doorbell(Hypercall::DoorbellReset, doorbell, RECEIVE, |bell| {
            bell.reset();
            Ok(((), None))
        })
    }

    fn doorbell_mask(&self, doorbell: CapabilityId, enable: u64, ack: u64) -> Result<(), Error> {
        self.with_doorbell(Hypercall::DoorbellMask, doorbell, RECEIVE, |bell| {
            Ok(((), bell.mask(enable, ack)))
        })
    }

    fn msgqueue_send(
        &self,
        queue: CapabilityId,
        message: &[u8],
        push: bool,
    ) -> Result<bool, Error> {
        self.with_queue(Hypercall::MsgqueueSend, queue, SEND, |queue, documented| {
            queue.send(message, push, documented)
        })
    }

    fn msgqueue_receive(&self, queue: CapabilityId, buffer: &mut [u8]) -> Result<Received, Error> {
        let call = Hypercall::MsgqueueReceive;
        let mut state = self.hypervisor.state.lock();
        if state.faults.front() == Some(&(call, Fault::EmptySuccess)) {
            state.begin(call);
            return Ok(Received { size: 0, not_empty: true });
        }
        drop(state);
        self.with_queue(call, queue, RECEIVE, |queue, documented| queue.receive(buffer, documented))
    }

    fn msgqueue_flush(&self, queue: CapabilityId) -> Result<(), Error> {
        self.with_queue(Hypercall::MsgqueueFlush, queue, RECEIVE, |queue, _| {
            Ok(((), queue.flush()))
        })
    }

    fn msgqueue_configure_send(
        &self,
        queue: CapabilityId,
        not_full: Threshold,
    ) -> Result<(), Error> {
        let call = Hypercall::MsgqueueConfigureSend;
        self.with_queue(call, queue, SEND, |queue, _| {
            queue.configure_send(not_full).map(|virq| ((), virq))
        })
    }

    fn msgqueue_configure_receive(
        &self,
        queue: CapabilityId,
        not_empty: Threshold,
    ) -> Result<(), Error> {
        let call = Hypercall::MsgqueueConfigureReceive;
        self.with_queue(call, queue, RECEIVE, |queue, _| {
            queue.configure_receive(not_empty).map(|virq| ((), virq))
        })
    }

    fn prng_get_entropy(&self, bytes: &mut [u8]) -> Result<(), Error> {
        self.call(Hypercall::PrngGetEntropy, |state| {
            let size = bytes.len() as u64;
            if size == 0 || size > *PRNG_BYTES.end() {
                return Err(Error::ArgumentSize);
            }
            if !size.is_multiple_of(4) {
                return Err(Error::ArgumentAlignment);
            }
            if state.entropy_calls == ENTROPY_CALLS {
                return Err(Error::Busy);
            }
            state.entropy_calls += 1;
            for (byte, value) in bytes.iter_mut().zip(1_u8..) {
                *byte = value.wrapping_mul(0x9D) ^ state.entropy_calls as u8;
            }
            Ok(())
        })
    }
}
