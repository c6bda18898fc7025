//! Exception vectors and the frame they save.
//!
//! An interrupt saves what a Rust function may change, FP and SIMD registers included, and calls
//! `handle_interrupt`. A synchronous exception saves everything and calls `handle_synchronous`,
//! which may return after it has changed the frame. Whatever cannot be returned from (SError, FIQ,
//! an exception inside a handler, or from a lower level) goes to `handle_fatal`.
//!
//! An exception inside a handler may be the overflow of the very stack it would be saved on. So it
//! is saved on a stack of its own, always from its top: nothing on there is returned to.
//! `TPIDR_EL1` and `TPIDRRO_EL0` serve as scratch registers on the way.

/// Registers at the moment of an exception, as the vectors store them.
#[repr(C, align(16))]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExceptionFrame {
    /// x0 to x30.
    pub x: [u64; 31],
    /// Stack pointer of the interrupted code.
    pub sp: u64,
    /// Address of the interrupted instruction.
    pub elr: u64,
    /// Saved program status.
    pub spsr: u64,
    /// Exception syndrome.
    pub esr: u64,
    /// Fault address; valid for aborts only.
    pub far: u64,
    /// Which vector: its offset in the vector table, Arm ARM D1.3.1.
    pub vector: u64,
    #[doc(hidden)]
    pub pad: u64,
}

const _: () = assert!(size_of::<ExceptionFrame>() == FRAME_SIZE);
const _: () = assert!(core::mem::offset_of!(ExceptionFrame, elr) == 256);
const _: () = assert!(core::mem::offset_of!(ExceptionFrame, esr) == 272);
const _: () = assert!(core::mem::offset_of!(ExceptionFrame, vector) == 288);

const FRAME_SIZE: usize = 304;

#[cfg(all(target_arch = "aarch64", target_os = "none"))]
pub use asm::vector_table;

#[cfg(all(target_arch = "aarch64", target_os = "none"))]
mod asm {
    use super::{ExceptionFrame, FRAME_SIZE};
    use core::arch::global_asm;

    unsafe extern "C" {
        /// The vector table, for `VBAR_EL1`.
        pub safe static vector_table: u8;

        fn handle_interrupt();
        fn handle_synchronous(frame: &mut ExceptionFrame);
        fn handle_fatal(frame: &ExceptionFrame) -> !;
    }

    global_asm!(
        r#"
        .macro each_low_pair op
        \op x2, x3, [sp, #16]
        \op x4, x5, [sp, #32]
        \op x6, x7, [sp, #48]
        \op x8, x9, [sp, #64]
        \op x10, x11, [sp, #80]
        \op x12, x13, [sp, #96]
        \op x14, x15, [sp, #112]
        \op x16, x17, [sp, #128]
        .endm

        .macro each_high_pair op
        \op x18, x19, [sp, #144]
        \op x20, x21, [sp, #160]
        \op x22, x23, [sp, #176]
        \op x24, x25, [sp, #192]
        \op x26, x27, [sp, #208]
        \op x28, x29, [sp, #224]
        .endm

        .macro save_volatile
        sub sp, sp, #{volatile_size}
        stp x0, x1, [sp]
        each_low_pair stp
        stp x18, x30, [sp, #144]
        .endm

        .macro each_fp_pair op
        \op q0, q1, [sp, #176]
        \op q2, q3, [sp, #208]
        \op q4, q5, [sp, #240]
        \op q6, q7, [sp, #272]
        \op q8, q9, [sp, #304]
        \op q10, q11, [sp, #336]
        \op q12, q13, [sp, #368]
        \op q14, q15, [sp, #400]
        \op q16, q17, [sp, #432]
        \op q18, q19, [sp, #464]
        \op q20, q21, [sp, #496]
        \op q22, q23, [sp, #528]
        \op q24, q25, [sp, #560]
        \op q26, q27, [sp, #592]
        \op q28, q29, [sp, #624]
        \op q30, q31, [sp, #656]
        .endm

        .macro save_fp
        each_fp_pair stp
        mrs x0, fpsr
        mrs x1, fpcr
        stp x0, x1, [sp, #160]
        .endm

        .macro restore_fp
        ldp x0, x1, [sp, #160]
        msr fpsr, x0
        msr fpcr, x1
        each_fp_pair ldp
        .endm

        .macro vector target, offset
        .balign 0x80
        sub sp, sp, #{frame_size}
        stp x0, x1, [sp]
        mov x0, #\offset
        b \target
        .endm

        .macro vector_inside offset
        .balign 0x80
        msr tpidr_el1, x0
        mov x0, sp
        msr tpidrro_el0, x0
        adrp x0, _emergency_stack_top
        mov sp, x0
        sub sp, sp, #{frame_size}
        mrs x0, tpidr_el1
        stp x0, x1, [sp]
        mov x0, #\offset
        b fatal_entry
        .endm

        .section .text.vectors, "ax"
        .balign 0x800
        .global vector_table
        vector_table:
        // From this level on SP_EL0: ordinary code.
        vector synchronous_entry, 0x000
        .balign 0x80
        b interrupt_entry
        vector fatal_entry, 0x100
        vector fatal_entry, 0x180
        // From this level on SP_EL1: inside a handler.
        vector_inside 0x200
        vector_inside 0x280
        vector_inside 0x300
        vector_inside 0x380
        // From a lower level: there is none.
        vector fatal_entry, 0x400
        vector fatal_entry, 0x480
        vector fatal_entry, 0x500
        vector fatal_entry, 0x580
        vector fatal_entry, 0x600
        vector fatal_entry, 0x680
        vector fatal_entry, 0x700
        vector fatal_entry, 0x780

        interrupt_entry:
        save_volatile
        save_fp
        bl {handle_interrupt}
        restore_fp
        each_low_pair ldp
        ldp x18, x30, [sp, #144]
        ldp x0, x1, [sp]
        add sp, sp, #{volatile_size}
        eret

        // Completes the frame whose x0 and x1 are stored; x0 holds the vector's offset.
        .macro save_rest
        each_low_pair stp
        each_high_pair stp
        mrs x1, sp_el0
        mrs x2, tpidrro_el0
        tst x0, #0x200
        csel x1, x2, x1, ne
        stp x30, x1, [sp, #240]
        mrs x1, elr_el1
        mrs x2, spsr_el1
        stp x1, x2, [sp, #256]
        mrs x1, esr_el1
        mrs x2, far_el1
        stp x1, x2, [sp, #272]
        str x0, [sp, #288]
        mov x0, sp
        .endm

        synchronous_entry:
        save_rest
        sub sp, sp, #{volatile_size}
        mov x19, x0
        save_fp
        mov x0, x19
        bl {handle_synchronous}
        restore_fp
        add sp, sp, #{volatile_size}
        ldp x1, x2, [sp, #256]
        msr elr_el1, x1
        msr spsr_el1, x2
        ldr x1, [sp, #248]
        msr sp_el0, x1
        ldr x30, [sp, #240]
        each_low_pair ldp
        each_high_pair ldp
        ldp x0, x1, [sp]
        add sp, sp, #{frame_size}
        eret

        fatal_entry:
        save_rest
        bl {handle_fatal}
        b .
        .text
        "#,
        volatile_size = const 688,
        frame_size = const FRAME_SIZE,
        handle_interrupt = sym handle_interrupt,
        handle_synchronous = sym handle_synchronous,
        handle_fatal = sym handle_fatal,
    );
}
