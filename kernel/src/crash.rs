//! Crash reports: what happened, in words a person can act on.
//!
//! The text of a report is made here from plain data; who prints it, and how the machine ends
//! afterwards, is the business of the image (`last_words`). Nothing in here allocates or locks.

pub mod backtrace;
pub mod provocation;
pub mod report;
pub mod syndrome;
#[cfg(test)]
mod tests;

use crate::{
    time::{Frequency, Instant},
    trace::{EVENTS, TraceRing, What},
};
use backtrace::Stacks;
use billy_boot::{ExceptionFrame, Layout};
use core::{
    fmt::{self, Write},
    ops::Range,
};
use syndrome::Syndrome;

/// How many lines of a backtrace are printed.
pub const MAX_FRAMES: usize = 24;
/// How many events are printed.
pub const SHOWN_EVENTS: usize = 32;

/// Writes a code address as an offset into the image, the form that `cargo xtask` resolves.
pub struct CodeAddress {
    /// The address.
    pub address: u64,
    /// Where the image begins.
    pub image: u64,
}

impl fmt::Display for CodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address.checked_sub(self.image) {
            Some(offset) if offset < 1 << 31 => write!(f, "billy+{offset:#x}"),
            _ => write!(f, "{:#x}", self.address),
        }
    }
}

/// Which build this is, and where it was loaded: `billy 0.1.0, build 0123456789abcdef, loaded at
/// 0x80000000`.
///
/// # Errors
///
/// Only those of `out`.
pub fn write_build(out: &mut dyn Write, id: Option<&[u8]>, image: u64) -> fmt::Result {
    write!(out, "billy {}, ", env!("CARGO_PKG_VERSION"))?;
    if let Some(id) = id {
        out.write_str("build ")?;
        for byte in id {
            write!(out, "{byte:02x}")?;
        }
        out.write_str(", ")?;
    }
    writeln!(out, "loaded at {image:#x}")
}

/// Writes what an exception was, in one line: syndrome in words, fault address, and what lies
/// there if that says more.
///
/// # Errors
///
/// Only those of `out`.
pub fn write_exception(
    out: &mut dyn Write,
    frame: &ExceptionFrame,
    layout: &Layout,
) -> fmt::Result {
    let syndrome = Syndrome(frame.esr);
    if !syndrome.has_fault_address() {
        return writeln!(out, "{syndrome}");
    }
    let far = frame.far;
    let inside = |range: &Range<usize>| (range.start as u64..range.end as u64).contains(&far);
    if inside(&layout.stack_guard) {
        out.write_str("stack overflow: ")?;
    } else if inside(&layout.exception_stack_guard) {
        out.write_str("exception stack overflow: ")?;
    }
    write!(out, "{syndrome} at address {far:#x}")?;
    let place = match far {
        0..0x1000 => ", near the null pointer",
        _ if inside(&layout.stack_guard) => ", the guard page below the stack",
        _ if inside(&layout.exception_stack_guard) => ", the guard page below the exception stack",
        _ if inside(&layout.text) => ", the image's code",
        _ if inside(&layout.rodata) => ", the image's constants",
        _ => "",
    };
    writeln!(out, "{place}")
}

/// Writes the registers of an exception.
///
/// # Errors
///
/// Only those of `out`.
pub fn write_registers(out: &mut dyn Write, frame: &ExceptionFrame, image: u64) -> fmt::Result {
    let [.., link] = frame.x;
    for (name, address) in [("pc", frame.elr), ("lr", link)] {
        writeln!(out, "  {name} {} ({address:#x})", CodeAddress { address, image })?;
    }
    writeln!(
        out,
        "  esr {:#x}  far {:#x}  spsr {:#x}  vector {:#x}",
        frame.esr, frame.far, frame.spsr, frame.vector
    )?;
    for (n, value) in frame.x.iter().enumerate() {
        let end = if n % 4 == 3 { "\n" } else { "" };
        write!(out, "  x{n:<2} {value:016x}{end}")?;
    }
    writeln!(out, "  sp  {:016x}", frame.sp)
}

/// Writes who ran: a task, the handler of the interrupt that `trace` has last, or neither.
///
/// # Errors
///
/// Only those of `out`.
pub fn write_circumstances(
    out: &mut dyn Write,
    task: Option<&str>,
    in_handler: bool,
    trace: &TraceRing,
) -> fmt::Result {
    if in_handler {
        match last_interrupt(trace) {
            Some(intid) => write!(out, "in the handler of interrupt {intid}, ")?,
            None => write!(out, "in an exception handler, ")?,
        }
    }
    match (task, in_handler) {
        (Some(task), false) => writeln!(out, "in task {task}"),
        (Some(task), true) => writeln!(out, "which interrupted task {task}"),
        (None, false) => writeln!(out, "in no task"),
        (None, true) => writeln!(out, "while no task ran"),
    }
}

/// The INTID acknowledged last.
pub fn last_interrupt(trace: &TraceRing) -> Option<u32> {
    let intids = trace.last(EVENTS).filter_map(|event| match event.what {
        What::Interrupt(intid) => Some(intid),
        _ => None,
    });
    intids.last()
}

/// Writes the last events, oldest first, each with its time before `now`.
///
/// # Errors
///
/// Only those of `out`.
pub fn write_events(
    out: &mut dyn Write,
    trace: &TraceRing,
    now: Instant,
    frequency: Frequency,
) -> fmt::Result {
    writeln!(out, "last events, and how many microseconds ago:")?;
    for event in trace.last(SHOWN_EVENTS) {
        let ago = frequency.duration(now.ticks_since(Instant::from_ticks(event.ticks)));
        writeln!(out, "  {:>9} {}", ago.as_micros() as u64, event.what)?;
    }
    Ok(())
}

/// Writes the return addresses, innermost first, one line each: `  #0 billy+0x1234`. Of the same
/// address many times over, as recursion leaves it, two are written. `interrupted` is where the
/// code stopped on whose stack the walk goes on, if that is known.
///
/// # Errors
///
/// Only those of `out`.
pub fn write_backtrace(
    out: &mut dyn Write,
    stacks: &Stacks,
    frame_pointer: u64,
    interrupted: Option<u64>,
    image: u64,
) -> fmt::Result {
    writeln!(out, "backtrace:")?;
    let mut walk = stacks.walk(frame_pointer);
    let (mut before, mut same, mut lines, mut n) = (None, 0, 0, 0);
    while let Some(address) = walk.next() {
        same = if before.replace(address) == Some(address) { same + 1 } else { 0 };
        if same < 2 {
            if lines == MAX_FRAMES {
                return writeln!(out, "  and more");
            }
            writeln!(out, "  #{n} {}", CodeAddress { address, image })?;
            lines += 1;
        }
        if let (true, Some(address)) = (walk.changes_stack(), interrupted) {
            writeln!(out, "  interrupted at {}", CodeAddress { address, image })?;
        }
        n += 1;
    }
    Ok(())
}
