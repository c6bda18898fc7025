//! A program on a serial line, driven by a scenario: send, expect, its end.
//!
//! The program is QEMU in the scenarios and a shell script in the tests below. Every wait has a
//! limit; an error carries the transcript. Dropping the machine kills the program.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, anyhow};

use crate::qemu::Outcome;

mod plain;

use plain::PlainText;

/// How long a scenario waits for anything, unless it says otherwise. Far above what is needed:
/// it only bounds a run that has gone wrong.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Lines of console and log that an error shows.
const TRANSCRIPT_LINES: usize = 120;
const LOG_LINES: usize = 40;

/// A running program and what it has printed.
pub struct Machine {
    child: Child,
    input: Option<Sender<Vec<u8>>>,
    console: Arc<Stream>,
    stderr: Arc<Stream>,
    readers: Vec<JoinHandle<()>>,
    cursor: usize,
    log: Option<PathBuf>,
    patience: Duration,
}

impl Machine {
    /// Starts `command`; `log` is a file whose tail errors show too.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn spawn(mut command: Command, log: Option<PathBuf>) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}", command.get_program().display()))?;
        let (console, stderr) = (Arc::<Stream>::default(), Arc::<Stream>::default());
        let mut readers = Vec::new();
        if let Some(output) = child.stdout.take() {
            readers.push(console.clone().fill_from(output));
        }
        if let Some(output) = child.stderr.take() {
            readers.push(stderr.clone().fill_from(output));
        }
        let input = child.stdin.take().map(feeder);
        Ok(Self { child, input, console, stderr, readers, cursor: 0, log, patience: PATIENCE })
    }

    /// Changes how long this machine is waited for.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Types `text`. Never blocks: what the program does not take yet waits.
    pub fn send(&mut self, text: impl AsRef<[u8]>) {
        if let Some(input) = &self.input {
            // The feeder ends with the program; the next expectation reports that end.
            let _ = input.send(text.as_ref().to_vec());
        }
    }

    /// Ends the input, as a pipe that runs dry does.
    pub fn close_input(&mut self) {
        self.input = None;
    }

    /// Waits until `text` appears after everything matched so far. Returns what came before it.
    ///
    /// # Errors
    /// It did not appear in time, or the program ended without it.
    pub fn expect(&mut self, text: &str) -> Result<String> {
        self.expect_any(&[text]).map(|(_, before)| before)
    }

    /// Waits for the first of several texts. Returns which one it was and what came before it.
    ///
    /// # Errors
    /// As [`expect`](Self::expect).
    pub fn expect_any(&mut self, texts: &[&str]) -> Result<(usize, String)> {
        let start = self.cursor;
        let wanted = |received: &Received| {
            let text = &received.text[start..];
            let hits = texts
                .iter()
                .enumerate()
                .filter_map(|(which, wanted)| Some((text.find(wanted)?, which)));
            hits.min().map(|(at, which)| (start + at, which))
        };
        let hit = self.console.wait(self.patience, |received| {
            wanted(received).map(Some).or(received.closed.then_some(None))
        });
        match hit {
            Some(Some((at, which))) => {
                self.cursor = at + texts[which].len();
                let before = self.console.lock().text[start..at].to_owned();
                Ok((which, before))
            }
            Some(None) => Err(self.failure(&format!("ended without printing {texts:?}"))),
            None => Err(self
                .failure(&format!("did not print {texts:?} within {} s", self.patience.as_secs()))),
        }
    }

    /// Types a line, waits for its echo and then for `answer`. Returns what came between, from
    /// the end of the echo's line on: a shell may draw the line more than once.
    ///
    /// # Errors
    /// As [`expect`](Self::expect).
    pub fn ask(&mut self, line: &str, answer: &str) -> Result<String> {
        self.send(format!("{line}\r"));
        self.expect(line)?;
        // A line of the log may come in between; then the shell draws its own again.
        while self.expect("\n")?.contains("] ") {
            self.expect(line)?;
        }
        // The line's end may be part of the answer.
        self.cursor -= 1;
        self.expect(answer)
    }

    /// Waits until `text` is in the log.
    ///
    /// # Errors
    /// It was not there in time, or the program ended without it.
    pub fn wait_for_log(&mut self, text: &str) -> Result<()> {
        let start = Instant::now();
        loop {
            let ended = self.child.try_wait()?.is_some();
            if self.log_text().contains(text) {
                return Ok(());
            }
            if ended || start.elapsed() > self.patience {
                return Err(self.failure(&format!("`{text}` did not come into the shim's log")));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn log_text(&self) -> String {
        let log = self.log.as_ref().and_then(|log| std::fs::read(log).ok()).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Waits for the end of the program. Returns what it printed after the last match.
    ///
    /// # Errors
    /// It did not end in time, or otherwise than with `wanted`.
    pub fn expect_exit(&mut self, wanted: Outcome) -> Result<String> {
        let status = self.wait_for_end()?;
        let stderr = self.stderr.lock().text.clone();
        let outcome =
            Outcome::of(status, &stderr).map_err(|error| self.failure(&error.to_string()))?;
        if outcome != wanted {
            let reason = format!("ended with \"{outcome}\", not with \"{wanted}\"");
            return Err(self.failure(&reason));
        }
        Ok(self.console.lock().text[self.cursor..].to_owned())
    }

    fn wait_for_end(&mut self) -> Result<ExitStatus> {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if start.elapsed() > self.patience {
                let limit = self.patience.as_secs();
                return Err(self.failure(&format!("did not end within {limit} s")));
            }
            thread::sleep(Duration::from_millis(5));
        };
        for reader in self.readers.drain(..) {
            reader.join().map_err(|_| anyhow!("a reader thread panicked"))?;
        }
        Ok(status)
    }

    /// An error with this reason, the transcript and the log's tail.
    pub fn failure(&self, reason: &str) -> Error {
        let mut text = format!("{reason}\n--- console\n");
        text += &tail(&self.console.lock().text, TRANSCRIPT_LINES);
        let stderr = self.stderr.lock().text.clone();
        if !stderr.trim().is_empty() {
            text += &format!("\n--- standard error\n{}", tail(&stderr, LOG_LINES));
        }
        if let Some(log) = &self.log {
            let whole = log.with_extension("console");
            // The transcript below stands for itself where the file cannot be written.
            if std::fs::write(&whole, &self.console.lock().text).is_ok() {
                text += &format!("\n--- all of it: {}", whole.display());
            }
            text += &format!("\n--- shim log\n{}", tail(&self.log_text(), LOG_LINES));
        }
        text += "\n---";
        anyhow!(text)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The last `lines` lines of `text`.
fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    let skipped = all.len().saturating_sub(lines);
    let mut shown = all[skipped..].join("\n");
    if skipped > 0 {
        shown.insert_str(0, &format!("({skipped} lines before)\n"));
    }
    shown
}

/// Writes what it is sent into the program's input from a thread of its own.
fn feeder(mut input: impl Write + Send + 'static) -> Sender<Vec<u8>> {
    let (sender, texts) = mpsc::channel::<Vec<u8>>();
    thread::spawn(move || {
        for text in texts {
            if input.write_all(&text).and_then(|()| input.flush()).is_err() {
                return;
            }
        }
    });
    sender
}

/// Text that arrives from a program.
#[derive(Default)]
struct Stream {
    received: Mutex<Received>,
    changed: Condvar,
}

#[derive(Default)]
struct Received {
    text: String,
    closed: bool,
}

impl Stream {
    fn lock(&self) -> MutexGuard<'_, Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Collects everything from `output` until its end.
    fn fill_from(self: Arc<Self>, mut output: impl Read + Send + 'static) -> JoinHandle<()> {
        thread::spawn(move || {
            let mut plain = PlainText::default();
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut buffer) {
                let text = plain.feed(&buffer[..length]);
                self.lock().text += &text;
                self.changed.notify_all();
            }
            self.lock().closed = true;
            self.changed.notify_all();
        })
    }

    /// Waits until `check` gives a value, at most for `limit`.
    fn wait<T>(&self, limit: Duration, check: impl Fn(&Received) -> Option<T>) -> Option<T> {
        let end = Instant::now() + limit;
        let mut received = self.lock();
        loop {
            if let Some(value) = check(&received) {
                return Some(value);
            }
            let left = end.checked_duration_since(Instant::now())?;
            let woken = self.changed.wait_timeout(received, left);
            received = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests;
