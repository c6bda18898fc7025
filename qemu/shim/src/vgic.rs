//! The guest's GICv3: trapped frames and list registers.
//!
//! GICD and GICR accesses of the guest trap and come here as reads and writes; its ICC_* system
//! registers are the GIC's own virtual CPU interface, fed through list registers. Between two runs
//! of a vCPU this module holds the whole truth; while one runs, the hardware holds the pending and
//! active states of what is listed. The run loop is:
//!
//! ```text
//! loop {
//!     hcr = vgic.before_entry(vcpu, &mut lrs, still_pending);   // lrs -> ICH_LR<n>_EL2, hcr -> ICH_HCR_EL2
//!     run the vCPU                                              // ICH_LR<n>_EL2 -> lrs
//!     vgic.after_exit(vcpu, &lrs, hcr);
//!     handle the exit: mmio_read, mmio_write, send_sgi, assert, assert_hw, has_pending
//!     while let Some(physical) = vgic.take_release(vcpu) { ICC_DIR_EL1 <- physical }
//! }
//! ```
//!
//! `distributor` and `redistributor` emulate the frames, `list` decides about list registers. What
//! does not belong here: system registers, addresses of devices, what an interrupt means.

use alloc::vec::Vec;

use thiserror::Error;

pub mod affinity;
mod bank;
pub mod distributor;
mod entry;
pub mod list;
pub mod redistributor;
pub mod registers;
pub mod sgi;
pub mod snapshot;
#[cfg(test)]
mod tests;

use bank::Bank;
use distributor::{DISTRIBUTOR_SIZE, Distributor, SPI_START};
use entry::ListRecord;
use redistributor::{REDISTRIBUTOR_SIZE, Redistributor};

/// Where the frames are and how many of everything there is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Config {
    /// vCPUs of the VM, 1 to [`affinity::MAX_VCPUS`]; other numbers are brought into that range.
    pub vcpus: usize,
    /// List registers of the machine: ICH_VTR_EL2.ListRegs + 1.
    pub list_registers: usize,
    /// IPA of the GICD frame.
    pub gicd_base: u64,
    /// IPA of vCPU 0's redistributor; the others follow at 128 KiB each.
    pub gicr_base: u64,
}

impl Config {
    /// Gunyah's default map: GICD at 0x3FFF_0000, the redistributors directly below.
    pub fn gunyah(vcpus: usize, list_registers: usize) -> Self {
        let vcpus = vcpus.clamp(1, affinity::MAX_VCPUS);
        let gicd_base = 0x3FFF_0000;
        Self {
            vcpus,
            list_registers,
            gicd_base,
            gicr_base: gicd_base - vcpus as u64 * REDISTRIBUTOR_SIZE,
        }
    }
}

/// An interrupt source named an INTID that it cannot drive.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum VgicError {
    /// Only INTIDs 32 to 1019 are shared interrupts.
    #[error("asserting INTID {0}, which is no SPI")]
    NotShared(u32),
    /// Only INTIDs 16 to 31 of an existing vCPU can be driven as private interrupts.
    #[error("asserting INTID {intid} on vCPU {vcpu}, which is no PPI of this VM")]
    NotPrivate {
        /// The vCPU meant.
        vcpu: usize,
        /// The INTID meant.
        intid: u32,
    },
    /// There is no such INTID or vCPU to link a physical interrupt to.
    #[error("linking INTID {intid} on vCPU {vcpu} to physical INTID {physical}")]
    NotLinkable {
        /// The vCPU meant.
        vcpu: usize,
        /// The virtual INTID meant.
        intid: u32,
        /// The physical INTID meant.
        physical: u32,
    },
}

/// The frame an IPA lies in, and the offset there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Frame {
    /// The GICD frame.
    Distributor {
        /// Byte offset in the frame.
        offset: u64,
    },
    /// The RD and SGI frames of one vCPU.
    Redistributor {
        /// Whose frames they are; the vCPU that accesses them may be another.
        vcpu: usize,
        /// Byte offset in the two frames.
        offset: u64,
    },
}

#[derive(Debug)]
struct Vcpu {
    gicr: Redistributor,
    list: ListRecord,
}

/// The interrupt controller of one VM.
#[derive(Debug)]
pub struct Vgic {
    config: Config,
    gicd: Distributor,
    vcpus: Vec<Vcpu>,
}

impl Vgic {
    /// Makes the interrupt controller of a VM, in its reset state.
    pub fn new(config: Config) -> Self {
        let vcpus = config.vcpus.clamp(1, affinity::MAX_VCPUS);
        let list_registers = config.list_registers.clamp(1, list::MAX_LIST_REGISTERS);
        Self {
            config: Config { vcpus, list_registers, ..config },
            gicd: Distributor::new(vcpus),
            vcpus: (0..vcpus)
                .map(|index| Vcpu {
                    gicr: Redistributor::new(index, index + 1 == vcpus),
                    list: ListRecord::default(),
                })
                .collect(),
        }
    }

    /// The configuration in force.
    pub fn config(&self) -> Config {
        self.config
    }

    /// Returns everything to the reset state. No vCPU may be running.
    ///
    /// Physical interrupts that were held for the guest come out of [`Self::take_release`].
    pub fn reset(&mut self) {
        self.gicd.reset();
        for vcpu in &mut self.vcpus {
            vcpu.gicr.reset();
            vcpu.list = ListRecord::default();
        }
    }

    /// Finds the frame an IPA lies in.
    pub fn frame(&self, ipa: u64) -> Option<Frame> {
        if let Some(offset) = ipa.checked_sub(self.config.gicd_base)
            && offset < DISTRIBUTOR_SIZE
        {
            return Some(Frame::Distributor { offset });
        }
        let into = ipa.checked_sub(self.config.gicr_base)?;
        let vcpu = usize::try_from(into / REDISTRIBUTOR_SIZE).ok()?;
        (vcpu < self.vcpus.len())
            .then_some(Frame::Redistributor { vcpu, offset: into % REDISTRIBUTOR_SIZE })
    }

    /// Emulates a load of `size` bytes (1, 2, 4 or 8). `None`: the IPA lies in no frame.
    pub fn mmio_read(&mut self, ipa: u64, size: u8) -> Option<u64> {
        Some(match self.frame(ipa)? {
            Frame::Distributor { offset } => self.gicd.read(offset, size),
            Frame::Redistributor { vcpu, offset } => {
                self.vcpus.get_mut(vcpu)?.gicr.read(offset, size)
            }
        })
    }

    /// Emulates a store of `size` bytes (1, 2, 4 or 8). `None`: the IPA lies in no frame.
    pub fn mmio_write(&mut self, ipa: u64, size: u8, value: u64) -> Option<()> {
        match self.frame(ipa)? {
            Frame::Distributor { offset } => self.gicd.write(offset, size, value),
            Frame::Redistributor { vcpu, offset } => {
                self.vcpus.get_mut(vcpu)?.gicr.write(offset, size, value)
            }
        }
        Some(())
    }

    /// Asserts an SPI: latched if edge-triggered, and its line is high until its source denies it.
    ///
    /// # Errors
    /// [`VgicError::NotShared`] if `intid` is no SPI.
    pub fn assert(&mut self, intid: u32) -> Result<(), VgicError> {
        self.shared(intid, |bank, bit| bank.assert(bit, true))
    }

    /// Asserts an SPI for guests that configured it edge-triggered; a level-sensitive one is not affected.
    ///
    /// # Errors
    /// [`VgicError::NotShared`] if `intid` is no SPI.
    pub fn assert_edge(&mut self, intid: u32) -> Result<(), VgicError> {
        self.shared(intid, |bank, bit| bank.assert(bit, false))
    }

    /// Drives the line of an SPI. A rising line is an edge; a falling one leaves a latched edge alone.
    ///
    /// # Errors
    /// [`VgicError::NotShared`] if `intid` is no SPI.
    pub fn set_level(&mut self, intid: u32, high: bool) -> Result<(), VgicError> {
        self.shared(intid, |bank, bit| bank.set_line(bit, high))
    }

    /// Drives the line of a vCPU's PPI, as [`Self::set_level`] does for SPIs.
    ///
    /// # Errors
    /// [`VgicError::NotPrivate`] if it is no PPI of a vCPU of this VM.
    pub fn set_private_level(
        &mut self,
        vcpu: usize,
        intid: u32,
        high: bool,
    ) -> Result<(), VgicError> {
        let is_ppi = (16..SPI_START).contains(&intid);
        if is_ppi && self.with_bank(vcpu, intid, |bank, bit| bank.set_line(bit, high)) {
            Ok(())
        } else {
            Err(VgicError::NotPrivate { vcpu, intid })
        }
    }

    /// Makes `intid` pending on behalf of a physical interrupt that was acknowledged and is still active.
    ///
    /// The guest's deactivation ends the physical interrupt as well; where that can no longer happen
    /// (the guest cleared the pending or active state), [`Self::take_release`] returns it. For the
    /// virtual timer both INTIDs are 27. Edge or level configuration does not matter.
    ///
    /// # Errors
    /// [`VgicError::NotLinkable`] if there is no such vCPU, INTID, or physical INTID (at most 1019).
    pub fn assert_hw(&mut self, vcpu: usize, intid: u32, physical: u32) -> Result<(), VgicError> {
        let error = VgicError::NotLinkable { vcpu, intid, physical };
        let number = u16::try_from(physical).map_err(|_| error)?;
        let linked = number < distributor::SPI_END as u16
            && self.with_bank(vcpu, intid, |bank, bit| {
                bank.hw_pending |= bit;
                bank.release &= !bit;
                if let Some(slot) = bank.physical.get_mut(bit.trailing_zeros() as usize) {
                    *slot = number;
                }
            });
        if linked { Ok(()) } else { Err(error) }
    }

    /// Withdraws what [`Self::assert_hw`] made pending if the guest has not taken it yet.
    ///
    /// For a physical line that fell meanwhile; the physical interrupt comes out of [`Self::take_release`].
    pub fn withdraw_hw(&mut self, vcpu: usize, intid: u32) {
        self.with_bank(vcpu, intid, |bank, bit| {
            bank.release |= bank.hw_pending & bit;
            bank.hw_pending &= !bit;
        });
    }

    /// Takes the next physical INTID that the hypervisor must deactivate, on the core of `vcpu`.
    pub fn take_release(&mut self, vcpu: usize) -> Option<u32> {
        let private = self.vcpus.get_mut(vcpu).and_then(|this| this.gicr.bank.take_release());
        private.or_else(|| self.gicd.take_release())
    }

    fn shared(&mut self, intid: u32, change: impl FnOnce(&mut Bank, u32)) -> Result<(), VgicError> {
        if self.gicd.update(intid, change) { Ok(()) } else { Err(VgicError::NotShared(intid)) }
    }

    /// Changes the state of an interrupt as `vcpu` sees it. `false`: there is no such vCPU or INTID.
    fn with_bank(&mut self, vcpu: usize, intid: u32, change: impl FnOnce(&mut Bank, u32)) -> bool {
        let Some(this) = self.vcpus.get_mut(vcpu) else {
            return false;
        };
        if intid < SPI_START {
            change(&mut this.gicr.bank, 1 << intid);
            true
        } else {
            self.gicd.update(intid, change)
        }
    }
}
