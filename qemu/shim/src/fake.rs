//! Fakes of the seams, one instance a test.

use alloc::vec::Vec;

pub mod rig;
pub mod stage2;

use gunyah_abi::rm::VmState;

use crate::object::capability::CapabilityTable;
use crate::seam::{Clock, Console, GuestFault, GuestMemory, Virq, VirtualInterrupts};
use crate::vm::{Vcpu, Vm, VmIndex};

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
    Virq { vm: VmIndex(0), intid }
}

/// Guest memory of one mapped region.
#[derive(Debug)]
pub struct Memory {
    pub base: u64,
    pub bytes: Vec<u8>,
}

impl Memory {
    pub fn new(base: u64, size: usize) -> Self {
        Self { base, bytes: alloc::vec![0; size] }
    }

    fn range(&mut self, address: u64, length: usize) -> Result<&mut [u8], GuestFault> {
        let start = address.checked_sub(self.base).map(usize::try_from);
        let Some(Ok(start)) = start else {
            return Err(GuestFault { address });
        };
        let end = start.saturating_add(length);
        self.bytes.get_mut(start..end).ok_or(GuestFault { address })
    }
}

impl GuestMemory for Memory {
    fn read(&mut self, address: u64, buffer: &mut [u8]) -> Result<(), GuestFault> {
        let length = buffer.len();
        buffer.copy_from_slice(self.range(address, length)?);
        Ok(())
    }

    fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), GuestFault> {
        self.range(address, bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }
}

/// A serial line with input waiting and output kept.
#[derive(Debug, Default)]
pub struct Line {
    pub input: Vec<u8>,
    pub output: Vec<u8>,
}

impl Console for Line {
    fn write(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
    }

    fn read(&mut self, buffer: &mut [u8]) -> usize {
        let count = buffer.len().min(self.input.len());
        for (to, from) in buffer.iter_mut().zip(self.input.drain(..count)) {
            *to = from;
        }
        count
    }
}

/// A clock that stands still unless it is set.
#[derive(Debug, Default)]
pub struct Stopped(pub core::cell::Cell<u64>);

impl Clock for Stopped {
    fn now(&self) -> u64 {
        self.0.get()
    }
}

/// A VM with nothing but vCPUs.
pub fn vm(vcpus: usize) -> Vm {
    Vm {
        vmid: 0x80,
        owner: 3,
        name: "billy".into(),
        uri: None,
        guid: [0; 16],
        state: VmState::Running,
        vcpus: (0..vcpus).map(|index| Vcpu::at_start(index == 0)).collect(),
        boot_vcpu: 0,
        capabilities: CapabilityTable::default(),
        intids: Default::default(),
    }
}
