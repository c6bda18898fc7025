//! Hypercalls without an object: identify, yield, trace flags, random numbers.

use gunyah_abi::Error;
use gunyah_abi::hypercall::{PRNG_BYTES, yield_hint};

use super::{Answer, Context};
use crate::object::capability::{ObjectType, Rights};

/// Calls to `prng_get_entropy` that a vCPU may make in [`PRNG_WINDOW`].
const PRNG_CALLS: usize = 4;

/// Nanoseconds in which [`PRNG_CALLS`] are counted.
const PRNG_WINDOW: u64 = 33_000_000;

pub(super) fn identify(context: &Context<'_>) -> Answer {
    let mut words = [0; 8];
    words[..4].copy_from_slice(&context.options.identify);
    Answer(words)
}

pub(super) fn scheduler_yield(
    context: &Context<'_>,
    control: u64,
    target: u64,
) -> Result<Answer, Error> {
    match control & 0xffff {
        yield_hint::GENERIC | yield_hint::LOWER_PRIORITY => {}
        yield_hint::TO_THREAD => {
            context.find(target, ObjectType::Other, Rights::empty())?;
        }
        _ => return Err(Error::ArgumentInvalid),
    }
    Ok(Answer::ok(&[]))
}

pub(super) fn trace_update(context: &mut Context<'_>, set: u64, clear: u64) -> Answer {
    *context.trace_flags = (*context.trace_flags | set) & !clear;
    Answer::ok(&[*context.trace_flags])
}

pub(super) fn prng(context: &mut Context<'_>, bytes: u64) -> Result<Answer, Error> {
    if bytes == 0 || bytes > *PRNG_BYTES.end() {
        return Err(Error::ArgumentSize);
    }
    if !bytes.is_multiple_of(4) {
        return Err(Error::ArgumentAlignment);
    }
    let now = context.now;
    if let Some(vcpu) = context.vm.vcpus.get_mut(context.vcpu) {
        let calls = &mut vcpu.entropy_calls;
        calls.retain(|time| now.saturating_sub(*time) < PRNG_WINDOW);
        if calls.len() >= PRNG_CALLS {
            log::debug!("random numbers are asked for too often");
            return Err(Error::Busy);
        }
        calls.push(now);
    }
    let mut words = [0; 4];
    for word in words.iter_mut().take((bytes / 4) as usize) {
        *word = context.random.word() >> 32;
    }
    Ok(Answer::ok(&words))
}
