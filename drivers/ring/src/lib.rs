//! A byte and message ring over one buffer that two VMs share, and a pair of doorbells.
//!
//! | item | what |
//! |---|---|
//! | [`Ring::attach`] | begins a session and makes the two halves |
//! | [`Producer`], [`Consumer`] | the halves, one for each direction; calls return at once |
//! | [`AsyncProducer`], [`AsyncConsumer`], [`Wakers`] | the halves for tasks, woken by the doorbell's interrupt |
//! | [`Blocking`] | the halves behind the blocking `embedded_io` traits |
//! | [`Memory`], [`RawMemory`], [`Bell`] | what a user provides: the buffer and the other side's doorbell |
//!
//! The other side is not trusted. What it writes is read once, checked, then used; what is wrong closes the half that
//! found it, with [`RingError::Corrupt`], and does nothing else. The layout of the buffer, the handshake and the sleep
//! protocol are in the project's ARCHITECTURE.md.
#![cfg_attr(not(test), no_std)]

mod blocking;
mod copy;
mod error;
mod input;
mod layout;
mod link;
mod memory;
mod output;
mod ring;
mod sync;
mod waiting;

pub use blocking::Blocking;
pub use error::{Field, RingError};
pub use layout::{MAGIC, MINIMUM_SIZE, Mode, Modes, Side, VERSION, capacity_of};
pub use memory::{Memory, RawMemory};
pub use ring::{Bell, Consumer, Halves, Producer, Ring};
pub use waiting::{AsyncConsumer, AsyncProducer, Wakers};
