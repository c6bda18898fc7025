//! Shared memory while the kernel runs: follows what the RM tells of it.
//!
//! Who ended is told by the one task that follows that (`channels`), once the channels to that VM
//! are closed; here its parcels go then.

use crate::{memory::shared::Parcels, system::System, task::yield_now};
use alloc::sync::Arc;
use embassy_futures::select::{Either, select};
use gunyah::{
    hypercalls::Hypercalls,
    rm::{
        ResourceManager, Timer,
        event::{Event, Events, Received},
    },
};
use gunyah_abi::rm::MessageId;

/// Notifications that wait while one is dealt with, which may take as long as the Resource Manager
/// keeps silent. One of memory that is missed never comes again, so there is room for nothing else.
const WAITING: usize = 64;

/// Accepts and releases parcels as their owners want, for ever. What is told is kept from this call on:
/// an owner may have shared before this VM's first instruction, which is told but once.
pub fn follow<H, C>(system: &System<H, C>) -> impl Future<Output = ()>
where
    H: Hypercalls + Clone + Send + Sync + 'static,
    C: Timer + Clone + 'static,
{
    let events = Arc::new(Events::only(&[MessageId::MEM_SHARED, MessageId::MEM_RECALL]));
    if let Some(manager) = system.manager {
        manager.subscribe(events.clone());
    }
    follow_events(system, events)
}

async fn follow_events<H, C>(system: &System<H, C>, events: Arc<Events<WAITING>>)
where
    H: Hypercalls + Clone + Send + Sync + 'static,
    C: Timer + Clone + 'static,
{
    let (Some(manager), Some(parcels)) = (system.manager, &system.parcels) else { return };
    loop {
        match select(parcels.orphaned(), events.next_numbered()).await {
            Either::First(()) => parcels.release_orphans(system).await,
            Either::Second((number, Received::Event(event))) => {
                handle(event, number, system, manager, parcels).await;
            }
            Either::Second((_, Received::Missed(count))) => {
                log::warn!(target: "mem", "{count} notifications of memory came too fast, and are lost: they cannot be asked for");
            }
        }
    }
}

async fn handle<H, C>(
    event: Event,
    number: u64,
    system: &System<H, C>,
    manager: &ResourceManager<H, C>,
    parcels: &Parcels<H, C>,
) where
    H: Hypercalls + Clone + Send + Sync + 'static,
    C: Timer + Clone + 'static,
{
    match event {
        Event::MemShared(memory) => {
            parcels.shared(&memory, number, system).await;
            if !system.rings.wants_bells(memory.owner) {
                return;
            }
            // Its doorbells may be as new as the memory is.
            match manager.resources(memory.owner).await {
                Ok(resources) => {
                    system.channels.learn(memory.owner, &resources);
                    // As after every such list: rings whose doorbells went end first.
                    yield_now().await;
                    system.rings.pair(&system.channels);
                }
                Err(error) => log::info!(target: "ring", "{error}"),
            }
        }
        Event::MemRecall { handle, tag } => parcels.recalled(handle, tag, system).await,
        _ => {}
    }
}

#[cfg(test)]
mod tests;
