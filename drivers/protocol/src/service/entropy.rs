//! The entropy service: random bytes.

use serde::{Deserialize, Serialize};

/// The most bytes one request may ask for.
pub const MAX_BYTES: u16 = 64;

/// Asks for random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// How many: 1 to [`MAX_BYTES`].
    pub bytes: u16,
}

/// Where random bytes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// The TRNG firmware interface of Arm (DEN0098).
    Trng,
    /// The hypervisor's generator.
    Hypervisor,
}

/// Random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply<'a> {
    /// Where they come from.
    pub source: Source,
    /// As many as were asked for.
    #[serde(with = "serde_bytes", borrow)]
    pub data: &'a [u8],
}
