//! Plays the steps with memory that the peer owns.

use alloc::format;
use alloc::string::String;
use alloc::vec;

use super::play::{Progress, refused};
use super::script::{MemoryCondition, MemoryStep};
use super::{Peer, Surroundings};
use crate::rm::{MemoryAction, Offer};
use gunyah_abi::rm::{RmError, SELF_VMID};

/// Events of parcels that are kept for the script to look at.
const KEPT_EVENTS: usize = 1024;

impl Peer {
    /// Takes note of what the guest did with parcels.
    pub(super) fn hear_of_memory(&mut self, surroundings: &mut Surroundings<'_>) {
        while let Some(event) = surroundings.rm.take_memory_event(self.vm) {
            if self.memory_events.len() == KEPT_EVENTS {
                self.memory_events.pop_front();
            }
            self.memory_events.push_back(event);
        }
    }

    /// Takes the oldest event of a parcel that is like this one.
    fn take_memory_event(&mut self, wanted: u32, action: MemoryAction, any_tag: bool) -> bool {
        let alike = |did: &MemoryAction| match (did, &action) {
            (MemoryAction::Told(did, _), MemoryAction::Told(wanted, _)) if any_tag => did == wanted,
            (did, wanted) => did == wanted,
        };
        let is_meant = |(label, did): &(u32, MemoryAction)| *label == wanted && alike(did);
        let place = self.memory_events.iter().position(is_meant);
        place.and_then(|place| self.memory_events.remove(place)).is_some()
    }
}

pub(super) fn play(
    peer: &mut Peer,
    step: &MemoryStep,
    surroundings: &mut Surroundings<'_>,
) -> Progress {
    let vm = peer.vm;
    let owner = surroundings.owner(vm);
    let Surroundings { objects, rm, interrupts, .. } = surroundings;
    let handle = |label: &u32| rm.parcel_handle(vm, *label).ok_or_else(|| no_parcel(*label));
    match step {
        MemoryStep::Offer { offer, announcement } => {
            let owner = if offer.owner == SELF_VMID { owner } else { offer.owner };
            let handle = match rm.offer_memory(vm, Offer { owner, ..offer.clone() }) {
                Ok(handle) => handle,
                Err(error) => return refused(Err(error)),
            };
            match announcement {
                None => Progress::Done,
                Some(said) => refused(rm.announce_memory(vm, handle, said, objects, interrupts)),
            }
        }
        MemoryStep::Announce { label, announcement } => match handle(label) {
            Ok(handle) => {
                refused(rm.announce_memory(vm, handle, announcement, objects, interrupts))
            }
            Err(reason) => Progress::Failed(reason),
        },
        MemoryStep::Recall { label, tag } => match handle(label) {
            Ok(handle) => refused(rm.recall_memory(vm, handle, *tag, objects, interrupts)),
            Err(reason) => Progress::Failed(reason),
        },
        MemoryStep::Reclaim { label, refused: expected } => {
            let result = handle(label).map(|handle| rm.reclaim_memory(vm, handle));
            if result == Ok(Ok(())) {
                peer.leave_ring(*label, surroundings);
            }
            match (result, expected) {
                (Ok(Err(RmError::MemInuse)), true) => Progress::Done,
                (Ok(Ok(())), true) => Progress::Failed("RM did not refuse it".into()),
                (Ok(result), _) => refused(result),
                (Err(reason), _) => Progress::Failed(reason),
            }
        }
        MemoryStep::Seize { label } => match handle(label) {
            Ok(handle) => {
                let seized = surroundings.rm.seize_memory(vm, handle, surroundings.stage2);
                if seized.is_ok() {
                    peer.leave_ring(*label, surroundings);
                }
                refused(seized)
            }
            Err(reason) => Progress::Failed(reason),
        },
        MemoryStep::Write { label, offset, bytes } => {
            let Some(memory) = rm.parcel_memory(vm, *label) else {
                return Progress::Failed(no_access(*label));
            };
            let whole = <[u8; 4]>::try_from(bytes.as_slice()).ok();
            let word = whole.and_then(|bytes| Some((memory.word(*offset)?, bytes)));
            let written = match word {
                Some((word, bytes)) => {
                    let value = u32::from_le_bytes(bytes).to_le();
                    word.store(value, core::sync::atomic::Ordering::Release);
                    Some(())
                }
                None => memory.write(*offset, bytes),
            };
            match written {
                Some(()) => Progress::Done,
                None => Progress::Failed(format!("the parcel has {:#x} bytes", memory.size())),
            }
        }
    }
}

fn no_parcel(label: u32) -> String {
    format!("there is no memory parcel {label}")
}

fn no_access(label: u32) -> String {
    format!("there is no memory parcel {label}, or it is the guest's alone")
}

pub(super) fn holds(
    peer: &mut Peer,
    condition: &MemoryCondition,
    surroundings: &Surroundings<'_>,
) -> Result<bool, String> {
    match condition {
        MemoryCondition::Did { label, action, any_tag } => {
            Ok(peer.take_memory_event(*label, *action, *any_tag))
        }
        MemoryCondition::Holds { label, offset, bytes } => {
            let memory = surroundings.rm.parcel_memory(peer.vm, *label);
            let memory = memory.ok_or_else(|| no_access(*label))?;
            let mut held = vec![0; bytes.len()];
            let read = memory.read(*offset, &mut held);
            read.ok_or_else(|| format!("the parcel has {:#x} bytes", memory.size()))?;
            Ok(held == *bytes)
        }
    }
}

/// What there is instead of what a condition wants, for a failure's message.
pub(super) fn seen(
    peer: &Peer,
    condition: &MemoryCondition,
    surroundings: &Surroundings<'_>,
) -> String {
    match condition {
        MemoryCondition::Did { .. } => format!("the guest did {:x?}", peer.memory_events),
        MemoryCondition::Holds { label, offset, bytes } => {
            let mut held = vec![0; bytes.len()];
            let memory = surroundings.rm.parcel_memory(peer.vm, *label);
            let read = memory.and_then(|memory| memory.read(*offset, &mut held));
            match read {
                Some(()) => format!("there is {held:02x?}"),
                None => no_access(*label),
            }
        }
    }
}
