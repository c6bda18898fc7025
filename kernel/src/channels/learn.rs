//! What the Resource Manager lists, and what becomes of it.
//!
//! A list is all that this VM shares with one other. What is new in it is made a channel. What it
//! held before and holds no more is gone, and its channel is closed. What cannot be is refused in
//! the log, once, and nothing else is disturbed by it.

use super::{About, Channel, ChannelError, Channels, End, Origin, Part, Queue};
use crate::dt::{Interrupt, Trigger};
use alloc::{rc::Rc, vec::Vec};
use core::fmt::Display;
use gunyah::{
    hypercalls::Hypercalls,
    queue::QueueConfig,
    rm::{Resource, Timer},
};
use gunyah_abi::{CapabilityId, message_queue::MAX_MESSAGE_SIZE, rm::ResourceType};

/// Bytes of the longest message sent on a queue whose limit nobody told: the Resource Manager's
/// default.
pub const DEFAULT_MESSAGE_SIZE: u16 = 240;
/// Messages in a queue of which nobody told: the default likewise.
const DEFAULT_DEPTH: u16 = 8;
/// Refusals that are remembered, so that each is logged once.
const MOST_REFUSALS: usize = 64;

/// What was refused already: the handle, and what it was.
pub type Refused = Vec<(u32, u8, u32)>;

/// What the Resource Manager's list changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Channels made.
    pub made: usize,
    /// Channels closed.
    pub closed: usize,
    /// Resources refused.
    pub refused: usize,
}

impl Part {
    /// Whether the Resource Manager means this object; `strictly`, with the same interrupt.
    fn is(&self, resource: &Resource, strictly: bool) -> bool {
        self.kind == resource.kind
            && Some(self.capability) == resource.capability
            && (!strictly || self.intid == resource.intid || self.intid.is_none())
    }
}

/// Whether the Resource Manager means a part of this channel.
fn is_listed<H: Hypercalls>(channel: &Channel<H>, part: &Part, resource: &Resource) -> bool {
    let about = channel.about();
    let strictly = about.origin == Origin::ResourceManager;
    part.is(resource, strictly) && (!strictly || about.label == Some(resource.label))
}

impl<H, C> Channels<H, C>
where
    H: Hypercalls + Clone + Send + Sync + 'static,
    C: Timer + Clone + 'static,
{
    /// Takes a list of all that is shared with the VM `partner`.
    pub fn learn(&self, partner: u16, resources: &[Resource]) -> Changes {
        let mut changes = Changes::default();
        let usable = self.usable(resources, &mut changes);
        for channel in self.all() {
            let find = |part: Part| {
                usable.iter().copied().find(|resource| is_listed(&channel, &part, resource))
            };
            let about = channel.about();
            let (mut parts, mut found) = (0, None);
            let listed = channel.parts().inspect(|_| parts += 1).filter_map(find);
            let count = listed.inspect(|resource| found = Some(resource.partner)).count();
            if count == parts && parts > 0 {
                about.listed.set(Some(partner));
                if let (None, Some(peer)) = (about.peer.get(), found) {
                    about.peer.set(Some(peer));
                    if let (Channel::Queue(queue), true) =
                        (&channel, self.directory.binds_peer(peer))
                    {
                        self.open_anew(queue);
                    }
                }
            } else if about.listed.get() == Some(partner) {
                self.close(&channel, "the Resource Manager lists it no more");
                changes.closed += 1;
            }
        }
        let new = usable.into_iter().filter(|resource| !self.knows(resource));
        self.add_listed(partner, &new.collect::<Vec<_>>(), &mut changes);
        self.pair_bells();
        changes
    }

    /// Closes a queue of the tree whose peer is known only now, and opens it for the services that
    /// are bound to that peer.
    fn open_anew(&self, queue: &Rc<Queue<H>>) {
        let channel = Channel::Queue(queue.clone());
        let end = |kind, max_message_size: usize, depth| {
            let part = channel.parts().find(|part| part.kind == kind)?;
            let max_message_size = max_message_size as u16;
            let config = QueueConfig { capability: part.capability, max_message_size, depth };
            Some(End { config, intid: part.intid? })
        };
        let tx = queue.sender.as_ref().and_then(|sender| {
            end(ResourceType::MessageQueueSend, sender.max_message_size(), sender.depth())
        });
        let rx = queue.receiver.as_ref().and_then(|receiver| {
            end(ResourceType::MessageQueueReceive, receiver.max_message_size(), receiver.depth())
        });
        let about = About::tree(queue.about.label, queue.about.peer.get(), &queue.about.path);
        about.listed.set(queue.about.listed.get());
        self.close(&channel, "opened anew, since its peer is known");
        if let Err(error) = self.add_queue(about, tx, rx) {
            log::warn!(target: "channel", "{channel}: {error}");
        }
    }

    /// Refuses what cannot be a channel, and leaves out what is none.
    fn usable<'r>(&self, resources: &'r [Resource], changes: &mut Changes) -> Vec<&'r Resource> {
        let mut usable: Vec<&Resource> = Vec::new();
        for resource in resources {
            let needs_interrupt = match resource.kind {
                ResourceType::DoorbellSource => false,
                ResourceType::Doorbell
                | ResourceType::MessageQueueSend
                | ResourceType::MessageQueueReceive => true,
                ResourceType::Unknown(_) => {
                    self.refuse(resource, &"of a kind that nobody knows", changes);
                    continue;
                }
                _ => continue,
            };
            let problem = match resource.capability {
                Some(capability) if self.is_foreign(capability) => continue,
                None => Some(ChannelError::NoCapability),
                Some(_) if needs_interrupt && resource.intid.is_none() => {
                    Some(ChannelError::NoInterrupt)
                }
                Some(capability) => {
                    let same = |other: &&&Resource| other.capability == resource.capability;
                    let owner = usable.iter().find(same).map(|other| name_of(other));
                    owner.map(|owner| ChannelError::Capability { capability, owner })
                }
            };
            match problem {
                Some(problem) => self.refuse(resource, &problem, changes),
                None => usable.push(resource),
            }
        }
        usable
    }

    fn knows(&self, resource: &Resource) -> bool {
        self.all()
            .iter()
            .any(|channel| channel.parts().any(|part| is_listed(channel, &part, resource)))
    }

    fn add_listed(&self, listed: u16, new: &[&Resource], changes: &mut Changes) {
        let mut paired = Vec::new();
        for resource in new {
            let Some(capability) = resource.capability else { continue };
            let about = || About::late(resource.label, resource.partner, listed);
            let added = match resource.kind {
                ResourceType::DoorbellSource => self.add_source(about(), capability).map(drop),
                ResourceType::Doorbell => {
                    let intid = resource.intid.unwrap_or_default();
                    let interrupt = Interrupt { intid, trigger: Trigger::Edge };
                    self.add_bell(about(), capability, interrupt).map(drop)
                }
                _ if paired.contains(&capability) => continue,
                kind => {
                    let back = |other: &&&Resource| {
                        other.kind != kind
                            && is_queue(other.kind)
                            && (other.label, other.partner) == (resource.label, resource.partner)
                            && other.capability.is_some_and(|other| !paired.contains(&other))
                    };
                    let other = new.iter().find(back).and_then(|other| end(other));
                    if let Some(other) = other {
                        paired.push(other.config.capability);
                    }
                    // One that is there alone becomes one half of the pair.
                    let other = other.or_else(|| self.take_single(resource));
                    let (tx, rx) = match kind {
                        ResourceType::MessageQueueSend => (end(resource), other),
                        _ => (other, end(resource)),
                    };
                    self.add_queue(about(), tx, rx).map(drop)
                }
            };
            match added {
                Ok(()) => {
                    changes.made += 1;
                    if let Some(channel) = self.list.borrow().last() {
                        log::info!(target: "channel", "{channel}: new");
                    }
                }
                Err(error) => self.refuse(resource, &error, changes),
            }
        }
    }

    /// Closes the single queue that goes the other way, to be made again as a half of a pair.
    fn take_single(&self, resource: &Resource) -> Option<End> {
        let single = self.all().into_iter().find(|channel| {
            let about = channel.about();
            let kind = channel.parts().next().map(|part| part.kind);
            about.origin == Origin::ResourceManager
                && channel.parts().count() == 1
                && (about.label, about.peer.get()) == (Some(resource.label), Some(resource.partner))
                && kind.is_some_and(|kind| is_queue(kind) && kind != resource.kind)
        })?;
        let part = single.parts().next()?;
        self.close(&single, "it is a half of a pair from now on");
        Some(End { config: config(part.kind, part.capability), intid: part.intid? })
    }

    fn refuse(&self, resource: &Resource, why: &dyn Display, changes: &mut Changes) {
        changes.refused += 1;
        let key = (resource.handle, resource.kind.code(), resource.label);
        let mut refused = self.refused.borrow_mut();
        if refused.contains(&key) || refused.len() > MOST_REFUSALS {
            return;
        }
        refused.push(key);
        drop(refused);
        log::warn!(target: "channel", "{} refused: {why}", name_of(resource));
        if self.refused.borrow().len() > MOST_REFUSALS {
            log::warn!(target: "channel", "further refusals are not logged");
        }
    }
}

fn is_queue(kind: ResourceType) -> bool {
    matches!(kind, ResourceType::MessageQueueSend | ResourceType::MessageQueueReceive)
}

fn config(kind: ResourceType, capability: CapabilityId) -> QueueConfig {
    let max_message_size = match kind {
        // Whatever comes must fit.
        ResourceType::MessageQueueReceive => MAX_MESSAGE_SIZE,
        _ => DEFAULT_MESSAGE_SIZE,
    };
    QueueConfig { capability, max_message_size, depth: DEFAULT_DEPTH }
}

fn end(resource: &Resource) -> Option<End> {
    let capability = resource.capability?;
    Some(End { config: config(resource.kind, capability), intid: resource.intid? })
}

fn name_of(resource: &Resource) -> alloc::string::String {
    let Resource { kind, label, partner, .. } = resource;
    alloc::format!("{kind} with label {label} of VMID {partner:#x}")
}
