//! The `log` crate's front end to the ring.

use super::{LogRing, line::Line};
use core::{fmt::Write, time::Duration};
use log::{Level, Log, Metadata, Record};

/// Writes log records to a ring as lines like `[    0.000123] rm: console open`.
///
/// The second field is the last part of the record's target, by default of the module path; a
/// record of level warn or error then says so. Newlines in a record become spaces and other ASCII
/// control characters question marks, so that a record is one line and no peer's text can steer
/// the terminal. Lines are cut at 256 bytes.
#[derive(Debug)]
pub struct Logger<const N: usize = { 16 * 1024 }> {
    ring: &'static LogRing<N>,
    clock: fn() -> Duration,
}

impl<const N: usize> Logger<N> {
    /// Makes a logger that stamps lines with what `clock` says when they are written.
    pub const fn new(ring: &'static LogRing<N>, clock: fn() -> Duration) -> Self {
        Self { ring, clock }
    }
}

impl<const N: usize> Log for Logger<N> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        let target = record.target().as_bytes();
        let start = target.iter().rposition(|&byte| byte == b':').map_or(0, |colon| colon + 1);
        let mut line = Line::new();
        line.push_time((self.clock)());
        line.push(target.get(start..).unwrap_or_default());
        line.push(match record.level() {
            Level::Error => b": error: ",
            Level::Warn => b": warning: ",
            Level::Info | Level::Debug | Level::Trace => b": ",
        });
        // Line takes everything; a failing Display leaves its line short, which says enough.
        let _ = match record.args().as_str() {
            Some(text) => line.write_str(text),
            None => line.write_fmt(*record.args()),
        };
        self.ring.append(line.finish());
    }

    fn flush(&self) {}
}
