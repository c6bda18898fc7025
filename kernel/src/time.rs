//! Time: the generic timer's counter, conversions, sleeping tasks.
//!
//! The hardware is behind [`Counter`]. [`Timers`] owns one counter and its one alarm, keeps all
//! deadlines sorted, and programs the alarm for the earliest. A deadline that is cancelled leaves
//! the alarm alone: the interrupt then finds nothing to wake and programs the next deadline. So a
//! timeout that never strikes costs no access to the timer's registers beyond the first.
//!
//! What lives here: deadlines and durations. What does not: the timer's registers and INTIDs.

mod frequency;
mod queue;
mod sleep;
mod timers;

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;

pub use frequency::{Frequency, Instant};
pub use sleep::{Elapsed, Sleep};
pub use timers::Timers;

/// A counter that counts up steadily, and its alarm.
///
/// On AArch64 the virtual timer: `CNTVCT_EL0`, `CNTFRQ_EL0`, `CNTV_CVAL_EL0`, `CNTV_CTL_EL0`.
pub trait Counter {
    /// Reads the counter.
    fn now(&self) -> Instant;

    /// How fast the counter counts; the same at every call.
    fn frequency(&self) -> Frequency;

    /// Asks for an interrupt once the counter has reached `deadline`, at once if it has already,
    /// in place of the one asked for before. None asks for no interrupt.
    ///
    /// Called with interrupts masked.
    fn set_alarm(&self, deadline: Option<Instant>);
}
