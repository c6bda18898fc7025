//! The one task that follows what RM tells, and asks what it does not tell.
//!
//! It tells when a VM starts or ends. It does not tell of new resources, so those of a VM are asked
//! for when that VM runs. Where events were missed, everything is asked again.
//!
//! What is told comes before what is to be asked: however slowly the Resource Manager answers, the
//! end of a VM closes its channels at once, and then has its memory released.

use super::peers::{MOST_PEERS, News, has_ended};
use crate::{system::System, task::yield_now};
use alloc::{sync::Arc, vec::Vec};
use core::cell::RefCell;
use gunyah::{
    hypercalls::Hypercalls,
    rm::{
        RequestError, ResourceManager, Timer,
        event::{Event, Events, Received},
    },
};
use gunyah_abi::rm::{MessageId, RM_VMID};

/// Events that can wait for their turn.
pub const EVENTS: usize = 32;

/// What is followed here; what happens to memory, and this VM's own end, others follow.
const FOLLOWED: &[MessageId] = &[
    MessageId::VM_STATUS,
    MessageId::VM_EXITED,
    MessageId::VM_IRQ_LENT,
    MessageId::VM_IRQ_RELEASED,
    MessageId::VM_IRQ_ACCEPTED,
];

/// Events to be followed, for the client to put them in.
pub fn events() -> Arc<Events<EVENTS>> {
    Arc::new(Events::only(FOLLOWED))
}

/// Follows events for ever; calls `changed` when there are other channels than before.
pub async fn follow<H, C>(
    system: &System<H, C>,
    manager: &ResourceManager<H, C>,
    events: &Events<EVENTS>,
    changed: impl Fn(),
) -> !
where
    H: Hypercalls + Clone + Send + Sync + 'static,
    C: Timer + Clone + 'static,
{
    let following = Following { system, manager, changed, questions: RefCell::default() };
    following.ask_owner().await;
    loop {
        let (number, received) = match events.try_next_numbered() {
            Some(numbered) => numbered,
            None if following.ask_next().await => continue,
            None => events.next_numbered().await,
        };
        system.channels.life().sign();
        match received {
            Received::Event(event) => following.take(&event, number),
            Received::Missed(count) => {
                log::warn!(target: "rm", "{count} events missed: everything is asked again");
                following.ask_all().await;
            }
        }
    }
}

/// Asks the Resource Manager what this VM shares with another, and changes the channels
/// accordingly.
///
/// # Errors
///
/// The Resource Manager's; nothing has changed then.
pub async fn refresh<H, C>(
    system: &System<H, C>,
    manager: &ResourceManager<H, C>,
    vmid: u16,
) -> Result<bool, RequestError>
where
    H: Hypercalls + Clone + Send + Sync + 'static,
    C: Timer + Clone + 'static,
{
    let resources = manager.resources(vmid).await?;
    let changes = system.channels.learn(vmid, &resources);
    Ok(changes.made + changes.closed > 0)
}

/// What is to be asked of a VM.
struct Question {
    vmid: u16,
    /// How it is, too.
    state: bool,
}

struct Following<'s, H: 'static, C: 'static, F> {
    system: &'s System<H, C>,
    manager: &'s ResourceManager<H, C>,
    changed: F,
    questions: RefCell<Vec<Question>>,
}

impl<H, C, F> Following<'_, H, C, F>
where
    H: Hypercalls + Clone + Send + Sync + 'static,
    C: Timer + Clone + 'static,
    F: Fn(),
{
    fn take(&self, event: &Event, number: u64) {
        match event {
            Event::VmStatus { vmid, status } => match self.system.peers.note(*vmid, *status) {
                News::Runs => self.want(*vmid, false),
                News::Nothing if !has_ended(status.vm) => {}
                News::Ended | News::Nothing => self.peer_ended(*vmid, number),
            },
            Event::VmExited { vmid, exit, .. } => {
                log::info!(target: "rm", "VM {vmid:#x} ended: {exit}");
                self.peer_ended(*vmid, number);
            }
            Event::Shutdown { .. }
            | Event::MemShared(_)
            | Event::MemReleased { .. }
            | Event::MemAccepted { .. }
            | Event::MemRecall { .. } => {}
            Event::IrqLent { owner, handle, label } => {
                log::info!(
                    target: "rm",
                    "VM {owner:#x} lends interrupt {handle:#x}, label {label:#x}: not taken here"
                );
            }
            Event::IrqReleased { handle } | Event::IrqAccepted { handle } => {
                log::info!(target: "rm", "interrupt {handle:#x} taken or released: none was lent");
            }
        }
    }

    /// First the channels, then the memory that some of them may be made of.
    fn peer_ended(&self, vmid: u16, number: u64) {
        self.questions.borrow_mut().retain(|question| question.vmid != vmid);
        if self.system.channels.close_peer(vmid, "the peer ended") > 0 {
            (self.changed)();
        }
        if let Some(parcels) = &self.system.parcels {
            parcels.peer_ended(vmid, number);
        }
    }

    /// Has a VM asked for, once nothing that was told waits.
    fn want(&self, vmid: u16, state: bool) {
        let mut questions = self.questions.borrow_mut();
        if let Some(question) = questions.iter_mut().find(|question| question.vmid == vmid) {
            question.state |= state;
        } else if questions.len() < MOST_PEERS {
            questions.push(Question { vmid, state });
        }
    }

    /// Asks the first question; false if there is none.
    async fn ask_next(&self) -> bool {
        let first = {
            let mut questions = self.questions.borrow_mut();
            if questions.is_empty() { None } else { Some(questions.remove(0)) }
        };
        match first {
            Some(Question { vmid, state: true }) => self.ask_state(vmid).await,
            Some(Question { vmid, state: false }) => self.ask(vmid).await,
            None => return false,
        }
        true
    }

    async fn ask_state(&self, vmid: u16) {
        match self.manager.state(vmid).await {
            Ok(status) => match self.system.peers.note(vmid, status) {
                News::Ended => self.peer_ended(vmid, Events::<EVENTS>::newest()),
                News::Runs | News::Nothing => self.want(vmid, false),
            },
            Err(error) => log::warn!(target: "rm", "{error}"),
        }
    }

    async fn ask(&self, vmid: u16) {
        match refresh(self.system, self.manager, vmid).await {
            Ok(true) => {
                // Rings whose doorbells went end first, so that they can begin anew with others.
                yield_now().await;
                (self.changed)();
            }
            Ok(false) => {}
            Err(error) => log::warn!(target: "rm", "{error}"),
        }
    }

    /// Whose VM this is. The primary VM is the Resource Manager's own, which lists nothing for it.
    async fn owner(&self) -> Option<u16> {
        let identity = self.system.platform.identity.as_ref();
        let owner = match identity.and_then(|identity| identity.owner) {
            Some(owner) => Some(owner),
            None => match self.manager.owner().await {
                Ok(owner) => Some(owner),
                Err(error) => {
                    log::warn!(target: "rm", "{error}");
                    None
                }
            },
        };
        owner.filter(|owner| *owner != RM_VMID)
    }

    async fn ask_owner(&self) {
        if let Some(owner) = self.owner().await {
            self.want(owner, false);
        }
    }

    /// How each known VM is, and what is shared with it.
    async fn ask_all(&self) {
        let mut vmids: Vec<u16> = self.system.peers.list().iter().map(|peer| peer.vmid).collect();
        match self.manager.peers().await {
            Ok(peers) => vmids.extend(peers),
            Err(error) => log::warn!(target: "rm", "{error}"),
        }
        vmids.extend(self.owner().await);
        crate::sorted::sort_by_key(&mut vmids, |&vmid| vmid);
        vmids.dedup();
        vmids.into_iter().for_each(|vmid| self.want(vmid, true));
    }
}
