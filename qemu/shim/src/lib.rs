//! A hypervisor in miniature: Gunyah's guest interface at EL2 under stock QEMU.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

pub mod channel;
pub mod exit;
#[cfg(test)]
mod fake;
pub mod fault;
pub mod firmware;
pub mod guest_log;
pub mod hypercall;
pub mod machine;
pub mod machine_file;
pub mod object;
pub mod pages;
pub mod peer;
pub mod random;
pub mod rm;
pub mod rtc;
pub mod seam;
pub mod serial;
pub mod uart;
pub mod vgic;
pub mod vm;
