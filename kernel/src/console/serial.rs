//! The UART as the console, and as the last resort of a kernel that cannot run.

use super::{Wish, preferred_uart};
use crate::{
    dt::{self, Platform, UartKind},
    hardware::TIMERS,
    interrupts::gic,
    probe,
    run::KernelTimer,
    start::Hypervisor,
};
use alloc::boxed::Box;
use core::{
    fmt::{self, Write as _},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use gunyah::doorbell::{Doorbell, DoorbellTrigger};
use spin::Once;
use thiserror::Error;
use uart::{Blocking, Kind, Mmio, Port, Receive, Uart, Width};

/// How long the transmitter is waited for when the kernel is about to end.
const PATIENCE: Duration = Duration::from_millis(500);

/// The driver of a UART.
pub type Serial = Uart<Mmio, KernelTimer>;

impl uart::Timer for KernelTimer {
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> {
        TIMERS.sleep(duration)
    }
}

/// A UART that cannot be driven as the tree describes it.
#[derive(Clone, Copy, Debug, Error)]
pub enum Unusable {
    /// Its registers do not fit what the tree says of them.
    #[error(
        "the UART at {base:#x} does not fit its reg: {size:#x} bytes, shift {shift}, width {width}"
    )]
    Misdescribed {
        /// Address of the first register.
        base: u64,
        /// Bytes that the tree gives it.
        size: u64,
        /// `reg-shift`.
        shift: u32,
        /// `reg-io-width`.
        width: u32,
    },
    /// It is the host's, say, in whose base tree this VM's was made.
    #[error("there is no UART at {0:#x}, whatever the tree says")]
    Absent(u64),
}

/// The UART to say last things on, with nothing set up yet.
static LAST_RESORT: Once<Port<Mmio>> = Once::new();
/// The Resource Manager's console is open: nothing has to be said elsewhere.
static MANAGER_IS_OPEN: AtomicBool = AtomicBool::new(false);

/// Remembers the tree's UART for last words, unless the command line wants no console. The
/// registers must be mapped.
pub fn remember(platform: &Platform) {
    let kind = match Wish::of(platform.bootargs.as_deref()).unwrap_or_default() {
        Wish::Nothing => return,
        Wish::Uart(kind) => kind,
        Wish::Any | Wish::ResourceManager => None,
    };
    let uart = preferred_uart(platform, kind).or_else(|| preferred_uart(platform, None));
    if let Some(Ok(port)) = uart.map(port) {
        LAST_RESORT.call_once(|| port);
    }
}

/// Tells whether the Resource Manager's console shows what is written.
pub fn set_manager_is_open(open: bool) {
    MANAGER_IS_OPEN.store(open, Ordering::Relaxed);
}

/// Says `text` on the tree's UART by polling, unless the Resource Manager's console is open. For a
/// kernel that is about to end: a UART that takes nothing is given up.
pub fn say(text: fmt::Arguments<'_>) {
    let Some(port) = LAST_RESORT.get() else { return };
    if MANAGER_IS_OPEN.load(Ordering::Relaxed) || !probe::device(|| port.touch()) {
        return;
    }
    port.set_up();
    let deadline = TIMERS.after(PATIENCE);
    let mut line = Line(Blocking::new(port, || TIMERS.now() < deadline));
    let _ = line.write_fmt(text);
    let _ = embedded_io::Write::flush(&mut line.0);
}

/// Text with CR before LF.
struct Line<W>(W);

impl<W: embedded_io::Write> fmt::Write for Line<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for line in text.split_inclusive('\n') {
            let (line, end) = match line.strip_suffix('\n') {
                Some(line) => (line, "\r\n"),
                None => (line, ""),
            };
            self.0.write_all(line.as_bytes()).map_err(|_| fmt::Error)?;
            self.0.write_all(end.as_bytes()).map_err(|_| fmt::Error)?;
        }
        Ok(())
    }
}

/// The registers of `uart`, which the memory plan has mapped.
fn port(uart: &dt::Uart) -> Result<Port<Mmio>, Unusable> {
    let dt::Uart { registers, reg_shift, reg_io_width, .. } = uart;
    let (kind, shift, needed) = match uart.kind {
        UartKind::Ns16550a => (Kind::Ns16550a, *reg_shift, 7 << reg_shift),
        UartKind::Pl011 => (Kind::Pl011, 0, 0x44),
    };
    let width = u64::from(*reg_io_width);
    let fits = registers.size >= needed + width && registers.start % width.max(1) == 0;
    let mmio = Width::of(*reg_io_width).filter(|_| fits).and_then(|width| {
        // SAFETY: the tree says that such a UART is there; the plan maps all of its range as device
        // memory, for ever, and the last register used lies in it.
        unsafe { Mmio::new(registers.start as usize, shift, width) }
    });
    mmio.map(|mmio| Port::new(kind, mmio)).ok_or(Unusable::Misdescribed {
        base: registers.start,
        size: registers.size,
        shift: *reg_shift,
        width: *reg_io_width,
    })
}

/// Brings up `uart` as the console: by its interrupt if it has one that can be had, else by
/// looking from time to time.
///
/// Where a doorbell has the UART's INTID, it is what interrupts: it is received before the UART is
/// emptied, so that a byte behind the last one rings it again.
pub fn bring_up(
    uart: &dt::Uart,
    platform: &Platform,
    hypervisor: Hypervisor,
) -> Result<&'static Serial, Unusable> {
    let port = port(uart)?;
    if !probe::device(|| port.touch()) {
        return Err(Unusable::Absent(uart.registers.start));
    }
    let Some(interrupt) = uart.interrupt else {
        return Ok(started(Uart::new(port, KernelTimer, Receive::ByPolling)));
    };
    let serial: &'static Serial =
        Box::leak(Box::new(Uart::new(port, KernelTimer, Receive::ByInterrupt)));
    let rings = |bell: &&dt::Doorbell| bell.interrupt.intid == interrupt.intid;
    let enabled = match platform.doorbells.iter().find(rings) {
        Some(bell) => {
            let bell = Doorbell::new(hypervisor, bell.capability, DoorbellTrigger::Level);
            gic::enable(
                interrupt,
                "uart",
                Box::new(move || {
                    bell.on_interrupt();
                    serial.on_interrupt();
                }),
            )
        }
        None => gic::enable(interrupt, "uart", Box::new(|| serial.on_interrupt())),
    };
    match enabled {
        Ok(()) => {
            serial.start();
            Ok(serial)
        }
        Err(error) => {
            log::warn!(target: "console", "{error}; the UART is polled");
            Ok(started(Uart::new(self::port(uart)?, KernelTimer, Receive::ByPolling)))
        }
    }
}

fn started(serial: Serial) -> &'static Serial {
    let serial: &'static Serial = Box::leak(Box::new(serial));
    serial.start();
    serial
}
