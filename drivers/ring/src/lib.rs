//! A byte and message ring over a buffer that two VMs share, and two doorbells.
//!
//! | item | what |
//! |---|---|
//! | [`Ring::attach`] | begins a session and makes the two halves |
//! | [`Ring::peer`] | what the other side says, for who serves bytes and messages |
//! | [`Producer`], [`Consumer`] | the halves, one for each direction; calls return at once |
//! | [`AsyncProducer`], [`AsyncConsumer`], [`Wakers`] | the halves for tasks, woken by the doorbell's interrupt |
//! | [`Blocking`] | the halves behind the blocking `embedded_io` traits |
//! | [`Memory`], [`RawMemory`], [`Bell`] | what a user provides: the buffer and the other side's doorbell |
//!
//! The other side is not trusted. What it writes is read once, checked, then used; what is wrong closes the half that
//! found it, with [`RingError::Corrupt`], and does nothing else. Bytes that nobody here looks at go on without a private
//! copy, by [`Consumer::forward`]. The layout of the buffer, the handshake and the sleep protocol are in the project's
//! ARCHITECTURE.md.
//!
//! # Examples
//!
//! Two VMs, played by two tasks; the bell of each wakes the other's halves, as its interrupt handler would.
//!
//! ```
//! use core::sync::atomic::AtomicU64;
//! use embassy_futures::{block_on, join::join};
//! use shared_ring::{Bell, Modes, Ring, RingError, Side, Wakers};
//!
//! #[repr(align(64))]
//! struct Buffer([AtomicU64; 512]);
//! let buffer = Buffer([const { AtomicU64::new(0) }; 512]);
//!
//! struct Doorbell<'a>(&'a Wakers);
//! impl Bell for Doorbell<'_> {
//!     fn ring(&self) {
//!         self.0.on_bell();
//!     }
//! }
//! let (server, client) = (Wakers::new(), Wakers::new());
//! let (to_server, to_client) = (Doorbell(&server), Doorbell(&client));
//!
//! let serve = async {
//!     let (producer, consumer) =
//!         Ring::attach(&buffer.0[..], Side::First, Modes::MESSAGES, &to_client)?;
//!     let (mut producer, mut consumer) = (producer.into_async(&server), consumer.into_async(&server));
//!     let mut request = [0; 64];
//!     let length = consumer.receive(&mut request).await?;
//!     request[..length].make_ascii_uppercase();
//!     producer.send(&request[..length]).await?;
//!     producer.drained().await
//! };
//! let ask = async {
//!     let (producer, consumer) =
//!         Ring::attach(&buffer.0[..], Side::Second, Modes::MESSAGES, &to_server)?;
//!     let (mut producer, mut consumer) = (producer.into_async(&client), consumer.into_async(&client));
//!     producer.send(b"billy").await?;
//!     let mut reply = [0; 64];
//!     let length = consumer.receive(&mut reply).await?;
//!     assert_eq!(&reply[..length], b"BILLY");
//!     Ok::<_, RingError>(())
//! };
//! let (served, asked) = block_on(join(serve, ask));
//! served.and(asked)?;
//! # Ok::<_, RingError>(())
//! ```
//!
//! # Restarts
//!
//! Each half tells of a restart of the other side by itself, once, with [`RingError::PeerReset`]. Who answers requests
//! compares sessions: when [`Producer::try_send`] refuses a reply with a session that [`Consumer::peer_session`] already
//! had when the request came in, the reply is for the new peer, and is sent again; otherwise it is dropped.
#![cfg_attr(not(test), no_std)]

mod blocking;
mod copy;
mod error;
mod forward;
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
