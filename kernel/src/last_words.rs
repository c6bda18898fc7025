//! The end by panic or exception: the report, on every way out there is.
//!
//! Nothing here locks, allocates or awaits a reply. The report goes into the log ring, then to the
//! Resource Manager's console; its first line becomes the VM's crash message; then the VM asks to
//! be ended with code 1. Where nobody can be told, or does not listen in time, PSCI ends the
//! machine. A crash while this goes on is reported behind what there is already; the next one
//! ends the machine at once.

use crate::{
    console::serial,
    crash::{self, backtrace::Stacks, report::ReportText},
    critical,
    hardware::TIMERS,
    interrupts::gic,
    power::{self, Failure},
    run::current_task,
    start::{BILLY_LOG, Hypervisor},
    trace::BILLY_TRACE,
};
use billy_boot::{ExceptionFrame, Layout};
use core::{
    arch::asm,
    fmt::{self, Write},
    ops::Range,
    panic::PanicInfo,
    sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering::Relaxed},
    time::Duration,
};
use gunyah::rm::CrashChannel;
use gunyah_abi::{CapabilityId, rm::exit_code};
use spin::Once;

/// How long a full queue, or the end by the Resource Manager, is waited for.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often the wait looks at the clock.
const TICK: Duration = Duration::from_millis(1);
/// Room for a report; what does not fit is cut off.
const REPORT: usize = 8192;

/// How to reach the Resource Manager.
struct Channel {
    hypervisor: Hypervisor,
    tx: CapabilityId,
    rx: CapabilityId,
}

static CHANNEL: Once<Channel> = Once::new();
/// How many crashes there were.
static CRASHES: AtomicU8 = AtomicU8::new(0);
/// The report has the last events in it.
static EVENTS_WRITTEN: AtomicBool = AtomicBool::new(false);
/// The UART is being told.
static SAYING: AtomicBool = AtomicBool::new(false);
/// How much of the report was sent.
static SENT: AtomicUsize = AtomicUsize::new(0);
#[unsafe(link_section = ".noinit")]
static TEXT: ReportText<REPORT> = ReportText::new();

/// Makes ready for crashes; called first of all.
pub fn init() {
    TEXT.clear();
    BILLY_TRACE.start();
}

/// From now on reports go to the Resource Manager.
pub fn set_channel(hypervisor: Hypervisor, tx: CapabilityId, rx: CapabilityId) {
    CHANNEL.call_once(|| Channel { hypervisor, tx, rx });
}

/// Where the code stood that crashed.
struct Place {
    frame_pointer: u64,
    in_handler: bool,
    /// Where a handler interrupted the code below, if it is known.
    interrupted: Option<u64>,
}

/// Reports a panic.
pub fn of_panic(info: &PanicInfo<'_>) -> ! {
    let (frame_pointer, elr): (u64, u64);
    // SAFETY: copies of the frame pointer and of where the last exception came from.
    unsafe {
        asm!(
            "mov {}, x29",
            "mrs {}, elr_el1",
            out(reg) frame_pointer,
            out(reg) elr,
            options(nomem, nostack)
        );
    }
    let interrupting = holds(&Layout::current().exception_stack, frame_pointer);
    let interrupted = interrupting.then_some(elr);
    let in_handler = interrupting || gic::is_handling();
    die(&Place { frame_pointer, in_handler, interrupted }, &|out, _| {
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
    let in_handler = frame.vector & 0x200 != 0 || gic::is_handling();
    let place = Place { frame_pointer, in_handler, interrupted: None };
    die(&place, &|out, layout| {
        crash::write_exception(out, frame, layout)?;
        crash::write_registers(out, frame, layout.text.start as u64)
    })
}

/// Writes the first lines of a report.
type Describe<'a> = &'a dyn Fn(&mut dyn Write, &Layout) -> fmt::Result;

fn die(place: &Place, describe: Describe<'_>) -> ! {
    critical::mask();
    match CRASHES.fetch_add(1, Relaxed) {
        0 => write_report("\n*** ", place, describe),
        1 => write_report("\n*** and then, while that was reported: ", place, describe),
        _ => power::fail(Failure::Panic),
    }
    // If that was what crashed, once is enough.
    if !SAYING.swap(true, Relaxed) {
        serial::say(format_args!("{}", TEXT.since(SENT.load(Relaxed))));
        SAYING.store(false, Relaxed);
    }
    send_report();
    power::fail(Failure::Panic)
}

fn write_report(heading: &str, place: &Place, describe: Describe<'_>) {
    let layout = Layout::current();
    let image = layout.text.start as u64;
    let logged = TEXT.len();
    // SAFETY: this CPU runs alone, interrupts are masked, and whoever crashed never goes on.
    let mut out = unsafe { TEXT.writer() };
    // Each part is tried, whatever became of the one before.
    let _ = out.write_str(heading);
    let _ = describe(&mut out, &layout);
    let task = current_task();
    let _ = crash::write_circumstances(&mut out, task, place.in_handler, &BILLY_TRACE);
    let _ = crash::write_build(&mut out, Layout::build_id(), image);
    let stacks = Stacks {
        ranges: [&layout.emergency_stack, &layout.exception_stack, &layout.stack]
            .map(|stack| stack.start as u64..stack.end as u64),
        // SAFETY: called for addresses inside the stacks only, which are mapped.
        read: |address| unsafe { core::ptr::read_volatile(address as *const u64) },
    };
    let Place { frame_pointer, interrupted, .. } = *place;
    let _ = crash::write_backtrace(&mut out, &stacks, frame_pointer, interrupted, image);
    if !EVENTS_WRITTEN.load(Relaxed) {
        let (now, frequency) = (TIMERS.now(), TIMERS.frequency());
        let _ = crash::write_events(&mut out, &BILLY_TRACE, now, frequency);
        EVENTS_WRITTEN.store(true, Relaxed);
    }
    BILLY_LOG.try_append(TEXT.since(logged).as_bytes());
}

fn holds(range: &Range<usize>, address: u64) -> bool {
    range.contains(&(address as usize))
}

/// Asks the Resource Manager, if there is one, to end this VM or start it again, where nobody else
/// does. Interrupts are masked for good. Returns if it does not happen in time.
pub fn ask_for_end(code: u8, restart: bool) {
    critical::mask();
    with_manager(|manager| {
        let _ = manager.exit(code, restart);
    });
}

/// Sends what was not sent yet and asks to be ended; returns if that does not happen in time.
fn send_report() {
    with_manager(|manager| {
        // Each step is tried even if the one before was not heard.
        let _ = manager.open();
        for line in TEXT.since(SENT.load(Relaxed)).split_inclusive('\n') {
            let _ = match line.strip_suffix('\n') {
                Some(line) => write!(manager, "{line}\r\n"),
                None => manager.write_str(line),
            };
            SENT.fetch_add(line.len(), Relaxed);
        }
        let _ = manager.flush();
        let first_line = TEXT.since(0).trim_start().lines().next().unwrap_or_default();
        let message = first_line.trim_start_matches('*').trim_start();
        let _ = manager.set_crash_message(message.as_bytes());
        let _ = manager.exit(exit_code::SOFTWARE_ERROR, false);
    });
}

/// Has `talk` speak to the Resource Manager without hearing it, and waits for what comes of it.
fn with_manager(talk: impl FnOnce(&mut CrashChannel<Hypervisor, &dyn Fn() -> bool>)) {
    let Some(channel) = CHANNEL.get() else { return };
    gic::end_last(crash::last_interrupt(&BILLY_TRACE));
    let deadline = TIMERS.after(PATIENCE);
    let in_time = || {
        pause();
        TIMERS.now() < deadline
    };
    talk(&mut CrashChannel::new(channel.hypervisor, channel.tx, channel.rx, &in_time));
    while in_time() {}
}

/// Waits for an interrupt, or for a moment. What is pending is taken, since it would end every
/// further wait at once.
fn pause() {
    use crate::time::Counter;
    TIMERS.counter().set_alarm(Some(TIMERS.after(TICK)));
    critical::wait_for_interrupt();
    gic::discard_pending();
}
