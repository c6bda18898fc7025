//! Counting the guest's instructions: the PMU's INST_RETIRED, at EL1 only.
//!
//! With QEMU's `-icount` the count is exact and the same in every run. The guest is not touched:
//! what is counted is the image as it is.

use billy_shim::{
    exit::Exit,
    seam::{GuestFault, GuestMemory},
};
use core::{arch::asm, fmt};
use gunyah_abi::hypercall::{Hypercall, NATIVE_IMMEDIATE_BASE};

/// `PMEVTYPER0_EL0`: event INST_RETIRED; not at EL0, not at EL2 (which is the default).
const INSTRUCTIONS_AT_EL1: u64 = 0x08 | 1 << 30;

/// Starts to count from 0.
pub fn start() {
    // SAFETY: the PMU is used here only.
    unsafe {
        asm!(
            "msr pmevtyper0_el0, {event}",
            "msr pmevcntr0_el0, xzr",
            "mov {n}, #1",
            "msr pmcntenset_el0, {n}",
            "mrs {n}, pmcr_el0",
            "orr {n}, {n}, #1",
            "msr pmcr_el0, {n}",
            "isb",
            n = out(reg) _,
            event = in(reg) INSTRUCTIONS_AT_EL1,
            options(nomem, nostack)
        );
    }
}

/// Instructions that the guest has executed since [`start`].
pub fn instructions() -> u64 {
    let count;
    // SAFETY: a read without side effects.
    unsafe { asm!("isb", "mrs {}, pmevcntr0_el0", out(reg) count, options(nomem, nostack)) };
    count
}

/// What stopped the guest, as a line of the trace: `hvc 0x1b size=12 message=0x56000081`.
pub struct Event<'a> {
    /// The exit.
    pub exit: &'a Exit,
    /// x0 to x3 at the exit.
    pub x: [u64; 4],
    /// The packet that `msgqueue_send` sends: id and size of what it carries.
    pub message: Option<(u32, u64)>,
}

impl<'a> Event<'a> {
    /// Looks at an exit.
    pub fn new(exit: &'a Exit, x: [u64; 4], memory: &mut impl GuestMemory) -> Self {
        let native = NATIVE_IMMEDIATE_BASE + Hypercall::MsgqueueSend.code();
        let message = match exit {
            Exit::Hvc(immediate) if *immediate == native => message_id(x[2], memory).ok(),
            _ => None,
        };
        Self { exit, x, message: message.map(|id| (id, x[1])) }
    }
}

/// The message id in the header of a Resource Manager packet.
fn message_id(address: u64, memory: &mut impl GuestMemory) -> Result<u32, GuestFault> {
    let mut id = [0; 4];
    memory.read(address.wrapping_add(4), &mut id)?;
    Ok(u32::from_le_bytes(id))
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.exit {
            Exit::Hvc(immediate) => {
                write!(f, "hvc {immediate:#x} x0={:#x}", self.x[0])?;
                match self.message {
                    Some((id, size)) => write!(f, " size={size} message={id:#x}"),
                    None => Ok(()),
                }
            }
            Exit::Smc(_) => write!(f, "smc x0={:#x}", self.x[0]),
            Exit::Wait => f.write_str("wait"),
            Exit::Mmio(access) => {
                let what = if access.write { "write" } else { "read" };
                write!(f, "mmio {what} {:#x}", access.ipa)
            }
            Exit::SystemRegister(access) => write!(f, "register {:?}", access.register),
            Exit::Interrupt => f.write_str("interrupt"),
            other => write!(f, "{other:?}"),
        }
    }
}
