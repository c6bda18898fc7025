//! A line editor: bytes from a terminal in, lines out.

mod keys;
#[cfg(test)]
mod tests;

use super::history::History;
use alloc::string::String;
use core::fmt::Write;
use keys::{Decoder, Key};

/// The longest line, in bytes.
pub const LINE_BYTES: usize = 256;

const BELL: &str = "\x07";
const ERASE_TO_END: &str = "\x1b[K";
const ERASE_SCREEN: &str = "\x1b[H\x1b[2J";

/// What typing led to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event<'a> {
    /// A line was entered; without its end.
    Line(&'a str),
    /// Ctrl-C was typed; the line is gone.
    Interrupted,
}

enum Outcome {
    Line,
    Interrupted,
}

/// Edits one line on an ANSI terminal.
///
/// Left, Right, Home, End, Backspace, Delete, Up and Down for the history, Ctrl-A and Ctrl-E as
/// Home and End, Ctrl-K, Ctrl-U and Ctrl-W to erase to the end, to the start, and a word, Ctrl-C
/// to drop the line, Ctrl-L to clear the screen. CR, LF and CR LF each end a line. Other control
/// characters, unknown escape sequences and invalid UTF-8 are ignored. A full line beeps.
///
/// The terminal is told only to return to the start of the row, to step back, and to erase to its
/// end; how wide characters are is left to it. A line wider than the terminal is edited all right
/// but looks wrong once more than its end changes.
///
/// What it writes goes to a [`Write`]; errors of that are ignored, since the line stays right and
/// [`show`](Self::show) repairs the screen.
#[derive(Debug)]
pub struct LineEditor {
    prompt: &'static str,
    line: String,
    /// Where the next character goes, in bytes from the start of `line`.
    cursor: usize,
    /// The line was handed out and counts no longer.
    done: bool,
    decoder: Decoder,
    history: History,
}

impl LineEditor {
    /// Makes an editor with an empty line. Nothing is shown yet.
    pub fn new(prompt: &'static str) -> Self {
        Self {
            prompt,
            line: String::with_capacity(LINE_BYTES),
            cursor: 0,
            done: false,
            decoder: Decoder::new(),
            history: History::new(),
        }
    }

    /// Takes bytes off the front of `input` until they complete something or are used up.
    ///
    /// After an event the next prompt is not on the screen yet: call [`show`](Self::show) when
    /// the line is dealt with.
    pub fn feed<'a>(&'a mut self, input: &mut &[u8], out: &mut dyn Write) -> Option<Event<'a>> {
        let outcome = loop {
            let (&byte, rest) = input.split_first()?;
            *input = rest;
            if let Some(key) = self.decoder.push(byte)
                && let Some(outcome) = self.key(key, out)
            {
                break outcome;
            }
        };
        Some(match outcome {
            Outcome::Line => Event::Line(&self.line),
            Outcome::Interrupted => Event::Interrupted,
        })
    }

    /// Draws prompt and line on the current row and puts the cursor where it belongs.
    pub fn show(&mut self, out: &mut dyn Write) {
        self.start_over();
        let (head, tail) = self.split();
        print(out, &["\r", self.prompt, head, tail, ERASE_TO_END]);
        if !tail.is_empty() {
            print(out, &["\r", self.prompt, head]);
        }
    }

    /// Erases the current row, for something else to be printed there before the next
    /// [`show`](Self::show).
    pub fn hide(&self, out: &mut dyn Write) {
        print(out, &["\r", ERASE_TO_END]);
    }

    /// The line as typed so far.
    pub fn line(&self) -> &str {
        if self.done { "" } else { &self.line }
    }

    /// The lines entered before.
    pub fn history(&self) -> &History {
        &self.history
    }

    fn key(&mut self, key: Key, out: &mut dyn Write) -> Option<Outcome> {
        self.start_over();
        match key {
            Key::Enter => {
                print(out, &["\r\n"]);
                self.history.add(&self.line);
                self.done = true;
                return Some(Outcome::Line);
            }
            Key::Interrupt => {
                print(out, &["^C\r\n"]);
                self.history.leave();
                self.done = true;
                return Some(Outcome::Interrupted);
            }
            Key::Character(character) => self.insert(character, out),
            Key::Backspace => self.backspace(out),
            Key::Delete => self.delete(out),
            Key::Left => self.left(out),
            Key::Right => self.right(out),
            Key::Home => {
                self.cursor = 0;
                print(out, &["\r", self.prompt]);
            }
            Key::End => {
                print(out, &[self.split().1]);
                self.cursor = self.line.len();
            }
            Key::EraseToEnd => {
                self.line.truncate(self.cursor);
                print(out, &[ERASE_TO_END]);
            }
            Key::EraseToStart => self.erase_back_to(0, out),
            Key::EraseWord => {
                let head = self.split().0.trim_end();
                let word = head.rfind(char::is_whitespace).map_or(0, |space| {
                    space + head.get(space..).and_then(first).map_or(0, char::len_utf8)
                });
                self.erase_back_to(word, out);
            }
            Key::Up => {
                let line = self.history.older(&self.line);
                Self::replace(&mut self.line, &mut self.cursor, line);
                self.show(out);
            }
            Key::Down => {
                let line = self.history.newer();
                Self::replace(&mut self.line, &mut self.cursor, line);
                self.show(out);
            }
            Key::ClearScreen => {
                print(out, &[ERASE_SCREEN]);
                self.show(out);
            }
        }
        None
    }

    fn insert(&mut self, character: char, out: &mut dyn Write) {
        if self.line.len() + character.len_utf8() > LINE_BYTES {
            print(out, &[BELL]);
            return;
        }
        let at_end = self.cursor == self.line.len();
        self.line.insert(self.cursor, character);
        self.cursor += character.len_utf8();
        if at_end {
            let _ = out.write_char(character);
        } else {
            self.show(out);
        }
    }

    fn backspace(&mut self, out: &mut dyn Write) {
        let (head, tail) = self.split();
        let Some(character) = last(head) else { return };
        let narrow_at_end = character.is_ascii() && tail.is_empty();
        let end = self.cursor;
        self.cursor -= character.len_utf8();
        self.line.drain(self.cursor..end);
        if narrow_at_end {
            print(out, &["\x08 \x08"]);
        } else {
            self.show(out);
        }
    }

    fn delete(&mut self, out: &mut dyn Write) {
        if let Some(character) = first(self.split().1) {
            self.line.drain(self.cursor..self.cursor + character.len_utf8());
            self.show(out);
        }
    }

    fn left(&mut self, out: &mut dyn Write) {
        let Some(character) = last(self.split().0) else { return };
        self.cursor -= character.len_utf8();
        if character.is_ascii() {
            print(out, &["\x08"]);
        } else {
            print(out, &["\r", self.prompt, self.split().0]);
        }
    }

    fn right(&mut self, out: &mut dyn Write) {
        let Some(character) = first(self.split().1) else { return };
        self.cursor += character.len_utf8();
        let _ = out.write_char(character);
    }

    /// Erases from `start`, a character boundary at or before the cursor, to the cursor.
    fn erase_back_to(&mut self, start: usize, out: &mut dyn Write) {
        if start < self.cursor {
            self.line.drain(start..self.cursor);
            self.cursor = start;
            self.show(out);
        }
    }

    fn replace(line: &mut String, cursor: &mut usize, by: Option<&str>) {
        if let Some(by) = by {
            line.clear();
            line.push_str(by);
            *cursor = line.len();
        }
    }

    /// The line before and behind the cursor.
    fn split(&self) -> (&str, &str) {
        self.line.split_at_checked(self.cursor).unwrap_or((&self.line, ""))
    }

    fn start_over(&mut self) {
        if self.done {
            self.done = false;
            self.line.clear();
            self.cursor = 0;
        }
    }
}

fn first(text: &str) -> Option<char> {
    text.chars().next()
}

fn last(text: &str) -> Option<char> {
    text.chars().next_back()
}

fn print(out: &mut dyn Write, parts: &[&str]) {
    for part in parts {
        let _ = out.write_str(part);
    }
}
