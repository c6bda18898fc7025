//! The time service: uptime, and wall-clock time where the machine has a clock.

use serde::{Deserialize, Serialize};

/// Asks for the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {}

/// The time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// Nanoseconds since the counter of the machine started.
    pub uptime: u64,
    /// Seconds since 1 January 1970, UTC; None if the machine has no clock.
    pub wall_clock: Option<u64>,
}
