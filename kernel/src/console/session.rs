//! The shell's task: finds a line, runs the shell on it, and ends the machine as the shell says.

use super::{Candidate, Wish, candidates, serial};
use crate::{
    crash::provocation::Provocation,
    hardware::TIMERS,
    interrupts::{Usage, gic},
    log::{Bytes, LogRing},
    memory::heap::HeapUsage,
    power, provoke,
    run::{KernelTimer, Manager},
    shell::{self, Audience, End},
    start::{BILLY_LOG, HEAP, Hypervisor},
    system::{Machine, System},
    task::{Spawner, TaskInfo},
};
use alloc::{sync::Arc, vec::Vec};
use core::time::Duration;
use embedded_io_async::Write;
use gunyah::rm::{ConsoleInput, RequestError, RmConsole};
use gunyah_abi::rm::RmError;
use serial::Serial;

/// How long to wait before a line that failed is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// A line, with its driver once it has been tried.
enum Line<'a> {
    Manager(RmConsole<'static, Hypervisor, KernelTimer>),
    Untried(&'a crate::dt::Uart),
    Serial(&'static Serial),
}

/// What became of a line.
enum Outcome {
    /// A command ended the shell.
    Ended(End),
    /// It failed, but may work later.
    Failed,
    /// It does not exist.
    Refused,
}

/// Runs the shell on the best line there is; returns if there is none.
pub async fn run(
    system: &'static System<Hypervisor>,
    manager: Option<&'static Manager>,
    hypervisor: Hypervisor,
    spawner: Spawner,
) {
    let platform = &system.platform;
    let wish = Wish::of(platform.bootargs.as_deref()).unwrap_or_else(|unknown| {
        log::warn!(target: "console", "{unknown}");
        Wish::Any
    });
    let candidates = candidates(platform, wish);
    if !wish.is_granted_by(&candidates) {
        log::warn!(target: "console", "the tree has none like console= asks for");
    }
    let mut lines: Vec<Line<'static>> = candidates
        .into_iter()
        .filter_map(|candidate| match candidate {
            Candidate::ResourceManager => manager.map(|rm| Line::Manager(RmConsole::new(rm))),
            Candidate::Uart(uart) => Some(Line::Untried(uart)),
        })
        .collect();
    while !lines.is_empty() {
        let mut index = 0;
        while let Some(line) = lines.get_mut(index) {
            match serve(line, system, hypervisor, &spawner).await {
                Outcome::Ended(End::PowerOff) => power::off(),
                Outcome::Ended(End::Reboot) => power::reset(),
                Outcome::Failed => index += 1,
                Outcome::Refused => {
                    lines.remove(index);
                }
            }
        }
        if !lines.is_empty() {
            TIMERS.sleep(PAUSE).await;
        }
    }
    log::warn!(target: "console", "none: the log stays in memory");
}

async fn serve(
    line: &mut Line<'static>,
    system: &'static System<Hypervisor>,
    hypervisor: Hypervisor,
    spawner: &Spawner,
) -> Outcome {
    if let Line::Untried(uart) = *line {
        match serial::bring_up(uart, &system.platform, hypervisor) {
            Ok(serial) => {
                log::info!(target: "console", "{:?}, {:?}", uart.kind, serial.receives());
                *line = Line::Serial(serial);
            }
            Err(error) => {
                log::warn!(target: "console", "{error}");
                return Outcome::Refused;
            }
        }
    }
    match line {
        Line::Manager(console) => on_manager(console, system, spawner).await,
        Line::Serial(serial) => on_uart(serial, system, spawner).await,
        Line::Untried(_) => Outcome::Refused,
    }
}

async fn on_manager(
    console: &mut RmConsole<'static, Hypervisor, KernelTimer>,
    system: &'static System<Hypervisor>,
    spawner: &Spawner,
) -> Outcome {
    match console.open().await {
        Ok(()) => {}
        Err(error @ RequestError::Refused { error: RmError::ArgumentInvalid, .. }) => {
            log::info!(target: "console", "{error}: this VM has none there");
            return Outcome::Refused;
        }
        Err(error) => {
            log::error!(target: "console", "{error}");
            return Outcome::Failed;
        }
    }
    serial::set_manager_is_open(true);
    let backlog = Bytes(BILLY_LOG.written() as usize);
    log::info!(target: "console", "open (backlog {backlog})");
    let input = Input::Manager(console.input().clone());
    let machine = Running { spawner: spawner.clone(), input };
    let end = shell::run(console, system, &machine, Audience::Unknown).await;
    let closed = match &end {
        Ok(_) => close(console).await,
        Err(_) => console.close().await,
    };
    if let Err(error) = closed {
        log::warn!(target: "console", "{error}");
    }
    serial::set_manager_is_open(false);
    ended(end)
}

async fn close(
    console: &mut RmConsole<'static, Hypervisor, KernelTimer>,
) -> Result<(), RequestError> {
    console.flush().await?;
    console.close().await
}

async fn on_uart(
    serial: &'static Serial,
    system: &'static System<Hypervisor>,
    spawner: &Spawner,
) -> Outcome {
    let machine = Running { spawner: spawner.clone(), input: Input::Serial(serial) };
    let mut terminal = serial;
    let end = shell::run(&mut terminal, system, &machine, Audience::Certain).await;
    if let Err(error) = serial::drain(serial).await {
        log::warn!(target: "console", "{error}");
    }
    ended(end)
}

fn ended(end: Result<End, impl core::fmt::Display>) -> Outcome {
    match end {
        Ok(end) => Outcome::Ended(end),
        Err(error) => {
            log::error!(target: "console", "{error}");
            Outcome::Failed
        }
    }
}

/// Where input is counted.
enum Input {
    Manager(Arc<ConsoleInput>),
    Serial(&'static Serial),
}

/// The running kernel, as the shell looks at it.
struct Running {
    spawner: Spawner,
    input: Input,
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
        match &self.input {
            Input::Manager(input) => input.dropped(),
            Input::Serial(serial) => {
                let counters = serial.counters();
                counters.dropped + counters.overruns
            }
        }
    }
}
