//! The one task that follows what the Resource Manager tells, and asks what it does not tell.
//!
//! It tells when a VM starts, ends, or wants this one to end. It does not tell of new resources,
//! so those of a VM are asked for when that VM runs. Where events were missed, everything is asked
//! again.

use super::peers::News;
use crate::{ending::End, system::System};
use alloc::{sync::Arc, vec::Vec};
use gunyah::{
    hypercalls::Hypercalls,
    rm::{
        RequestError, ResourceManager, Timer,
        event::{Event, Events, Received},
    },
};
use gunyah_abi::rm::MessageId;

/// Events that can wait for their turn.
pub const EVENTS: usize = 32;

/// What is followed here; who follows what happens to memory has events of its own.
const FOLLOWED: &[MessageId] = &[
    MessageId::VM_STATUS,
    MessageId::VM_EXITED,
    MessageId::VM_SHUTDOWN,
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
    let following = Following { system, manager, changed };
    following.ask_owner().await;
    loop {
        let received = events.next().await;
        system.channels.life().sign();
        match received {
            Received::Event(event) => following.take(&event).await,
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

struct Following<'s, H: 'static, C: 'static, F> {
    system: &'s System<H, C>,
    manager: &'s ResourceManager<H, C>,
    changed: F,
}

impl<H, C, F> Following<'_, H, C, F>
where
    H: Hypercalls + Clone + Send + Sync + 'static,
    C: Timer + Clone + 'static,
    F: Fn(),
{
    async fn take(&self, event: &Event) {
        match event {
            Event::VmStatus { vmid, status } => match self.system.peers.note(*vmid, *status) {
                News::Runs => self.ask(*vmid).await,
                News::Ended => self.peer_ended(*vmid),
                News::Nothing => {}
            },
            Event::VmExited { vmid, exit, .. } => {
                log::info!(target: "rm", "VM {vmid:#x} ended: {exit}");
                self.peer_ended(*vmid);
            }
            Event::Shutdown { reason } => {
                log::info!(target: "rm", "the owner asks for the end, reason {reason:#x}");
                self.system.ending.ask(End::PowerOff);
            }
            Event::MemShared(_)
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

    fn peer_ended(&self, vmid: u16) {
        if self.system.channels.close_peer(vmid, "the peer ended") > 0 {
            (self.changed)();
        }
    }

    async fn ask(&self, vmid: u16) {
        match refresh(self.system, self.manager, vmid).await {
            Ok(true) => (self.changed)(),
            Ok(false) => {}
            Err(error) => log::warn!(target: "rm", "{error}"),
        }
    }

    async fn owner(&self) -> Option<u16> {
        let identity = self.system.platform.identity.as_ref();
        match identity.and_then(|identity| identity.owner) {
            Some(owner) => Some(owner),
            None => match self.manager.owner().await {
                Ok(owner) => Some(owner),
                Err(error) => {
                    log::warn!(target: "rm", "{error}");
                    None
                }
            },
        }
    }

    async fn ask_owner(&self) {
        if let Some(owner) = self.owner().await {
            self.ask(owner).await;
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
        for vmid in vmids.into_iter().take(super::peers::MOST_PEERS) {
            match self.manager.state(vmid).await {
                Ok(status) => match self.system.peers.note(vmid, status) {
                    News::Ended => self.peer_ended(vmid),
                    News::Runs | News::Nothing => self.ask(vmid).await,
                },
                Err(error) => log::warn!(target: "rm", "{error}"),
            }
        }
    }
}
