//! The shim's log, written to the host; and what a panic of the shim does.

use super::{EXIT_CRASH, clock::Clock, semihosting};
use billy_shim::seam::Clock as _;
use core::{fmt::Write, panic::PanicInfo};
use log::{LevelFilter, Log, Metadata, Record};

struct HostLogger(spin::Once<Clock>);

static LOGGER: HostLogger = HostLogger(spin::Once::new());

/// Starts to log.
pub fn init() {
    LOGGER.0.call_once(Clock::new);
    // Fails only if a logger is set already.
    let _ = log::set_logger(&LOGGER);
    log::set_max_level(LevelFilter::Info);
}

impl Log for HostLogger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let nanos = self.0.get().map_or(0, |clock| clock.now());
        let (seconds, micros) = (nanos / 1_000_000_000, nanos / 1000 % 1_000_000);
        let module = record.target().rsplit("::").next().unwrap_or_default();
        let level = match record.level() {
            log::Level::Error => "error: ",
            log::Level::Warn => "warning: ",
            _ => "",
        };
        let mut host = semihosting::HostLog::new();
        let _ = writeln!(host, "[{seconds:5}.{micros:06}] {module}: {level}{}", record.args());
    }

    fn flush(&self) {}
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let _ = writeln!(semihosting::HostLog::new(), "the shim crashed: {info}");
    semihosting::exit(EXIT_CRASH)
}
