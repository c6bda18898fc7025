//! What QEMU's exit status says about the run.

use std::fmt;
use std::process::ExitStatus;

use anyhow::{Result, bail};

/// How a machine ended, from QEMU's exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The guest powered off.
    End,
    /// Nothing to do on this machine.
    Skipped,
    /// Machine or image refused.
    Error,
    /// The guest ended with a failure code.
    Failure,
    /// The shim stopped, or the guest left in a way it should not.
    Crash,
}

impl Outcome {
    /// The outcome that the shim reports with this exit code.
    pub fn from_code(code: i32) -> Option<Self> {
        Some(match code {
            0 => Self::End,
            3 => Self::Skipped,
            4 => Self::Error,
            5 => Self::Failure,
            6 => Self::Crash,
            _ => return None,
        })
    }

    /// The exit code for this outcome.
    pub fn code(self) -> u8 {
        match self {
            Self::End => 0,
            Self::Skipped => 3,
            Self::Error => 4,
            Self::Failure => 5,
            Self::Crash => 6,
        }
    }

    /// Reads it from QEMU's status.
    ///
    /// # Errors
    /// QEMU itself failed; the message carries what it said on `stderr`.
    pub fn of(status: ExitStatus, stderr: &str) -> Result<Self> {
        if let Some(outcome) = status.code().and_then(Self::from_code) {
            return Ok(outcome);
        }
        let said = match stderr.trim() {
            "" => "it said nothing".to_owned(),
            text => format!("it said: {text}"),
        };
        bail!(
            "QEMU itself ended ({status}); {said}\n  check that this works: qemu-system-aarch64 -M virt -cpu help"
        )
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::End => "end: the guest powered off",
            Self::Skipped => "skipped: nothing to do on this machine",
            Self::Error => "error: machine or image refused",
            Self::Failure => "failure: the guest ended with a failure code",
            Self::Crash => "crash: the shim stopped or the guest left unexpectedly",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn exit_codes_and_outcomes_are_the_same_thing() {
        for code in 0..=255 {
            if let Some(outcome) = Outcome::from_code(code) {
                assert_eq!(i32::from(outcome.code()), code);
            }
        }
        assert_eq!(Outcome::from_code(1), None);
    }

    #[test]
    fn a_dead_qemu_is_an_error_with_its_last_words() {
        let status = ExitStatus::from_raw(1 << 8);
        let error = Outcome::of(status, "no such CPU\n").unwrap_err().to_string();
        assert!(error.contains("no such CPU"), "{error}");
        assert!(Outcome::of(ExitStatus::from_raw(9), "").is_err());
    }
}
