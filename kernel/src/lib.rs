//! The unikernel: tree, memory, interrupts, time, tasks, console, services.
//!
//! | module | what lives there |
//! |---|---|
//! | [`dt`] | the device tree, turned into one plain [`dt::Platform`]; nothing else sees the tree |
//! | [`memory`] | what is mapped how, and the heap |
//! | [`interrupts`] | who handles which INTID; the GIC |
//! | [`time`], [`task`] | the timer queue and the cooperative scheduler |
//! | [`log`] | the log ring, which outlives a crash |
//! | [`names`] | names that outlive what bore them |
//! | [`rings`] | channels to other VMs through shared memory |
//! | [`sharing`] | follows what the Resource Manager tells of shared memory |
//! | [`channels`] | every doorbell, message queue and shared buffer there is right now |
//! | [`services`] | what answers other VMs |
//! | [`watch`] | a look, with a sign of life, whether an interrupt was lost |
//! | [`watched`] | a value that tasks can wait for |
//! | [`ending`] | the end in order |
//! | [`system`], [`shell`] | what was found, and the console that shows it |
//! | [`trace`] | the last interrupts, hypercalls, wakes and polls |
//! | [`crash`] | crash reports as text |
//!
//! All of that is plain Rust that runs in host tests. The rest needs the machine: `start` and
//! `run` tell the boot story, `hardware`, `critical` and `power` are its instructions and
//! registers, `fp` a check of theirs, `last_words` its end by panic, `probe` a try of what may be missing, `provoke` the panics to be had on request,
//! `debugger` what a debugger starts from.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

pub mod channels;
pub mod console;
pub mod crash;
pub mod ending;
pub mod interrupts;
pub mod log;
pub mod memory;
pub mod names;
pub mod rings;
pub mod services;
pub mod sharing;
pub mod shell;
pub mod sorted;
pub mod system;
pub mod task;
pub mod time;
pub mod trace;
pub mod watch;
pub mod watched;

pub use billy_dt as dt;

#[cfg(target_os = "none")]
pub mod critical;
#[cfg(target_os = "none")]
pub mod debugger;
#[cfg(target_os = "none")]
pub mod fp;
#[cfg(target_os = "none")]
pub mod hardware;
#[cfg(target_os = "none")]
pub mod last_words;
#[cfg(target_os = "none")]
pub mod power;
#[cfg(target_os = "none")]
pub mod probe;
#[cfg(target_os = "none")]
pub mod provoke;
#[cfg(target_os = "none")]
pub mod run;
#[cfg(target_os = "none")]
pub mod start;
