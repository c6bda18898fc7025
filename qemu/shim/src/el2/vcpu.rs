//! Running a vCPU: its registers, the switch into it and out again.

use billy_shim::exit::{self, Exit};
use core::arch::{asm, global_asm};

/// `SCTLR_EL1` as a Gunyah guest finds it: MMU and caches off.
const SCTLR_RESET: u64 = 0x30d0_0800;
/// EL1h with all exceptions masked.
const PSTATE_RESET: u64 = 0x3c5;

/// Registers that the switch saves and restores; the assembly below knows the offsets.
#[repr(C, align(16))]
#[derive(Clone, Debug)]
pub struct Registers {
    /// x0 to x30.
    pub x: [u64; 31],
    /// Program counter.
    pub pc: u64,
    /// Program status.
    pub pstate: u64,
    fpsr: u64,
    fpcr: u64,
    pad: u64,
    q: [u128; 32],
}

const _: () = assert!(core::mem::offset_of!(Registers, pc) == 248);
const _: () = assert!(core::mem::offset_of!(Registers, fpsr) == 264);
const _: () = assert!(core::mem::offset_of!(Registers, q) == 288);

/// One virtual CPU. Its EL1 system registers stay in the hardware, since one vCPU runs.
#[derive(Debug)]
pub struct Vcpu {
    /// General-purpose, program counter, FP and SIMD registers.
    pub registers: Registers,
}

impl Vcpu {
    /// A vCPU that will start at `entry` with `x0`, all else in its reset state.
    pub fn new(entry: u64, x0: u64) -> Self {
        let mut x = [0; 31];
        x[0] = x0;
        Self {
            registers: Registers {
                x,
                pc: entry,
                pstate: PSTATE_RESET,
                fpsr: 0,
                fpcr: 0,
                pad: 0,
                q: [0; 32],
            },
        }
    }

    /// Puts the EL1 system registers of this CPU into their reset state.
    pub fn reset_system_registers(&self) {
        // SAFETY: EL1 registers have no effect on EL2; stage 2 and the trap bits stay.
        unsafe {
            asm!(
                "msr sctlr_el1, {sctlr}",
                "msr ttbr0_el1, xzr",
                "msr ttbr1_el1, xzr",
                "msr tcr_el1, xzr",
                "msr mair_el1, xzr",
                "msr vbar_el1, xzr",
                "msr cpacr_el1, xzr",
                "msr tpidr_el0, xzr",
                "msr tpidr_el1, xzr",
                "msr tpidrro_el0, xzr",
                "msr sp_el0, xzr",
                "msr sp_el1, xzr",
                "msr elr_el1, xzr",
                "msr spsr_el1, xzr",
                "msr esr_el1, xzr",
                "msr far_el1, xzr",
                "msr cntkctl_el1, xzr",
                "msr cntv_ctl_el0, xzr",
                "msr cntp_ctl_el0, xzr",
                "msr mdscr_el1, xzr",
                "isb",
                sctlr = in(reg) SCTLR_RESET,
                options(nomem, nostack, preserves_flags),
            );
        }
    }

    /// Runs the guest until something needs the hypervisor.
    pub fn run(&mut self) -> Exit {
        // SAFETY: `registers` is a whole register file, and the guest is confined by stage 2 and
        // the trap bits, which are set before the first run.
        let kind = unsafe { switch_to_guest(&mut self.registers) };
        match kind {
            0 => {
                let (esr, far, hpfar): (u64, u64, u64);
                // SAFETY: reads of syndrome registers have no side effects.
                unsafe {
                    asm!(
                        "mrs {}, esr_el2",
                        "mrs {}, far_el2",
                        "mrs {}, hpfar_el2",
                        out(reg) esr, out(reg) far, out(reg) hpfar,
                        options(nomem, nostack, preserves_flags),
                    );
                }
                exit::decode(esr, far, hpfar)
            }
            1 => Exit::Interrupt,
            _ => Exit::Unexpected { esr: u64::MAX },
        }
    }

    /// Moves past the trapped instruction.
    pub fn skip_instruction(&mut self) {
        self.registers.pc = self.registers.pc.wrapping_add(4);
    }

    /// Register `n` as an operand: 31 reads as zero.
    pub fn operand(&self, n: u8) -> u64 {
        self.registers.x.get(usize::from(n)).copied().unwrap_or(0)
    }

    /// Sets register `n`; 31 is ignored.
    pub fn set_operand(&mut self, n: u8, value: u64) {
        if let Some(register) = self.registers.x.get_mut(usize::from(n)) {
            *register = value;
        }
    }

    /// Lets the guest take a synchronous exception to EL1 with syndrome `esr`.
    ///
    /// `far` is the fault address as the trap to EL2 reported it.
    pub fn inject(&mut self, esr: u64, far: u64) {
        let vbar: u64;
        // The vector depends on the level and stack pointer that the guest used (Arm ARM D1.3.1).
        let offset = match self.registers.pstate & 0xf {
            0x5 => 0x200,
            0x4 => 0,
            _ => 0x400,
        };
        // SAFETY: EL1 registers of the guest, changed as the architecture does on an exception.
        unsafe {
            asm!(
                "msr esr_el1, {esr}",
                "msr far_el1, {far}",
                "msr elr_el1, {pc}",
                "msr spsr_el1, {pstate}",
                "mrs {vbar}, vbar_el1",
                esr = in(reg) esr,
                far = in(reg) far,
                pc = in(reg) self.registers.pc,
                pstate = in(reg) self.registers.pstate,
                vbar = out(reg) vbar,
                options(nomem, nostack, preserves_flags),
            );
        }
        self.registers.pc = vbar + offset;
        self.registers.pstate = PSTATE_RESET;
    }
}

/// The fault address of the last trap to EL2.
pub fn fault_address() -> u64 {
    let far: u64;
    // SAFETY: reading a fault address has no side effects.
    unsafe { asm!("mrs {}, far_el2", out(reg) far, options(nomem, nostack, preserves_flags)) };
    far
}

unsafe extern "C" {
    /// Loads the registers, runs the guest, stores them again at the next exit. Returns 0 for a
    /// synchronous exception, 1 for an interrupt, 2 for the rest.
    fn switch_to_guest(registers: &mut Registers) -> u64;
}

global_asm!(
    r#"
    .macro fp_pairs op, base
    \op q0, q1, [\base, #288]
    \op q2, q3, [\base, #320]
    \op q4, q5, [\base, #352]
    \op q6, q7, [\base, #384]
    \op q8, q9, [\base, #416]
    \op q10, q11, [\base, #448]
    \op q12, q13, [\base, #480]
    \op q14, q15, [\base, #512]
    \op q16, q17, [\base, #544]
    \op q18, q19, [\base, #576]
    \op q20, q21, [\base, #608]
    \op q22, q23, [\base, #640]
    \op q24, q25, [\base, #672]
    \op q26, q27, [\base, #704]
    \op q28, q29, [\base, #736]
    \op q30, q31, [\base, #768]
    .endm

    .macro general_pairs op, base
    \op x2, x3, [\base, #16]
    \op x4, x5, [\base, #32]
    \op x6, x7, [\base, #48]
    \op x8, x9, [\base, #64]
    \op x10, x11, [\base, #80]
    \op x12, x13, [\base, #96]
    \op x14, x15, [\base, #112]
    \op x16, x17, [\base, #128]
    \op x18, x19, [\base, #144]
    \op x20, x21, [\base, #160]
    \op x22, x23, [\base, #176]
    \op x24, x25, [\base, #192]
    \op x26, x27, [\base, #208]
    \op x28, x29, [\base, #224]
    .endm

    .macro callee_saved_pairs op
    \op x19, x20, [sp, #16]
    \op x21, x22, [sp, #32]
    \op x23, x24, [sp, #48]
    \op x25, x26, [sp, #64]
    \op x27, x28, [sp, #80]
    \op d8, d9, [sp, #96]
    \op d10, d11, [sp, #112]
    \op d12, d13, [sp, #128]
    \op d14, d15, [sp, #144]
    .endm

    .global switch_to_guest
    switch_to_guest:
    stp x29, x30, [sp, #-160]!
    callee_saved_pairs stp
    msr tpidr_el2, x0
    ldp x1, x2, [x0, #248]
    msr elr_el2, x1
    msr spsr_el2, x2
    ldp x1, x2, [x0, #264]
    msr fpsr, x1
    msr fpcr, x2
    fp_pairs ldp, x0
    general_pairs ldp, x0
    ldr x30, [x0, #240]
    ldp x0, x1, [x0]
    eret

    .global guest_exit
    guest_exit:
    mrs x0, tpidr_el2
    general_pairs stp, x0
    str x30, [x0, #240]
    mov x19, x1
    ldp x1, x2, [sp], #16
    stp x1, x2, [x0]
    mrs x1, elr_el2
    mrs x2, spsr_el2
    stp x1, x2, [x0, #248]
    mrs x1, fpsr
    mrs x2, fpcr
    stp x1, x2, [x0, #264]
    fp_pairs stp, x0
    mov x0, x19
    callee_saved_pairs ldp
    ldp x29, x30, [sp], #160
    ret
    "#
);
