//! Plays the steps that make the hypervisor and RM misbehave.

use alloc::format;

use super::play::{Progress, refused};
use super::script::Mischief;
use super::{Peer, Surroundings};
use crate::seam::{Virq, VirtualInterrupts};

pub(super) fn misbehave(
    peer: &mut Peer,
    mischief: &Mischief,
    surroundings: &mut Surroundings<'_>,
) -> Progress {
    let vm = peer.vm;
    let Surroundings { objects, rm, interrupts, hypercall_faults, .. } = surroundings;
    match mischief {
        Mischief::Rm { id, fault, count } => rm.plan_fault(vm, *id, *fault, *count),
        Mischief::Packet(bytes) => rm.send_packet(vm, bytes.clone(), objects, interrupts),
        Mischief::Notify { id, text } => {
            let content = text.as_bytes().to_vec();
            return refused(rm.send_notification(vm, *id, content, objects, interrupts));
        }
        Mischief::Break { label, broken } => {
            let queue = match label {
                None => rm.answers_queue(vm),
                Some(label) => {
                    let mut found = peer.queues.iter().filter(|queues| queues.label == *label);
                    found.next().map(|queues| queues.to_guest)
                }
            };
            match queue {
                Some(queue) => objects.queue(queue).broken = *broken,
                None => return Progress::Failed(format!("the guest has no queue {label:?}")),
            }
        }
        Mischief::Interrupt { intid, fault, count } => {
            interrupts.faults.plan(Virq { vm, intid: *intid }, *fault, *count);
        }
        Mischief::Raise { intid, count } => {
            // The GIC keeps one: the next is raised at the next turn.
            interrupts.assert_edge(Virq { vm, intid: *intid });
            peer.player.done += 1;
            if peer.player.done < *count {
                return Progress::Blocked;
            }
        }
        Mischief::Hypercall { hypercall, answer: Some((error, count)) } => {
            hypercall_faults.plan(*hypercall, *error, *count);
        }
        Mischief::Hypercall { hypercall, answer: None } => hypercall_faults.clear(*hypercall),
    }
    Progress::Done
}
