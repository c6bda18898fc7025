//! The Resource Manager (RM): server of management requests and consoles.
//!
//! RM talks to each VM over a pair of message queues and runs from its own event loop, so it does nothing until
//! [`ResourceManager::run`] is called, at the guest's WFI and at interrupts. `reassembly` makes messages of packets,
//! `transmit` packets of messages, `request` answers, from `information` what changes nothing, `console` keeps the
//! consoles, `memory` the memory parcels. `behaviour` has the limits, `fault` what a script makes go wrong. The owner of a VM
//! that is no VM of this machine is the peer, reached through [`Owner`].

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use gunyah_abi::rm::payload::{HypResource, StateReply};
use gunyah_abi::rm::{MessageId, OsState, PacketType, RmError};

use crate::object::{Objects, QueueIndex};
use crate::seam::{Stage2, VirtualInterrupts};
use crate::vm::{Vm, VmEnd, VmIndex};

mod behaviour;
mod console;
mod fault;
mod information;
mod memory;
mod reassembly;
mod request;
pub mod resource;
mod transmit;

pub use behaviour::Behaviour;
use console::ConsoleState;
pub use fault::Fault;
use fault::Faults;
use memory::Memory;
pub use memory::{Announcement, MemoryAction, Offer};
use reassembly::Reassembly;
use transmit::{Outgoing, Transmitter};

/// What RM tells the owner of a VM.
pub trait Owner {
    /// The VM's console printed `bytes`.
    fn console_chars(&mut self, vm: VmIndex, bytes: &[u8]);
}

/// What RM knows of one VM.
#[derive(Debug)]
struct Link {
    vm: VmIndex,
    requests: QueueIndex,
    answers: QueueIndex,
    reassembly: Reassembly,
    transmitter: Transmitter,
    console: Option<ConsoleState>,
    crash_message: Vec<u8>,
    os_state: OsState,
    app_status: u16,
    resources: Vec<HypResource>,
    faults: Faults,
}

/// A whole message from a VM.
#[derive(Debug, PartialEq, Eq)]
struct Message {
    kind: PacketType,
    sequence: u16,
    id: MessageId,
    content: Vec<u8>,
}

/// What RM is to know of a VM.
#[derive(Debug)]
pub struct LinkConfig {
    /// The VM.
    pub vm: VmIndex,
    /// The queue on which the VM sends.
    pub requests: QueueIndex,
    /// The queue on which the VM receives.
    pub answers: QueueIndex,
    /// Whether the VM has a console.
    pub console: bool,
    /// What the VM shares with others, for `VM_GET_HYP_RESOURCES`.
    pub resources: Vec<HypResource>,
}

/// The server.
#[derive(Debug, Default)]
pub struct ResourceManager {
    links: Vec<Link>,
    notifications: u16,
    behaviour: Behaviour,
    memory: Memory,
    /// What is known of VMs that are none of this machine.
    strangers: BTreeMap<u16, StateReply>,
}

impl ResourceManager {
    /// A server that behaves like this.
    #[must_use]
    pub fn new(behaviour: Behaviour) -> Self {
        Self { behaviour, ..Self::default() }
    }

    /// Begins to serve a VM.
    pub fn attach(&mut self, config: LinkConfig) {
        self.links.push(Link {
            vm: config.vm,
            requests: config.requests,
            answers: config.answers,
            reassembly: Reassembly::default(),
            transmitter: Transmitter::default(),
            console: config.console.then(ConsoleState::default),
            crash_message: Vec::new(),
            os_state: OsState::None,
            app_status: 0,
            resources: config.resources,
            faults: Faults::default(),
        });
    }

    /// Serves what the VMs have sent, and sends as much as the queues take.
    ///
    /// Does a bounded amount of work. Returns the VMs that asked for their end.
    pub fn run(
        &mut self,
        objects: &mut Objects,
        vms: &[Vm],
        owner: &mut dyn Owner,
        interrupts: &mut dyn VirtualInterrupts,
        stage2: &mut dyn Stage2,
    ) -> Vec<(VmIndex, VmEnd)> {
        let mut ends = Vec::new();
        for index in 0..self.links.len() {
            self.transmit(index, objects, interrupts);
            let requests = self.links[index].requests;
            for _ in 0..objects.queue(requests).depth() {
                let Some(packet) = objects.queue(requests).receive_bytes(interrupts) else {
                    break;
                };
                if let Some(message) = self.links[index].reassembly.accept(&packet)
                    && let Some(end) = self.serve(index, &message, vms, owner, stage2)
                {
                    ends.push(end);
                    break;
                }
                self.transmit(index, objects, interrupts);
            }
        }
        // A request of one VM may have made a notification for an earlier one.
        for index in 0..self.links.len() {
            self.transmit(index, objects, interrupts);
        }
        ends
    }

    fn serve(
        &mut self,
        caller: usize,
        message: &Message,
        vms: &[Vm],
        owner: &mut dyn Owner,
        stage2: &mut dyn Stage2,
    ) -> Option<(VmIndex, VmEnd)> {
        if message.kind != PacketType::Request {
            log::debug!("rm: {} is no request, ignored", message.id);
            return None;
        }
        let fault = self.links[caller].faults.take(message.id);
        let answer = match fault {
            Some(Fault::Refuse(error)) => request::Answer::Refuse(error),
            Some(Fault::Drop) => request::Answer::Silence,
            _ => request::answer(self, caller, message, vms, owner, stage2),
        };
        let reply = match answer {
            request::Answer::Reply(data) => {
                log::debug!("rm: {} = OK", message.id);
                [&RmError::OK.to_le_bytes(), data.as_slice()].concat()
            }
            request::Answer::Refuse(error) => {
                log::debug!("rm: {} = {error}", message.id);
                error.code().to_le_bytes().to_vec()
            }
            request::Answer::Silence => {
                log::debug!("rm: {} dropped without a reply", message.id);
                return None;
            }
            request::Answer::End(end) => {
                log::info!("rm: {end}");
                return Some((self.links[caller].vm, end));
            }
        };
        match Outgoing::new(PacketType::Reply, message.sequence, message.id, &reply, fault) {
            Some(reply) => self.links[caller].transmitter.reply(reply, &self.behaviour),
            None => log::warn!("rm: the reply to {} is too long and dropped", message.id),
        }
        None
    }

    /// Queues a notification for a VM.
    fn notify(&mut self, link: usize, id: MessageId, content: Vec<u8>) -> Result<(), RmError> {
        self.notifications = self.notifications.wrapping_add(1);
        let link = &mut self.links[link];
        let (kind, fault) = (PacketType::Notification, link.faults.take(id));
        let notification = Outgoing::new(kind, self.notifications, id, &content, fault);
        let notification = notification.ok_or(RmError::MsgInvalid)?;
        link.transmitter.notify(notification, &self.behaviour)
    }

    /// The queue on which the VM hears from RM.
    #[must_use]
    pub fn answers_queue(&self, vm: VmIndex) -> Option<QueueIndex> {
        self.link_of(vm).map(|link| self.links[link].answers)
    }

    /// Messages that wait for room in the VM's queue.
    #[must_use]
    pub fn backlog(&self, vm: VmIndex) -> usize {
        self.link_of(vm).map_or(0, |link| self.links[link].transmitter.backlog())
    }

    /// The crash message that the VM stored; empty if it stored none.
    #[must_use]
    pub fn crash_message(&self, vm: VmIndex) -> &[u8] {
        self.link_of(vm).map_or(&[], |link| &self.links[link].crash_message)
    }

    /// Before the VM starts for the first time: it gets the memory that its tree names.
    ///
    /// # Errors
    ///
    /// `MAP_FAILED`.
    pub fn start(&mut self, vm: VmIndex, stage2: &mut dyn Stage2) -> Result<(), RmError> {
        self.memory.start(vm, stage2)
    }

    /// Forgets what the VM did before it was reset: its console is closed on both sides, nothing waits for it, and it has no
    /// memory but what its tree names.
    pub fn restart(&mut self, vm: VmIndex, stage2: &mut dyn Stage2) {
        self.memory.stop(vm, stage2);
        if let Err(error) = self.memory.start(vm, stage2) {
            log::warn!("rm: the memory that the tree names: {error}");
        }
        if let Some(link) = self.link_of(vm) {
            let link = &mut self.links[link];
            link.reassembly = Reassembly::default();
            link.transmitter = Transmitter::default();
            link.console = link.console.map(|_| ConsoleState::default());
            link.crash_message.clear();
            link.os_state = OsState::None;
            link.app_status = 0;
        }
    }

    fn transmit(
        &mut self,
        link: usize,
        objects: &mut Objects,
        interrupts: &mut dyn VirtualInterrupts,
    ) {
        let link = &mut self.links[link];
        link.transmitter.run(objects.queue(link.answers), self.behaviour.in_order, interrupts);
    }

    fn link_of(&self, vm: VmIndex) -> Option<usize> {
        self.links.iter().position(|link| link.vm == vm)
    }
}

#[cfg(test)]
mod tests;
