//! Software-generated interrupts: writes to ICC_SGI1R_EL1 and its siblings.

use super::{Vgic, affinity, bank::Bank};

/// Which system register the guest wrote.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SgiRegister {
    /// ICC_SGI0R_EL1: to interrupts in group 0.
    Sgi0r,
    /// ICC_SGI1R_EL1: to interrupts in group 1.
    Sgi1r,
    /// ICC_ASGI1R_EL1: with one security state, as SGI0R.
    Asgi1r,
}

const INTID_SHIFT: u32 = 24;
const RANGE_SHIFT: u32 = 44;
const IRM_ALL_BUT_SELF: u64 = 1 << 40;

impl Vgic {
    /// Makes the SGI pending that `value`, written by `vcpu`, asks for. Targets that do not exist are ignored.
    ///
    /// As in the architecture, a target gets it only if its SGI is in the group the register stands for.
    pub fn send_sgi(&mut self, vcpu: usize, register: SgiRegister, value: u64) {
        let intid = (value >> INTID_SHIFT & 0xF) as u32;
        if value & IRM_ALL_BUT_SELF != 0 {
            for target in (0..self.vcpus.len()).filter(|target| *target != vcpu) {
                self.pend_sgi(target, register, intid);
            }
            return;
        }
        // Aff3, Aff2 and Aff1 are at bits 55:48, 39:32 and 23:16; the target list counts from 16 x RS.
        let cluster =
            (value >> 48 & 0xFF) << 24 | (value >> 32 & 0xFF) << 16 | (value >> 16 & 0xFF) << 8;
        let range = (value >> RANGE_SHIFT & 0xF) as u32 * 16;
        for position in super::bank::bits_of(value as u32 & 0xFFFF) {
            if let Some(target) =
                affinity::to_vcpu(cluster as u32 | (range + position), self.vcpus.len())
            {
                self.pend_sgi(target, register, intid);
            }
        }
    }

    fn pend_sgi(&mut self, target: usize, register: SgiRegister, intid: u32) {
        self.with_bank(target, intid, |bank: &mut Bank, bit| {
            if (bank.group1 & bit != 0) == (register == SgiRegister::Sgi1r) {
                bank.set_pending(bit);
            }
        });
    }
}
