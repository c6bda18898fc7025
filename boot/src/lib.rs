//! From the first instruction to Rust.
//!
//! | file | what happens there |
//! |---|---|
//! | `entry.rs` | arm64 Image header, first page table, MMU on, relocation, BSS, stacks |
//! | `vectors.rs` | exception vectors, the saved [`ExceptionFrame`] |
//! | `mem.rs` | `memcpy` and `memset` |
//! | `layout.rs` | where the linker put things, and a fake twin for host tests |
//!
//! It ends with a [`BootInfo`] handed to `kernel_main`. There is nothing of Gunyah in here, and
//! nothing that allocates. The kernel supplies four symbols: `kernel_main`, `handle_interrupt`,
//! `handle_synchronous` and `handle_fatal`, see [`vectors`].
//!
//! The code runs on `SP_EL0` and exceptions are taken on `SP_EL1`: a handler has a stack of its
//! own, so that an overflow of the main stack can still be reported.
#![cfg_attr(not(test), no_std)]

#[cfg(all(target_arch = "aarch64", target_os = "none"))]
pub mod entry;
pub mod layout;
#[cfg(all(target_arch = "aarch64", target_os = "none"))]
mod mem;
pub mod vectors;

pub use layout::Layout;
pub use vectors::ExceptionFrame;

/// What the entry code found, handed to `kernel_main`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootInfo {
    /// The value of x0 at entry: by the arm64 boot protocol, the address of the device tree.
    pub tree: u64,
    /// The exception level of the first instruction, 1 or 2. The kernel always runs at EL1.
    pub entry_level: u64,
}
