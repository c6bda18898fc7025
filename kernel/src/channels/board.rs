//! What the registry needs of the machine: interrupts, and tasks.

use crate::{dt::Interrupt, interrupts::Handler};
use alloc::boxed::Box;
use core::error::Error;
use core::pin::Pin;

/// Enables interrupts and starts tasks.
pub trait Board {
    /// Has `handler` called for `interrupt` from now on.
    ///
    /// # Errors
    ///
    /// Why not: the INTID is taken, or there is no such.
    fn enable(
        &self,
        interrupt: Interrupt,
        name: &'static str,
        handler: Handler,
    ) -> Result<(), Box<dyn Error>>;

    /// Has nothing called for an INTID any more, and drops its handler.
    fn disable(&self, intid: u32);

    /// Starts a task.
    fn spawn(&self, name: &'static str, future: Pin<Box<dyn Future<Output = ()>>>);
}
