//! The lines entered last.

use alloc::{collections::VecDeque, string::String};

/// How many lines are remembered.
pub const HISTORY_LINES: usize = 16;

/// The last [`HISTORY_LINES`] lines, and where in them the user is looking.
#[derive(Debug, Default)]
pub struct History {
    /// The newest line first.
    lines: VecDeque<String>,
    /// How many lines back the user is; 0 is the line being written.
    back: usize,
    /// The line being written, while the user looks at an older one.
    draft: String,
}

impl History {
    /// Makes an empty history.
    pub const fn new() -> Self {
        Self { lines: VecDeque::new(), back: 0, draft: String::new() }
    }

    /// Remembers a line, unless it is blank or the same as the last one, and looks at the draft
    /// again, which is empty now.
    pub fn add(&mut self, line: &str) {
        self.leave();
        if line.trim().is_empty() || self.lines.front().is_some_and(|last| last == line) {
            return;
        }
        let mut entry = match self.lines.len() {
            HISTORY_LINES.. => self.lines.pop_back().unwrap_or_default(),
            _ => String::new(),
        };
        entry.clear();
        entry.push_str(line);
        self.lines.push_front(entry);
    }

    /// Stops looking at older lines.
    pub fn leave(&mut self) {
        self.back = 0;
        self.draft.clear();
    }

    /// The line before the one shown. `shown` is kept if it is the draft. None at the oldest.
    pub fn older(&mut self, shown: &str) -> Option<&str> {
        let older = self.lines.get(self.back)?;
        if self.back == 0 {
            self.draft.clear();
            self.draft.push_str(shown);
        }
        self.back += 1;
        Some(older)
    }

    /// The line after the one shown, at last the draft. None at the draft.
    pub fn newer(&mut self) -> Option<&str> {
        self.back = self.back.checked_sub(1)?;
        match self.back.checked_sub(1) {
            Some(index) => self.lines.get(index).map(String::as_str),
            None => Some(&self.draft),
        }
    }

    /// The lines remembered, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().rev().map(String::as_str)
    }
}
