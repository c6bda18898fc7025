//! Makes a machine of a machine file.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use gunyah_abi::rm::memory::Transaction;
use gunyah_abi::rm::{ResourceType, VmState};

use super::{Machine, frames};
use crate::fault::{HypercallFaults, InterruptFaults};
use crate::machine_file::{MachineFile, SharedBuffer, UartConfig, VmConfig};
use crate::object::Objects;
use crate::object::capability::{CapabilityTable, Object, Rights};
use crate::object::doorbell::Doorbell;
use crate::pages::PAGE;
use crate::peer::Peer;
use crate::peer::script::{Script, ScriptError};
use crate::random::Random;
use crate::rm::{LinkConfig, Offer, ResourceManager, resource};
use crate::rtc::Rtc;
use crate::uart::{Signal, Uart};
use crate::vm::{Vcpu, Vm, VmIndex};

mod builder;

use builder::Builder;

/// Largest number of vCPUs in a VM.
const MAX_VCPUS: u16 = 8;

/// First address that is no guest physical address.
const IPA_END: u64 = 1 << 36;

/// Why a machine file gives no machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MachineError {
    /// There is no VM.
    #[error("the machine has no VM")]
    NoVm,
    /// Two VMs have the same VMID.
    #[error("VMID {0:#x} is given to two VMs")]
    SameVmid(u16),
    /// The number of vCPUs is out of range.
    #[error("VM {vm}: {vcpus} vCPUs, not 1 to 8")]
    Vcpus {
        /// The VM's name.
        vm: String,
        /// As given.
        vcpus: u16,
    },
    /// The vCPU that is to run is none of the VM's.
    #[error("VM {vm}: vCPU {vcpu} is to run first, of {vcpus}")]
    BootVcpu {
        /// The VM's name.
        vm: String,
        /// As given, counted from 0.
        vcpu: u16,
        /// vCPUs there are.
        vcpus: u16,
    },
    /// A capability id is reserved or given twice.
    #[error("VM {vm}: capability {cap:#x} is reserved or given twice")]
    Capability {
        /// The VM's name.
        vm: String,
        /// The id.
        cap: u64,
    },
    /// An INTID is not that of an SPI, or given twice.
    #[error("VM {vm}: INTID {intid} is no SPI or given twice")]
    Intid {
        /// The VM's name.
        vm: String,
        /// The INTID.
        intid: u32,
    },
    /// The frames of the interrupt controller are where none can be.
    #[error(
        "VM {vm}: no interrupt controller can have its distributor at {distributor:#x} and {count} redistributors at {redistributors:#x}"
    )]
    Gic {
        /// The VM's name.
        vm: String,
        /// IPA of the distributor.
        distributor: u64,
        /// IPA of the first redistributor.
        redistributors: u64,
        /// How many redistributors.
        count: u16,
    },
    /// The sizes of a queue are out of range.
    #[error("VM {vm}: a queue of {depth} messages of {size} bytes")]
    Queue {
        /// The VM's name.
        vm: String,
        /// Messages.
        depth: u16,
        /// Bytes of the longest message.
        size: u16,
    },
    /// A UART lies over another one.
    #[error(
        "VM {vm}: the UART at {base:#x} is empty, or overlaps another one or the end of memory"
    )]
    Uart {
        /// The VM's name.
        vm: String,
        /// Its base.
        base: u64,
    },
    /// A real-time clock lies over something else.
    #[error("VM {vm}: the clock at {base:#x} is empty, or overlaps something or the end of memory")]
    Rtc {
        /// The VM's name.
        vm: String,
        /// Its base.
        base: u64,
    },
    /// A buffer that is shared is not of whole pages, overlaps something, or there is no memory for it.
    #[error(
        "VM {vm}: its shared memory is not of whole pages, overlaps something, or is too large"
    )]
    Shared {
        /// The VM's name.
        vm: String,
    },
    /// The peer's script makes no sense.
    #[error(transparent)]
    Script(#[from] ScriptError),
}

impl Machine {
    /// Makes the machine, with its VMs ready to start.
    ///
    /// # Errors
    ///
    /// What in the file contradicts itself or Gunyah's limits.
    pub fn new(file: &MachineFile) -> Result<Self, MachineError> {
        let mut machine = Self {
            vms: Vec::new(),
            objects: Objects::default(),
            rm: ResourceManager::new(file.options.rm.clone()),
            peers: Vec::new(),
            uarts: Vec::new(),
            rtcs: Vec::new(),
            options: file.options.clone(),
            trace_flags: 0,
            random: Random::new(file.options.seed),
            interrupt_faults: InterruptFaults::default(),
            hypercall_faults: HypercallFaults::default(),
        };
        let mut vmids = BTreeSet::new();
        for config in &file.vms {
            if !vmids.insert(config.vmid) {
                return Err(MachineError::SameVmid(config.vmid));
            }
            let owned_by_peer = file.vms.iter().all(|other| other.vmid != config.owner);
            machine.add(config, owned_by_peer)?;
        }
        if machine.vms.is_empty() {
            return Err(MachineError::NoVm);
        }
        Ok(machine)
    }

    fn add(&mut self, config: &VmConfig, owned_by_peer: bool) -> Result<(), MachineError> {
        if !(1..=MAX_VCPUS).contains(&config.vcpus) {
            return Err(MachineError::Vcpus { vm: config.name.clone(), vcpus: config.vcpus });
        }
        if config.boot_vcpu >= config.vcpus {
            let (vm, vcpu) = (config.name.clone(), config.boot_vcpu);
            return Err(MachineError::BootVcpu { vm, vcpu, vcpus: config.vcpus });
        }
        frames::check(config)?;
        let mut taken = frames::taken(config);
        let vm = VmIndex(self.vms.len());
        if let Some(rtc) = config.rtc {
            let refuse = || MachineError::Rtc { vm: config.name.clone(), base: rtc.base };
            let wanted = frames::range(rtc.base, rtc.size).filter(|range| !range.is_empty());
            let wanted = wanted.ok_or_else(refuse)?;
            if taken.iter().any(|other| wanted.start < other.end && other.start < wanted.end) {
                return Err(refuse());
            }
            taken.push(wanted);
            self.rtcs.push(Rtc::new(vm, rtc));
        }
        let script = Script::parse(config.script.iter().map(String::as_str))?;
        let mut builder = Builder {
            vm,
            name: &config.name,
            objects: &mut self.objects,
            capabilities: CapabilityTable::default(),
            intids: BTreeSet::new(),
            doorbells: Vec::new(),
        };
        let mut peer = Peer::new(vm, script, owned_by_peer);
        let mut resources = Vec::new();
        let rm_queues =
            config.resource_manager.as_ref().map(|pair| builder.rm_queues(pair)).transpose()?;
        for bell in &config.doorbells {
            let doorbell = Doorbell::new(Some(builder.virq(bell.intid)?));
            let doorbell = builder.objects.add_doorbell(doorbell);
            builder.doorbells.push((bell.intid, doorbell));
            builder.grant(bell.cap, Object::Doorbell(doorbell), Rights::RECEIVE)?;
            peer.add_doorbell(bell.label, doorbell);
            let kind = ResourceType::Doorbell;
            let virq = Some(bell.intid);
            resources.push(resource::entry(kind, bell.peer, bell.label, bell.cap, virq));
        }
        for source in &config.sources {
            let doorbell = builder.objects.add_doorbell(Doorbell::default());
            let rights = match source.can_clear {
                true => Rights::SEND | Rights::RECEIVE,
                false => Rights::SEND,
            };
            builder.grant(source.cap, Object::Doorbell(doorbell), rights)?;
            peer.add_source(source.label, doorbell);
            let kind = ResourceType::DoorbellSource;
            resources.push(resource::entry(kind, source.peer, source.label, source.cap, None));
        }
        for pair in &config.queue_pairs {
            let (from_guest, to_guest) = builder.queues(&pair.queues)?;
            peer.add_queues(pair.label, from_guest, to_guest);
            let (tx, rx) = (&pair.queues.tx_cap, &pair.queues.rx_cap);
            let (tx_virq, rx_virq) = (pair.queues.tx_intid, pair.queues.rx_intid);
            for (kind, cap, virq) in [
                (ResourceType::MessageQueueSend, tx, tx_virq),
                (ResourceType::MessageQueueReceive, rx, rx_virq),
            ] {
                resources.push(resource::entry(kind, pair.peer, pair.label, *cap, Some(virq)));
            }
        }
        for (index, uart) in config.uarts.iter().enumerate() {
            let end = |uart: &UartConfig| uart.base.checked_add(uart.size);
            let overlaps =
                |other: &UartConfig| end(other) > Some(uart.base) && end(uart) > Some(other.base);
            if uart.size == 0
                || end(uart).is_none()
                || config.uarts.iter().take(index).any(overlaps)
            {
                return Err(MachineError::Uart { vm: config.name.clone(), base: uart.base });
            }
            let same = |other: &&UartConfig| other.intid == uart.intid;
            let first = !config.uarts.iter().take(index).any(|other| same(&other));
            let shared = config.uarts.iter().filter(same).count() > 1;
            let signal =
                uart.intid.map(|intid| builder.signal(intid, first, shared)).transpose()?;
            self.uarts.push(Uart::new(vm, *uart, signal.unwrap_or(Signal::None)));
        }
        let (capabilities, intids) = (builder.capabilities, builder.intids);
        self.rm.add_space(vm, config.vmid, taken.clone());
        self.share(vm, config, taken)?;
        for shared in &config.shared {
            let doorbell = config.doorbells.iter().find(|bell| Some(bell.cap) == shared.doorbell);
            let source = config.sources.iter().find(|bell| Some(bell.cap) == shared.source);
            let doorbell_label = doorbell.map_or(shared.label, |bell| bell.label);
            let source_label = source.map_or(shared.label, |bell| bell.label);
            peer.add_buffer(shared.label, doorbell_label, source_label);
        }
        if let Some((requests, answers)) = rm_queues {
            self.rm.attach(LinkConfig {
                vm,
                requests,
                answers,
                console: !self.options.hide_rm_console,
                resources,
            });
        }
        self.vms.push(Vm {
            vmid: config.vmid,
            owner: config.owner,
            name: config.name.clone(),
            uri: config.uri.clone(),
            guid: config.guid,
            state: VmState::Running,
            boot_vcpu: config.boot_vcpu.into(),
            vcpus: (0..config.vcpus).map(|n| Vcpu::at_start(n == config.boot_vcpu)).collect(),
            capabilities,
            intids,
        });
        peer.guest_starts(&mut self.rm);
        self.peers.push(peer);
        Ok(())
    }

    /// Makes the memory that the VM's tree names; `taken` is where it cannot be.
    fn share(
        &mut self,
        vm: VmIndex,
        config: &VmConfig,
        mut taken: Vec<Range<u64>>,
    ) -> Result<(), MachineError> {
        let refuse = || MachineError::Shared { vm: config.name.clone() };
        for SharedBuffer { label, peer, ipa, size, handle, .. } in config.shared.iter().copied() {
            let end = ipa.checked_add(size).filter(|end| *end <= IPA_END).ok_or_else(refuse)?;
            let overlaps = |other: &Range<u64>| ipa < other.end && other.start < end;
            if ipa % PAGE != 0 || taken.iter().any(overlaps) {
                return Err(refuse());
            }
            taken.push(ipa..end);
            let offer = Offer::new(peer, label, Transaction::Share, size);
            let offer = Offer { handle, named_at: Some(ipa), ..offer };
            self.rm.offer_memory(vm, offer).map_err(|_| refuse())?;
        }
        Ok(())
    }
}
