//! Fakes of the seams, one instance a test.

use alloc::vec::Vec;

use crate::seam::{Virq, VirtualInterrupts};
use crate::vm::VmIndex;

/// What an object did to its interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Assert(u32),
    Edge(u32),
    Clear(u32),
}

/// Records signals in order.
#[derive(Debug, Default)]
pub struct Signals(Vec<Signal>);

impl Signals {
    pub fn take(&mut self) -> Vec<Signal> {
        core::mem::take(&mut self.0)
    }
}

impl VirtualInterrupts for Signals {
    fn assert(&mut self, virq: Virq) {
        self.0.push(Signal::Assert(virq.intid));
    }

    fn assert_edge(&mut self, virq: Virq) {
        self.0.push(Signal::Edge(virq.intid));
    }

    fn clear(&mut self, virq: Virq) {
        self.0.push(Signal::Clear(virq.intid));
    }
}

/// An interrupt of the first VM.
pub fn virq(intid: u32) -> Virq {
    Virq {
        vm: VmIndex(0),
        intid,
    }
}
