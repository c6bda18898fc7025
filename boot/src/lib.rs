//! From the first instruction to Rust: image header, entry, relocation, first page table, vectors.
#![cfg_attr(not(test), no_std)]
