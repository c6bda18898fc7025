//! What many scenarios do: play a script, ask the shell, power off.

use std::borrow::Cow;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{Lab, PROMPT};
use crate::machine::Machine;
use crate::qemu::{MachineOptions, Outcome, Script};

/// Patience with a script: a busy computer takes long to play one.
const LONG: Duration = Duration::from_secs(240);

impl Lab {
    /// Starts the usual machine, whose peer plays `script`.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn scripted(&self, script: impl Into<Cow<'static, str>>) -> Result<Machine> {
        self.scripted_on(script, MachineOptions::default())
    }

    /// [`Self::scripted`] on a machine of one's own.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn scripted_on(
        &self,
        script: impl Into<Cow<'static, str>>,
        options: MachineOptions,
    ) -> Result<Machine> {
        let script = Some(Script::Text(script.into()));
        let mut machine = self.start(MachineOptions { script, ..options })?;
        machine.set_patience(LONG);
        Ok(machine)
    }

    /// Boots the usual machine; the peer plays `script` beside the prompt, and has come to its end.
    ///
    /// # Errors
    /// The machine does not boot, or the script does not end.
    pub fn played(&self, script: &str) -> Result<Machine> {
        self.played_on(script, MachineOptions::default())
    }

    /// [`Self::played`] on a machine of one's own.
    ///
    /// # Errors
    /// As [`Self::played`].
    pub fn played_on(&self, script: &str, options: MachineOptions) -> Result<Machine> {
        let script = format!("expect console \"billy> \" within 60000\n{script}\nlog played\n");
        let mut machine = self.scripted_on(script, options)?;
        machine.expect(PROMPT)?;
        machine.wait_for_log("played")?;
        Ok(machine)
    }

    /// Starts a machine with these bytes in the place of the trees, and expects the failure code.
    ///
    /// # Errors
    /// It ends otherwise, or not at all.
    pub fn refused(&self, handed_over: Vec<u8>) -> Result<Machine> {
        let handed_over = Some(handed_over);
        let mut machine =
            self.start(MachineOptions { handed_over, ..MachineOptions::default() })?;
        machine.expect_exit(Outcome::Failure)?;
        Ok(machine)
    }
}

impl Machine {
    /// Types a line into the shell; the answer must hold all of these words.
    ///
    /// # Errors
    /// There is no answer, or it lacks some of them.
    pub fn shows(&mut self, line: &str, wanted: &[&str]) -> Result<()> {
        let answer = self.ask(line, PROMPT)?;
        for words in wanted {
            let reason = || self.failure(&format!("`{line}` does not show `{words}`"));
            ensure!(answer.contains(words), reason());
        }
        Ok(())
    }

    /// Types several lines, each with its answer, as [`Self::shows`].
    ///
    /// # Errors
    /// As [`Self::shows`].
    pub fn shows_all(&mut self, expected: &[(&str, &[&str])]) -> Result<()> {
        expected.iter().try_for_each(|(line, wanted)| self.shows(line, wanted))
    }

    /// Types a line into the shell, and takes from its answer the number behind `words`, in the first line that begins with
    /// `start`.
    ///
    /// # Errors
    /// There is no answer, or no such number in it.
    pub fn count(&mut self, line: &str, start: &str, words: &str) -> Result<u64> {
        let answer = self.ask(line, PROMPT)?;
        let number = answer.lines().filter(|line| line.starts_with(start)).find_map(|line| {
            let (_, rest) = line.split_once(words)?;
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            rest[..end].parse().ok()
        });
        number.with_context(|| self.failure(&format!("`{line}` shows no number behind `{words}`")))
    }

    /// Powers off from the shell, and expects that end.
    ///
    /// # Errors
    /// It ends otherwise, or not at all.
    pub fn power_off(mut self) -> Result<()> {
        self.send("poweroff\r");
        self.expect_exit(Outcome::End)?;
        Ok(())
    }
}
