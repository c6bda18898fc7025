//! Work in a task of its own, so that the shell need not be polled for it.

use crate::system::Machine;
use alloc::{boxed::Box, rc::Rc};
use embassy_sync::{blocking_mutex::raw::NoopRawMutex, signal::Signal};

/// Runs `work` as a task called `name`, and waits for what it comes to.
pub async fn apart<R: 'static>(
    machine: &impl Machine,
    name: &'static str,
    work: impl Future<Output = R> + 'static,
) -> R {
    let result = Rc::new(Signal::<NoopRawMutex, R>::new());
    let done = Rc::clone(&result);
    machine.spawn(name, Box::pin(async move { done.signal(work.await) }));
    result.wait().await
}
