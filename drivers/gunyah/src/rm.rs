//! The Resource Manager: client, console, and the path that panics take.
//!
//! | file | what |
//! |---|---|
//! | [`packet`] | cutting messages into packets and putting them together again |
//! | [`client`] | [`ResourceManager`]: one outstanding request, the receive queue always drained |
//! | [`requests`] | the requests as typed calls |
//! | [`notification`] | who gets notifications |
//! | [`console`] | the VM's console over `embedded-io` traits |
//! | [`crash`] | last words: no lock, no allocation, no reply awaited |
//!
//! The protocol itself is described in [`gunyah_abi::rm`].

pub mod client;
pub mod console;
pub mod crash;
pub mod error;
pub mod notification;
pub mod packet;
pub mod requests;

pub use client::{ResourceManager, Timer};
pub use console::{ConsoleInput, RmConsole};
pub use crash::CrashChannel;
pub use error::RequestError;
pub use notification::{Claim, Notification, NotificationHandler};
pub use requests::{Resource, VmIdentity, VmStatus};
