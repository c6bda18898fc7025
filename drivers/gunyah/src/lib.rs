//! The guest side of Gunyah: hypercalls, message queues, doorbells, Resource Manager client and console.
#![cfg_attr(not(test), no_std)]
