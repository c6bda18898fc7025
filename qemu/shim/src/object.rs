//! Hypervisor objects: message queues and doorbells, shared by capabilities.
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
    free_queues: Vec<QueueIndex>,
    free_doorbells: Vec<DoorbellIndex>,
}

impl Objects {
    /// Adds a message queue.
    pub fn add_queue(&mut self, queue: MessageQueue) -> QueueIndex {
        if let Some(free) = self.free_queues.pop() {
            self.queues[free.0] = queue;
            return free;
        }
        self.queues.push(queue);
        QueueIndex(self.queues.len() - 1)
    }

    /// Adds a doorbell.
    pub fn add_doorbell(&mut self, doorbell: Doorbell) -> DoorbellIndex {
        if let Some(free) = self.free_doorbells.pop() {
            self.doorbells[free.0] = doorbell;
            return free;
        }
        self.doorbells.push(doorbell);
        DoorbellIndex(self.doorbells.len() - 1)
    }

    /// Ends an object: nothing happens to it any more, and its index may be given to another. Returns the interrupts that it
    /// drove.
    pub fn remove(&mut self, object: Object) -> Vec<Virq> {
        let virqs = match object {
            Object::Queue(index) => {
                let queue = self.queue(index);
                queue.restart();
                let virqs = [queue.tx_virq.take(), queue.rx_virq.take()];
                self.free_queues.push(index);
                virqs
            }
            Object::Doorbell(index) => {
                let virq = core::mem::take(self.doorbell(index)).virq;
                self.free_doorbells.push(index);
                [virq, None]
            }
        };
        virqs.into_iter().flatten().collect()
    }

    /// How many objects there are, and places for others that are gone.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.queues.len() + self.doorbells.len()
    }

    /// The queue of that index. Indexes are only made by [`Self::add_queue`], and none is taken away.
    pub fn queue(&mut self, index: QueueIndex) -> &mut MessageQueue {
        &mut self.queues[index.0]
    }

    /// The doorbell of that index. Indexes are only made by [`Self::add_doorbell`], and none is taken away.
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
