//! The guest's side of Gunyah: hypercalls, queues, doorbells, RM's client.
//!
//! | module | what |
//! |---|---|
//! | [`hypercalls`] | the seam to the hypervisor, and finding out who it is |
//! | [`queue`] | async message queues that lose nothing and never poll |
//! | [`doorbell`] | doorbells in edge and level mode |
//! | [`rm`] | Resource Manager client, console, last words of a panic |
//! | `fake` | a hypervisor and Resource Manager for tests (feature `fake`) |
//!
//! The crate knows no kernel. It needs from one: interrupt handlers that call `on_interrupt`, an executor, a
//! `critical-section` implementation, a heap, and a [`rm::Timer`]. What the other side does is told in [`gunyah_abi`].
//!
//! # Examples
//!
//! A guest asks the Resource Manager for its VMID, here a fake one:
//!
//! ```
//! use gunyah::fake::{RmSetup, Tasks};
//!
//! let mut setup = RmSetup::new();
//! let client = setup.client().unwrap();
//! let mut tasks = Tasks::new();
//! tasks.spawn(async { panic!("RM's queue failed: {}", client.run().await) });
//! let asked = tasks.spawn(async { assert_eq!(client.vmid().await, Ok(0x80)) });
//! setup.settle(&client, &mut tasks);
//! assert!(tasks.is_done(asked));
//! ```
#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod counter;
pub mod doorbell;
#[cfg(any(test, feature = "fake"))]
pub mod fake;
pub mod hypercalls;
pub mod queue;
pub mod rm;
mod turn;
mod waiter;
