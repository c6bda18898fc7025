//! Faults of the hypervisor that a script plans: interrupts and hypercalls.

use alloc::vec::Vec;

use gunyah_abi::{Error, Hypercall};

use crate::hypercall::Answer;
use crate::seam::{Virq, VirtualInterrupts};

/// Something that goes wrong with an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterruptFault {
    /// It is not raised.
    Lose,
    /// It is raised once more when the machine next gets its turn.
    Double,
}

/// Faults that wait for their interrupts.
#[derive(Debug, Default)]
pub struct InterruptFaults {
    planned: Vec<(Virq, InterruptFault, u64)>,
    again: Vec<Virq>,
}

/// The virtual GICs as objects see them while faults wait.
pub struct Faulty<'a> {
    /// The faults.
    pub faults: &'a mut InterruptFaults,
    interrupts: &'a mut dyn VirtualInterrupts,
}

impl InterruptFaults {
    /// The next `count` times that the interrupt is raised suffer `fault`, after those planned before.
    pub fn plan(&mut self, virq: Virq, fault: InterruptFault, count: u64) {
        self.planned.push((virq, fault, count));
    }

    /// Puts the faults in front of the virtual GICs.
    pub fn wrap<'a>(&'a mut self, interrupts: &'a mut dyn VirtualInterrupts) -> Faulty<'a> {
        Faulty { faults: self, interrupts }
    }

    /// Raises the interrupts that are to come twice.
    pub fn raise_again(&mut self, interrupts: &mut dyn VirtualInterrupts) {
        self.again.drain(..).for_each(|virq| interrupts.assert_edge(virq));
    }

    fn take(&mut self, virq: Virq) -> Option<InterruptFault> {
        self.planned.retain(|(_, _, left)| *left > 0);
        let planned = self.planned.iter_mut().find(|(planned, ..)| *planned == virq)?;
        planned.2 -= 1;
        log::info!("fault with INTID {}: {:?}", virq.intid, planned.1);
        Some(planned.1)
    }
}

impl Faulty<'_> {
    fn raise(&mut self, virq: Virq, raise: fn(&mut dyn VirtualInterrupts, Virq)) {
        match self.faults.take(virq) {
            Some(InterruptFault::Lose) => return,
            Some(InterruptFault::Double) => self.faults.again.push(virq),
            None => {}
        }
        raise(self.interrupts, virq);
    }
}

impl VirtualInterrupts for Faulty<'_> {
    fn assert(&mut self, virq: Virq) {
        self.raise(virq, |interrupts, virq| interrupts.assert(virq));
    }

    fn assert_edge(&mut self, virq: Virq) {
        self.raise(virq, |interrupts, virq| interrupts.assert_edge(virq));
    }

    fn clear(&mut self, virq: Virq) {
        self.interrupts.clear(virq);
    }
}

/// Hypercalls that are to answer an error.
#[derive(Debug, Default)]
pub struct HypercallFaults(Vec<(Hypercall, Error, u64)>);

impl HypercallFaults {
    /// The next `count` calls answer `error` and do nothing, after those planned before.
    pub fn plan(&mut self, hypercall: Hypercall, error: Error, count: u64) {
        self.0.push((hypercall, error, count));
    }

    /// Forgets the faults of a hypercall.
    pub fn clear(&mut self, hypercall: Hypercall) {
        self.0.retain(|(planned, ..)| *planned != hypercall);
    }

    /// What a call that is made now answers instead of its own.
    pub fn take(&mut self, hypercall: Hypercall) -> Option<Answer> {
        if self.0.is_empty() {
            return None;
        }
        self.0.retain(|(_, _, left)| *left > 0);
        let (_, error, left) = self.0.iter_mut().find(|(planned, ..)| *planned == hypercall)?;
        *left -= 1;
        log::info!("fault with {hypercall}: {error}");
        Some(Answer::error(*error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Signal, Signals, virq};

    #[test]
    fn interrupts_are_lost_then_doubled_then_well() {
        let (mut faults, mut signals) = (InterruptFaults::default(), Signals::default());
        faults.plan(virq(960), InterruptFault::Lose, 2);
        faults.plan(virq(960), InterruptFault::Double, 1);
        let mut faulty = faults.wrap(&mut signals);
        for _ in 0..2 {
            faulty.assert(virq(960));
        }
        faulty.assert(virq(961));
        faulty.assert(virq(960));
        faulty.clear(virq(960));
        faulty.assert_edge(virq(960));
        assert_eq!(
            signals.take(),
            [Signal::Assert(961), Signal::Assert(960), Signal::Clear(960), Signal::Edge(960)]
        );
        faults.raise_again(&mut signals);
        faults.raise_again(&mut signals);
        assert_eq!(signals.take(), [Signal::Edge(960)]);
    }

    #[test]
    fn a_call_answers_what_is_planned_for_it() {
        let mut faults = HypercallFaults::default();
        let (send, receive) = (Hypercall::MsgqueueSend, Hypercall::MsgqueueReceive);
        faults.plan(send, Error::Busy, 1);
        faults.plan(receive, Error::Retry, u64::MAX);
        assert_eq!(faults.take(send), Some(Answer::error(Error::Busy)));
        assert_eq!(faults.take(send), None);
        assert_eq!(faults.take(receive), Some(Answer::error(Error::Retry)));
        faults.clear(receive);
        assert_eq!(faults.take(receive), None);
    }
}
