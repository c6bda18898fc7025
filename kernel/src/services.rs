//! Services for other VMs: what answers on doorbells and message queues.
//!
//! A service is a value that lives for ever, an interrupt handler that only wakes, and an async
//! `serve` that a task runs. They know queues and doorbells, nothing of the Resource Manager or
//! the console.

pub mod doorbell;
pub mod echo;
mod keep;
pub mod transport;

pub use doorbell::{BellService, BellSource};
pub use echo::EchoService;
pub use keep::keep;
