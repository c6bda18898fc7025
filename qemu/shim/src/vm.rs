//! A virtual machine as data: identity, vCPUs, capabilities, its ends.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use gunyah_abi::rm::{ExitType, VmState};

use crate::object::capability::CapabilityTable;

/// VMs of a machine are numbered from 0 in the order of the machine file; this is not the VMID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VmIndex(pub usize);

/// Whether a vCPU runs, as PSCI sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerState {
    /// Runs or waits for an interrupt.
    On,
    /// Waits for `CPU_ON`.
    Off,
}

/// What the emulated hypervisor keeps about a vCPU, apart from its registers.
#[derive(Clone, Debug)]
pub struct Vcpu {
    /// Power state.
    pub power: PowerState,
    /// Times of the last calls to `prng_get_entropy`, in nanoseconds; oldest first.
    pub entropy_calls: Vec<u64>,
}

/// A virtual machine.
#[derive(Debug)]
pub struct Vm {
    /// VMID: the number that the Resource Manager knows it by.
    pub vmid: u16,
    /// VMID of the VM that started it.
    pub owner: u16,
    /// Image name.
    pub name: String,
    /// URI, if it has one.
    pub uri: Option<String>,
    /// GUID, all zeros if it has none.
    pub guid: [u8; 16],
    /// Run state.
    pub state: VmState,
    /// vCPUs; the affinity level 0 number is the index.
    pub vcpus: Vec<Vcpu>,
    /// Which of them runs at start.
    pub boot_vcpu: usize,
    /// What it may touch.
    pub capabilities: CapabilityTable,
    /// INTIDs that something drives.
    pub intids: BTreeSet<u32>,
}

impl Vm {
    /// Powers all vCPUs but one off, as at start.
    pub fn restart(&mut self) {
        self.state = VmState::Running;
        for (index, vcpu) in self.vcpus.iter_mut().enumerate() {
            *vcpu = Vcpu::at_start(index == self.boot_vcpu);
        }
    }
}

impl Vcpu {
    /// A vCPU when its VM starts, whether it is the one that runs or not.
    #[must_use]
    pub fn at_start(runs: bool) -> Self {
        let power = if runs { PowerState::On } else { PowerState::Off };
        Self { power, entropy_calls: Vec::new() }
    }
}

/// Why a VM stopped running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VmEnd {
    /// PSCI `SYSTEM_OFF`.
    Off,
    /// PSCI `SYSTEM_RESET`.
    Reset,
    /// PSCI `SYSTEM_RESET2`.
    Reset2 {
        /// Reset type: bit 31 set for vendor types.
        reset_type: u32,
        /// Cookie, meaning given by the type.
        cookie: u64,
    },
    /// Resource Manager `VM_EXIT`.
    Exit {
        /// Bit 0: restart requested.
        flags: u16,
        /// 0 normal, 1 software error, 3 bus error, 4 device error.
        code: u8,
    },
}

impl VmEnd {
    /// The exit type in the notification that the owner gets (`VM_EXITED`, 0x56100001).
    #[must_use]
    pub fn exit_type(self) -> ExitType {
        match self {
            Self::Exit { .. } => ExitType::VmExit,
            Self::Off => ExitType::PlatformOff,
            Self::Reset => ExitType::PlatformReset,
            Self::Reset2 { .. } => ExitType::PsciSystemReset2,
        }
    }
}

impl fmt::Display for VmEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("SYSTEM_OFF"),
            Self::Reset => f.write_str("SYSTEM_RESET"),
            Self::Reset2 { reset_type, cookie } => {
                write!(f, "SYSTEM_RESET2 (type {reset_type:#x}, cookie {cookie:#x})")
            }
            Self::Exit { flags, code } => write!(f, "VM_EXIT (code {code}, flags {flags:#x})"),
        }
    }
}
