//! The unikernel: device tree, memory, interrupts, time, tasks, console, services.
#![cfg_attr(not(test), no_std)]
