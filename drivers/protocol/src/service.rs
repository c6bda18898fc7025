//! Numbers and messages of the services that are shipped.
//!
//! Where a list is asked for, each part and the reply hold as many entries as fit, one behind the other: read them with
//! [`crate::Entries`].

pub mod directory;
pub mod echo;
pub mod entropy;
pub mod log;
pub mod stats;
pub mod time;

/// Lists the services that are bound to the channel: [`directory`].
pub const DIRECTORY: u16 = 0;
/// Sends back what it gets: [`echo`].
pub const ECHO: u16 = 1;
/// Tells the time: [`time`].
pub const TIME: u16 = 2;
/// Gives random bytes: [`entropy`].
pub const ENTROPY: u16 = 3;
/// Lists tasks, interrupts, channels: [`stats`].
pub const STATS: u16 = 4;
/// Reads and follows the log: [`log`].
pub const LOG: u16 = 5;
/// The first number for services that are not shipped.
pub const FIRST_OWN: u16 = 0x100;
