//! What a VM shares with a peer, made and taken away while the VM runs.
//!
//! Each of these is an object, a capability in the VM's table, where it interrupts an INTID that was free, and an entry in
//! what RM tells of it. RM tells it only who asks: a change of the peer's state is what makes a VM ask.

use alloc::vec::Vec;

use gunyah_abi::boot::FIRST_VIRQ_INTID;
use gunyah_abi::rm::payload::HypResource;
use gunyah_abi::rm::{ResourceType, RmError};

use crate::object::capability::{Object, Rights};
use crate::object::doorbell::Doorbell;
use crate::object::message_queue::MessageQueue;
use crate::object::{DoorbellIndex, Objects, QueueIndex};
use crate::random::Random;
use crate::rm::{ResourceManager, resource};
use crate::seam::{Virq, VirtualInterrupts};
use crate::vm::{Vm, VmIndex};

/// Why nothing was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// There is no such VM.
    #[error("there is no VM {0}")]
    NoVm(usize),
    /// All SPIs drive something.
    #[error("the guest has no INTID left")]
    NoIntid,
    /// The capability table is full.
    #[error("the guest's capability table is full")]
    NoCapability,
    /// The sizes of a queue are out of range.
    #[error("there are no queues of {0} messages of {1} bytes")]
    Queue(u16, u16),
    /// RM does not serve the VM.
    #[error("RM refused: {0}")]
    Rm(RmError),
}

/// Makes and takes away for one VM.
pub struct Maker<'a> {
    /// The VM.
    pub index: VmIndex,
    /// All VMs.
    pub vms: &'a mut [Vm],
    /// All objects.
    pub objects: &'a mut Objects,
    /// Who tells of them.
    pub rm: &'a mut ResourceManager,
    /// For capability ids, where they are scrambled.
    pub random: &'a mut Random,
    /// VMID of the peer.
    pub partner: u16,
    /// Label, by which both know it.
    pub label: u32,
}

impl Maker<'_> {
    /// A doorbell that the VM receives.
    ///
    /// # Errors
    ///
    /// All of [`ChannelError`] but those of queues.
    pub fn doorbell(&mut self) -> Result<DoorbellIndex, ChannelError> {
        let virq = self.virq()?;
        let doorbell = self.objects.add_doorbell(Doorbell::new(Some(virq)));
        let object = Object::Doorbell(doorbell);
        self.give(object, Rights::RECEIVE, ResourceType::Doorbell, Some(virq)).map(|()| doorbell)
    }

    /// A doorbell that the VM rings, and may clear if `can_clear`.
    ///
    /// # Errors
    ///
    /// As [`Self::doorbell`].
    pub fn source(&mut self, can_clear: bool) -> Result<DoorbellIndex, ChannelError> {
        let doorbell = self.objects.add_doorbell(Doorbell::default());
        let receive = if can_clear { Rights::RECEIVE } else { Rights::empty() };
        let (object, rights) = (Object::Doorbell(doorbell), Rights::SEND | receive);
        self.give(object, rights, ResourceType::DoorbellSource, None).map(|()| doorbell)
    }

    /// A pair of queues for `depth` messages of `size` bytes: from the VM, to the VM.
    ///
    /// # Errors
    ///
    /// All of [`ChannelError`].
    pub fn queue_pair(
        &mut self,
        depth: u16,
        size: u16,
    ) -> Result<(QueueIndex, QueueIndex), ChannelError> {
        let queue = || MessageQueue::new(depth, size).ok_or(ChannelError::Queue(depth, size));
        let (mut from_vm, mut to_vm) = (queue()?, queue()?);
        let tx_virq = self.virq()?;
        from_vm.tx_virq = Some(tx_virq);
        let from_vm = self.objects.add_queue(from_vm);
        let sender = Object::Queue(from_vm);
        self.give(sender, Rights::SEND, ResourceType::MessageQueueSend, Some(tx_virq))?;
        let made = self.virq().and_then(|rx_virq| {
            to_vm.rx_virq = Some(rx_virq);
            let to_vm = self.objects.add_queue(to_vm);
            let (receiver, kind) = (Object::Queue(to_vm), ResourceType::MessageQueueReceive);
            self.give(receiver, Rights::RECEIVE, kind, Some(rx_virq)).map(|()| (from_vm, to_vm))
        });
        if made.is_err() {
            self.take_back(sender);
        }
        made
    }

    /// Ends an object: its capabilities are revoked, its interrupts driven no longer.
    pub fn remove(&mut self, object: Object, interrupts: &mut dyn VirtualInterrupts) {
        for virq in self.take_back(object) {
            interrupts.clear(virq);
        }
    }

    fn take_back(&mut self, object: Object) -> Vec<Virq> {
        let virqs = self.objects.remove(object);
        let Some(vm) = self.vms.get_mut(self.index.0) else { return virqs };
        for virq in &virqs {
            vm.intids.remove(&virq.intid);
        }
        for capability in vm.capabilities.revoke(object) {
            log::info!("capability {capability:#x} of VM {:#x} is revoked", vm.vmid);
            self.rm.remove_resource(self.index, capability);
        }
        virqs
    }

    /// An interrupt that nothing drives: as the hypervisor numbers them, then what is left.
    fn virq(&mut self) -> Result<Virq, ChannelError> {
        let vm = self.vms.get_mut(self.index.0).ok_or(ChannelError::NoVm(self.index.0))?;
        let mut candidates = (FIRST_VIRQ_INTID..1020).chain((32..FIRST_VIRQ_INTID).rev());
        let intid = candidates.find(|intid| !vm.intids.contains(intid));
        let intid = intid.ok_or(ChannelError::NoIntid)?;
        vm.intids.insert(intid);
        Ok(Virq { vm: self.index, intid })
    }

    /// Gives the VM a capability to an object, and has RM tell of it; all or nothing.
    fn give(
        &mut self,
        object: Object,
        rights: Rights,
        kind: ResourceType,
        virq: Option<Virq>,
    ) -> Result<(), ChannelError> {
        let given = self.try_to_give(object, rights, kind, virq);
        if given.is_err() {
            self.take_back(object);
        }
        given
    }

    fn try_to_give(
        &mut self,
        object: Object,
        rights: Rights,
        kind: ResourceType,
        virq: Option<Virq>,
    ) -> Result<(), ChannelError> {
        let vm = self.vms.get_mut(self.index.0).ok_or(ChannelError::NoVm(self.index.0))?;
        let capability = vm.capabilities.add(object, rights, self.random);
        let capability = capability.ok_or(ChannelError::NoCapability)?;
        let virq = virq.map(|virq| virq.intid);
        let entry: HypResource = resource::entry(kind, self.partner, self.label, capability, virq);
        self.rm.add_resource(self.index, entry).map_err(ChannelError::Rm)?;
        log::info!("VM {:#x} has a {kind} of label {}: {capability:#x}", vm.vmid, self.label);
        Ok(())
    }
}
