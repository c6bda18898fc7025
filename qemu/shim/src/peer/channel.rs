//! Plays the steps that make and take away what the peer shares.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use gunyah_abi::rm::memory::Transaction;
use gunyah_abi::rm::notification::VmShutdown;
use gunyah_abi::rm::{MessageId, RmError};
use zerocopy::IntoBytes;

use super::play::{Progress, refused};
use super::script::{ChannelKind, ChannelStep};
use super::{Peer, Surroundings};
use crate::channel::{ChannelError, Maker};
use crate::object::DoorbellIndex;
use crate::object::capability::Object;
use crate::rm::{Announcement, Offer};

pub(super) fn play(
    peer: &mut Peer,
    step: &ChannelStep,
    surroundings: &mut Surroundings<'_>,
) -> Progress {
    match *step {
        ChannelStep::Add { kind, label, peer: partner } => {
            let partner = partner.unwrap_or_else(|| surroundings.owner(peer.vm));
            match add(peer, kind, label, partner, surroundings) {
                Ok(()) => Progress::Done,
                Err(error) => Progress::Failed(error.to_string()),
            }
        }
        ChannelStep::Remove { kind, label } => {
            let objects = match kind {
                ChannelKind::Doorbell => peer.forget_doorbell(label),
                ChannelKind::Source { .. } => peer.forget_source(label),
                ChannelKind::QueuePair { .. } => peer.forget_queues(label),
                ChannelKind::Ring { .. } => {
                    [peer.forget_doorbell(label), peer.forget_source(label)].concat()
                }
            };
            if objects.is_empty() {
                return Progress::Failed(format!("the guest has nothing of that kind at {label}"));
            }
            let partner = surroundings.owner(peer.vm);
            for object in objects {
                let (mut maker, interrupts) = maker(peer, label, partner, surroundings);
                maker.remove(object, interrupts);
            }
            match kind {
                ChannelKind::Ring { .. } => recall(peer, label, surroundings),
                _ => Progress::Done,
            }
        }
        ChannelStep::Status { vmid, state } => {
            let Surroundings { rm, objects, interrupts, .. } = surroundings;
            refused(rm.send_status(peer.vm, vmid, state, objects, interrupts))
        }
        ChannelStep::Shutdown { reason } => {
            let Surroundings { rm, objects, interrupts, .. } = surroundings;
            let content = VmShutdown { reason: reason.into() }.as_bytes().to_vec();
            let id = MessageId::VM_SHUTDOWN;
            refused(rm.send_notification(peer.vm, id, content, objects, interrupts))
        }
    }
}

fn recall(peer: &Peer, label: u32, surroundings: &mut Surroundings<'_>) -> Progress {
    let Surroundings { rm, objects, interrupts, .. } = surroundings;
    match rm.parcel_handle(peer.vm, label) {
        Some(handle) => refused(rm.recall_memory(peer.vm, handle, None, objects, interrupts)),
        None => Progress::Done,
    }
}

/// Makes things of one label, and what they interrupt.
fn maker<'s>(
    peer: &Peer,
    label: u32,
    partner: u16,
    surroundings: &'s mut Surroundings<'_>,
) -> (Maker<'s>, &'s mut dyn crate::seam::VirtualInterrupts) {
    let Surroundings { vms, objects, rm, random, interrupts, .. } = surroundings;
    let maker = Maker { index: peer.vm, vms, objects, rm, random, partner, label };
    (maker, interrupts)
}

fn add(
    peer: &mut Peer,
    kind: ChannelKind,
    label: u32,
    partner: u16,
    surroundings: &mut Surroundings<'_>,
) -> Result<(), ChannelError> {
    let (mut maker, _) = maker(peer, label, partner, surroundings);
    match kind {
        ChannelKind::Doorbell => peer.add_doorbell(label, maker.doorbell()?),
        ChannelKind::Source { can_clear } => peer.add_source(label, maker.source(can_clear)?),
        ChannelKind::QueuePair { depth, size } => {
            let (from_guest, to_guest) = maker.queue_pair(depth, size)?;
            peer.add_queues(label, from_guest, to_guest);
        }
        ChannelKind::Ring { bytes } => {
            peer.add_doorbell(label, maker.doorbell()?);
            peer.add_source(label, maker.source(false)?);
            let offer = Offer::new(partner, label, Transaction::Share, bytes);
            let shared = share(peer, offer, surroundings);
            return shared.map_err(ChannelError::Rm);
        }
    }
    Ok(())
}

fn share(peer: &Peer, offer: Offer, surroundings: &mut Surroundings<'_>) -> Result<(), RmError> {
    let Surroundings { rm, objects, interrupts, .. } = surroundings;
    let handle = rm.offer_memory(peer.vm, offer)?;
    rm.announce_memory(peer.vm, handle, &Announcement::default(), objects, interrupts)
}

impl Peer {
    /// Does not ring this doorbell again, nor one of another kind that is left alone.
    fn forget_doorbell(&mut self, label: u32) -> Vec<Object> {
        self.forget_bells(label, |bells| bells.rung_by_peer.take())
    }

    /// Does not listen to this source any longer.
    fn forget_source(&mut self, label: u32) -> Vec<Object> {
        self.forget_bells(label, |bells| bells.rung_by_guest.take())
    }

    fn forget_bells(
        &mut self,
        label: u32,
        take: impl Fn(&mut super::Bells) -> Option<DoorbellIndex>,
    ) -> Vec<Object> {
        let of_label = self.bells.iter_mut().filter(|bells| bells.label == label);
        let taken = of_label.filter_map(take).map(Object::Doorbell).collect();
        let is_used =
            |bells: &super::Bells| bells.rung_by_peer.is_some() || bells.rung_by_guest.is_some();
        self.bells.retain(is_used);
        taken
    }

    fn forget_queues(&mut self, label: u32) -> Vec<Object> {
        let is_meant = |queues: &super::Queues| queues.label == label;
        let gone = self.queues.iter().filter(|queues| is_meant(queues));
        let gone = gone.flat_map(|queues| [queues.from_guest, queues.to_guest].map(Object::Queue));
        let gone = gone.collect();
        self.queues.retain(|queues| !is_meant(queues));
        gone
    }
}
