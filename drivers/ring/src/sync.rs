//! The atomics the ring is made of; the race checker brings its own.

pub(crate) use core::sync::atomic::{AtomicU64, Ordering, fence};
