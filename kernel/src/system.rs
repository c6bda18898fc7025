//! What the running kernel consists of, for those that show or use it.

use crate::{
    channels::{Channels, EVENTS, Peers},
    crash::provocation::Provocation,
    dt::{Form, Platform},
    ending::Ending,
    interrupts::Usage,
    log::LogRing,
    memory::{
        Region,
        heap::HeapUsage,
        shared::{Parcels, SharedBuffer, Users},
    },
    rings::{Bells, Rings},
    services::Directory,
    task::TaskInfo,
};
use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::{pin::Pin, time::Duration};
use gunyah::{
    hypercalls::{Hypercalls, discovery::Identity},
    rm::{Events, ResourceManager, Timer},
};

/// Everything that was found at boot and runs since: over hypercalls `H`, with a clock `C`.
pub struct System<H: 'static, C: 'static> {
    /// What the device tree says.
    pub platform: Platform,
    /// The tree itself, merged.
    pub tree: &'static [u8],
    /// How the tree was handed over.
    pub form: Form,
    /// Which hypervisor, and how it is called.
    pub identity: Identity,
    /// What is mapped how.
    pub memory: Vec<Region>,
    /// Doorbells, message queues and shared buffers.
    pub channels: Channels<H, C>,
    /// Channels through shared memory.
    pub rings: Rings,
    /// What other VMs share with this one, if there is a Resource Manager to tell of it.
    pub parcels: Option<Parcels<H, C>>,
    /// The services for other VMs.
    pub directory: &'static Directory,
    /// Other VMs, as far as the Resource Manager told of them.
    pub peers: Peers,
    /// The end, when somebody wants it.
    pub ending: Ending,
    /// What the Resource Manager tells.
    pub events: Arc<Events<EVENTS>>,
    /// The client of the Resource Manager, if the tree names one.
    pub manager: Option<&'static ResourceManager<H, C>>,
}

impl<H, C> Users for System<H, C>
where
    H: Hypercalls + Clone + Send + Sync + 'static,
    C: Timer + Clone + 'static,
{
    fn offer(&self, buffer: &Arc<SharedBuffer>, own: u16) {
        self.rings.set_own_vmid(own);
        self.rings.add(buffer, Bells::default());
        self.rings.pair(&self.channels);
    }

    fn withdraw(&self, buffer: &Arc<SharedBuffer>) {
        self.rings.remove(buffer);
    }
}

/// What changes while the kernel runs, read by the shell.
pub trait Machine {
    /// Time since the counter started.
    fn uptime(&self) -> Duration;
    /// The heap.
    fn heap(&self) -> HeapUsage;
    /// Interrupts in use.
    fn interrupts(&self) -> Vec<Usage>;
    /// Interrupts acknowledged in vain, and interrupts without a handler.
    fn stray_interrupts(&self) -> (u64, u64);
    /// Tasks.
    fn tasks(&self) -> Vec<TaskInfo>;
    /// The log.
    fn log(&self) -> &'static LogRing;
    /// The first prompt was shown: what can wait until then begins.
    fn prompted(&self) {}
    /// Crashes.
    fn crash(&self, how: Provocation) -> !;
    /// Keeps values in the FP and SIMD registers for a moment, and counts those that changed.
    fn changed_fp_registers(&self) -> usize;
    /// Bytes of console input that were dropped because nobody read them in time.
    fn input_dropped(&self) -> u64;
    /// Starts a task.
    fn spawn(&self, name: &'static str, task: Task);
}

/// What a task does.
pub type Task = Pin<Box<dyn Future<Output = ()>>>;
