//! The unikernel: device tree, memory, interrupts, time, tasks, console, services.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

pub mod crash;
pub mod dt;
pub mod memory;
pub mod log;
pub mod shell;
pub mod task;
pub mod time;
