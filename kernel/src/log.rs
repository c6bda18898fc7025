//! The kernel's log: a ring of bytes, from the first instruction on.
//!
//! Every record becomes one line, appended whole with interrupts masked for the copy alone, so
//! tasks and interrupt handlers may log alike and no line is ever torn by another. Positions in
//! the log count all bytes ever written; a reader that is too slow learns how many it missed.
//!
//! What lives here: the ring, its readers, the `log` crate's front end. What does not: consoles.

mod bytes;
mod contents;
mod line;
mod logger;
mod ring;

#[cfg(test)]
mod tests;

pub use bytes::Bytes;
pub use logger::Logger;
pub use ring::{LogRing, MAX_READERS, Read, Reader};
