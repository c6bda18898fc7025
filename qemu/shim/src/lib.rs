//! A hypervisor in miniature: Gunyah's guest interface at EL2 under stock QEMU.
#![cfg_attr(not(test), no_std)]
