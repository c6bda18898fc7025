//! Makes the objects of a VM, each with a capability and interrupts of its own.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use gunyah_abi::rm::MAX_PACKET_SIZE;

use super::MachineError;
use crate::machine_file::QueuePair;
use crate::object::capability::{CapabilityTable, Object, Rights};
use crate::object::message_queue::MessageQueue;
use crate::object::{DoorbellIndex, Objects, QueueIndex};
use crate::seam::Virq;
use crate::uart::Signal;
use crate::vm::VmIndex;

/// INTIDs of shared peripheral interrupts.
const SPIS: core::ops::Range<u32> = 32..1020;

/// Makes the objects of one VM.
pub(super) struct Builder<'a> {
    pub(super) vm: VmIndex,
    pub(super) name: &'a str,
    pub(super) objects: &'a mut Objects,
    pub(super) capabilities: CapabilityTable,
    pub(super) intids: BTreeSet<u32>,
    /// The doorbells that the VM receives, with their INTIDs.
    pub(super) doorbells: Vec<(u32, DoorbellIndex)>,
}

impl Builder<'_> {
    pub(super) fn grant(
        &mut self,
        cap: u64,
        object: Object,
        rights: Rights,
    ) -> Result<(), MachineError> {
        if self.capabilities.insert(cap, object, rights) {
            return Ok(());
        }
        Err(MachineError::Capability { vm: self.name.into(), cap })
    }

    pub(super) fn virq(&mut self, intid: u32) -> Result<Virq, MachineError> {
        if SPIS.contains(&intid) && self.intids.insert(intid) {
            return Ok(Virq { vm: self.vm, intid });
        }
        Err(MachineError::Intid { vm: self.name.into(), intid })
    }

    /// What a UART with this INTID does to interrupt: rings the doorbell that has it, or drives the line, which other
    /// UARTs may share.
    pub(super) fn signal(
        &mut self,
        intid: u32,
        first: bool,
        shared: bool,
    ) -> Result<Signal, MachineError> {
        let bell = self.doorbells.iter().find(|(taken, _)| *taken == intid);
        if let Some((_, doorbell)) = bell {
            return Ok(Signal::Doorbell(*doorbell));
        }
        let virq = if first { self.virq(intid)? } else { Virq { vm: self.vm, intid } };
        Ok(if shared { Signal::SharedLine(virq) } else { Signal::Line(virq) })
    }

    /// The queues of a pair: from the VM, to the VM.
    pub(super) fn queues(
        &mut self,
        pair: &QueuePair,
    ) -> Result<(QueueIndex, QueueIndex), MachineError> {
        let (tx_virq, rx_virq) = (self.virq(pair.tx_intid)?, self.virq(pair.rx_intid)?);
        let queue = || {
            MessageQueue::new(pair.depth, pair.size).ok_or_else(|| MachineError::Queue {
                vm: self.name.into(),
                depth: pair.depth,
                size: pair.size,
            })
        };
        let (mut from_vm, mut to_vm) = (queue()?, queue()?);
        from_vm.tx_virq = Some(tx_virq);
        to_vm.rx_virq = Some(rx_virq);
        let (from_vm, to_vm) = (self.objects.add_queue(from_vm), self.objects.add_queue(to_vm));
        self.grant(pair.tx_cap, Object::Queue(from_vm), Rights::SEND)?;
        self.grant(pair.rx_cap, Object::Queue(to_vm), Rights::RECEIVE)?;
        Ok((from_vm, to_vm))
    }

    /// The queues to the Resource Manager, which must hold its packets.
    pub(super) fn rm_queues(
        &mut self,
        pair: &QueuePair,
    ) -> Result<(QueueIndex, QueueIndex), MachineError> {
        if usize::from(pair.size) < MAX_PACKET_SIZE {
            return Err(MachineError::Queue {
                vm: self.name.into(),
                depth: pair.depth,
                size: pair.size,
            });
        }
        self.queues(pair)
    }
}
