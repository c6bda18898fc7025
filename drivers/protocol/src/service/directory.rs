//! The directory: which services a channel offers.

use serde::{Deserialize, Serialize};

/// Asks for all services of the channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {}

/// A service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry<'a> {
    /// Its number.
    pub number: u16,
    /// Its name.
    pub name: &'a str,
}
