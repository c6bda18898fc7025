//! Cooperative tasks: polled first in, first out, and no wake-up is lost.
//!
//! A task is a `'static` future with a name. It runs until it awaits something; whoever makes
//! that something happen, mostly an interrupt handler, wakes the task, which puts its slot number
//! on the run queue. Waking allocates nothing and queues a task at most once.
//!
//! The executor looks at the run queue with interrupts masked, and if no task is ready it executes
//! WFI, still masked. An interrupt that comes in between stays pending, and a pending interrupt
//! ends WFI whether masked or not. So a handler either has run before that look or runs after WFI:
//! no wake-up can fall between the two. The tests of this module run the
//! executor with an interrupt injected at every possible point and check just that.
//!
//! Futures stay with the [`Executor`], which belongs to one CPU and need not be `Send`. Only the
//! wakers and the [`RunQueue`] are shared with interrupt handlers.
//!
//! What lives here: running, waking, counting tasks. What does not: time (`kernel::time`) and
//! anything that knows which interrupt woke whom.

mod executor;
mod header;
mod queue;
pub(crate) mod section;
mod slots;
mod yielding;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

pub use executor::{Executor, Spawner};
pub use queue::RunQueue;
#[cfg(target_os = "none")]
pub(crate) use slots::Slots;
pub use slots::{TaskInfo, TaskState};
pub use yielding::{YieldNow, yield_now};

/// What the executor needs of the CPU in order to sleep.
///
/// On AArch64: WFI.
pub trait Cpu {
    /// Stops until an interrupt is pending, and may handle it; what is left is handled when
    /// interrupts are let in. Called with interrupts masked.
    fn wait_for_interrupt(&self);
}
