//! The end by panic or unexpected exception: the report, on every way out there is.
//!
//! Nothing here locks or awaits. The report goes into the log ring, then to the Resource Manager's
//! console; its first line becomes the VM's crash message; then the VM asks to be ended with code
//! 1. Where nobody can be told, or does not listen, PSCI ends the machine.

use crate::{
    crash::{self, backtrace::Stacks},
    critical,
    hardware::TIMERS,
    power::{self, Failure},
    run::current_task,
    start::BILLY_LOG,
};
use billy_boot::{ExceptionFrame, Layout};
use core::{
    arch::asm,
    fmt::{self, Write},
    panic::PanicInfo,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use gunyah::{hypercalls::Hvc, rm::CrashChannel};
use gunyah_abi::{CapabilityId, rm::exit_code};
use heapless::String;
use spin::Once;

/// How long a full queue, or the end by the Resource Manager, is waited for.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often the wait looks at the clock.
const TICK: Duration = Duration::from_millis(1);
/// Room for a report; what does not fit is cut off.
const REPORT: usize = 4096;

/// How to reach the Resource Manager.
struct Channel {
    hypervisor: Hvc,
    tx: CapabilityId,
    rx: CapabilityId,
}

static CHANNEL: Once<Channel> = Once::new();
static DYING: AtomicBool = AtomicBool::new(false);

/// From now on reports go to the Resource Manager.
pub fn set_channel(hypervisor: Hvc, tx: CapabilityId, rx: CapabilityId) {
    CHANNEL.call_once(|| Channel { hypervisor, tx, rx });
}

/// Reports a panic.
pub fn of_panic(info: &PanicInfo<'_>) -> ! {
    let frame_pointer: u64;
    // SAFETY: a copy of the frame pointer.
    unsafe { asm!("mov {}, x29", out(reg) frame_pointer, options(nomem, nostack)) };
    die(frame_pointer, |out, _| {
        out.write_str("panicked")?;
        if let Some(place) = info.location() {
            write!(out, " at {}:{}", place.file(), place.line())?;
        }
        writeln!(out, ": {}", info.message())
    })
}

/// Reports an exception.
pub fn of_exception(frame: &ExceptionFrame) -> ! {
    let [.., frame_pointer, _] = frame.x;
    die(frame_pointer, |out, image| crash::write_exception(out, frame, image))
}

fn die(frame_pointer: u64, what: impl FnOnce(&mut dyn Write, u64) -> fmt::Result) -> ! {
    critical::mask();
    if DYING.swap(true, Ordering::Relaxed) {
        // A crash in the report: what was said so far must do.
        end_by_manager(b"crashed while reporting a crash", "");
        power::fail(Failure::EarlyPanic);
    }
    let layout = Layout::current();
    let image = layout.text.start as u64;
    let mut report: String<REPORT> = String::new();
    let _ = report.write_str("\n*** ");
    let _ = what(&mut report, image);
    let _ = writeln!(report, "task {}", current_task().unwrap_or("none"));
    let stacks = Stacks {
        ranges: [&layout.exception_stack, &layout.stack]
            .map(|stack| stack.start as u64..stack.end as u64),
        // SAFETY: called for addresses inside the two stacks only, which are mapped.
        read: |address| unsafe { core::ptr::read_volatile(address as *const u64) },
    };
    let _ = crash::write_backtrace(&mut report, &stacks, frame_pointer, image);
    BILLY_LOG.try_append(report.as_bytes());
    let first_line = report.trim_start().lines().next().unwrap_or_default();
    end_by_manager(first_line.trim_start_matches('*').trim_start().as_bytes(), &report);
    power::fail(Failure::EarlyPanic)
}

/// Prints `report` and asks to be ended; returns if that does not happen in time.
fn end_by_manager(message: &[u8], report: &str) {
    let Some(channel) = CHANNEL.get() else { return };
    let deadline = TIMERS.after(PATIENCE);
    let in_time = || {
        pause();
        TIMERS.now() < deadline
    };
    let mut last = CrashChannel::new(channel.hypervisor, channel.tx, channel.rx, in_time);
    // Each step is tried even if the one before was not heard.
    let _ = last.open();
    let mut lines = report.split('\n');
    let _ = write!(last, "{}", lines.next().unwrap_or_default());
    for line in lines {
        let _ = write!(last, "\r\n{line}");
    }
    let _ = last.flush();
    let _ = last.set_crash_message(message);
    let _ = last.exit(exit_code::SOFTWARE_ERROR);
    while in_time() {}
}

/// Waits for an interrupt, which stays pending, or for a moment.
fn pause() {
    use crate::time::Counter;
    let counter = TIMERS.counter();
    counter.set_alarm(Some(TIMERS.after(TICK)));
    critical::wait_for_interrupt();
}
