//! The shell's task: finds a line and runs the shell on it, until the end.

use super::{
    Candidate, Wish, candidates, serial,
    terminal::{Input, Terminal, TerminalError},
};
use crate::{
    crash::provocation::Provocation,
    dt::Uart,
    fp,
    hardware::TIMERS,
    interrupts::{Usage, gic},
    log::LogRing,
    memory::heap::HeapUsage,
    provoke,
    run::{self, KernelTimer, Manager},
    shell,
    start::{BILLY_LOG, HEAP, Hypervisor},
    system::{Machine, System, Task},
    task::{Spawner, TaskInfo},
};
use alloc::vec::Vec;
use core::time::Duration;
use gunyah::rm::{RequestError, RmConsole};
use gunyah_abi::rm::RmError;

/// What the Resource Manager answers a VM to which it gave no console, or gives none at all.
const NO_CONSOLE: [RmError; 3] =
    [RmError::ArgumentInvalid, RmError::Denied, RmError::Unimplemented];
/// How long to wait before a line that failed is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the check of the FP registers gives interrupts to come.
const FP_CHECK: Duration = Duration::from_millis(500);

/// A line to try.
enum Line {
    /// A UART that was not needed so far.
    Untried(&'static Uart),
    /// A line with its driver.
    Ready(Terminal),
}

/// What became of a line.
enum Outcome {
    /// The end is near, and the line is closed.
    Ended,
    /// It failed, but may work later.
    Failed,
    /// It does not exist.
    Refused,
}

/// Runs the shell on the best line there is; returns if there is none.
pub async fn run(
    system: &'static System<Hypervisor, KernelTimer>,
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
    let mut lines: Vec<Line> = candidates
        .into_iter()
        .filter_map(|candidate| match candidate {
            Candidate::ResourceManager => {
                manager.map(|rm| Line::Ready(Terminal::Manager(RmConsole::new(rm))))
            }
            Candidate::Uart(uart) => Some(Line::Untried(uart)),
        })
        .collect();
    while !lines.is_empty() {
        let mut index = 0;
        while let Some(line) = lines.get_mut(index) {
            match serve(line, system, hypervisor, &spawner).await {
                Outcome::Ended => return,
                Outcome::Failed => index += 1,
                Outcome::Refused => {
                    lines.remove(index);
                }
            }
        }
        // Without a console it is time for the rest as well.
        run::start_late(system, &spawner);
        if !lines.is_empty() {
            TIMERS.sleep(PAUSE).await;
        }
    }
    log::warn!(target: "console", "none: the log stays in memory");
}

/// Runs the shell on one line.
async fn serve(
    line: &mut Line,
    system: &'static System<Hypervisor, KernelTimer>,
    hypervisor: Hypervisor,
    spawner: &Spawner,
) -> Outcome {
    if let Line::Untried(uart) = *line {
        match serial::bring_up(uart, &system.platform, hypervisor) {
            Ok(serial) => *line = Line::Ready(Terminal::Serial(serial)),
            Err(error) => {
                log::warn!(target: "console", "{error}");
                return Outcome::Refused;
            }
        }
    }
    let Line::Ready(terminal) = line else { return Outcome::Refused };
    match terminal.open().await {
        Ok(()) => {}
        Err(ref error @ TerminalError::Manager(RequestError::Refused { error: why, .. }))
            if NO_CONSOLE.contains(&why) =>
        {
            log::info!(target: "console", "{error}: this VM has none there");
            return Outcome::Refused;
        }
        Err(error) => {
            log::error!(target: "console", "{error}");
            return Outcome::Failed;
        }
    }
    let _console = system.ending.console();
    let machine = Running { system, spawner: spawner.clone(), input: terminal.input() };
    let audience = terminal.audience();
    let end = shell::run(terminal, system, &machine, audience).await;
    if let Err(error) = terminal.close().await {
        log::warn!(target: "console", "{error}");
    }
    match end {
        Ok(_) => Outcome::Ended,
        Err(error) => {
            log::error!(target: "console", "{error}");
            Outcome::Failed
        }
    }
}

/// The running kernel, as the shell looks at it.
struct Running {
    system: &'static System<Hypervisor, KernelTimer>,
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

    fn prompted(&self) {
        run::start_late(self.system, &self.spawner);
    }

    fn crash(&self, how: Provocation) -> ! {
        provoke::crash(how)
    }

    fn changed_fp_registers(&self) -> usize {
        fp::changed_registers(FP_CHECK)
    }

    fn input_dropped(&self) -> u64 {
        self.input.dropped()
    }

    fn spawn(&self, name: &'static str, task: Task) {
        self.spawner.spawn_boxed(name, task);
    }
}
