//! The shim's first instructions, and its own exception vectors.
//!
//! QEMU enters the ELF file at EL2 with the MMU off. Loads and stores by Rust need normal memory,
//! so the MMU goes on first: an identity map of 1 GiB blocks, devices below RAM, RAM above.

use core::arch::{global_asm, naked_asm};

/// Index 0 Device-nGnRE, index 1 normal write-back.
const MAIR: u64 = 0xff04;
/// 39-bit addresses, 4 KiB granule, write-back inner shareable walks, 40-bit output, RES1 bits.
const TCR: u64 = 25 | 1 << 8 | 1 << 10 | 3 << 12 | 2 << 16 | 1 << 23 | 1 << 31;
/// RES1 bits, MMU, caches, SP alignment check.
const SCTLR: u64 = 0x30c5_0830 | 1 | 1 << 2 | 1 << 3 | 1 << 12;
/// 1 GiB block of device memory, never executed.
const DEVICE: u64 = 1 | 1 << 10 | 1 << 54;
/// 1 GiB block of normal memory.
const NORMAL: u64 = 1 | 1 << 2 | 3 << 8 | 1 << 10;

/// The identity map: the first GiB holds devices, the next eight RAM.
#[repr(C, align(4096))]
struct Table([u64; 512]);

static TABLE: Table = {
    let mut entries = [0; 512];
    entries[0] = DEVICE;
    let mut gigabyte = 1;
    while gigabyte < 9 {
        entries[gigabyte] = (gigabyte as u64) << 30 | NORMAL;
        gigabyte += 1;
    }
    Table(entries)
};

#[unsafe(naked)]
#[unsafe(no_mangle)]
#[unsafe(link_section = ".head")]
unsafe extern "C" fn _start() -> ! {
    naked_asm!(
        "msr daifset, #0xf",
        "msr spsel, #1",
        "mov x0, #0x33ff", // FP and SIMD are not trapped, SVE and SME are
        "msr cptr_el2, x0",
        "ldr x0, ={mair}",
        "msr mair_el2, x0",
        "ldr x0, ={tcr}",
        "msr tcr_el2, x0",
        "adrp x0, {table}",
        "add x0, x0, :lo12:{table}",
        "msr ttbr0_el2, x0",
        "adrp x0, shim_vectors",
        "add x0, x0, :lo12:shim_vectors",
        "msr vbar_el2, x0",
        "isb",
        "tlbi alle2",
        "dsb nsh",
        "isb",
        "ldr x0, ={sctlr}",
        "msr sctlr_el2, x0",
        "isb",
        "adrp x1, _bss_start",
        "add x1, x1, :lo12:_bss_start",
        "adrp x2, _bss_end",
        "add x2, x2, :lo12:_bss_end",
        "0: cmp x1, x2",
        "b.hs 1f",
        "stp xzr, xzr, [x1], #16",
        "b 0b",
        "1: adrp x0, _stack_top",
        "mov sp, x0",
        "mov x29, xzr",
        "mov x30, xzr",
        "b {main}",
        table = sym TABLE,
        main = sym crate::shim_main,
        mair = const MAIR,
        tcr = const TCR,
        sctlr = const SCTLR,
    )
}

global_asm!(
    r#"
    .macro own_exception offset
    .balign 0x80
    mov x0, #\offset
    mrs x1, esr_el2
    mrs x2, elr_el2
    mrs x3, far_el2
    b {crash}
    .endm

    .macro guest_exit kind
    .balign 0x80
    stp x0, x1, [sp, #-16]!
    mov x1, #\kind
    b guest_exit
    .endm

    .section .text.vectors, "ax"
    .balign 0x800
    .global shim_vectors
    shim_vectors:
    own_exception 0x000
    own_exception 0x080
    own_exception 0x100
    own_exception 0x180
    own_exception 0x200
    own_exception 0x280
    own_exception 0x300
    own_exception 0x380
    guest_exit 0
    guest_exit 1
    guest_exit 2
    guest_exit 2
    own_exception 0x600
    own_exception 0x680
    own_exception 0x700
    own_exception 0x780
    .text
    "#,
    crash = sym crash,
);

/// An exception in the shim itself: nothing to be saved, say where and end.
extern "C" fn crash(vector: u64, esr: u64, elr: u64, far: u64) -> ! {
    panic!("exception in the shim: vector {vector:#x}, ESR {esr:#x}, ELR {elr:#x}, FAR {far:#x}");
}
