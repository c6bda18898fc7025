//! A hypervisor in miniature: Gunyah's guest interface at EL2 under stock QEMU.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

#[cfg(test)]
mod fake;
pub mod machine_file;
pub mod object;
pub mod seam;
pub mod vgic;
pub mod vm;
