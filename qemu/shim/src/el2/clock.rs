//! Time since the shim started, and its own alarm, from the EL2 physical timer.

use billy_shim::seam;
use core::arch::asm;

const NANOS: u128 = 1_000_000_000;

/// Nanoseconds since the machine was made.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: u64,
}

fn counter() -> u64 {
    let ticks;
    // SAFETY: a read without side effects.
    unsafe { asm!("isb", "mrs {}, cntpct_el0", out(reg) ticks, options(nomem, nostack)) };
    ticks
}

fn frequency() -> u64 {
    let hertz: u64;
    // SAFETY: a read without side effects.
    unsafe { asm!("mrs {}, cntfrq_el0", out(reg) hertz, options(nomem, nostack)) };
    hertz.max(1)
}

impl Clock {
    /// Starts to count.
    pub fn new() -> Self {
        Self { start: counter() }
    }

    /// Has the timer interrupt `deadline` nanoseconds after the start; None: not at all.
    pub fn set_alarm(&self, deadline: Option<u64>) {
        let ticks = deadline.map(|nanos| u128::from(nanos) * u128::from(frequency()) / NANOS);
        let compare = self.start.saturating_add(ticks.map_or(0, |t| t as u64).saturating_add(1));
        // SAFETY: the EL2 physical timer is used here only.
        unsafe {
            asm!(
                "msr cnthp_cval_el2, {}",
                "msr cnthp_ctl_el2, {}",
                "isb",
                in(reg) compare,
                in(reg) u64::from(ticks.is_some()),
                options(nomem, nostack)
            );
        }
    }

    /// Makes the guest's virtual counter start at 0 now.
    pub fn reset_virtual_counter() {
        // SAFETY: the offset concerns the guest's view only.
        unsafe { asm!("msr cntvoff_el2, {}", "isb", in(reg) counter(), options(nomem, nostack)) };
    }
}

impl seam::Clock for Clock {
    fn now(&self) -> u64 {
        (u128::from(counter() - self.start) * NANOS / u128::from(frequency())) as u64
    }
}
