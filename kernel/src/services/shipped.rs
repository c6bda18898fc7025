//! The services that come with the kernel, a file each.

mod echo;
pub mod entropy;
mod log;
mod stats;
mod time;

pub use echo::Echo;
pub use entropy::{Entropy, RandomSource};
pub use log::LogReader;
pub use stats::{Activity, Stats};
pub use time::{Pl031, Time, WallClock};
