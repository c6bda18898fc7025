//! The channels themselves.

use super::About;
use crate::services::{BellService, BellSource};
use alloc::{rc::Rc, sync::Arc};
use core::cell::Cell;
use core::fmt;
use gunyah::{
    hypercalls::Hypercalls,
    queue::{MessageReceiver, MessageSender},
};
use gunyah_abi::{CapabilityId, rm::ResourceType};

/// A message queue to a peer, one from it, or both.
pub struct Queue<H> {
    /// What it is known by.
    pub about: About,
    /// To the peer.
    pub sender: Option<Arc<MessageSender<H>>>,
    /// From the peer.
    pub receiver: Option<Arc<MessageReceiver<H>>>,
    /// Messages sent back as they came.
    pub echoed: Cell<u64>,
    /// Answers that came.
    pub answers: Cell<u64>,
    intids: [Option<u32>; 2],
}

impl<H> Queue<H> {
    /// A queue with the INTIDs of its sender and its receiver.
    pub fn new(
        about: About,
        intids: [Option<u32>; 2],
        sender: Option<Arc<MessageSender<H>>>,
        receiver: Option<Arc<MessageReceiver<H>>>,
    ) -> Self {
        let (echoed, answers) = (Cell::new(0), Cell::new(0));
        Self { about, sender, receiver, echoed, answers, intids }
    }
}

/// Memory shared with a peer.
pub struct Buffer {
    /// What it is known by.
    pub about: About,
}

/// A channel.
pub enum Channel<H: 'static> {
    /// A doorbell that is received.
    Bell(Rc<BellService<H>>),
    /// A doorbell to ring.
    Source(Rc<BellSource<H>>),
    /// A message queue, or two.
    Queue(Rc<Queue<H>>),
    /// Shared memory.
    Buffer(Rc<Buffer>),
}

/// An object of the hypervisor that a channel consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// What the Resource Manager calls it.
    pub kind: ResourceType,
    /// What it is used with.
    pub capability: CapabilityId,
    /// Its interrupt.
    pub intid: Option<u32>,
}

impl<H> Channel<H> {
    /// What the channel is known by.
    pub fn about(&self) -> &About {
        match self {
            Self::Bell(bell) => &bell.about,
            Self::Source(source) => &source.about,
            Self::Queue(queue) => &queue.about,
            Self::Buffer(buffer) => &buffer.about,
        }
    }

    /// Whether the two are the same.
    pub fn is(&self, other: &Self) -> bool {
        core::ptr::eq(self.about(), other.about())
    }
}

impl<H: Hypercalls> Channel<H> {
    /// The hypervisor's objects behind it.
    pub fn parts(&self) -> impl Iterator<Item = Part> + use<H> {
        let part = |kind, capability, intid| Some(Part { kind, capability, intid });
        let parts = match self {
            Self::Bell(bell) => {
                let capability = bell.receiver.capability();
                [part(ResourceType::Doorbell, capability, Some(bell.intid)), None]
            }
            Self::Source(source) => {
                [part(ResourceType::DoorbellSource, source.source.capability(), None), None]
            }
            Self::Queue(queue) => {
                let [tx, rx] = queue.intids;
                let sender = queue.sender.as_ref().map(|sender| sender.capability());
                let receiver = queue.receiver.as_ref().map(|receiver| receiver.capability());
                [
                    sender.and_then(|cap| part(ResourceType::MessageQueueSend, cap, tx)),
                    receiver.and_then(|cap| part(ResourceType::MessageQueueReceive, cap, rx)),
                ]
            }
            Self::Buffer(_) => [None, None],
        };
        parts.into_iter().flatten()
    }

    /// Whether nothing that was received waits for its answer. What nobody will ever take does not count: else a peer
    /// whose misuse ended the service could still hold up the end.
    pub fn is_quiet(&self) -> bool {
        if self.about().gate.is_deserted() {
            return true;
        }
        let ready = match self {
            Self::Bell(bell) => bell.receiver.is_ready() || bell.owes(),
            Self::Queue(queue) => match &queue.receiver {
                Some(receiver) => receiver.is_ready() && !receiver.is_broken(),
                None => false,
            },
            Self::Source(_) | Self::Buffer(_) => false,
        };
        !ready && !self.about().is_working()
    }
}

impl<H> Clone for Channel<H> {
    fn clone(&self) -> Self {
        match self {
            Self::Bell(bell) => Self::Bell(bell.clone()),
            Self::Source(source) => Self::Source(source.clone()),
            Self::Queue(queue) => Self::Queue(queue.clone()),
            Self::Buffer(buffer) => Self::Buffer(buffer.clone()),
        }
    }
}

impl<H> fmt::Display for Channel<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Bell(_) => "bell",
            Self::Source(_) => "bell source",
            Self::Queue(queue) => match (&queue.sender, &queue.receiver) {
                (Some(_), Some(_)) => "msgq",
                (Some(_), None) => "msgq to send",
                (None, _) => "msgq to receive",
            },
            Self::Buffer(_) => "buffer",
        };
        write!(f, "{kind}{}", self.about())
    }
}
