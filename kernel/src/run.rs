//! From a machine that tasks can run on to tasks that run: drivers, services, console.

use crate::{
    crash::provocation::Provocation,
    dt::{self, Interrupt, QueueEnd, Trigger},
    hardware::{TIMERS, ThisCpu, VirtualTimer},
    interrupts::{Usage, gic},
    last_words,
    log::LogRing,
    memory::heap::HeapUsage,
    power::{self, Failure},
    provoke,
    services::{BellService, BellSource, EchoService},
    shell::{self, End},
    start::{BILLY_LOG, Guest, HEAP, Hypervisor, StartError},
    system::{Machine, System},
    task::{Executor, RunQueue, Spawner, TaskInfo},
    time::Sleep,
};
use alloc::{boxed::Box, format, sync::Arc, vec::Vec};
use core::time::Duration;
use embedded_io_async::Write;
use gunyah::{
    doorbell::{Doorbell, DoorbellSource, DoorbellTrigger},
    queue::{MessageReceiver, MessageSender, QueueConfig},
    rm::{ConsoleInput, RequestError, ResourceManager, RmConsole, Timer},
};

static RUN_QUEUE: RunQueue = RunQueue::new();

/// The Resource Manager's clock.
pub struct KernelTimer;

impl Timer for KernelTimer {
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> {
        let sleep: Sleep<'static, VirtualTimer> = TIMERS.sleep(duration);
        sleep
    }
}

type Manager = ResourceManager<Hypervisor, KernelTimer>;

/// Everything that tasks are made of.
pub struct Ready {
    system: &'static System<Hypervisor>,
    manager: &'static Manager,
}

/// Makes drivers for what the device tree names, and enables their interrupts.
///
/// # Errors
///
/// [`StartError::NoConsole`] without a Resource Manager, [`StartError::Queue`],
/// [`StartError::Interrupts`].
pub fn make_system(guest: Guest) -> Result<Ready, StartError> {
    let Guest { found, hypervisor, identity } = guest;
    let platform = &found.platform;
    let Some(pair) = &platform.resource_manager else {
        return Err(StartError::NoConsole("the device tree names no Resource Manager"));
    };
    let manager: &'static Manager = Box::leak(Box::new(ResourceManager::new(
        MessageSender::new(hypervisor, queue_config(&pair.tx))?,
        MessageReceiver::new(hypervisor, queue_config(&pair.rx))?,
        KernelTimer,
    )));
    last_words::set_channel(hypervisor, pair.tx.capability, pair.rx.capability);
    enable(pair.tx.interrupt, "rm tx", || manager.sender().on_interrupt())?;
    enable(pair.rx.interrupt, "rm rx", || manager.receiver().on_interrupt())?;

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
    for (bell, pair) in platform.doorbells.iter().zip(pairs) {
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
        enable(pair.tx.interrupt, tx, || service.sender.on_interrupt())?;
        enable(pair.rx.interrupt, rx, || service.receiver.on_interrupt())?;
        queues.push(service);
    }
    let system = Box::leak(Box::new(System {
        tree: found.tree,
        form: found.form,
        identity,
        memory: found.memory,
        bells,
        sources,
        queues,
        platform: found.platform,
    }));
    Ok(Ready { system, manager })
}

fn queue_config(end: &QueueEnd) -> QueueConfig {
    QueueConfig { capability: end.capability, max_message_size: end.message_size, depth: end.depth }
}

fn enable(
    interrupt: Interrupt,
    name: &'static str,
    handler: impl Fn() + Sync + 'static,
) -> Result<(), StartError> {
    Ok(gic::enable(interrupt, name, Box::leak(Box::new(handler)))?)
}

/// A name that lasts: `bell 7`.
fn name(what: &'static str, label: Option<u32>) -> &'static str {
    match label {
        Some(label) => format!("{what} {label}").leak(),
        None => what,
    }
}

/// Runs the tasks.
pub fn for_ever(ready: Ready) -> ! {
    let Ready { system, manager } = ready;
    let executor = Executor::new(ThisCpu, &RUN_QUEUE);
    executor.spawn("rm", async move {
        let error = manager.run().await;
        log::error!(target: "rm", "{error}");
    });
    for bell in &system.bells {
        let name = name("bell", bell.label);
        executor.spawn(name, async move {
            if let Err(error) = bell.serve().await {
                log::error!(target: "bell", "{error}");
            }
        });
    }
    for queue in &system.queues {
        let name = name("echo", queue.label);
        executor.spawn(name, async move {
            if let Err(error) = queue.serve().await {
                log::error!(target: "msgq", "{error}");
            }
        });
    }
    executor.spawn("shell", console(system, manager, executor.spawner()));
    executor.run()
}

/// The task name that a crash report shows.
pub fn current_task() -> Option<&'static str> {
    RUN_QUEUE.current()
}

/// Opens the console, runs the shell on it, and ends the machine as the shell says.
async fn console(system: &'static System<Hypervisor>, manager: &'static Manager, spawner: Spawner) {
    let mut console = RmConsole::new(manager);
    if let Err(error) = console.open().await {
        log::error!(target: "console", "{error}");
        power::fail(Failure::NoConsole);
    }
    let backlog = crate::log::Bytes(BILLY_LOG.written() as usize);
    log::info!(target: "console", "open (backlog {backlog})");
    let machine = Running { spawner, input: console.input().clone() };
    let end = match shell::run(&mut console, system, &machine).await {
        Ok(end) => end,
        Err(error) => {
            log::error!(target: "console", "{error}");
            power::fail(Failure::NoConsole)
        }
    };
    if let Err(error) = close(&mut console).await {
        log::warn!(target: "console", "{error}");
    }
    match end {
        End::PowerOff => power::off(),
        End::Reboot => power::reset(),
    }
}

async fn close(console: &mut RmConsole<'_, Hypervisor, KernelTimer>) -> Result<(), RequestError> {
    console.flush().await?;
    console.close().await
}

/// The running kernel, as the shell looks at it.
struct Running {
    spawner: Spawner,
    input: Arc<ConsoleInput>,
}

impl Machine for Running {
    fn uptime(&self) -> Duration {
        TIMERS.uptime()
    }

    fn heap(&self) -> HeapUsage {
        HEAP.usage()
    }

    fn interrupts(&self) -> Vec<Usage> {
        gic::usage()
    }

    fn stray_interrupts(&self) -> (u64, u64) {
        gic::stray()
    }

    fn tasks(&self) -> Vec<TaskInfo> {
        self.spawner.tasks().collect()
    }

    fn log(&self) -> &'static LogRing {
        &BILLY_LOG
    }

    fn crash(&self, how: Provocation) -> ! {
        provoke::crash(how)
    }

    fn input_dropped(&self) -> u64 {
        self.input.dropped()
    }
}
