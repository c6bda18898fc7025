//! The shell: what a person at the console sees.
//!
//! One task reads keys, shows log lines as they come, and runs commands. The line being typed is
//! taken off the screen while something else is printed. Output is collected and written in large
//! pieces, since each write costs a round trip to the Resource Manager.

mod apart;
pub mod commands;
pub mod history;
pub mod line;
mod manager;
mod objects;
mod page;
mod peers;
mod services;
mod shared;
mod show;

use crate::{
    ending::{End, Stage},
    log::{LogRing, Reader},
    system::{Machine, System},
};
use alloc::string::String;
use commands::Next;
use embassy_futures::select::{Either3, select3};
use embedded_io_async::{Read, Write};
use gunyah::{hypercalls::Hypercalls, rm::Timer};
use line::{Event, LineEditor};
use page::Page;

/// What stands before the line.
pub const PROMPT: &str = "billy> ";

/// Bytes of the log that an owner who came late is shown.
const SHOWN_AGAIN: usize = 1024;

/// Who hears what is written before anything was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Whoever is at the other end of the line.
    Certain,
    /// Perhaps nobody: the Resource Manager drops what is written before the console's owner has
    /// opened it, and does not tell. Who comes late sees an empty screen and presses Enter: if that
    /// is the first key, the end of the log is shown once more.
    Unknown,
}

/// Runs the shell on `terminal` until the end: a command or somebody else asks for it, services
/// have drained, all output is out, and the console can be closed.
///
/// # Errors
///
/// Whatever the terminal answers.
pub async fn run<T, H, C, M>(
    terminal: &mut T,
    system: &System<H, C>,
    machine: &M,
    audience: Audience,
) -> Result<End, T::Error>
where
    T: Read + Write,
    H: Hypercalls + Clone + Send + Sync + 'static,
    C: Timer + Clone + 'static,
    M: Machine,
{
    let mut editor = LineEditor::new(PROMPT);
    let mut page = Page::new();
    let mut follower = Follower { ring: machine.log(), reader: Reader::new() };
    let mut input = [0; 256];
    let mut unheard = audience == Audience::Unknown;
    loop {
        if follower.has_news() {
            editor.hide(page.raw());
            follower.show_news(&mut page, terminal).await?;
        }
        editor.show(page.raw());
        page.write_to(terminal).await?;
        machine.prompted();
        let drained = system.ending.drained();
        let count = match select3(terminal.read(&mut input), follower.wait(), drained).await {
            Either3::First(count) => count?,
            Either3::Second(()) => continue,
            Either3::Third(end) => {
                editor.hide(page.raw());
                follower.show_news(&mut page, terminal).await?;
                page.write_to(terminal).await?;
                terminal.flush().await?;
                return Ok(end);
            }
        };
        system.channels.life().sign();
        let enter = matches!(input.first(), Some(b'\r' | b'\n'));
        if core::mem::take(&mut unheard) && enter {
            editor.hide(page.raw());
            follower.show_again(&mut page);
            editor.show(page.raw());
        }
        let mut rest = input.get(..count).unwrap_or_default();
        while system.ending.stage() == Stage::Running
            && let Some(event) = editor.feed(&mut rest, page.raw())
        {
            let line = match event {
                Event::Line(line) => String::from(line),
                Event::Interrupted => String::new(),
            };
            page.write_to(terminal).await?;
            let next = commands::execute(&line, &mut page, terminal, system, machine).await?;
            page.write_to(terminal).await?;
            if let Next::End(end) = next {
                system.ending.ask(end);
            }
            follower.show_news(&mut page, terminal).await?;
            editor.show(page.raw());
        }
        page.write_to(terminal).await?;
    }
}

/// Follows the log ring.
struct Follower {
    ring: &'static LogRing,
    reader: Reader,
}

impl Follower {
    fn has_news(&self) -> bool {
        self.ring.unread(self.reader) > 0
    }

    async fn wait(&self) {
        self.ring.wait(self.reader).await;
    }

    /// Writes what was logged since the last time.
    async fn show_news<T: Write>(
        &mut self,
        page: &mut Page,
        terminal: &mut T,
    ) -> Result<(), T::Error> {
        while self.copy(page) {
            page.write_to(terminal).await?;
        }
        Ok(())
    }

    /// Writes the end of what was shown already.
    fn show_again(&self, page: &mut Page) {
        let mut reader = self.ring.tail(SHOWN_AGAIN);
        let mut buffer = [0; SHOWN_AGAIN];
        let read = self.ring.read(&mut reader, &mut buffer);
        page.line(format_args!("[the log, for who came late]"));
        page.bytes(buffer.get(..read.bytes).unwrap_or_default());
    }

    /// Copies the next piece of the log; says how much was overwritten before it was read.
    fn copy(&mut self, page: &mut Page) -> bool {
        let mut buffer = [0; 1024];
        let read = self.ring.read(&mut self.reader, &mut buffer);
        if read.lost > 0 {
            page.line(format_args!("[{} bytes of the log were overwritten]", read.lost));
        }
        page.bytes(buffer.get(..read.bytes).unwrap_or_default());
        read.bytes > 0 || read.lost > 0
    }
}

#[cfg(test)]
pub(crate) mod tests;
