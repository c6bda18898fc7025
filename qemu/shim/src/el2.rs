//! The part of the shim that needs EL2.
//!
//! | file | what |
//! |---|---|
//! | `entry` | first instructions, own vectors |
//! | `vcpu` | registers of the guest, the switch there and back |
//! | `run` | the run loop: why the guest stopped, and what follows |
//! | `devices` | physical interrupts, the serial line, time, and the guest's interrupt controller |
//! | `stage2`, `memory` | the guest's memory, mapped and reached through the guest's own tables |
//! | `gic`, `uart`, `semihosting`, `clock` | QEMU's hardware |
//! | `counter` | counting and tracing what the guest does |
//! | `start`, `heap`, `log` | the machine file, and what Rust needs |

pub mod clock;
pub mod counter;
pub mod devices;
pub mod entry;
pub mod gic;
pub mod heap;
pub mod log;
pub mod memory;
pub mod run;
pub mod semihosting;
pub mod stage2;
pub mod start;
pub mod uart;
pub mod vcpu;

/// Exit status of a machine or image that cannot be started.
pub const EXIT_ERROR: u8 = 4;
/// Exit status of a crash of the shim itself.
pub const EXIT_CRASH: u8 = 6;
