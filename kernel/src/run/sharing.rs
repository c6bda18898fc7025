//! Shared memory at boot: what the tree names, and the rules for later.

pub use crate::sharing::follow;
use crate::{
    dt::{AddressRange, Platform},
    memory::{
        Region,
        paging::LiveTables,
        shared::{Access, Claim, Identity, Parcels, SharedBuffer, SharedMaps, Source, Territory},
    },
    rings::Bells,
    run::{KernelTimer, Manager},
    start::Hypervisor,
    system::System,
};
use alloc::{boxed::Box, vec::Vec};
use billy_boot::Layout;
use core::ops::Range;
use gunyah::rm::memory::MemHandle;
use spin::Once;

static MAPS: Once<SharedMaps> = Once::new();

/// What the device tree and the memory plan say of who holds what, kept until it is wanted.
pub struct Rules {
    plan: Vec<Region>,
    memory: Vec<Range<u64>>,
    reserved: Vec<Range<u64>>,
}

impl Rules {
    /// Takes what is needed.
    pub fn new(plan: &[Region], platform: &Platform) -> Self {
        let range = |range: &AddressRange| range.start..range.end();
        Self {
            plan: plan.to_vec(),
            memory: platform.memory.iter().map(range).collect(),
            reserved: platform.reserved.iter().map(|r| range(&r.range.pages_around())).collect(),
        }
    }

    /// The shared memory that is mapped; nothing is, at first.
    fn maps(&self) -> &'static SharedMaps {
        MAPS.call_once(|| {
            let image = Layout::current().image();
            let image = image.start as u64..image.end as u64;
            let Self { plan, memory, reserved } = self;
            let (memory, reserved) = (memory.iter().cloned(), reserved.iter().cloned());
            SharedMaps::new(Territory::new(plan, image, memory, reserved), Box::new(LiveTables))
        })
    }
}

/// The parcels, for a VM that has a Resource Manager.
pub fn parcels(
    manager: &'static Manager,
    platform: &Platform,
    rules: &'static Rules,
) -> Parcels<Hypervisor, KernelTimer> {
    let identity = platform.identity.as_ref();
    let (own, owner) = (identity.map(|vm| vm.vmid), identity.and_then(|vm| vm.owner));
    let maps = Box::leak(Box::new(|| rules.maps()));
    Parcels::new(manager, maps, Identity { own, owner })
}

/// Maps the buffers that the device tree names, and makes rings of those that have doorbells.
pub fn map_buffers(system: &System<Hypervisor, KernelTimer>, rules: &Rules) {
    for buffer in &system.platform.shared_buffers {
        if buffer.ranges.is_empty() {
            log::info!(target: "mem", "{}: no memory yet", buffer.path);
            continue;
        }
        let map = |range: &AddressRange| {
            rules.maps().map(range.start..range.end(), Access::ReadWrite, Claim::Tree)
        };
        match buffer.ranges.iter().map(map).collect() {
            Ok(regions) => {
                let source = Source::Tree(buffer.parcel.map(MemHandle));
                let shared = SharedBuffer::new(source, buffer.label, buffer.peer, regions);
                if let Some(parcels) = &system.parcels {
                    parcels.found(&shared);
                }
                let bells = Bells { receiver: buffer.rx_doorbell, source: buffer.tx_doorbell };
                system.rings.add(&shared, bells);
            }
            Err(error) => log::error!(target: "mem", "{}: not mapped: {error}", buffer.path),
        }
    }
    system.rings.pair(&system.channels);
}
