//! Channels: every doorbell, message queue and shared buffer there is right now.
//!
//! The registry is filled from the device tree at boot. Later the Resource Manager tells what is
//! there: what is new is made, its interrupt enabled and its service started; what is gone is
//! closed, which ends its task, disables its interrupt and frees its memory. None of that touches
//! a channel that stays.
//!
//! What lives here: which channels there are, and when. What does not: what is done with them
//! (`services`), and how an interrupt is enabled or a task started ([`Board`]).

mod about;
mod board;
mod boot;
mod follow;
mod gate;
mod learn;
mod object;
mod peers;
#[cfg(test)]
pub(crate) mod tests;

pub use about::{About, Origin};
pub use board::Board;
pub use boot::queue_config;
pub use follow::{EVENTS, events, follow, refresh};
pub use gate::{Gate, Use};
pub use learn::Changes;
pub use object::{Buffer, Channel, Part, Queue};
pub use peers::{MOST_PEERS, Peer, Peers};

use crate::{
    dt::{Interrupt, Trigger},
    names::name,
    services::{self, BellService, BellSource, Directory},
    watch::Life,
};
use alloc::{boxed::Box, rc::Rc, string::String, sync::Arc, vec::Vec};
use core::{cell::RefCell, pin::Pin};
use gunyah::{
    doorbell::{Doorbell, DoorbellSource, DoorbellTrigger},
    hypercalls::Hypercalls,
    queue::{MessageReceiver, MessageSender, QueueConfig, QueueError},
    rm::Timer,
};
use gunyah_abi::CapabilityId;
use thiserror::Error;

/// The most resources there can be; a queue pair is two.
pub const MOST_RESOURCES: usize = 256;

/// Why a channel cannot be.
#[derive(Debug, Error)]
pub enum ChannelError {
    /// There are [`MOST_RESOURCES`] already.
    #[error("there are {MOST_RESOURCES} resources already")]
    TooMany,
    /// One capability is one object.
    #[error("capability {capability} is given twice: it is {owner} already")]
    Capability {
        /// Which.
        capability: CapabilityId,
        /// What has it.
        owner: String,
    },
    /// The queue's limits are none that a queue can have.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// Its interrupt cannot be used.
    #[error("{0}")]
    Interrupt(Box<dyn core::error::Error>),
    /// It has no interrupt, and needs one.
    #[error("no INTID is given")]
    NoInterrupt,
    /// It has no capability.
    #[error("no capability is given")]
    NoCapability,
}

/// One end of a message queue, to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// What it is used with, and its limits.
    pub config: QueueConfig,
    /// Its vIRQ.
    pub intid: u32,
}

/// The registry: over hypercalls `H`, with a clock `C`.
pub struct Channels<H: 'static, C: 'static> {
    hypervisor: H,
    clock: C,
    board: Box<dyn Board>,
    directory: &'static Directory,
    list: RefCell<Vec<Channel<H>>>,
    /// Capabilities that are in use elsewhere.
    foreign: RefCell<Vec<CapabilityId>>,
    refused: RefCell<learn::Refused>,
    life: Rc<Life>,
}

impl<H, C> Channels<H, C> {
    /// All channels, in the order in which they came. They may be closed while the list is held.
    pub fn all(&self) -> Vec<Channel<H>> {
        self.list.borrow().clone()
    }

    fn find<T>(&self, pick: impl Fn(&Channel<H>) -> Option<T>) -> Vec<T> {
        self.list.borrow().iter().filter_map(pick).collect()
    }

    /// Doorbells received.
    pub fn bells(&self) -> Vec<Rc<BellService<H>>> {
        self.find(|channel| match channel {
            Channel::Bell(bell) => Some(bell.clone()),
            _ => None,
        })
    }

    /// Doorbells to ring.
    pub fn sources(&self) -> Vec<Rc<BellSource<H>>> {
        self.find(|channel| match channel {
            Channel::Source(source) => Some(source.clone()),
            _ => None,
        })
    }

    /// Message queues, pairs and single ones.
    pub fn queues(&self) -> Vec<Rc<Queue<H>>> {
        self.find(|channel| match channel {
            Channel::Queue(queue) => Some(queue.clone()),
            _ => None,
        })
    }

    /// Shared buffers.
    pub fn buffers(&self) -> Vec<Rc<Buffer>> {
        self.find(|channel| match channel {
            Channel::Buffer(buffer) => Some(buffer.clone()),
            _ => None,
        })
    }
}

impl<H, C> Channels<H, C>
where
    H: Hypercalls + Clone + Send + Sync + 'static,
    C: Timer + Clone + 'static,
{
    /// A registry without channels.
    pub fn new(
        hypervisor: H,
        clock: C,
        board: Box<dyn Board>,
        directory: &'static Directory,
    ) -> Self {
        Self {
            hypervisor,
            clock,
            board,
            directory,
            list: RefCell::default(),
            foreign: RefCell::default(),
            refused: RefCell::default(),
            life: Rc::default(),
        }
    }

    /// Which services there are.
    pub fn directory(&self) -> &'static Directory {
        self.directory
    }

    /// The clock of what waits.
    pub fn clock(&self) -> &C {
        &self.clock
    }

    /// Starts a task that uses channels.
    pub fn spawn(&self, name: &'static str, task: Pin<Box<dyn Future<Output = ()>>>) {
        self.board.spawn(name, task);
    }

    /// Signs of life, those of all channels among them.
    pub fn life(&self) -> &Life {
        &self.life
    }

    /// How many resources there are.
    pub fn resources(&self) -> usize {
        self.list.borrow().iter().map(|channel| channel.parts().count().max(1)).sum()
    }

    /// Whether nothing that was received waits for its answer.
    pub fn is_quiet(&self) -> bool {
        self.list.borrow().iter().all(Channel::is_quiet)
    }

    /// Keeps a capability from being used as a channel, whoever lists it: it is the Resource Manager's or
    /// a UART's.
    pub fn set_foreign(&self, capability: CapabilityId) {
        self.foreign.borrow_mut().push(capability);
    }

    fn is_foreign(&self, capability: CapabilityId) -> bool {
        self.foreign.borrow().contains(&capability)
    }

    /// Adds a doorbell that is received, enables its interrupt and starts its service.
    ///
    /// # Errors
    ///
    /// See [`ChannelError`]; nothing has changed then.
    pub fn add_bell(
        &self,
        mut about: About,
        capability: CapabilityId,
        interrupt: Interrupt,
    ) -> Result<Rc<BellService<H>>, ChannelError> {
        about.life = self.life.clone();
        self.check(&[capability])?;
        let trigger = match interrupt.trigger {
            Trigger::Edge => DoorbellTrigger::Edge,
            Trigger::Level => DoorbellTrigger::Level,
        };
        let receiver = Arc::new(Doorbell::new(self.hypervisor.clone(), capability, trigger));
        let name = name("bell", about.label);
        let handler = {
            let receiver = receiver.clone();
            Box::new(move || receiver.on_interrupt())
        };
        self.board.enable(interrupt, name, handler).map_err(ChannelError::Interrupt)?;
        let bell = Rc::new(BellService::new(about, interrupt.intid, receiver));
        self.list.borrow_mut().push(Channel::Bell(bell.clone()));
        self.board.spawn(name, services::serve_bell(bell.clone(), name, self.clock.clone()));
        Ok(bell)
    }

    /// Adds a doorbell to ring.
    ///
    /// # Errors
    ///
    /// See [`ChannelError`]; nothing has changed then.
    pub fn add_source(
        &self,
        about: About,
        capability: CapabilityId,
    ) -> Result<Rc<BellSource<H>>, ChannelError> {
        self.check(&[capability])?;
        let source = DoorbellSource::new(self.hypervisor.clone(), capability);
        let source = Rc::new(BellSource { about, source });
        self.list.borrow_mut().push(Channel::Source(source.clone()));
        Ok(source)
    }

    /// Adds a message queue, or a pair of them, enables the interrupts and starts the service.
    ///
    /// # Errors
    ///
    /// See [`ChannelError`]; nothing has changed then.
    pub fn add_queue(
        &self,
        mut about: About,
        tx: Option<End>,
        rx: Option<End>,
    ) -> Result<Rc<Queue<H>>, ChannelError> {
        about.life = self.life.clone();
        let ends = [tx, rx];
        let capabilities: Vec<_> = ends.iter().flatten().map(|end| end.config.capability).collect();
        self.check(&capabilities)?;
        let hypervisor = || self.hypervisor.clone();
        let sender = tx.map(|end| MessageSender::new(hypervisor(), end.config)).transpose()?;
        let receiver = rx.map(|end| MessageReceiver::new(hypervisor(), end.config)).transpose()?;
        let (sender, receiver) = (sender.map(Arc::new), receiver.map(Arc::new));
        if let (Some(end), Some(sender)) = (tx, sender.clone()) {
            let handler = Box::new(move || sender.on_interrupt());
            self.enable_edge(end.intid, name("msgq tx", about.label), handler)?;
        }
        if let (Some(end), Some(receiver)) = (rx, receiver.clone()) {
            let handler = Box::new(move || receiver.on_interrupt());
            let enabled = self.enable_edge(end.intid, name("msgq rx", about.label), handler);
            if let (Err(_), Some(tx)) = (&enabled, tx) {
                self.board.disable(tx.intid);
            }
            enabled?;
        }
        let label = about.label;
        let intids = ends.map(|end| end.map(|end| end.intid));
        let queue = Rc::new(Queue::new(about, intids, sender, receiver));
        self.list.borrow_mut().push(Channel::Queue(queue.clone()));
        if rx.is_some() {
            let identity = services::identity(&queue);
            let name = match &identity {
                Some(identity) if self.directory.claims(identity) => name("services", label),
                Some(_) => name("echo", label),
                None => name("msgq", label),
            };
            let clock = self.clock.clone();
            let task = services::serve_queue(queue.clone(), self.directory, name, clock);
            if let Some(task) = task {
                self.board.spawn(name, task);
            }
        }
        Ok(queue)
    }

    /// Adds a shared buffer, which somebody else maps.
    ///
    /// # Errors
    ///
    /// [`ChannelError::TooMany`].
    pub fn add_buffer(&self, about: About) -> Result<Rc<Buffer>, ChannelError> {
        self.check(&[])?;
        let buffer = Rc::new(Buffer { about });
        self.list.borrow_mut().push(Channel::Buffer(buffer.clone()));
        Ok(buffer)
    }

    /// A message queue's interrupt is an edge: "not full" is the state that a queue is in nearly
    /// always, so as a level it would fire without end.
    fn enable_edge(
        &self,
        intid: u32,
        name: &'static str,
        handler: crate::interrupts::Handler,
    ) -> Result<(), ChannelError> {
        let interrupt = Interrupt { intid, trigger: Trigger::Edge };
        self.board.enable(interrupt, name, handler).map_err(ChannelError::Interrupt)
    }

    fn check(&self, capabilities: &[CapabilityId]) -> Result<(), ChannelError> {
        if self.resources() + capabilities.len().max(1) > MOST_RESOURCES {
            return Err(ChannelError::TooMany);
        }
        for (n, &capability) in capabilities.iter().enumerate() {
            let twice = |owner: String| Err(ChannelError::Capability { capability, owner });
            if let Some(owner) = self.owner(capability) {
                return twice(alloc::format!("{owner}"));
            }
            if self.is_foreign(capability) {
                return twice("the Resource Manager's or a UART's".into());
            }
            if capabilities.iter().take(n).any(|other| *other == capability) {
                return twice("its other end".into());
            }
        }
        Ok(())
    }

    fn owner(&self, capability: CapabilityId) -> Option<Channel<H>> {
        let list = self.list.borrow();
        let has = |channel: &&Channel<H>| channel.parts().any(|p| p.capability == capability);
        list.iter().find(has).cloned()
    }

    /// Closes a channel: its task ends, its interrupts are disabled, its memory is freed as soon
    /// as nobody refers to it. Does nothing to one that is closed already.
    pub fn close(&self, channel: &Channel<H>, why: &str) {
        let closed = {
            let mut list = self.list.borrow_mut();
            let place = list.iter().position(|other| other.is(channel));
            place.map(|place| list.remove(place))
        };
        let Some(closed) = closed else { return };
        for intid in closed.parts().filter_map(|part| part.intid) {
            self.board.disable(intid);
        }
        if let Channel::Source(source) = &closed {
            for bell in self.bells() {
                bell.forget_source(source);
            }
        }
        closed.about().gate.set(Use::Closed);
        log::info!(target: "channel", "{closed}: closed, {why}");
    }

    /// Closes all channels to a VM; returns how many there were.
    pub fn close_peer(&self, vmid: u16, why: &str) -> usize {
        let theirs = self
            .find(|channel| (channel.about().peer.get() == Some(vmid)).then(|| channel.clone()));
        theirs.iter().for_each(|channel| self.close(channel, why));
        theirs.len()
    }

    /// Gives each doorbell that has nothing to answer on the source of its label and its peer.
    fn pair_bells(&self) {
        let sources = self.sources();
        for bell in self.bells() {
            let fits = |source: &&Rc<BellSource<H>>| bell.about.matches(&source.about);
            if let (true, Some(source)) = (bell.source().is_none(), sources.iter().find(fits)) {
                bell.answer_on(source.clone());
            }
        }
    }
}
