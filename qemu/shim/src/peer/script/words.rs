//! The words of a line, and the numbers among them.

use alloc::string::String;

use super::Problem;
use crate::machine_file::words;

/// Largest number of repetitions or bytes in one step.
const LARGEST_COUNT: u64 = 16 << 20;

/// The words of a line, taken one by one.
pub(super) struct Words(pub(super) alloc::vec::IntoIter<String>);

impl Words {
    pub(super) fn text(&mut self, wanted: &'static str) -> Result<String, Problem> {
        self.0.next().ok_or(Problem::Missing(wanted))
    }

    pub(super) fn number<T: TryFrom<u64>>(&mut self, wanted: &'static str) -> Result<T, Problem> {
        let word = self.text(wanted)?;
        convert(word, wanted)
    }

    pub(super) fn count(&mut self) -> Result<u64, Problem> {
        match self.0.next() {
            None => Ok(1),
            Some(word) => bounded(word),
        }
    }

    pub(super) fn switch(&mut self) -> Result<bool, Problem> {
        let word = self.text("`on` or `off`")?;
        match word.as_str() {
            "on" => Ok(true),
            "off" => Ok(false),
            _ => Err(Problem::Word { word, wanted: "`on` or `off`" }),
        }
    }

    pub(super) fn finish(mut self) -> Result<(), Problem> {
        self.0.next().map_or(Ok(()), |word| Err(Problem::TooMuch(word)))
    }
}

/// A number that is `wanted`.
pub(super) fn convert<T: TryFrom<u64>>(word: String, wanted: &'static str) -> Result<T, Problem> {
    let number = words::number(&word).and_then(|number| number.try_into().ok());
    number.ok_or(Problem::Word { word, wanted })
}

/// A number of repetitions or bytes.
pub(super) fn bounded(word: String) -> Result<u64, Problem> {
    let number = words::number(&word).filter(|number| *number <= LARGEST_COUNT);
    number.ok_or(Problem::Word { word, wanted: "count" })
}

/// A number, unless the line ends or goes on with `within`.
pub(super) fn optional<T: TryFrom<u64>>(words: &mut Words) -> Result<Option<T>, Problem> {
    match words.0.as_slice().first() {
        Some(word) if word != "within" => words.number("number").map(Some),
        _ => Ok(None),
    }
}
