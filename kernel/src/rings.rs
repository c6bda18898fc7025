//! Rings: channels through memory that two VMs write, with a doorbell each way.
//!
//! A ring carries what its peer says in the header: messages, which go to the services as those of
//! a message queue do, or bytes, which go back as they came. The peer is not trusted: what it
//! writes is checked by `shared-ring` at each step, and what is wrong closes this ring and nothing
//! else, with a log line that names peer, field and value. The doorbell says "look" and nothing
//! more, so its flags are never received: one hypercall less for each message.
//!
//! | file | what lives there |
//! |---|---|
//! | `channel.rs` | one ring from the first header of its peer to its end |
//! | `registry.rs` | which rings there are, and which doorbells belong to them |
//! | `link.rs` | its two halves, as a transport of messages and a stream of bytes |
//! | `memory.rs` | the pages and the bell under it |
//! | `kicks.rs` | a doorbell that only wakes |

mod channel;
mod kicks;
mod link;
mod memory;
mod registry;

pub use channel::{Counts, RingChannel, RingEnd, RingState};
pub use memory::Unfit;
pub use registry::{Bells, Rings};
