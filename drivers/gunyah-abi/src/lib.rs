//! Numbers, error codes and wire layouts of the Gunyah hypervisor and its Resource Manager.
#![cfg_attr(not(test), no_std)]
