//! The first instructions: MMU on, relocated, on a stack, in Rust.
//!
//! At entry the MMU and caches are off, x0 holds the device tree, all else is unknown (arm64 boot
//! protocol; Gunyah enters the first vCPU this way). The order matters:
//!
//! 1. At EL2, drop to EL1 and remember it.
//! 2. Clean and invalidate what was loaded to the point of coherency, since whoever loaded it may
//!    have left lines of it in a cache, then the instruction cache. BSS, stacks and heap are only
//!    ever accessed through the caches.
//! 3. Build the first page table: one page of 1 GiB blocks, of which two are used, the one that
//!    holds the image and the one that holds the device tree.
//! 4. MMU and caches on. Every store from here on is cached, as every store by Rust is.
//! 5. Relocate, clear the BSS, set the stacks up, enter Rust.
//!
//! Memory near the image that is not there is mapped by step 3 as well. That does no harm: nothing
//! reads it, and a speculative read that stage 2 refuses has no effect. The kernel replaces this
//! table with one that maps what exists, W^X, as soon as it has read the device tree.

use crate::BootInfo;
use core::arch::naked_asm;

/// `SCTLR_EL1` out of reset: the RES1 bits, MMU and caches off.
const SCTLR_OFF: u64 = 0x30d0_0800;
/// `SCTLR_EL1` with MMU, data and instruction caches, and SP alignment check on.
const SCTLR_ON: u64 = SCTLR_OFF | 1 | 1 << 2 | 1 << 3 | 1 << 12;
/// Memory attributes by index: 0 Device-nGnRE, 1 normal write-back.
const MAIR: u64 = 0xff04;
/// 39-bit addresses in both halves, 4 KiB granule, write-back inner shareable walks, upper half
/// off. The physical address size is filled in at run time.
const TCR: u64 = 25 | 1 << 8 | 1 << 10 | 3 << 12 | 25 << 16 | 1 << 23 | 2 << 30;
/// A 1 GiB block: valid, attribute index 1, inner shareable, accessed.
const BLOCK: u64 = 1 | 1 << 2 | 3 << 8 | 1 << 10;

unsafe extern "C" {
    /// Entry of the kernel, on the main stack, with interrupts masked and the first page table.
    fn kernel_main(info: &BootInfo) -> !;
}

/// The arm64 Image header; execution starts at its first word.
#[unsafe(naked)]
#[unsafe(no_mangle)]
#[unsafe(link_section = ".head")]
unsafe extern "C" fn _start() -> ! {
    naked_asm!(
        "b {entry}",
        ".word 0",
        ".quad 0",           // text_offset
        ".quad _image_size", // including BSS, stacks and first heap
        ".quad 0xa",         // little endian, 4 KiB pages, anywhere in memory
        ".quad 0, 0, 0",
        ".ascii \"ARM\\x64\"",
        ".word 0",
        entry = sym entry,
    )
}

#[unsafe(naked)]
unsafe extern "C" fn entry() -> ! {
    naked_asm!(
        "mov x20, x0",
        "mrs x21, CurrentEL",
        "lsr x21, x21, #2",
        "msr daifset, #0xf",
        "cmp x21, #2",
        "b.ne 0f",
        "adr x30, 0f",
        "b {drop_to_el1}",
        "0:",
        "msr spsel, #1",
        "mov x0, #(3 << 20)", // FP and SIMD are not trapped
        "msr cpacr_el1, x0",
        "isb",
        // What was loaded out of the caches.
        "adrp x0, _image_start",
        "adrp x1, _file_end",
        "add x1, x1, :lo12:_file_end",
        "bl {clean_and_invalidate}",
        "ic iallu",
        "dsb nsh",
        "isb",
        // First page table.
        "adrp x22, {table}",
        "add x22, x22, :lo12:{table}",
        "mov x1, x22",
        "mov x2, #(4096 / 64)",
        "movi v0.2d, #0",
        "1: stp q0, q0, [x1], #32",
        "stp q0, q0, [x1], #32",
        "subs x2, x2, #1",
        "b.ne 1b",
        "mov x3, #{block}",
        "adrp x0, _image_start",
        "bl {map_gigabyte}",
        "mov x0, x20",
        "bl {map_gigabyte}",
        "mov x0, x22",
        "add x1, x22, #4096",
        "bl {clean_and_invalidate}",
        // MMU on.
        "ldr x0, ={mair}",
        "msr mair_el1, x0",
        "ldr x0, ={tcr}",
        "mrs x1, id_aa64mmfr0_el1",
        "and x1, x1, #0xf",
        "mov x2, #5",
        "cmp x1, x2",
        "csel x1, x1, x2, lo",
        "bfi x0, x1, #32, #3",
        "msr tcr_el1, x0",
        "msr ttbr0_el1, x22",
        "msr ttbr1_el1, xzr",
        "adrp x0, {vectors}",
        "add x0, x0, :lo12:{vectors}",
        "msr vbar_el1, x0",
        "isb",
        "tlbi vmalle1",
        "dsb nsh",
        "isb",
        "ldr x0, ={sctlr}",
        "msr sctlr_el1, x0",
        "isb",
        // Relocate. The image is linked at 0, so its address is what is added. An even entry of
        // RELR is the address of a word to relocate, an odd one says which of the next 63 words.
        "adrp x0, _image_start",
        "adrp x1, _relr_start",
        "add x1, x1, :lo12:_relr_start",
        "adrp x2, _relr_end",
        "add x2, x2, :lo12:_relr_end",
        "2: cmp x1, x2",
        "b.hs 6f",
        "ldr x3, [x1], #8",
        "tbnz x3, #0, 3f",
        "add x4, x0, x3",
        "ldr x5, [x4]",
        "add x5, x5, x0",
        "str x5, [x4], #8",
        "b 2b",
        "3: sub x6, x4, #8", // bit 1 is about the word at x4
        "add x4, x4, #(63 * 8)",
        "sub x3, x3, #1",
        // A test for each word costs less than finding the next bit that is set.
        "4: .irp bit, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        "tbz x3, #\\bit, 5f",
        "ldr x5, [x6, #(\\bit * 8)]",
        "add x5, x5, x0",
        "str x5, [x6, #(\\bit * 8)]",
        "5:",
        ".endr",
        "add x6, x6, #(16 * 8)",
        "lsr x3, x3, #16",
        "cbnz x3, 4b",
        "b 2b",
        // BSS.
        "6: adrp x0, _bss_start",
        "add x0, x0, :lo12:_bss_start",
        "adrp x2, _bss_end",
        "add x2, x2, :lo12:_bss_end",
        "sub x2, x2, x0",
        "mov x1, xzr",
        "bl {memset}",
        // Stacks, then Rust.
        "adrp x0, _exception_stack_top",
        "mov sp, x0",
        "msr spsel, #0",
        "adrp x0, _stack_top",
        "mov sp, x0",
        "mov x29, xzr",
        "mov x30, xzr",
        "stp x20, x21, [sp, #-16]!",
        "mov x0, sp",
        "b {kernel_main}",
        drop_to_el1 = sym drop_to_el1,
        clean_and_invalidate = sym clean_and_invalidate,
        map_gigabyte = sym map_gigabyte,
        table = sym FIRST_TABLE,
        vectors = sym crate::vectors::vector_table,
        memset = sym crate::mem::memset,
        kernel_main = sym kernel_main,
        block = const BLOCK,
        mair = const MAIR,
        tcr = const TCR,
        sctlr = const SCTLR_ON,
    )
}

/// Page that holds the first page table; the boot code clears it before use.
#[repr(C, align(4096))]
struct FirstTable([u64; 512]);

#[unsafe(link_section = ".noinit")]
static mut FIRST_TABLE: FirstTable = FirstTable([0; 512]);

/// Maps the 1 GiB block around the address x0 in the table x22 with the attributes x3.
///
/// Addresses of 512 GiB and more are cut off: such a device tree cannot be read, and is reported
/// as unreadable. Changes x0 and x1.
#[unsafe(naked)]
unsafe extern "C" fn map_gigabyte() {
    naked_asm!(
        "ubfx x1, x0, #30, #9",
        "lsl x0, x1, #30",
        "orr x0, x0, x3",
        "str x0, [x22, x1, lsl #3]",
        "ret",
    )
}

/// Cleans and invalidates the data cache from x0 to x1 to the point of coherency, 64 lines at
/// a time, so that up to 63 lines beyond x1 are cleaned as well.
///
/// Changes x0 to x3.
#[unsafe(naked)]
unsafe extern "C" fn clean_and_invalidate() {
    naked_asm!(
        "mrs x2, ctr_el0",
        "ubfx x2, x2, #16, #4",
        "mov x3, #4",
        "lsl x2, x3, x2",
        "sub x3, x2, #1",
        "bic x0, x0, x3",
        "0:",
        ".rept 64",
        "dc civac, x0",
        "add x0, x0, x2",
        ".endr",
        "cmp x0, x1",
        "b.lo 0b",
        "dsb sy",
        "ret",
    )
}

/// Goes from EL2 to the address x30 at EL1, with nothing trapped and the timers usable.
#[unsafe(naked)]
unsafe extern "C" fn drop_to_el1() {
    naked_asm!(
        "ldr x0, ={sctlr}",
        "msr sctlr_el1, x0",
        "mov x0, #(1 << 31)", // EL1 is AArch64
        "msr hcr_el2, x0",
        "mov x0, #0x33ff", // no trap of FP, SIMD, SVE access stays trapped
        "msr cptr_el2, x0",
        "mov x0, #3",
        "msr cnthctl_el2, x0",
        "msr cntvoff_el2, xzr",
        "msr vttbr_el2, xzr",
        "mrs x0, midr_el1",
        "msr vpidr_el2, x0",
        "mrs x0, mpidr_el1",
        "msr vmpidr_el2, x0",
        "mrs x0, id_aa64pfr0_el1",
        "ubfx x0, x0, #24, #4",
        "cbz x0, 1f",
        "mov x0, #0xf", // GIC system registers at EL1
        "msr s3_4_c12_c9_5, x0",
        "1: mov x0, #0x3c5", // EL1h, all masked
        "msr spsr_el2, x0",
        "msr elr_el2, x30",
        "eret",
        sctlr = const SCTLR_OFF,
    )
}
