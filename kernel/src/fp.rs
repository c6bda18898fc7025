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
/// The value of `ICC_SGI1R_EL1` that sends it to this CPU, affinity 0.
const TO_THIS_CPU: u64 = (SPOILER.intid as u64) << 24 | 1;

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
            "ldp q0, q1, [{before}, #0]",
            "ldp q2, q3, [{before}, #32]",
            "ldp q4, q5, [{before}, #64]",
            "ldp q6, q7, [{before}, #96]",
            "ldp q8, q9, [{before}, #128]",
            "ldp q10, q11, [{before}, #160]",
            "ldp q12, q13, [{before}, #192]",
            "ldp q14, q15, [{before}, #224]",
            "ldp q16, q17, [{before}, #256]",
            "ldp q18, q19, [{before}, #288]",
            "ldp q20, q21, [{before}, #320]",
            "ldp q22, q23, [{before}, #352]",
            "ldp q24, q25, [{before}, #384]",
            "ldp q26, q27, [{before}, #416]",
            "ldp q28, q29, [{before}, #448]",
            "ldp q30, q31, [{before}, #480]",
            "3: msr s3_0_c12_c11_5, {spoiler}",
            "isb",
            "subs {times}, {times}, #1",
            "b.ne 3b",
            "2: mrs {now}, cntvct_el0",
            "cmp {now}, {deadline}",
            "b.lo 2b",
            "stp q0, q1, [{after}, #0]",
            "stp q2, q3, [{after}, #32]",
            "stp q4, q5, [{after}, #64]",
            "stp q6, q7, [{after}, #96]",
            "stp q8, q9, [{after}, #128]",
            "stp q10, q11, [{after}, #160]",
            "stp q12, q13, [{after}, #192]",
            "stp q14, q15, [{after}, #224]",
            "stp q16, q17, [{after}, #256]",
            "stp q18, q19, [{after}, #288]",
            "stp q20, q21, [{after}, #320]",
            "stp q22, q23, [{after}, #352]",
            "stp q24, q25, [{after}, #384]",
            "stp q26, q27, [{after}, #416]",
            "stp q28, q29, [{after}, #448]",
            "stp q30, q31, [{after}, #480]",
            before = in(reg) &before,
            after = in(reg) &mut after,
            deadline = in(reg) deadline,
            now = out(reg) _,
            spoiler = in(reg) TO_THIS_CPU,
            times = inout(reg) TIMES => _,
            out("v0") _, out("v1") _, out("v2") _, out("v3") _,
            out("v4") _, out("v5") _, out("v6") _, out("v7") _,
            out("v8") _, out("v9") _, out("v10") _, out("v11") _,
            out("v12") _, out("v13") _, out("v14") _, out("v15") _,
            out("v16") _, out("v17") _, out("v18") _, out("v19") _,
            out("v20") _, out("v21") _, out("v22") _, out("v23") _,
            out("v24") _, out("v25") _, out("v26") _, out("v27") _,
            out("v28") _, out("v29") _, out("v30") _, out("v31") _,
            options(nostack),
        );
    }
    before.iter().zip(&after).filter(|(before, after)| before != after).count()
}

/// Uses every register, as compiled code might.
fn spoil() {
    // SAFETY: names every register that it changes.
    unsafe {
        asm!(
            "movi v0.16b, #0xa5", "movi v1.16b, #0xa5", "movi v2.16b, #0xa5", "movi v3.16b, #0xa5",
            "movi v4.16b, #0xa5", "movi v5.16b, #0xa5", "movi v6.16b, #0xa5", "movi v7.16b, #0xa5",
            "movi v8.16b, #0xa5", "movi v9.16b, #0xa5", "movi v10.16b, #0xa5", "movi v11.16b, #0xa5",
            "movi v12.16b, #0xa5", "movi v13.16b, #0xa5", "movi v14.16b, #0xa5", "movi v15.16b, #0xa5",
            "movi v16.16b, #0xa5", "movi v17.16b, #0xa5", "movi v18.16b, #0xa5", "movi v19.16b, #0xa5",
            "movi v20.16b, #0xa5", "movi v21.16b, #0xa5", "movi v22.16b, #0xa5", "movi v23.16b, #0xa5",
            "movi v24.16b, #0xa5", "movi v25.16b, #0xa5", "movi v26.16b, #0xa5", "movi v27.16b, #0xa5",
            "movi v28.16b, #0xa5", "movi v29.16b, #0xa5", "movi v30.16b, #0xa5", "movi v31.16b, #0xa5",
            out("v0") _, out("v1") _, out("v2") _, out("v3") _,
            out("v4") _, out("v5") _, out("v6") _, out("v7") _,
            out("v8") _, out("v9") _, out("v10") _, out("v11") _,
            out("v12") _, out("v13") _, out("v14") _, out("v15") _,
            out("v16") _, out("v17") _, out("v18") _, out("v19") _,
            out("v20") _, out("v21") _, out("v22") _, out("v23") _,
            out("v24") _, out("v25") _, out("v26") _, out("v27") _,
            out("v28") _, out("v29") _, out("v30") _, out("v31") _,
            options(nomem, nostack),
        );
    }
}
