//! The edges of the emulated hypervisor: what the EL2 code provides.
//!
//! Everything in the crate that is not EL2 code reaches the guest and the machine through these traits, so that it
//! runs under `cargo test` with fakes. Messages for people go through the `log` crate.

use alloc::sync::Arc;
use core::ops::Range;

use crate::pages::Pages;
use crate::vm::VmIndex;

/// A virtual interrupt of one VM: the vIRQ source of a hypervisor object is bound to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Virq {
    /// The VM whose GIC receives the interrupt.
    pub vm: VmIndex,
    /// The INTID in that GIC (an SPI, from 960 up for hypervisor objects).
    pub intid: u32,
}

/// The guest gave an address range that its own translation does not map, or not with the access needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("guest address {address:#x} is not accessible")]
pub struct GuestFault {
    /// The first guest virtual address that could not be accessed.
    pub address: u64,
}

/// The calling vCPU's memory, by guest virtual address (stage 1 of the caller, page by page).
///
/// A transfer may fail after some pages were already copied.
pub trait GuestMemory {
    /// Fills `buffer` from the guest's memory at `address`, with the rights of EL1.
    ///
    /// # Errors
    ///
    /// Names the first address that cannot be read.
    fn read(&mut self, address: u64, buffer: &mut [u8]) -> Result<(), GuestFault>;

    /// Copies `bytes` to the guest's memory at `address`, with the rights of EL1.
    ///
    /// # Errors
    ///
    /// Names the first address that cannot be written; bytes before it may have been written.
    fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), GuestFault>;
}

/// The virtual GICs, as hypervisor objects see them.
///
/// An INTID that the guest configured as edge latches each assertion. One configured as level is pending while
/// [`Machine::is_source_pending`](crate::machine::Machine::is_source_pending) says so, asked again at EOI.
pub trait VirtualInterrupts {
    /// Raises the source bound to `virq`: latches an edge, and a level until the next check at EOI.
    fn assert(&mut self, virq: Virq);

    /// Latches an edge only: nothing happens if the guest configured the INTID as level.
    fn assert_edge(&mut self, virq: Virq) {
        self.assert(virq);
    }

    /// Drops the source bound to `virq`: a latched edge not yet acknowledged is forgotten.
    fn clear(&mut self, virq: Virq);
}

/// What a VM may do with memory that is mapped for it; reading is always allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapRights {
    /// Stores.
    pub write: bool,
    /// Instruction fetches.
    pub execute: bool,
}

/// Memory could not be mapped: the range is none of guest physical addresses, something is mapped there, or memory for the
/// tables ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{size:#x} bytes at IPA {ipa:#x} cannot be mapped")]
pub struct MapError {
    /// First IPA.
    pub ipa: u64,
    /// Bytes.
    pub size: u64,
}

/// Stage 2 of the VMs: which guest physical addresses reach which memory, apart from the VMs' own RAM.
///
/// What is mapped stays alive until it is unmapped. An access to what is not mapped ends in an external abort of the guest.
pub trait Stage2 {
    /// Maps a part of `pages`, whole pages, at `ipa`, cacheable.
    ///
    /// # Errors
    ///
    /// Nothing is mapped then.
    fn map(
        &mut self,
        vm: VmIndex,
        ipa: u64,
        pages: &Arc<Pages>,
        part: Range<u64>,
        rights: MapRights,
    ) -> Result<(), MapError>;

    /// Unmaps what was mapped at `ipa`, in a way that the guest sees at once.
    fn unmap(&mut self, vm: VmIndex, ipa: u64);
}

/// The serial line that the peer bridges to the guest's console.
pub trait Console {
    /// Sends all bytes; may wait for the line.
    fn write(&mut self, bytes: &[u8]);

    /// Takes received bytes, at most `buffer.len()`, without waiting; 0 when there are none.
    fn read(&mut self, buffer: &mut [u8]) -> usize;
}

/// Time since the machine started.
pub trait Clock {
    /// Nanoseconds, monotonic.
    fn now(&self) -> u64;
}

/// All edges together, as the run loop hands them in.
pub struct World<'a> {
    /// Memory of the vCPU that made the call.
    pub memory: &'a mut dyn GuestMemory,
    /// The virtual GICs.
    pub interrupts: &'a mut dyn VirtualInterrupts,
    /// Stage 2 of the VMs.
    pub stage2: &'a mut dyn Stage2,
    /// The peer's serial line.
    pub console: &'a mut dyn Console,
    /// Time.
    pub clock: &'a dyn Clock,
}
