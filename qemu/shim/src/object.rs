//! Hypervisor objects: message queues and doorbells, shared between VMs by capabilities.
//!
//! Objects live in one arena and know nothing about who holds a capability to them; the tables of
//! [`capability`] do. What belongs here is the state machines of the objects, nothing of the Resource Manager protocol
//! and nothing of registers.

use alloc::vec::Vec;

pub mod capability;
pub mod doorbell;
pub mod message_queue;

use crate::seam::Virq;
use capability::{CapabilityTable, Object};
use doorbell::Doorbell;
use message_queue::MessageQueue;

/// Names a message queue of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueIndex(usize);

/// Names a doorbell of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoorbellIndex(usize);

/// All objects of the machine.
#[derive(Debug, Default)]
pub struct Objects {
    queues: Vec<MessageQueue>,
    doorbells: Vec<Doorbell>,
}

impl Objects {
    /// Adds a message queue.
    pub fn add_queue(&mut self, queue: MessageQueue) -> QueueIndex {
        self.queues.push(queue);
        QueueIndex(self.queues.len() - 1)
    }

    /// Adds a doorbell.
    pub fn add_doorbell(&mut self, doorbell: Doorbell) -> DoorbellIndex {
        self.doorbells.push(doorbell);
        DoorbellIndex(self.doorbells.len() - 1)
    }

    /// The queue of that index. Indexes are only made by [`Self::add_queue`], and nothing is ever removed.
    pub fn queue(&mut self, index: QueueIndex) -> &mut MessageQueue {
        &mut self.queues[index.0]
    }

    /// The doorbell of that index. Indexes are only made by [`Self::add_doorbell`], and nothing is ever removed.
    pub fn doorbell(&mut self, index: DoorbellIndex) -> &mut Doorbell {
        &mut self.doorbells[index.0]
    }

    /// Whether an object holds the source bound to `virq` pending, for an INTID that the guest configured as level.
    #[must_use]
    pub fn is_source_pending(&self, virq: Virq) -> bool {
        self.queues.iter().any(|queue| {
            (queue.tx_virq == Some(virq) && queue.is_tx_pending())
                || (queue.rx_virq == Some(virq) && queue.is_rx_pending())
        }) || self
            .doorbells
            .iter()
            .any(|doorbell| doorbell.virq == Some(virq) && doorbell.is_pending())
    }

    /// Returns what a VM holds to its state at creation; capabilities stay valid.
    pub fn restart(&mut self, held: &CapabilityTable) {
        for object in held.objects() {
            match object {
                Object::Queue(index) => self.queue(index).restart(),
                Object::Doorbell(index) => self.doorbell(index).restart(),
            }
        }
    }
}
