//! Doorbells: 64 flags, an enable and an acknowledge mask, a vIRQ source.

use crate::seam::{Virq, VirtualInterrupts};

/// A doorbell.
#[derive(Debug)]
pub struct Doorbell {
    /// The receiver's interrupt.
    pub virq: Option<Virq>,
    flags: u64,
    enable: u64,
    acknowledge: u64,
    sends: u64,
}

impl Default for Doorbell {
    fn default() -> Self {
        Self::new(None)
    }
}

impl Doorbell {
    /// A doorbell with no flag set and every flag enabled.
    #[must_use]
    pub fn new(virq: Option<Virq>) -> Self {
        Self { virq, flags: 0, enable: u64::MAX, acknowledge: 0, sends: 0 }
    }

    /// Sets flags and raises the interrupt; returns the flags before.
    ///
    /// Today's hypervisor raises an edge even if no enabled flag is set, so `flags` may be 0.
    pub fn send(&mut self, flags: u64, interrupts: &mut dyn VirtualInterrupts) -> u64 {
        let before = self.flags;
        self.sends += 1;
        self.flags |= flags;
        if self.is_pending() {
            self.raise(interrupts);
        } else if let Some(virq) = self.virq {
            interrupts.assert_edge(virq);
        }
        before
    }

    /// Clears flags; returns all flags before, masked or not. A level source falls when it is checked at EOI.
    pub fn receive(&mut self, clear: u64) -> u64 {
        let before = self.flags;
        self.flags &= !clear;
        before
    }

    /// Sets both masks; raises or drops the interrupt if that changes whether an enabled flag is set.
    pub fn mask(&mut self, enable: u64, acknowledge: u64, interrupts: &mut dyn VirtualInterrupts) {
        let was_pending = self.is_pending();
        self.enable = enable;
        self.acknowledge = acknowledge;
        if self.is_pending() && !was_pending {
            self.raise(interrupts);
        } else if !self.is_pending() && was_pending {
            self.drop_interrupt(interrupts);
        }
    }

    /// Drops the interrupt and returns flags and masks to their reset values.
    pub fn reset(&mut self, interrupts: &mut dyn VirtualInterrupts) {
        self.drop_interrupt(interrupts);
        self.restart();
    }

    /// Whether the source is pending, for level interrupts.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.flags & self.enable != 0
    }

    /// The flags, without receiving them.
    #[must_use]
    pub fn flags(&self) -> u64 {
        self.flags
    }

    /// How often the doorbell was rung since the machine started.
    #[must_use]
    pub fn sends(&self) -> u64 {
        self.sends
    }

    /// Returns to the state at creation, without interrupts; the count of sends goes on.
    pub fn restart(&mut self) {
        self.flags = 0;
        self.enable = u64::MAX;
        self.acknowledge = 0;
    }

    fn raise(&mut self, interrupts: &mut dyn VirtualInterrupts) {
        if let Some(virq) = self.virq {
            interrupts.assert(virq);
        }
        self.flags &= !self.acknowledge;
    }

    fn drop_interrupt(&mut self, interrupts: &mut dyn VirtualInterrupts) {
        if let Some(virq) = self.virq {
            interrupts.clear(virq);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Signal, Signals, virq};

    fn bell() -> (Doorbell, Signals) {
        (Doorbell::new(Some(virq(962))), Signals::default())
    }

    #[test]
    fn send_accumulates_flags_and_fires_each_time() {
        let (mut bell, mut signals) = bell();
        assert_eq!(bell.send(1, &mut signals), 0);
        assert_eq!(bell.send(0x100, &mut signals), 1);
        assert_eq!(bell.send(1, &mut signals), 0x101);
        assert_eq!(signals.take(), [Signal::Assert(962); 3]);
        assert_eq!(bell.receive(u64::MAX), 0x101);
        assert_eq!(bell.receive(u64::MAX), 0);
        assert_eq!(bell.sends(), 3);
    }

    #[test]
    fn flags_of_zero_and_masked_flags_give_an_edge_only() {
        let (mut bell, mut signals) = bell();
        bell.send(0, &mut signals);
        bell.mask(0xf0, 0, &mut signals);
        bell.send(1, &mut signals);
        assert_eq!(signals.take(), [Signal::Edge(962); 2]);
        assert!(!bell.is_pending());
        assert_eq!(bell.receive(1), 1);
    }

    #[test]
    fn masking_drops_the_level_and_unmasking_raises_it_again() {
        let (mut bell, mut signals) = bell();
        bell.send(3, &mut signals);
        bell.mask(0xc, 0, &mut signals);
        assert!(!bell.is_pending());
        bell.mask(0x2, 0, &mut signals);
        bell.mask(0x3, 0, &mut signals);
        assert_eq!(signals.take(), [Signal::Assert(962), Signal::Clear(962), Signal::Assert(962)]);
        assert_eq!(bell.flags(), 3);
    }

    #[test]
    fn acknowledged_flags_clear_themselves() {
        let (mut bell, mut signals) = bell();
        bell.mask(u64::MAX, 0x1, &mut signals);
        assert_eq!(bell.send(0x3, &mut signals), 0);
        assert_eq!(bell.send(0x1, &mut signals), 0x2);
        assert_eq!(signals.take(), [Signal::Assert(962); 2]);
        assert_eq!(bell.flags(), 0x2);
    }

    #[test]
    fn unmasking_acknowledges_too() {
        let (mut bell, mut signals) = bell();
        bell.mask(0, 0, &mut signals);
        bell.send(0x7, &mut signals);
        bell.mask(0x1, 0x3, &mut signals);
        assert_eq!(bell.flags(), 0x4);
        assert_eq!(signals.take(), [Signal::Edge(962), Signal::Assert(962)]);
    }

    #[test]
    fn reset_returns_masks_and_flags() {
        let (mut bell, mut signals) = bell();
        bell.mask(0, 1, &mut signals);
        bell.send(1, &mut signals);
        bell.reset(&mut signals);
        assert_eq!(signals.take(), [Signal::Edge(962), Signal::Clear(962)]);
        assert_eq!(bell.flags(), 0);
        bell.send(1, &mut signals);
        assert_eq!(signals.take(), [Signal::Assert(962)]);
        assert_eq!(bell.flags(), 1);
    }

    #[test]
    fn a_source_without_an_interrupt_is_silent() {
        let mut signals = Signals::default();
        let mut bell = Doorbell::default();
        bell.send(1, &mut signals);
        bell.reset(&mut signals);
        assert!(signals.take().is_empty());
    }
}
