//! From a machine that tasks can run on to tasks that run.

mod sharing;
mod shipped;

use crate::{
    channels::{Board, Channels, Peers, events, follow, queue_config},
    console::session,
    critical, debugger,
    dt::{Interrupt, QueuePair, Trigger},
    ending::{self, End, Ending},
    hardware::{TIMERS, ThisCpu, VirtualTimer},
    interrupts::{Handler, gic},
    last_words, power,
    rings::Rings,
    services::Directory,
    start::{Guest, Hypervisor, StartError},
    system::System,
    task::{Executor, RunQueue, Spawner},
    time::Sleep,
    watch,
};
use alloc::boxed::Box;
use core::{
    error::Error,
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use gunyah::{
    queue::{MessageReceiver, MessageSender, QueueError},
    rm::{ResourceManager, Timer},
};
use sharing::Rules;

/// The tasks that are ready.
pub(crate) static RUN_QUEUE: RunQueue = RunQueue::new();

/// The clock of drivers that wait.
#[derive(Clone, Copy)]
pub struct KernelTimer;

impl Timer for KernelTimer {
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> {
        let sleep: Sleep<'static, VirtualTimer> = TIMERS.sleep(duration);
        sleep
    }
}

/// The Resource Manager's client.
pub type Manager = ResourceManager<Hypervisor, KernelTimer>;

/// Everything that tasks are made of.
pub struct Ready {
    system: &'static System<Hypervisor, KernelTimer>,
    manager: Option<&'static Manager>,
    hypervisor: Hypervisor,
    executor: Executor<ThisCpu>,
}

/// The GIC and the executor, for channels that come and go.
struct Machine(Spawner);

impl Board for Machine {
    fn enable(
        &self,
        interrupt: Interrupt,
        name: &'static str,
        handler: Handler,
    ) -> Result<(), Box<dyn Error>> {
        Ok(gic::enable(interrupt, name, handler)?)
    }

    fn disable(&self, intid: u32) {
        if let Err(error) = gic::disable(intid) {
            log::warn!(target: "irq", "{error}");
        }
    }

    fn spawn(&self, name: &'static str, future: Pin<Box<dyn Future<Output = ()>>>) {
        self.0.spawn_boxed(name, future);
    }
}

/// Makes drivers for what the device tree names, enables their interrupts, and starts their tasks.
///
/// # Errors
///
/// [`StartError::Queue`], [`StartError::Interrupts`].
pub fn make_system(guest: Guest) -> Result<Ready, StartError> {
    let Guest { found, hypervisor, identity } = guest;
    let pair = found.platform.resource_manager.as_ref();
    let manager = pair.map(|pair| make_manager(pair, hypervisor)).transpose()?;
    let executor = Executor::new(ThisCpu, &RUN_QUEUE);
    if let Some(manager) = manager {
        executor.spawn("rm", keep_manager(manager));
    }
    let events = events();
    if let Some(manager) = manager {
        manager.subscribe(events.clone());
    }
    let directory: &'static Directory =
        Box::leak(Box::new(Directory::new(found.platform.bootargs.as_deref())));
    shipped::add(directory, &found.platform, hypervisor, executor.spawner());
    let board = Box::new(Machine(executor.spawner()));
    let channels = Channels::new(hypervisor, KernelTimer, board, directory);
    channels.fill(&found.platform);
    let rules = Rules::new(&found.memory, &found.platform);
    let rules: &'static Rules = Box::leak(Box::new(rules));
    let own = found.platform.identity.as_ref().map(|identity| identity.vmid);
    let system = Box::leak(Box::new(System {
        tree: found.tree,
        form: found.form,
        identity,
        memory: found.memory,
        channels,
        rings: Rings::new(own),
        parcels: manager.map(|manager| sharing::parcels(manager, &found.platform, rules)),
        directory,
        peers: Peers::default(),
        ending: Ending::default(),
        events,
        manager,
        platform: found.platform,
    }));
    if !system.platform.shared_buffers.is_empty() {
        sharing::map_buffers(system, rules);
    }
    Ok(Ready { system, manager, hypervisor, executor })
}

async fn keep_manager(manager: &'static Manager) {
    loop {
        let error = manager.run().await;
        log::error!(target: "rm", "{error}");
        if matches!(error, QueueError::Broken { .. }) {
            return;
        }
        KernelTimer.sleep(watch::PERIOD).await;
    }
}

fn make_manager(pair: &QueuePair, hypervisor: Hypervisor) -> Result<&'static Manager, StartError> {
    let manager: &'static Manager = Box::leak(Box::new(ResourceManager::new(
        MessageSender::new(hypervisor, queue_config(&pair.tx))?,
        MessageReceiver::new(hypervisor, queue_config(&pair.rx))?,
        KernelTimer,
    )));
    last_words::set_channel(hypervisor, pair.tx.capability, pair.rx.capability);
    enable_edge(pair.tx.interrupt, "rm tx", || manager.sender().on_interrupt())?;
    enable_edge(pair.rx.interrupt, "rm rx", || manager.receiver().on_interrupt())?;
    Ok(manager)
}

/// Enables a message queue's interrupt. "Not full" is the state that a queue is in nearly always,
/// so as a level it would fire without end, whatever the tree says.
fn enable_edge(
    interrupt: Interrupt,
    name: &'static str,
    handler: impl Fn() + Send + Sync + 'static,
) -> Result<(), StartError> {
    let Interrupt { intid, trigger } = interrupt;
    if trigger == Trigger::Level {
        log::warn!(target: "irq", "INTID {intid} ({name}): level in the tree, taken for an edge");
    }
    Ok(gic::enable(Interrupt { intid, trigger: Trigger::Edge }, name, Box::new(handler))?)
}

/// Runs the tasks.
pub fn for_ever(ready: Ready) -> ! {
    let ready: &'static Ready = Box::leak(Box::new(ready));
    let Ready { system, manager, hypervisor, ref executor } = *ready;
    debugger::tell(ready, &executor.spawner());
    if system.parcels.is_some() {
        executor.spawn("memory", sharing::follow(system));
    }
    let shell = session::run(system, manager, hypervisor, executor.spawner());
    executor.spawn("shell", shell);
    // The owner may want the end while nobody reads what the shell writes.
    let wishes = ending::wishes();
    if let Some(manager) = manager {
        manager.subscribe(wishes.clone());
    }
    executor.spawn("end", async move {
        let System { ending, channels, directory, .. } = system;
        match ending.see_to(&wishes, channels, directory, &KernelTimer).await {
            End::PowerOff => power::off(),
            End::Reboot => power::reset(),
        }
    });
    // Masked since the first instruction; the executor leaves that as it finds it.
    critical::unmask();
    executor.run()
}

/// Starts what can wait until the first prompt. Does nothing if that is done already.
pub fn start_late(system: &'static System<Hypervisor, KernelTimer>, spawner: &Spawner) {
    static STARTED: AtomicBool = AtomicBool::new(false);
    if STARTED.swap(true, Ordering::Relaxed) {
        return;
    }
    spawner.spawn("watch", async move {
        watch::watch(system, &KernelTimer).await;
    });
    if let Some(manager) = system.manager {
        spawner.spawn("rm events", async move {
            let changed = || system.rings.pair(&system.channels);
            follow(system, manager, &system.events, changed).await;
        });
    }
}

/// The task name that a crash report shows.
pub fn current_task() -> Option<&'static str> {
    RUN_QUEUE.current()
}
