//! `memcpy`, `memset` and `memcmp`, eight or sixteen bytes at a time.
//!
//! The versions that come with the compiler copy word by word and compare byte by byte; reading a device tree spends a
//! fifth of its instructions there. These serve normal memory only, where any alignment is right:
//! device registers are never accessed by any of them.

use core::arch::naked_asm;

/// Copies `x2` bytes from `x1` to `x0`, which do not overlap; returns `x0` (C11 7.24.2.1).
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    naked_asm!(
        "mov x3, x0",
        "subs x2, x2, #64",
        "b.lo 1f",
        "0: ldp q0, q1, [x1]",
        "ldp q2, q3, [x1, #32]",
        "stp q0, q1, [x3]",
        "stp q2, q3, [x3, #32]",
        "add x1, x1, #64",
        "add x3, x3, #64",
        "subs x2, x2, #64",
        "b.hs 0b",
        // The low six bits of x2 still say how many bytes are left.
        "1: tbz x2, #5, 2f",
        "ldp q0, q1, [x1], #32",
        "stp q0, q1, [x3], #32",
        "2: tbz x2, #4, 3f",
        "ldr q0, [x1], #16",
        "str q0, [x3], #16",
        "3: tbz x2, #3, 4f",
        "ldr x4, [x1], #8",
        "str x4, [x3], #8",
        "4: tbz x2, #2, 5f",
        "ldr w4, [x1], #4",
        "str w4, [x3], #4",
        "5: tbz x2, #1, 6f",
        "ldrh w4, [x1], #2",
        "strh w4, [x3], #2",
        "6: tbz x2, #0, 7f",
        "ldrb w4, [x1]",
        "strb w4, [x3]",
        "7: ret",
    )
}

/// Sets `x2` bytes from `x0` to the low byte of `w1`; returns `x0` (C11 7.24.6.1).
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn memset(to: *mut u8, value: i32, count: usize) -> *mut u8 {
    naked_asm!(
        "mov x3, x0",
        "dup v0.16b, w1",
        "cmp x2, #1024",
        "b.hs 8f",
        "9: subs x2, x2, #64",
        "b.lo 1f",
        "0: stp q0, q0, [x3]",
        "stp q0, q0, [x3, #32]",
        "add x3, x3, #64",
        "subs x2, x2, #64",
        "b.hs 0b",
        "1: tbz x2, #5, 2f",
        "stp q0, q0, [x3], #32",
        "2: tbz x2, #4, 3f",
        "str q0, [x3], #16",
        "3: tbz x2, #3, 4f",
        "str d0, [x3], #8",
        "4: tbz x2, #2, 5f",
        "str s0, [x3], #4",
        "5: tbz x2, #1, 6f",
        "str h0, [x3], #2",
        "6: tbz x2, #0, 7f",
        "str b0, [x3]",
        "7: ret",
        // Zeros for much: sixteen blocks at a time by DC ZVA, if they are of a usable size and allowed.
        "8: tst w1, #0xff",
        "b.ne 9b",
        "mrs x4, dczid_el0",
        "tbnz x4, #4, 9b",
        "cmp x4, #4",
        "b.lo 9b",
        "cmp x4, #7",
        "b.hi 9b",
        "mov x5, #4",
        "lsl x5, x5, x4", // bytes in a block: 64 to 512
        "sub x6, x5, #1",
        "neg x7, x3",
        "ands x7, x7, x6", // bytes before the first block; some of that block are stored to as well
        "b.eq 11f",
        "mov x8, x3",
        "add x3, x3, x7",
        "sub x2, x2, x7",
        "10: stp q0, q0, [x8], #32",
        "stp q0, q0, [x8], #32",
        "subs x7, x7, #64",
        "b.hi 10b",
        "11: lsl x4, x5, #4",
        "12: cmp x2, x4",
        "b.lo 9b",
        ".rept 16",
        "dc zva, x3",
        "add x3, x3, x5",
        ".endr",
        "sub x2, x2, x4",
        "b 12b",
    )
}

/// Compares `x2` bytes from `x0` and from `x1`; returns a number less than, equal to or greater than
/// zero as the first byte that differs does (C11 7.24.4.1).
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(one: *const u8, other: *const u8, count: usize) -> i32 {
    naked_asm!(
        "subs x2, x2, #8",
        "b.lo 1f",
        "0: ldr x3, [x0], #8",
        "ldr x4, [x1], #8",
        "cmp x3, x4",
        "b.ne 4f",
        "subs x2, x2, #8",
        "b.hs 0b",
        // The low three bits of x2 still say how many bytes are left.
        "1: tbz x2, #2, 2f",
        "ldr w3, [x0], #4",
        "ldr w4, [x1], #4",
        "cmp w3, w4",
        "b.ne 4f",
        "2: tbz x2, #1, 3f",
        "ldrh w3, [x0], #2",
        "ldrh w4, [x1], #2",
        "cmp w3, w4",
        "b.ne 4f",
        "3: mov w5, #0",
        "tbz x2, #0, 5f",
        "ldrb w3, [x0]",
        "ldrb w4, [x1]",
        "sub w5, w3, w4",
        "5: mov w0, w5",
        "ret",
        // The first byte, which decides, becomes the highest.
        "4: rev x3, x3",
        "rev x4, x4",
        "cmp x3, x4",
        "mov w0, #1",
        "cneg w0, w0, lo",
        "ret",
    )
}
