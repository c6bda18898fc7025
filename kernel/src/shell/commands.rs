//! The commands: their names, their words, and what they do.

use super::{manager, objects, page::Page, peers, services, shared, show};
use crate::{
    crash::provocation::Provocation,
    dt,
    ending::End,
    system::{Machine, System},
};
use core::fmt::{self, Write as _};
use embedded_io_async::Write;
use gunyah::{hypercalls::Hypercalls, rm::Timer};

/// What the shell does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Prompt again.
    Prompt,
    /// End.
    End(End),
}

/// A command in `help`.
struct Command {
    usage: &'static str,
    what: &'static str,
}

const COMMANDS: [Command; 31] = [
    Command { usage: "help", what: "this list" },
    Command { usage: "vm", what: "who this VM is and what it was given" },
    Command { usage: "hyp", what: "which hypervisor, and what it offers" },
    Command { usage: "dt [path]", what: "a node of the device tree" },
    Command { usage: "mem", what: "what is mapped how, and the heap" },
    Command { usage: "mem parcels", what: "what other VMs share with this one" },
    Command { usage: "irq", what: "interrupts in use, with counts" },
    Command { usage: "tasks", what: "tasks, with polls and wakes" },
    Command { usage: "bell list", what: "doorbells, their flags and answers" },
    Command { usage: "bell ring <label> [flags] [count]", what: "ring a doorbell" },
    Command {
        usage: "bell mask <label> <enable> [ack]",
        what: "which flags interrupt, and which of those clear themselves",
    },
    Command { usage: "msgq list", what: "message queues, with counts" },
    Command { usage: "msgq send <label> <text>", what: "send a message" },
    Command { usage: "msgq stats", what: "interrupts, waits and errors of each queue" },
    Command { usage: "ring list", what: "channels through shared memory, with counts" },
    Command { usage: "ring send <label> <text>", what: "send a message, or bytes, on a ring" },
    Command { usage: "services", what: "services for other VMs, and the channels that offer them" },
    Command {
        usage: "rm vm [vmid]",
        what: "what the Resource Manager knows of this VM, or another",
    },
    Command { usage: "rm lookup uri|guid|name <what>", what: "VMs of that URI, GUID or name" },
    Command { usage: "rm peers", what: "VMs that this one has channels to" },
    Command {
        usage: "rm resources [vmid]",
        what: "what this VM shares with its owner, or another; and all channels",
    },
    Command { usage: "rm stats", what: "requests, notifications, and what was dropped" },
    Command { usage: "rm ping [count]", what: "ask RM for the VMID, so many times" },
    Command { usage: "peers", what: "other VMs, how they are, and how many channels they have" },
    Command { usage: "log", what: "the log from its oldest line" },
    Command { usage: "fp", what: "whether interrupts leave the FP registers alone" },
    Command { usage: "uptime", what: "time since boot" },
    Command { usage: "count <n>", what: "number n lines, to see that the console loses none" },
    Command { usage: "panic [how]", what: "crash, to see a crash report; 'panic ?' lists how" },
    Command { usage: "reboot", what: "restart this VM" },
    Command { usage: "poweroff", what: "end this VM" },
];

/// Runs one line. What it prints is left in `page`, or written on the way when it is much.
///
/// # Errors
///
/// Whatever the terminal answers.
pub async fn execute<T, H, C, M>(
    line: &str,
    page: &mut Page,
    terminal: &mut T,
    system: &System<H, C>,
    machine: &M,
) -> Result<Next, T::Error>
where
    T: Write,
    H: Hypercalls + Clone + Send + Sync + 'static,
    C: Timer + Clone + 'static,
    M: Machine,
{
    let mut words = line.split_whitespace();
    let Some(command) = words.next() else { return Ok(Next::Prompt) };
    match command {
        "help" => help(page),
        "vm" => show::vm(page, system),
        "hyp" => show::hypervisor(page, &system.identity),
        "dt" => {
            let path = words.next().unwrap_or("/");
            if let Err(error) = dt::show(system.tree, path, page) {
                page.line(format_args!("dt: {error}"));
            }
        }
        "mem" => match words.next() {
            None => show::memory(page, system, machine),
            Some("parcels") => shared::parcels(page, system),
            Some(_) => page.line(format_args!("mem: say 'mem' or 'mem parcels'")),
        },
        "irq" => show::interrupts(page, machine),
        "tasks" => show::tasks(page, machine),
        "bell" => match words.next() {
            Some("list") => objects::list_bells(page, system),
            Some("ring") => objects::ring(page, system, words).await,
            Some("mask") => objects::mask(page, system, words),
            _ => page.line(format_args!("bell: say 'bell list', 'bell ring' or 'bell mask'")),
        },
        "ring" => match words.next() {
            Some("list") => shared::rings(page, system),
            Some("send") => shared::send(page, system, line),
            _ => page.line(format_args!("ring: say 'ring list' or 'ring send'")),
        },
        "peers" => peers::list(page, system),
        "msgq" => match words.next() {
            Some("list") => objects::list_queues(page, system),
            Some("send") => objects::send(page, system, line).await,
            Some("stats") => objects::queue_statistics(page, system),
            _ => page.line(format_args!("msgq: say 'msgq list', 'msgq send' or 'msgq stats'")),
        },
        "services" => services::list(page, system.directory),
        "rm" => match system.manager {
            Some(manager) => manager::execute(page, manager, system, machine, words).await,
            None => page.line(format_args!("rm: the device tree names no Resource Manager")),
        },
        "log" => {
            let ring = machine.log();
            let mut reader = crate::log::Reader::new();
            let end = ring.written();
            let mut buffer = [0; 1024];
            while reader.position() < end {
                let read = ring.read(&mut reader, &mut buffer);
                page.bytes(buffer.get(..read.bytes).unwrap_or_default());
                write_when_full(page, terminal).await?;
            }
        }
        "fp" => show::fp_registers(page, machine),
        "uptime" => show::uptime(page, machine.uptime()),
        "count" => match words.next().map(str::parse::<u32>) {
            Some(Ok(last)) => {
                for n in 1..=last {
                    page.line(format_args!("{n}"));
                    write_when_full(page, terminal).await?;
                }
            }
            _ => page.line(format_args!("count: say up to which number")),
        },
        "panic" => match Provocation::from_name(words.next().unwrap_or("here")) {
            Some(how) => machine.crash(how),
            None => {
                let names = Provocation::ALL.map(|(name, _)| name).join(", ");
                page.line(format_args!("panic: say how: {names}"));
            }
        },
        "reboot" => return Ok(Next::End(End::Reboot)),
        "poweroff" => return Ok(Next::End(End::PowerOff)),
        other => page
            .line(format_args!("unknown command '{}'; 'help' lists those there are", Shown(other))),
    }
    Ok(Next::Prompt)
}

/// What somebody typed, without what would act on a terminal.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c.is_control() {
            true => write!(f, "{}", c.escape_unicode()),
            false => f.write_char(c),
        })
    }
}

async fn write_when_full<T: Write>(page: &mut Page, terminal: &mut T) -> Result<(), T::Error> {
    if page.is_full() { page.write_to(terminal).await } else { Ok(()) }
}

fn help(page: &mut Page) {
    let width = COMMANDS.iter().map(|command| command.usage.len()).max().unwrap_or_default();
    for Command { usage, what } in &COMMANDS {
        page.line(format_args!("  {usage:width$}  {what}"));
    }
}
