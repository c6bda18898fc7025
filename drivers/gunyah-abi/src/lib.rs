//! Numbers, error codes and wire layouts of Gunyah and its Resource Manager.
//!
//! Both sides of the interface use this crate: the guest, and the emulation of the hypervisor it is tested on. It has no
//! behaviour of its own, no `unsafe` and no allocation. Each module begins with the facts its users rely on, gathered from
//! the open-source hypervisor and Resource Manager of 12/2023, their documents, and observation of both running.
//!
//! | module | what |
//! |---|---|
//! | [`hypercall`] | numbers, the two calling forms, register rules |
//! | [`error`] | what a hypercall answers |
//! | [`capability`] | ids and rights |
//! | [`identity`] | UIDs, `hyp_identify` |
//! | [`message_queue`], [`doorbell`] | what these objects do |
//! | [`rm`] | the Resource Manager's protocol |
//! | [`psci`] | PSCI and TRNG |
//! | [`boot`], [`compatible`] | how a VM starts, what its device tree says |
//!
//! # Examples
//!
//! Composing the request that opens a VM's own console:
//!
//! ```
//! use gunyah_abi::rm::{MessageId, PacketHeader, PacketType, SELF_VMID, payload::VmidRequest};
//! use zerocopy::IntoBytes;
//!
//! let header = PacketHeader::new(PacketType::Request, 0, 2, MessageId::CONSOLE_OPEN);
//! let content = VmidRequest::new(SELF_VMID);
//! let packet = [header.as_bytes(), content.as_bytes()].concat();
//! assert_eq!(packet, [0x21, 1, 2, 0, 0x81, 0, 0, 0x56, 0, 0, 0, 0]);
//! ```
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod boot;
pub mod capability;
pub mod compatible;
pub mod doorbell;
pub mod error;
pub mod hypercall;
pub mod identity;
mod macros;
pub mod message_queue;
pub mod psci;
pub mod rm;

pub use capability::CapabilityId;
pub use error::Error;
pub use hypercall::Hypercall;
