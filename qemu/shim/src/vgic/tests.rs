//! Tests of the virtual GIC, most of them against a model of the virtual CPU interface.

mod arm_gic;
mod cpu;
mod crowd;
mod frames;
mod hw;
mod life;
mod random;
mod sgi;
