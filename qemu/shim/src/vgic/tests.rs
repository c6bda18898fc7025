//! The virtual GIC, mostly against a model of the virtual CPU interface.

mod arm_gic;
mod cpu;
mod crowd;
mod frames;
mod hw;
mod life;
mod random;
mod sgi;
