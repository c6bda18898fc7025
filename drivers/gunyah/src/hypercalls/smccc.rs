//! The SMCCC form of a hypercall: `hvc #0`, function id in x0, then arguments.

use core::arch::asm;
use gunyah_abi::hypercall::smccc_function_id;

/// Makes hypercall `N` with x1..x5 and returns x0..x4.
///
/// # Safety
///
/// HVC must be legal here and reach Gunyah. What the call does with addresses among its arguments must be allowed: for
/// `msgqueue_send` x3 must point to x2 readable bytes, for `msgqueue_receive` x2 to x3 writable ones.
#[inline(always)]
pub unsafe fn call<const N: u16>(arguments: [u64; 5]) -> [u64; 5] {
    let mut x0 = u64::from(smccc_function_id(N));
    let [mut x1, mut x2, mut x3, mut x4, x5] = arguments;
    // SAFETY: by the caller's promise; every register a Gunyah hypercall may change is declared (x0..x17, and x18, which
    // older guests took for clobbered), memory counts as changed, and the call uses no guest stack.
    unsafe {
        asm!(
            "hvc #0",
            inlateout("x0") x0, inlateout("x1") x1, inlateout("x2") x2, inlateout("x3") x3, inlateout("x4") x4,
            inlateout("x5") x5 => _, lateout("x6") _, lateout("x7") _, lateout("x8") _, lateout("x9") _,
            lateout("x10") _, lateout("x11") _, lateout("x12") _, lateout("x13") _, lateout("x14") _,
            lateout("x15") _, lateout("x16") _, lateout("x17") _, lateout("x18") _,
            options(nostack)
        );
    }
    [x0, x1, x2, x3, x4]
}
