//! The echo service: sends back what it gets. Request and reply are the same.

use serde::{Deserialize, Serialize};

/// Asks for `data` back; the answer is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Echo<'a> {
    /// Any bytes.
    #[serde(with = "serde_bytes", borrow)]
    pub data: &'a [u8],
}
