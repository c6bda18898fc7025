//! Runs a long command: one line says what; its last output, that it lives.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, IsTerminal, Read, Write, stderr};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Lines of output kept for the error message.
const TAIL: usize = 12;
/// How often the elapsed time is shown where output is no terminal.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Runs `command` to its end, at most for `limit`, and shows its progress on stderr.
///
/// # Errors
/// It could not be started, ended with a failure, or did not end in time (it is killed then). The
/// message carries the last lines it printed.
pub fn run(command: &mut Command, limit: Duration) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {name}"))?;
    let (sender, lines) = mpsc::channel();
    forward(child.stdout.take(), sender.clone());
    forward(child.stderr.take(), sender);

    let start = Instant::now();
    let mut shown = Display::new();
    let mut tail = VecDeque::new();
    let status: Option<ExitStatus> = loop {
        match lines.recv_timeout(Duration::from_millis(200)) {
            Ok(line) => {
                shown.update(&line, start.elapsed());
                tail.push_back(line);
                if tail.len() > TAIL {
                    tail.pop_front();
                }
            }
            Err(RecvTimeoutError::Timeout) => shown.tick(start.elapsed()),
            Err(RecvTimeoutError::Disconnected) => break Some(child.wait()?),
        }
        if start.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            break None;
        }
    };
    shown.clear();
    let tail = Vec::from(tail).join("\n  ");
    match status {
        Some(status) if status.success() => Ok(()),
        Some(status) => bail!("{name} failed ({status}):\n  {tail}"),
        None => bail!("{name} did not end within {} s:\n  {tail}", limit.as_secs()),
    }
}

/// Sends every line of `stream`, split at carriage returns too, from a thread of its own.
fn forward(stream: Option<impl Read + Send + 'static>, sender: Sender<String>) {
    let Some(stream) = stream else { return };
    thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            let last = line.trim_end().rsplit('\r').next().unwrap_or_default();
            if !last.trim().is_empty() && sender.send(last.to_owned()).is_err() {
                return;
            }
        }
    });
}

/// One changing line on a terminal, a line every ten seconds elsewhere.
struct Display {
    terminal: bool,
    last: String,
    next_beat: Duration,
}

impl Display {
    fn new() -> Self {
        Self { terminal: stderr().is_terminal(), last: String::new(), next_beat: HEARTBEAT }
    }

    fn update(&mut self, line: &str, elapsed: Duration) {
        self.last = line.trim().chars().take(68).collect();
        self.tick(elapsed);
    }

    fn tick(&mut self, elapsed: Duration) {
        let seconds = elapsed.as_secs();
        if self.terminal {
            eprint!("\r\x1b[K  {seconds:3} s  {}", self.last);
            let _ = stderr().flush();
        } else if elapsed >= self.next_beat {
            eprintln!("  {seconds:3} s  {}", self.last);
            self.next_beat = elapsed + HEARTBEAT;
        }
    }

    fn clear(&self) {
        if self.terminal {
            eprint!("\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn success_is_silent() {
        run(&mut shell("echo fine"), Duration::from_secs(60)).unwrap();
    }

    #[test]
    fn failure_carries_the_last_output_of_both_streams() {
        let script = "echo out; echo err >&2; exit 3";
        let error = run(&mut shell(script), Duration::from_secs(60)).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("out") && text.contains("err"), "{text}");
        assert!(text.contains("exit status: 3"), "{text}");
    }

    #[test]
    fn a_command_that_hangs_is_killed() {
        let error = run(&mut shell("exec sleep 600"), Duration::from_millis(300)).unwrap_err();
        assert!(error.to_string().contains("did not end within"), "{error}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run(&mut Command::new("no-such-program"), HEARTBEAT).unwrap_err();
        assert!(error.to_string().contains("starting no-such-program"));
    }
}
