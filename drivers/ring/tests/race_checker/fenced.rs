//! The core of the ring with the atomics of the race checker.
#![allow(dead_code)]

#[path = "../../src/copy.rs"]
mod copy;
#[path = "../../src/error.rs"]
mod error;
#[path = "../../src/forward.rs"]
mod forward;
#[path = "../../src/input.rs"]
mod input;
#[path = "../../src/layout.rs"]
mod layout;
#[path = "../../src/link.rs"]
mod link;
#[path = "../../src/output.rs"]
mod output;
#[path = "scenarios.rs"]
pub mod scenarios;

/// What the core takes from `core`.
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering, fence};
}
