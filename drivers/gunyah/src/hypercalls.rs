//! The seam to the hypervisor: one method per hypercall a guest uses.
//!
//! Implementations: `Hvc` on a real CPU (native or SMCCC form, see [`discovery`]), and the fake hypervisor of the
//! `fake` feature. Everything else in this crate is generic over [`Hypercalls`] and never issues an instruction itself.

pub mod discovery;
#[cfg(all(target_arch = "aarch64", target_os = "none"))]
mod hvc;
#[cfg(all(target_arch = "aarch64", target_os = "none"))]
mod native;
#[cfg(all(target_arch = "aarch64", target_os = "none"))]
mod smccc;

#[cfg(all(target_arch = "aarch64", target_os = "none"))]
pub use hvc::{Hvc, discover};

use gunyah_abi::hypercall::{ALL_ONES, THRESHOLD_DEPTH};
use gunyah_abi::identity::HypIdentify;
use gunyah_abi::{CapabilityId, Error};

/// What a successful `msgqueue_receive` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes written to the buffer. 0 means that the queue refused without saying so (see [`crate::queue`]).
    pub size: usize,
    /// Whether messages remain.
    pub not_empty: bool,
}

/// A queue's interrupt threshold, in messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threshold {
    /// Leave it as it is, but evaluate the interrupt again.
    Keep,
    /// Set it.
    Messages(u16),
    /// Set it to the queue's depth. Only for the receiver's side.
    Depth,
}

impl Threshold {
    /// Returns the register value.
    pub fn to_register(self) -> u64 {
        match self {
            Self::Keep => ALL_ONES,
            Self::Messages(messages) => u64::from(messages),
            Self::Depth => THRESHOLD_DEPTH,
        }
    }
}

/// How often a call is made that the hypervisor puts off.
const ATTEMPTS: usize = 4;

/// Makes a call, and makes it again if the hypervisor says that it may be (`RETRY`, `BUSY`).
#[inline]
pub(crate) fn again<R>(mut call: impl FnMut() -> Result<R, Error>) -> Result<R, Error> {
    let mut left = ATTEMPTS;
    loop {
        match call() {
            Err(Error::Retry | Error::Busy) if left > 1 => left -= 1,
            result => return result,
        }
    }
}

/// As [`again`], for a call of which the first attempt failed with `error`.
#[cold]
pub(crate) fn again_after<R>(
    error: Error,
    mut call: impl FnMut() -> Result<R, Error>,
) -> Result<R, Error> {
    let mut failure = Some(error);
    again(|| failure.take().map_or_else(&mut call, Err))
}

/// The hypercalls of a guest.
///
/// Reserved arguments are filled in by the implementation. Every method may fail with the errors of capability lookup
/// ([`gunyah_abi::error`]) and with `UNIMPLEMENTED`; only further ones are listed.
pub trait Hypercalls {
    /// Asks who the hypervisor is (hypercall 0x00). Cannot fail; all ones where there is no such call.
    fn hyp_identify(&self) -> HypIdentify;

    /// Sets flags of a doorbell and returns the old ones (hypercall 0x12). 0 is a plain kick.
    fn doorbell_send(&self, doorbell: CapabilityId, flags: u64) -> Result<u64, Error>;

    /// Clears flags of a doorbell and returns the old ones, all of them (hypercall 0x13).
    ///
    /// # Errors
    ///
    /// `ARGUMENT_INVALID` if `clear` is 0.
    fn doorbell_receive(&self, doorbell: CapabilityId, clear: u64) -> Result<u64, Error>;

    /// Clears a doorbell's flags, masks and interrupt (hypercall 0x14).
    fn doorbell_reset(&self, doorbell: CapabilityId) -> Result<(), Error>;

    /// Sets which flags interrupt, and which clear themselves then (hypercall 0x15).
    fn doorbell_mask(&self, doorbell: CapabilityId, enable: u64, ack: u64) -> Result<(), Error>;

    /// Puts one message of 1 byte up to the queue's maximum size into a queue (hypercall 0x1B); `push` interrupts the
    /// receiver whatever its threshold. Returns whether the queue is still not full.
    ///
    /// # Errors
    ///
    /// `MSGQUEUE_FULL`. Sizes out of bounds are **not** reported by running hypervisors: the message is lost.
    fn msgqueue_send(&self, queue: CapabilityId, message: &[u8], push: bool)
    -> Result<bool, Error>;

    /// Takes the oldest message out of a queue (hypercall 0x1C).
    ///
    /// # Errors
    ///
    /// `MSGQUEUE_EMPTY`. A buffer smaller than the message is **not** reported by running hypervisors: the answer is
    /// success with size 0.
    fn msgqueue_receive(&self, queue: CapabilityId, buffer: &mut [u8]) -> Result<Received, Error>;

    /// Drops all messages of a queue; for the receiver (hypercall 0x1D).
    fn msgqueue_flush(&self, queue: CapabilityId) -> Result<(), Error>;

    /// Sets the not-full threshold and evaluates the TX interrupt again (hypercall 0x1F).
    ///
    /// # Errors
    ///
    /// `ARGUMENT_INVALID` if the threshold is not below the depth.
    fn msgqueue_configure_send(
        &self,
        queue: CapabilityId,
        not_full: Threshold,
    ) -> Result<(), Error>;

    /// Sets the not-empty threshold and evaluates the RX interrupt again (hypercall 0x20).
    ///
    /// # Errors
    ///
    /// `ARGUMENT_INVALID` if the threshold is 0 or above the depth.
    fn msgqueue_configure_receive(
        &self,
        queue: CapabilityId,
        not_empty: Threshold,
    ) -> Result<(), Error>;

    /// Fills `bytes` with random bytes: 4 to 16, a multiple of 4 (hypercall 0x57).
    ///
    /// # Errors
    ///
    /// `ARGUMENT_SIZE`, `ARGUMENT_ALIGNMENT` for other lengths; `BUSY` when asked more than 4 times in some 33 ms.
    fn prng_get_entropy(&self, bytes: &mut [u8]) -> Result<(), Error>;
}

impl<H: Hypercalls + ?Sized> Hypercalls for &H {
    fn hyp_identify(&self) -> HypIdentify {
        (**self).hyp_identify()
    }

    fn doorbell_send(&self, doorbell: CapabilityId, flags: u64) -> Result<u64, Error> {
        (**self).doorbell_send(doorbell, flags)
    }

    fn doorbell_receive(&self, doorbell: CapabilityId, clear: u64) -> Result<u64, Error> {
        (**self).doorbell_receive(doorbell, clear)
    }

    fn doorbell_reset(&self, doorbell: CapabilityId) -> Result<(), Error> {
        (**self).doorbell_reset(doorbell)
    }

    fn doorbell_mask(&self, doorbell: CapabilityId, enable: u64, ack: u64) -> Result<(), Error> {
        (**self).doorbell_mask(doorbell, enable, ack)
    }

    fn msgqueue_send(
        &self,
        queue: CapabilityId,
        message: &[u8],
        push: bool,
    ) -> Result<bool, Error> {
        (**self).msgqueue_send(queue, message, push)
    }

    fn msgqueue_receive(&self, queue: CapabilityId, buffer: &mut [u8]) -> Result<Received, Error> {
        (**self).msgqueue_receive(queue, buffer)
    }

    fn msgqueue_flush(&self, queue: CapabilityId) -> Result<(), Error> {
        (**self).msgqueue_flush(queue)
    }

    fn msgqueue_configure_send(
        &self,
        queue: CapabilityId,
        not_full: Threshold,
    ) -> Result<(), Error> {
        (**self).msgqueue_configure_send(queue, not_full)
    }

    fn msgqueue_configure_receive(
        &self,
        queue: CapabilityId,
        not_empty: Threshold,
    ) -> Result<(), Error> {
        (**self).msgqueue_configure_receive(queue, not_empty)
    }

    fn prng_get_entropy(&self, bytes: &mut [u8]) -> Result<(), Error> {
        (**self).prng_get_entropy(bytes)
    }
}
