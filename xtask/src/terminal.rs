//! The person's terminal, in raw mode while the guest has it.

use std::io::{IsTerminal, Stdin, stdin};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// Raw mode: every key goes to the guest, Ctrl-C too. Dropping it restores the old mode.
pub struct Raw {
    before: Termios,
}

impl Raw {
    /// Switches stdin to raw mode; `None` if stdin is no terminal.
    pub fn enter() -> Option<Self> {
        let input: Stdin = stdin();
        if !input.is_terminal() {
            return None;
        }
        let before = tcgetattr(&input).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&input, OptionalActions::Now, &raw).ok()?;
        Some(Self { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that is gone.
        let _ = tcsetattr(stdin(), OptionalActions::Drain, &self.before);
    }
}
