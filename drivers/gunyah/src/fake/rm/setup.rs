//! A guest and a Resource Manager with queues between them.

use super::FakeRm;
use crate::fake::{FakeHypervisor, FakeTimer, FakeVm, QueueEnds, Tasks};
use crate::queue::{MessageReceiver, MessageSender, QueueConfig, QueueError};
use crate::rm::ResourceManager;

/// A guest and an RM joined by queues of the usual size.
pub struct RmSetup {
    /// The guest.
    pub guest: FakeVm,
    /// Guest to RM.
    pub to_rm: QueueEnds,
    /// RM to guest.
    pub from_rm: QueueEnds,
    /// The Resource Manager.
    pub rm: FakeRm,
    /// The guest's clock.
    pub timer: FakeTimer,
}

impl RmSetup {
    /// Makes a guest whose queues hold 8 messages of 240 bytes.
    pub fn new() -> Self {
        let hypervisor = FakeHypervisor::new();
        let (guest, rm) = (hypervisor.vm(), hypervisor.vm());
        let to_rm = hypervisor.queue(&guest, &rm, 8, 240);
        let from_rm = hypervisor.queue(&rm, &guest, 8, 240);
        Self {
            guest,
            to_rm,
            from_rm,
            rm: FakeRm::new(rm, to_rm, from_rm),
            timer: FakeTimer::default(),
        }
    }

    /// Makes the guest's client.
    ///
    /// # Errors
    ///
    /// None in fact: the queues' settings are legal.
    pub fn client(&self) -> Result<ResourceManager<FakeVm, FakeTimer>, QueueError> {
        let config = |capability| QueueConfig { capability, max_message_size: 240, depth: 8 };
        let sender = MessageSender::new(self.guest.clone(), config(self.to_rm.tx))?;
        let receiver = MessageReceiver::new(self.guest.clone(), config(self.from_rm.rx))?;
        Ok(ResourceManager::new(sender, receiver, self.timer.clone()))
    }

    /// Delivers the interrupts that are pending to a client's handlers; returns whether there was one.
    pub fn interrupt(&self, client: &ResourceManager<FakeVm, FakeTimer>) -> bool {
        let hypervisor = self.guest.hypervisor();
        let tx = hypervisor.take_virq(self.to_rm.tx_virq);
        if tx {
            client.sender().on_interrupt();
        }
        let rx = hypervisor.take_virq(self.from_rm.rx_virq);
        if rx {
            client.receiver().on_interrupt();
        }
        tx || rx
    }

    /// Runs tasks, RM and interrupts until none has anything to do.
    pub fn settle(&mut self, client: &ResourceManager<FakeVm, FakeTimer>, tasks: &mut Tasks<'_>) {
        loop {
            tasks.run_until_idle();
            self.rm.step();
            if !self.interrupt(client) {
                return;
            }
        }
    }
}

impl Default for RmSetup {
    fn default() -> Self {
        Self::new()
    }
}
