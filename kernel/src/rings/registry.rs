//! Which rings there are: each shared buffer with its two doorbells.
//!
//! A buffer of the device tree names its doorbells. Any other one belongs with those that have its
//! label and its peer, whichever comes first. A ring takes its doorbells over from their own
//! service, and gives them back when it ends.

use super::{RingChannel, RingEnd, RingState};
use crate::{
    channels::Channels,
    memory::shared::SharedBuffer,
    names::name,
    services::{BellService, BellSource},
};
use alloc::{boxed::Box, rc::Rc, sync::Arc, vec::Vec};
use core::cell::{Cell, RefCell};
use gunyah::{hypercalls::Hypercalls, rm::Timer};
use gunyah_abi::CapabilityId;

/// What claims a doorbell.
const CLAIM: &str = "ring";

/// The doorbells that the device tree names for a buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bells {
    /// By which the peer tells this VM.
    pub receiver: Option<CapabilityId>,
    /// By which this VM tells the peer.
    pub source: Option<CapabilityId>,
}

/// A buffer that is there to be used.
struct Entry {
    buffer: Arc<SharedBuffer>,
    bells: Bells,
    ring: Option<Rc<RingChannel>>,
}

/// The rings of this VM, and the buffers that may become rings.
#[derive(Default)]
pub struct Rings {
    own: Cell<Option<u16>>,
    list: RefCell<Vec<Entry>>,
}

impl Rings {
    /// No rings yet. `own` is this VM's VMID, which decides which side of a ring it is.
    pub fn new(own: Option<u16>) -> Self {
        Self { own: Cell::new(own), list: RefCell::default() }
    }

    /// Tells this VM's VMID, where the device tree did not.
    pub fn set_own_vmid(&self, own: u16) {
        self.own.set(Some(own));
    }

    /// All rings, the closed ones too for as long as their buffer is there.
    pub fn all(&self) -> Vec<Rc<RingChannel>> {
        self.list.borrow().iter().filter_map(|entry| entry.ring.clone()).collect()
    }

    /// All buffers, those without a ring too.
    pub fn buffers(&self) -> Vec<Arc<SharedBuffer>> {
        self.list.borrow().iter().map(|entry| entry.buffer.clone()).collect()
    }

    /// Whether a VM shares memory for which there are no doorbells yet.
    pub fn wants_bells(&self, peer: u16) -> bool {
        let without = |entry: &Entry| entry.buffer.peer == Some(peer) && entry.ring.is_none();
        self.list.borrow().iter().any(without)
    }

    /// Adds a buffer; [`pair`](Self::pair) then makes a ring of it if it can.
    pub fn add(&self, buffer: &Arc<SharedBuffer>, bells: Bells) {
        self.list.borrow_mut().push(Entry { buffer: buffer.clone(), bells, ring: None });
    }

    /// Forgets a buffer. Its ring, if there is one, is told by the recall of the buffer.
    pub fn remove(&self, buffer: &Arc<SharedBuffer>) {
        self.list.borrow_mut().retain(|entry| !Arc::ptr_eq(&entry.buffer, buffer));
    }

    /// Makes a ring of each buffer whose doorbells are there now, and of which none was made yet.
    pub fn pair<H, C>(&self, channels: &Channels<H, C>)
    where
        H: Hypercalls + Clone + Send + Sync + 'static,
        C: Timer + Clone + 'static,
    {
        let Some(own) = self.own.get() else { return };
        for entry in &mut *self.list.borrow_mut() {
            if entry.ring.as_ref().is_some_and(|ring| !has_lost_bells(ring)) {
                continue;
            }
            let receiver = channels.bells().into_iter().find(|bell| {
                let capability = bell.receiver.capability();
                belongs(
                    entry,
                    entry.bells.receiver,
                    capability,
                    bell.about.label,
                    bell.about.peer.get(),
                )
            });
            let source = channels.sources().into_iter().find(|source| {
                let capability = source.source.capability();
                belongs(
                    entry,
                    entry.bells.source,
                    capability,
                    source.about.label,
                    source.about.peer.get(),
                )
            });
            if let (Some(receiver), Some(source)) = (receiver, source) {
                entry.start(own, receiver, source, channels);
            }
        }
    }
}

/// Whether a doorbell belongs to a buffer.
fn belongs(
    entry: &Entry,
    named: Option<CapabilityId>,
    capability: CapabilityId,
    label: Option<u32>,
    peer: Option<u16>,
) -> bool {
    let same_peer = match (entry.buffer.peer, peer) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    };
    match named {
        Some(named) => named == capability,
        None => label.is_some() && label == entry.buffer.label && same_peer,
    }
}

/// Whether a ring ended since its doorbells went, so that it can begin anew with others.
fn has_lost_bells(ring: &RingChannel) -> bool {
    ring.state() == RingState::Closed(RingEnd::Ended)
}

impl Entry {
    fn start<H, C>(
        &mut self,
        own: u16,
        receiver: Rc<BellService<H>>,
        source: Rc<BellSource<H>>,
        channels: &Channels<H, C>,
    ) where
        H: Hypercalls + Clone + Send + Sync + 'static,
        C: Timer + Clone + 'static,
    {
        let peer = self.buffer.peer.or(receiver.about.peer.get()).or(source.about.peer.get());
        let label = self.buffer.label;
        let Some(peer) = peer.filter(|peer| *peer != own) else {
            return log::warn!(target: "ring", "{}: which VM is at the other end is not known", name("ring", label));
        };
        if !receiver.about.gate.claim(CLAIM) {
            return;
        }
        if !source.about.gate.claim(CLAIM) {
            return receiver.about.gate.release();
        }
        let Some(lease) = self.buffer.lease() else {
            source.about.gate.release();
            return receiver.about.gate.release();
        };
        let ring = Rc::new(RingChannel::new(label, own, peer));
        self.ring = Some(ring.clone());
        let (directory, clock) = (channels.directory(), channels.clock().clone());
        channels.spawn(
            name("ring", label),
            Box::pin(async move {
                let gates = [&receiver.about.gate, &source.about.gate];
                ring.run(lease, &receiver.receiver, &source.source, directory, gates, &clock).await;
                source.about.gate.release();
                receiver.about.gate.release();
            }),
        );
    }
}

#[cfg(test)]
mod tests;
