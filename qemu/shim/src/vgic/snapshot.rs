//! What the state of the interrupts looks like to people.

use core::fmt;

use super::{Vgic, bank::Bank, bank::bits_of, distributor::SPI_START};

/// The state of one interrupt, apart from what list registers hold while the guest runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InterruptState {
    /// The INTID.
    pub intid: u32,
    /// Enabled by the guest.
    pub enabled: bool,
    /// Pending, by an edge, a line, software or a physical interrupt.
    pub pending: bool,
    /// Taken and not yet deactivated.
    pub active: bool,
    /// Edge-triggered rather than level-sensitive.
    pub edge: bool,
    /// Group 1 rather than group 0.
    pub group1: bool,
    /// Priority, lower is more urgent.
    pub priority: u8,
    /// The vCPU it goes to; `None` if its route names none.
    pub target: Option<usize>,
}

impl fmt::Display for InterruptState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trigger = if self.edge { "edge" } else { "level" };
        let group = if self.group1 { 1 } else { 0 };
        write!(
            f,
            "INTID {}: {trigger}, group {group}, priority {:#04x}",
            self.intid, self.priority
        )?;
        f.write_str(if self.enabled { ", enabled" } else { ", disabled" })?;
        if self.pending {
            f.write_str(", pending")?;
        }
        if self.active {
            f.write_str(", active")?;
        }
        match self.target {
            Some(vcpu) => write!(f, ", to vCPU {vcpu}"),
            None => f.write_str(", to no vCPU"),
        }
    }
}

impl Vgic {
    /// The state of one interrupt as `vcpu` sees it. `None`: there is no such vCPU or INTID.
    pub fn interrupt(&self, vcpu: usize, intid: u32) -> Option<InterruptState> {
        let this = self.vcpus.get(vcpu)?;
        if intid < SPI_START {
            Some(state(&this.gicr.bank, intid, 1 << intid, Some(vcpu)))
        } else {
            let (bank, bit) = self.gicd.bank(intid)?;
            Some(state(bank, intid, bit, self.gicd.target(intid)))
        }
    }

    /// The interrupts that are enabled, pending or active, as `vcpu` sees them, by rising INTID.
    pub fn snapshot(&self, vcpu: usize) -> impl Iterator<Item = InterruptState> {
        let private = self.vcpus.get(vcpu).map(|this| (0, &this.gicr.bank));
        private.into_iter().chain(self.gicd.banks()).flat_map(move |(first, bank)| {
            bits_of(bank.enabled | bank.pending() | bank.active)
                .filter_map(move |bit| self.interrupt(vcpu, first + bit))
        })
    }
}

fn state(bank: &Bank, intid: u32, bit: u32, target: Option<usize>) -> InterruptState {
    InterruptState {
        intid,
        enabled: bank.enabled & bit != 0,
        pending: bank.pending() & bit != 0,
        active: bank.active & bit != 0,
        edge: bank.edge & bit != 0,
        group1: bank.group1 & bit != 0,
        priority: bank.priority.get(bit.trailing_zeros() as usize).copied().unwrap_or(0),
        target,
    }
}
