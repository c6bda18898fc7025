//! Hypercalls by HVC, in the form that discovery chose.

use super::discovery::{self, Conduit, DiscoveryError, Identity, Probe};
use super::{Hypercalls, Received, Threshold, native, smccc};
use gunyah_abi::hypercall::{ALL_ONES, Hypercall, MSGQUEUE_SEND_PUSH};
use gunyah_abi::identity::{HypIdentify, function};
use gunyah_abi::{CapabilityId, Error};

/// The hypervisor below, called in native or SMCCC form. Made by [`discover`].
#[derive(Clone, Copy, Debug)]
pub struct Hvc {
    conduit: Conduit,
}

/// Finds out whether Gunyah is below, and how to call it.
///
/// # Errors
///
/// See [`DiscoveryError`].
///
/// # Safety
///
/// HVC must be legal at this exception level: the device tree names a hypervisor, or a vector for the undefined
/// instruction is installed that survives it.
pub unsafe fn discover() -> Result<(Hvc, Identity), DiscoveryError> {
    let identity = discovery::identify(&Instructions)?;
    let hvc = Hvc { conduit: identity.conduit };
    Ok((hvc, identity))
}

/// Discovery's questions, asked by real instructions; only made inside [`discover`].
struct Instructions;

impl Probe for Instructions {
    fn call_uid(&self) -> [u32; 4] {
        let [w0, w1, w2, w3, ..] = ::smccc::hvc32(function::VENDOR_HYP_CALL_UID, [0; 7]);
        [w0, w1, w2, w3]
    }

    fn identify(&self, conduit: Conduit) -> [u64; 4] {
        const N: u16 = Hypercall::HypIdentify.code();
        // SAFETY: `discover`'s caller promised that HVC is legal; the call takes no arguments, so no addresses.
        let [x0, x1, x2, x3, _] = unsafe {
            match conduit {
                Conduit::Native => native::call::<N>([0; 5]),
                Conduit::Smccc => smccc::call::<N>([0; 5]),
            }
        };
        [x0, x1, x2, x3]
    }
}

impl Hvc {
    /// Returns the form in which calls are made.
    pub fn conduit(self) -> Conduit {
        self.conduit
    }

    /// Makes hypercall `N`.
    ///
    /// # Safety
    ///
    /// As for [`native::call`].
    #[inline(always)]
    unsafe fn call<const N: u16>(self, arguments: [u64; 5]) -> [u64; 5] {
        // SAFETY: the same promises, passed on; an `Hvc` exists only after `discover` found Gunyah behind HVC.
        unsafe {
            match self.conduit {
                Conduit::Native => native::call::<N>(arguments),
                Conduit::Smccc => smccc::call::<N>(arguments),
            }
        }
    }

    /// Makes hypercall `N`, none of whose arguments is an address, and checks the error in x0.
    #[inline(always)]
    fn plain<const N: u16>(self, arguments: [u64; 4]) -> Result<[u64; 4], Error> {
        let [a0, a1, a2, a3] = arguments;
        // SAFETY: all callers below pass capability ids, flags, masks and thresholds, no addresses.
        let [x0, x1, x2, x3, x4] = unsafe { self.call::<N>([a0, a1, a2, a3, 0]) };
        Error::check(x0).map(|()| [x1, x2, x3, x4])
    }
}

impl Hypercalls for Hvc {
    fn hyp_identify(&self) -> HypIdentify {
        HypIdentify::from_words(Instructions.identify(self.conduit))
    }

    #[inline]
    fn doorbell_send(&self, doorbell: CapabilityId, flags: u64) -> Result<u64, Error> {
        self.plain::<{ Hypercall::DoorbellSend.code() }>([doorbell.0, flags, 0, 0])
            .map(|[old, ..]| old)
    }

    #[inline]
    fn doorbell_receive(&self, doorbell: CapabilityId, clear: u64) -> Result<u64, Error> {
        self.plain::<{ Hypercall::DoorbellReceive.code() }>([doorbell.0, clear, 0, 0])
            .map(|[old, ..]| old)
    }

    fn doorbell_reset(&self, doorbell: CapabilityId) -> Result<(), Error> {
        self.plain::<{ Hypercall::DoorbellReset.code() }>([doorbell.0, 0, 0, 0]).map(drop)
    }

    fn doorbell_mask(&self, doorbell: CapabilityId, enable: u64, ack: u64) -> Result<(), Error> {
        self.plain::<{ Hypercall::DoorbellMask.code() }>([doorbell.0, enable, ack, 0]).map(drop)
    }

    #[inline]
    fn msgqueue_send(
        &self,
        queue: CapabilityId,
        message: &[u8],
        push: bool,
    ) -> Result<bool, Error> {
        let flags = if push { MSGQUEUE_SEND_PUSH } else { 0 };
        let (size, address) = (message.len() as u64, message.as_ptr() as u64);
        // SAFETY: x2 points to x1 readable bytes, those of `message`; the call only reads them.
        let [x0, x1, ..] = unsafe {
            self.call::<{ Hypercall::MsgqueueSend.code() }>([queue.0, size, address, flags, 0])
        };
        Error::check(x0).map(|()| x1 & 1 == 1)
    }

    #[inline]
    fn msgqueue_receive(&self, queue: CapabilityId, buffer: &mut [u8]) -> Result<Received, Error> {
        let (size, address) = (buffer.len() as u64, buffer.as_mut_ptr() as u64);
        // SAFETY: x1 points to x2 writable bytes, those of `buffer`, borrowed exclusively during the call.
        let [x0, x1, x2, ..] = unsafe {
            self.call::<{ Hypercall::MsgqueueReceive.code() }>([queue.0, address, size, 0, 0])
        };
        Error::check(x0).map(|()| Received { size: x1 as usize, not_empty: x2 & 1 == 1 })
    }

    fn msgqueue_flush(&self, queue: CapabilityId) -> Result<(), Error> {
        self.plain::<{ Hypercall::MsgqueueFlush.code() }>([queue.0, 0, 0, 0]).map(drop)
    }

    fn msgqueue_configure_send(
        &self,
        queue: CapabilityId,
        not_full: Threshold,
    ) -> Result<(), Error> {
        let arguments = [queue.0, not_full.to_register(), ALL_ONES, ALL_ONES];
        self.plain::<{ Hypercall::MsgqueueConfigureSend.code() }>(arguments).map(drop)
    }

    fn msgqueue_configure_receive(
        &self,
        queue: CapabilityId,
        not_empty: Threshold,
    ) -> Result<(), Error> {
        let arguments = [queue.0, not_empty.to_register(), ALL_ONES, ALL_ONES];
        self.plain::<{ Hypercall::MsgqueueConfigureReceive.code() }>(arguments).map(drop)
    }

    fn prng_get_entropy(&self, bytes: &mut [u8]) -> Result<(), Error> {
        let words = self
            .plain::<{ Hypercall::PrngGetEntropy.code() }>([bytes.len() as u64, 0, 0, 0])?
            .map(|word| (word as u32).to_le_bytes());
        for (chunk, word) in bytes.chunks_mut(4).zip(&words) {
            for (byte, random) in chunk.iter_mut().zip(word) {
                *byte = *random;
            }
        }
        Ok(())
    }
}
