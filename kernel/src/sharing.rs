//! Shared memory while the kernel runs: follows what the Resource Manager tells of it.

use crate::{memory::shared::Parcels, system::System};
use alloc::sync::Arc;
use gunyah::{
    hypercalls::Hypercalls,
    rm::{
        ResourceManager, Timer,
        event::{Event, Events, Received},
    },
};
use gunyah_abi::rm::{MessageId, VmState};

/// Notifications that wait while one is dealt with, which may take as long as the Resource Manager
/// keeps silent. One of memory that is missed never comes again.
const WAITING: usize = 64;

/// Accepts and releases parcels as their owners want, for ever.
pub async fn follow<H, C>(system: &System<H, C>)
where
    H: Hypercalls + Clone + Send + Sync + 'static,
    C: Timer + Clone + 'static,
{
    let (Some(manager), Some(parcels)) = (system.manager, &system.parcels) else { return };
    let events = Arc::new(Events::<WAITING>::only(&[
        MessageId::MEM_SHARED,
        MessageId::MEM_RECALL,
        MessageId::VM_STATUS,
        MessageId::VM_EXITED,
    ]));
    manager.subscribe(events.clone());
    loop {
        match events.next().await {
            Received::Event(event) => handle(event, system, manager, parcels).await,
            Received::Missed(count) => {
                log::warn!(target: "mem", "{count} notifications came too fast, and are lost");
            }
        }
    }
}

async fn handle<H, C>(
    event: Event,
    system: &System<H, C>,
    manager: &ResourceManager<H, C>,
    parcels: &Parcels<H, C>,
) where
    H: Hypercalls + Clone + Send + Sync + 'static,
    C: Timer + Clone + 'static,
{
    match event {
        Event::MemShared(memory) => {
            parcels.shared(&memory, system).await;
            if !system.rings.wants_bells(memory.owner) {
                return;
            }
            // Its doorbells may be as new as the memory is.
            match manager.resources(memory.owner).await {
                Ok(resources) => {
                    system.channels.learn(memory.owner, &resources);
                    system.rings.pair(&system.channels);
                }
                Err(error) => log::info!(target: "ring", "{error}"),
            }
        }
        Event::MemRecall { handle, .. } => parcels.recalled(handle, system).await,
        Event::VmStatus { vmid, status } => {
            if matches!(status.vm, VmState::Exited | VmState::Resetting | VmState::Reset) {
                parcels.peer_gone(vmid, system).await;
            }
        }
        Event::VmExited { vmid, .. } => parcels.peer_gone(vmid, system).await,
        _ => {}
    }
}
