//! Whether interrupts leave the FP and SIMD registers alone, on this machine.
//!
//! A handler is compiled code and may use any of them; so may the hypervisor. Both have to save
//! and restore what was live.

use crate::{
    dt::{Interrupt, Trigger},
    hardware::TIMERS,
    interrupts::gic,
};
use alloc::boxed::Box;
use core::{arch::asm, time::Duration};

/// The software-generated interrupt whose handler uses every register.
const SPOILER: Interrupt = Interrupt { intid: 8, trigger: Trigger::Edge };
/// How often it is sent.
const TIMES: u64 = 64;

/// A line of assembly for each of the 32 registers, whose number is `\r` in it.
macro_rules! each_register {
    ($line:literal) => {
        concat!(
            ".irp r, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,\
             16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n",
            $line,
            "\n.endr",
        )
    };
}

/// Keeps values in q0 to q31 for `duration`, interrupts let in, among them some whose handler
/// uses all of these registers, and counts the registers that have changed by then.
pub fn changed_registers(duration: Duration) -> usize {
    // The second time it has its handler already.
    let _ = gic::enable(SPOILER, "fp check", Box::new(spoil));
    let value = |n: usize| 0x0123_4567_89ab_cdef_u128.rotate_left(5 * n as u32) ^ n as u128;
    let before: [u128; 32] = core::array::from_fn(value);
    let mut after = [0_u128; 32];
    let deadline = TIMERS.after(duration).ticks();
    // SAFETY: reads 512 bytes of `before`, writes as many of `after`, and names every register
    // that it changes.
    unsafe {
        asm!(
            each_register!(r"ldr q\r, [{before}, #16 * \r]"),
            "3: msr s3_0_c12_c11_5, {spoiler}",
            "isb",
            "subs x10, x10, #1",
            "b.ne 3b",
            "2: mrs x9, cntvct_el0",
            "cmp x9, {deadline}",
            "b.lo 2b",
            each_register!(r"str q\r, [{after}, #16 * \r]"),
            before = in(reg) &before,
            after = in(reg) &mut after,
            deadline = in(reg) deadline,
            out("x9") _,
            spoiler = in(reg) gic::this_cpu().sgi(SPOILER.intid),
            inout("x10") TIMES => _,
            clobber_abi("C"),
            options(nostack),
        );
    }
    before.iter().zip(&after).filter(|(before, after)| before != after).count()
}

/// Uses every register, as compiled code might.
fn spoil() {
    // SAFETY: names every register that it changes.
    unsafe {
        asm!(each_register!(r"movi v\r\().16b, #0xa5"), clobber_abi("C"), options(nomem, nostack),);
    }
}
