//! Services for other VMs: what answers on doorbells, message queues and rings.
//!
//! A [`Service`] is a file of its own: a number, a name, what it is bound to, and an async `serve`
//! that gets a decoded request and a way to reply. The [`Directory`] knows all of them; a
//! [`Channel`] serves those that are offered to one peer, over any [`Transport`]. Those that are
//! shipped are in [`shipped`].
//!
//! A channel that no service is bound to is raw: what comes is sent back ([`mod@echo`]). Doorbells
//! carry no messages and have a service of their own ([`doorbell`]).

mod channel;
mod directory;
pub mod doorbell;
pub mod echo;
mod keep;
mod reply;
mod service;
mod serving;
mod session;
pub mod shipped;
#[cfg(test)]
pub(crate) mod testing;
mod transport;

pub use channel::{Channel, ChannelError, Defect, Identity, Medium};
pub use directory::{AnyService, Counts, Directory, Offer, SERVICES_LABEL};
pub use doorbell::{BellService, BellSource};
pub use echo::echo;
pub use keep::keep;
pub use reply::{List, Reply};
pub use service::{Answer, Binding, Done, Refusal, Service};
pub use serving::{identity, serve_bell, serve_queue};
pub use session::serve_channel;
pub use transport::{Limits, QueuePair, Transport, TransportError};
