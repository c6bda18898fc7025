//! From a machine that tasks can run on to tasks that run: drivers, services, console.

mod shipped;

use crate::{
    console::session,
    debugger,
    dt::{self, Interrupt, QueueEnd, QueuePair, Trigger},
    hardware::{TIMERS, ThisCpu, VirtualTimer},
    interrupts::gic,
    last_words,
    names::name,
    services::{
        BellService, BellSource, Directory, EchoService, Identity, Medium, QueuePair as Wire, keep,
        serve_channel,
    },
    start::{Guest, Hypervisor, StartError},
    system::System,
    task::{Executor, RunQueue},
    time::Sleep,
    watch,
};
use alloc::{boxed::Box, vec::Vec};
use core::time::Duration;
use gunyah::{
    doorbell::{Doorbell, DoorbellSource, DoorbellTrigger},
    queue::{MessageReceiver, MessageSender, QueueConfig, QueueError},
    rm::{ResourceManager, Timer},
};

/// The tasks that are ready.
pub(crate) static RUN_QUEUE: RunQueue = RunQueue::new();

/// The clock of drivers that wait.
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
}

/// Makes drivers for what the device tree names, and enables their interrupts.
///
/// # Errors
///
/// [`StartError::Queue`], [`StartError::Interrupts`].
pub fn make_system(guest: Guest) -> Result<Ready, StartError> {
    let Guest { found, hypervisor, identity } = guest;
    let platform = &found.platform;
    let pair = platform.resource_manager.as_ref();
    let manager = pair.map(|pair| make_manager(pair, hypervisor)).transpose()?;
    let sources: Vec<&'static BellSource<Hypervisor>> = platform
        .doorbell_sources
        .iter()
        .map(|source| {
            let bell = DoorbellSource::new(hypervisor, source.capability);
            &*Box::leak(Box::new(BellSource { label: source.label, source: bell }))
        })
        .collect();
    let pairs = dt::pair_doorbells(&platform.doorbells, &platform.doorbell_sources);
    let mut bells = Vec::with_capacity(pairs.len());
    let intid_of_uart = |intid| {
        let mut interrupts = platform.uarts.iter().filter_map(|uart| uart.interrupt);
        interrupts.any(|interrupt| interrupt.intid == intid)
    };
    for (bell, pair) in platform.doorbells.iter().zip(pairs) {
        if intid_of_uart(bell.interrupt.intid) {
            // It is the UART's interrupt, and its driver's business.
            continue;
        }
        let trigger = match bell.interrupt.trigger {
            Trigger::Edge => DoorbellTrigger::Edge,
            Trigger::Level => DoorbellTrigger::Level,
        };
        let receiver = Doorbell::new(hypervisor, bell.capability, trigger);
        let answers_to = pair.and_then(|index| sources.get(index).copied());
        let service: &'static BellService<Hypervisor> = Box::leak(Box::new(BellService::new(
            bell.label,
            bell.path.clone(),
            receiver,
            answers_to,
        )));
        enable(bell.interrupt, name("bell", bell.label), || service.receiver.on_interrupt())?;
        bells.push(service);
    }
    let mut queues = Vec::with_capacity(platform.queue_pairs.len());
    for pair in &platform.queue_pairs {
        let service: &'static EchoService<Hypervisor> = Box::leak(Box::new(EchoService::new(
            pair.label,
            pair.path.clone(),
            MessageSender::new(hypervisor, queue_config(&pair.tx))?,
            MessageReceiver::new(hypervisor, queue_config(&pair.rx))?,
        )));
        let (tx, rx) = (name("msgq tx", pair.label), name("msgq rx", pair.label));
        enable_edge(pair.tx.interrupt, tx, || service.sender.on_interrupt())?;
        enable_edge(pair.rx.interrupt, rx, || service.receiver.on_interrupt())?;
        queues.push(service);
    }
    let directory = Box::leak(Box::new(Directory::new(platform.bootargs.as_deref())));
    let system = Box::leak(Box::new(System {
        tree: found.tree,
        form: found.form,
        identity,
        memory: found.memory,
        bells,
        sources,
        queues,
        directory,
        manager,
        platform: found.platform,
    }));
    Ok(Ready { system, manager, hypervisor })
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

fn queue_config(end: &QueueEnd) -> QueueConfig {
    QueueConfig { capability: end.capability, max_message_size: end.message_size, depth: end.depth }
}

fn enable(
    interrupt: Interrupt,
    name: &'static str,
    handler: impl Fn() + Send + Sync + 'static,
) -> Result<(), StartError> {
    Ok(gic::enable(interrupt, name, Box::new(handler))?)
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
    enable(Interrupt { intid, trigger: Trigger::Edge }, name, handler)
}

/// Runs the tasks.
pub fn for_ever(ready: Ready) -> ! {
    let ready: &'static Ready = Box::leak(Box::new(ready));
    let Ready { system, manager, hypervisor } = *ready;
    let executor = Executor::new(ThisCpu, &RUN_QUEUE);
    debugger::tell(ready, &executor.spawner());
    shipped::add(system.directory, &system.platform, hypervisor, executor.spawner());
    if let Some(manager) = manager {
        executor.spawn("rm", async move {
            loop {
                let error = manager.run().await;
                log::error!(target: "rm", "{error}");
                if matches!(error, QueueError::Broken { .. }) {
                    return;
                }
                KernelTimer.sleep(watch::PERIOD).await;
            }
        });
    }
    for bell in &system.bells {
        let name = name("bell", bell.label);
        executor.spawn(name, async move {
            let done = || bell.receiver.statistics().rings;
            let error = keep(&KernelTimer, name, || bell.serve(), |_| false, done).await;
            log::error!(target: "bell", "{error}");
        });
    }
    for (queue, pair) in system.queues.iter().zip(&system.platform.queue_pairs) {
        let identity = Identity {
            medium: Medium::Queue,
            label: queue.label,
            peer: pair.peer_vmid,
            name: name("msgq", queue.label).into(),
        };
        if system.directory.claims(&identity) {
            executor.spawn(name("services", queue.label), async move {
                let transport = Wire { sender: &queue.sender, receiver: &queue.receiver };
                serve_channel(system.directory, identity, &transport, &KernelTimer).await;
            });
            continue;
        }
        let name = name("echo", queue.label);
        executor.spawn(name, async move {
            let done = || queue.receiver.statistics().messages;
            let is_final = |error: &QueueError| matches!(error, QueueError::Broken { .. });
            let error = keep(&KernelTimer, name, || queue.serve(), is_final, done).await;
            log::error!(target: "msgq", "{error}");
        });
    }
    executor.spawn("watch", async move {
        watch::watch(system, &KernelTimer).await;
    });
    let shell = session::run(system, manager, hypervisor, executor.spawner());
    executor.spawn("shell", shell);
    executor.run()
}

/// The task name that a crash report shows.
pub fn current_task() -> Option<&'static str> {
    RUN_QUEUE.current()
}
