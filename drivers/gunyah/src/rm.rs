//! The Resource Manager: client, console, and the path that panics take.
//!
//! | file | what |
//! |---|---|
//! | [`packet`] | cutting messages into packets and putting them together again |
//! | [`client`] | [`ResourceManager`]: one outstanding request, the receive queue always drained |
//! | [`requests`] | the requests as typed calls |
//! | [`memory`] | the requests about memory parcels |
//! | [`notification`] | who gets notifications |
//! | [`event`] | notifications as typed events, and a queue of them for each subscriber |
//! | [`console`] | the VM's console over `embedded-io` traits |
//! | [`crash`] | last words: no lock, no allocation, no reply awaited |
//!
//! The protocol itself is described in [`gunyah_abi::rm`].

pub mod client;
pub mod console;
pub mod crash;
pub mod error;
pub mod event;
pub mod memory;
pub mod notification;
pub mod packet;
pub mod requests;

pub use client::{ResourceManager, Timer};
pub use console::{ConsoleInput, RmConsole};
pub use crash::CrashChannel;
pub use error::RequestError;
pub use event::{Event, Events, Received, SharedMemory};
pub use memory::{AcceptMemory, MemHandle, MemoryRange};
pub use notification::{Claim, Notification, NotificationHandler};
pub use requests::{Resource, VmIdentity, VmStatus};
