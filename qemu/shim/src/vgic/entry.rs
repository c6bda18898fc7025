//! Filling the list registers before the guest runs, reading them after it.

use super::{
    Vgic,
    bank::{Bank, bits_of},
    list::{self, HCR_EN, HCR_EOI_COUNT_SHIFT, ListRegister, MAX_LIST_REGISTERS, Selection},
};

/// What a vCPU's list registers held when it was last entered.
#[derive(Debug, Default)]
pub(super) struct ListRecord {
    entered: [ListRegister; MAX_LIST_REGISTERS],
    /// Bit n: `entered[n]` holds an interrupt.
    used: u32,
}

impl Vgic {
    /// Chooses what the list registers of `vcpu` hold for its next run, and returns ICH_HCR_EL2.
    ///
    /// All of `lrs` is written; copy it to `ICH_LR<n>_EL2`, and the returned value, to which own trap
    /// bits may be added, to ICH_HCR_EL2. It asks for a maintenance interrupt where not all
    /// interrupts found room.
    ///
    /// `still_pending` is asked, for an INTID the guest configured level-sensitive and whose source
    /// asserted it earlier, whether that source would still assert it. `None` leaves the line as it is.
    pub fn before_entry(
        &mut self,
        vcpu: usize,
        lrs: &mut [u64],
        mut still_pending: impl FnMut(u32) -> Option<bool>,
    ) -> u64 {
        if self.vcpus.get(vcpu).is_some_and(|vcpu| vcpu.list.used != 0) {
            self.after_exit(vcpu, lrs, 0);
        }
        lrs.fill(0);

        let groups = self.gicd.groups();
        let Some(this) = self.vcpus.get_mut(vcpu).filter(|vcpu| !vcpu.gicr.is_asleep()) else {
            return HCR_EN;
        };
        let mut selection = Selection::new(self.config.list_registers.min(lrs.len()));
        this.gicr.bank.recheck_lines(0, &mut still_pending);
        selection.enter_bank(0, &this.gicr.bank, groups, |_, _| true);
        self.gicd.sweep(|first, bank| bank.recheck_lines(first, &mut still_pending));
        for (first, bank) in self.gicd.busy_banks() {
            selection.enter_bank(first, bank, groups, |bit, active| {
                if active {
                    holder(bank, bit) == Some(vcpu)
                } else {
                    self.gicd.target(first + bit) == Some(vcpu)
                }
            });
        }

        for (index, (candidate, slot)) in selection.chosen().zip(lrs).enumerate() {
            let mut listed = ListRegister::default();
            self.with_bank(vcpu, candidate.intid, |bank, _| {
                listed = list::enlist(bank, candidate.intid, groups);
            });
            *slot = listed.0;
            if let Some(record) = self.vcpus.get_mut(vcpu).map(|vcpu| &mut vcpu.list)
                && let Some(entered) = record.entered.get_mut(index)
            {
                *entered = listed;
                record.used |= 1 << index;
            }
        }
        selection.hcr()
    }

    /// Takes over what became of the listed interrupts while the guest ran.
    ///
    /// `lrs` is read from `ICH_LR<n>_EL2` and `hcr` from ICH_HCR_EL2. It comes first after every exit:
    /// before MMIO of the guest is emulated and before interrupts are asserted.
    pub fn after_exit(&mut self, vcpu: usize, lrs: &[u64], hcr: u64) {
        let Some(record) = self.vcpus.get_mut(vcpu).map(|vcpu| &mut vcpu.list) else {
            return;
        };
        let eoi_count = hcr >> HCR_EOI_COUNT_SHIFT & 0x1F;
        if record.used == 0 && eoi_count == 0 {
            return;
        }
        let entered = record.entered;
        let used = core::mem::take(&mut record.used);
        // Interrupts ended without a list register were active before, so find them first.
        for _ in 0..eoi_count {
            self.end_most_urgent(vcpu);
        }
        for (index, was) in entered.into_iter().enumerate() {
            if used & (1 << index) != 0 {
                let now = lrs.get(index).map_or(was, |value| ListRegister(*value));
                self.with_bank(vcpu, was.intid(), |bank, _| list::delist(bank, was, now, vcpu));
            }
        }
    }

    /// Deactivates `intid` on behalf of the guest, for glue that traps ICC_DIR_EL1 writes.
    pub fn deactivate(&mut self, vcpu: usize, intid: u32) {
        self.with_bank(vcpu, intid, Bank::deactivate);
    }

    /// Whether an interrupt is pending, enabled, in an enabled group and not active: WFI must not wait.
    ///
    /// The CPU interface's own enables and priority mask do not matter here.
    pub fn has_pending(&self, vcpu: usize) -> bool {
        let groups = self.gicd.groups();
        let Some(this) = self.vcpus.get(vcpu).filter(|vcpu| !vcpu.gicr.is_asleep()) else {
            return false;
        };
        this.gicr.bank.deliverable(groups) != 0
            || self.gicd.busy_banks().any(|(first, bank)| {
                bits_of(bank.deliverable(groups))
                    .any(|bit| self.gicd.target(first + bit) == Some(vcpu))
            })
    }

    /// Ends the most urgent active interrupt that no list register holds: the one a guest's EOI means.
    fn end_most_urgent(&mut self, vcpu: usize) {
        let Some(this) = self.vcpus.get(vcpu) else {
            return;
        };
        let private = bits_of(this.gicr.bank.active & !this.gicr.bank.listed)
            .map(|bit| (priority(&this.gicr.bank, bit), bit));
        let shared = self.gicd.busy_banks().flat_map(|(first, bank)| {
            bits_of(bank.active & !bank.listed)
                .filter(move |bit| holder(bank, *bit) == Some(vcpu))
                .map(move |bit| (priority(bank, bit), first + bit))
        });
        if let Some((_, intid)) = private.chain(shared).min() {
            self.deactivate(vcpu, intid);
        }
    }
}

fn holder(bank: &Bank, bit: u32) -> Option<usize> {
    bank.active_on.get(bit as usize).map(|vcpu| usize::from(*vcpu))
}

fn priority(bank: &Bank, bit: u32) -> u8 {
    bank.priority.get(bit as usize).copied().unwrap_or(0)
}
