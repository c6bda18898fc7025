//! Trying what may not be there: the exception that tells so is survived.

use billy_boot::ExceptionFrame;
use core::sync::atomic::{AtomicU8, Ordering, compiler_fence};

/// Nothing is being tried, or it was not there.
const NOTHING: u8 = 0;
/// A hypercall.
const HYPERCALL: u8 = 1;
/// A load from a device.
const DEVICE: u8 = 2;

/// Exception classes of an undefined instruction and of a data abort (Arm ARM, ESR_EL1.EC).
const UNDEFINED: u64 = 0;
const DATA_ABORT: u64 = 0x25;

static TRIED: AtomicU8 = AtomicU8::new(NOTHING);

/// Calls `attempt`, in which the first undefined HVC answers "not recognised". Returns its result,
/// and whether all HVCs were defined.
pub fn hypercall<R>(attempt: impl FnOnce() -> R) -> (R, bool) {
    tried(HYPERCALL, attempt)
}

/// Whether what `load` loads from is there. `load` is one instruction, and is made outside of
/// interrupt handlers.
pub fn device(load: impl FnOnce()) -> bool {
    tried(DEVICE, load).1
}

fn tried<R>(what: u8, attempt: impl FnOnce() -> R) -> (R, bool) {
    TRIED.store(what, Ordering::Relaxed);
    compiler_fence(Ordering::SeqCst);
    let result = attempt();
    compiler_fence(Ordering::SeqCst);
    (result, TRIED.swap(NOTHING, Ordering::Relaxed) == what)
}

/// Goes on behind the instruction if its exception is the answer to an attempt.
pub fn survive(frame: &mut ExceptionFrame) -> bool {
    match (TRIED.load(Ordering::Relaxed), frame.esr >> 26) {
        (HYPERCALL, UNDEFINED) => {
            let [x0, ..] = &mut frame.x;
            *x0 = u64::MAX;
        }
        (DEVICE, DATA_ABORT) => {}
        _ => return false,
    }
    TRIED.store(NOTHING, Ordering::Relaxed);
    frame.elr += 4;
    true
}
