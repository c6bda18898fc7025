//! The machine as the kernel sees it: plain values, no tree.

use super::error::DtError;
use alloc::string::String;
use alloc::vec::Vec;
use gunyah_abi::CapabilityId;

mod gunyah;

pub use gunyah::{
    Doorbell, DoorbellSource, Hypervisor, MessageQueue, QueueDirection, QueueEnd, QueuePair,
    SharedBuffer, VmIdentity,
};

/// Bytes of a page, the unit of what can be mapped.
const PAGE: u64 = 4096;

/// A range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AddressRange {
    /// The first address.
    pub start: u64,
    /// How many bytes; `start + size` does not wrap in any range of a [`Platform`].
    pub size: u64,
}

impl AddressRange {
    /// Returns the address after the last.
    pub const fn end(&self) -> u64 {
        self.start.saturating_add(self.size)
    }

    /// Tells whether all of `other` lies in this range.
    pub const fn contains(&self, other: &Self) -> bool {
        self.start <= other.start && other.end() <= self.end()
    }

    /// Returns the pages that have an address of this range.
    pub const fn pages_around(&self) -> Self {
        let start = self.start / PAGE * PAGE;
        let end = match self.end().checked_next_multiple_of(PAGE) {
            Some(end) => end,
            None => u64::MAX / PAGE * PAGE,
        };
        Self { start, size: end - start }
    }

    /// Returns the pages that lie in this range; `None` without any.
    fn pages_inside(self) -> Option<Self> {
        let start = self.start.checked_next_multiple_of(PAGE)?;
        let size = (self.end() / PAGE * PAGE).checked_sub(start)?;
        (size > 0).then_some(Self { start, size })
    }

    /// Tells whether the two have an address in common.
    pub const fn overlaps(&self, other: &Self) -> bool {
        self.start < other.end() && other.start < self.end() && self.size > 0 && other.size > 0
    }
}

/// How an interrupt is signalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trigger {
    /// By a rising edge (flags 1 and 2 of the interrupt specifier).
    Edge,
    /// For as long as its cause lasts (flags 4 and 8).
    Level,
}

/// An interrupt of the GIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interrupt {
    /// The GIC's number for it: 16 + n for PPI n, 32 + n for SPI n.
    pub intid: u32,
    /// How it is to be configured.
    pub trigger: Trigger,
}

/// Memory that must not be used as RAM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReservedRange {
    /// Name of the node in `/reserved-memory`, or `memory reservation` for an entry of the
    /// tree's memory reservation block.
    pub name: String,
    /// What is reserved. It may lie inside [`Platform::memory`] or not.
    pub range: AddressRange,
    /// Whether it must not be mapped either.
    pub no_map: bool,
}

/// How a CPU is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnableMethod {
    /// By PSCI `CPU_ON`.
    Psci,
    /// By the hypercall `vcpu_poweron` (`qcom,gunyah-hvc`), with this capability if the tree
    /// gives it.
    GunyahHypercall(Option<CapabilityId>),
}

/// Whether a CPU may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuStatus {
    /// It runs or can be started (`okay`, or no status).
    Okay,
    /// It is present and off until somebody enables it.
    Disabled,
    /// It is to be ignored.
    Failed,
}

/// A CPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// The affinity fields of its `MPIDR_EL1`.
    pub mpidr: u64,
    /// How it is started; `None` if the tree does not say.
    pub enable_method: Option<EnableMethod>,
    /// Whether it may be used.
    pub status: CpuStatus,
}

/// The interrupt controller, a GICv3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gic {
    /// The distributor's registers.
    pub distributor: AddressRange,
    /// The redistributors' registers, one range or more.
    pub redistributors: Vec<AddressRange>,
    /// Bytes from one redistributor to the next within a range.
    pub redistributor_stride: u64,
}

/// The instruction that PSCI is called by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PsciConduit {
    /// `hvc #0`.
    Hvc,
    /// `smc #0`.
    Smc,
}

/// Which UART.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UartKind {
    /// `ns16550a`.
    Ns16550a,
    /// `arm,pl011`.
    Pl011,
}

/// A UART whose registers are mapped into memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uart {
    /// Path of its node.
    pub path: String,
    /// Which UART.
    pub kind: UartKind,
    /// Its registers.
    pub registers: AddressRange,
    /// Registers are `1 << reg_shift` bytes apart (`reg-shift`, default 0).
    pub reg_shift: u32,
    /// Bytes of one register access (`reg-io-width`; default 1 for a 16550, 4 for a PL011).
    pub reg_io_width: u32,
    /// Its interrupt, if it has one at the GIC.
    pub interrupt: Option<Interrupt>,
    /// Whether `stdout-path` of `/chosen` leads to it.
    pub is_stdout: bool,
}

/// Everything the kernel takes from a device tree.
///
/// Lists are sorted, since the order of nodes in a tree means nothing: ranges by address, CPUs
/// by affinity, the hypervisor's objects by label and then by capability.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// RAM: not empty, no range empty, none overlapping.
    pub memory: Vec<AddressRange>,
    /// What of it, or beside it, must be left alone.
    pub reserved: Vec<ReservedRange>,
    /// The CPUs, the failed ones too.
    pub cpus: Vec<Cpu>,
    /// The interrupt controller.
    pub gic: Gic,
    /// The virtual timer's interrupt, the third of the timer node.
    pub virtual_timer: Interrupt,
    /// How PSCI is called, if there is PSCI.
    pub psci: Option<PsciConduit>,
    /// The Gunyah hypervisor, if the tree has its node.
    pub hypervisor: Option<Hypervisor>,
    /// Who this virtual machine is.
    pub identity: Option<VmIdentity>,
    /// The queues to and from the resource manager.
    pub resource_manager: Option<QueuePair>,
    /// Doorbells that others ring.
    pub doorbells: Vec<Doorbell>,
    /// Doorbells of others.
    pub doorbell_sources: Vec<DoorbellSource>,
    /// Message queues that come in pairs.
    pub queue_pairs: Vec<QueuePair>,
    /// Message queues in one direction only.
    pub queues: Vec<MessageQueue>,
    /// Memory shared with other virtual machines.
    pub shared_buffers: Vec<SharedBuffer>,
    /// The UARTs that are not disabled.
    pub uarts: Vec<Uart>,
    /// The registers of a real-time clock, a PL031.
    pub clock: Option<AddressRange>,
    /// The command line.
    pub bootargs: Option<String>,
    /// Where the console should go, as the tree writes it.
    pub stdout_path: Option<String>,
    /// Where an initial RAM disk is.
    pub initrd: Option<AddressRange>,
    /// Randomness from whoever made the tree.
    pub kaslr_seed: Option<u64>,
}

impl Platform {
    /// Returns the range of memory that holds all of `range`.
    pub fn memory_with(&self, range: &AddressRange) -> Option<AddressRange> {
        self.memory.iter().copied().find(|memory| memory.contains(range))
    }

    /// Checks that the running image and the device tree lie in memory, apart from each other,
    /// and that nobody has reserved the image's place. Pages of 4 KiB count as a whole.
    ///
    /// Returns the range of memory that holds both, cut to whole pages.
    ///
    /// # Errors
    ///
    /// [`DtError::Placement`] for whichever does not.
    pub fn check_placement(
        &self,
        image: AddressRange,
        tree: AddressRange,
    ) -> Result<AddressRange, DtError> {
        let ram = self.memory_with(&image).and_then(AddressRange::pages_inside);
        let Some(ram) = ram.filter(|ram| ram.contains(&image)) else {
            return Err(misplaced("image", image, "is not inside one range of /memory"));
        };
        if tree.pages_around().overlaps(&image) {
            return Err(misplaced("device tree", tree, "overlaps the image"));
        }
        if !ram.contains(&tree) {
            return Err(misplaced(
                "device tree",
                tree,
                "is not in the memory that holds the image",
            ));
        }
        let over_image = |reserved: &&ReservedRange| reserved.range.pages_around().overlaps(&image);
        match self.reserved.iter().find(over_image) {
            Some(reserved) => {
                let mut problem = String::from("is reserved by ");
                problem.push_str(&reserved.name);
                Err(misplaced("image", image, &problem))
            }
            None => Ok(ram),
        }
    }
}

fn misplaced(what: &'static str, range: AddressRange, problem: &str) -> DtError {
    let (start, end) = (range.start, range.end());
    DtError::Placement { what, start, end, problem: problem.into() }
}
