//! `memcpy` and `memset`, sixteen bytes at a time, and `memcmp`, eight at a time.
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
unsafe extern "C" fn memset(to: *mut u8, value: i32, count: usize) -> *mut u8 {
    naked_asm!(
        "mov x3, x0",
        "dup v0.16b, w1",
        "subs x2, x2, #64",
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
