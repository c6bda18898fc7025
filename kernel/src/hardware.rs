//! This CPU: its timer and its sleep, as the scheduler wants them.

use crate::{
    critical,
    interrupts::gic,
    task::Cpu,
    time::{Counter, Frequency, Instant, Timers},
};
use core::arch::asm;

/// What to assume where firmware left `CNTFRQ_EL0` at zero: the rate of Armv8.6 counters.
const FALLBACK: Frequency = match Frequency::from_hertz(1_000_000_000) {
    Some(frequency) => frequency,
    None => unreachable!(),
};
/// `CNTV_CTL_EL0.ENABLE`.
const ENABLE: u64 = 1;
/// The latest alarm. An emulator may add the counter's offset to it, and hangs if that wraps.
const LATEST: u64 = 1 << 62;

/// All deadlines of this kernel.
pub static TIMERS: Timers<VirtualTimer> = Timers::new(VirtualTimer);

/// The CPU that runs.
pub struct ThisCpu;

impl Cpu for ThisCpu {
    /// Handles what ended the wait right here, which saves the way through the vector: it would
    /// save and restore every register, and here none is in use.
    fn wait_for_interrupt(&self) {
        critical::wait_for_interrupt();
        // SAFETY: the executor masks interrupts before it waits.
        while unsafe { gic::dispatch_pending() } {}
    }
}

/// The virtual generic timer, its registers never trapped.
#[derive(Debug)]
pub struct VirtualTimer;

impl Counter for VirtualTimer {
    fn now(&self) -> Instant {
        let ticks: u64;
        // SAFETY: a read without side effects; the barrier keeps it from being taken early.
        unsafe { asm!("isb", "mrs {}, cntvct_el0", out(reg) ticks, options(nostack, nomem)) };
        Instant::from_ticks(ticks)
    }

    fn frequency(&self) -> Frequency {
        let hertz: u64;
        // SAFETY: a read without side effects.
        unsafe { asm!("mrs {}, cntfrq_el0", out(reg) hertz, options(nostack, nomem, pure)) };
        Frequency::from_cntfrq(hertz, FALLBACK)
    }

    fn set_alarm(&self, deadline: Option<Instant>) {
        let Some(deadline) = deadline else {
            // SAFETY: the timer is ours.
            unsafe { asm!("msr cntv_ctl_el0, xzr", "isb", options(nostack, nomem)) };
            return;
        };
        let compare = deadline.ticks().min(LATEST);
        // SAFETY: likewise; its interrupt is handled by `TIMERS`.
        unsafe {
            asm!(
                "msr cntv_cval_el0, {}",
                "msr cntv_ctl_el0, {}",
                "isb",
                in(reg) compare,
                in(reg) ENABLE,
                options(nostack, nomem)
            );
        }
    }
}
