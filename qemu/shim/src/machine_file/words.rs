//! Words of a line: separated by blanks, quoted with `"`, with escapes.
//!
//! The escapes are `\n \r \t \e \" \\ \xNN`.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

/// Why a line does not split into words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    /// A quote is not closed.
    #[error("a quote is not closed")]
    OpenQuote,
    /// A backslash is followed by something else than an escape.
    #[error("an unknown escape follows a backslash")]
    Escape,
}

/// Splits a line into words; quotes and escapes are resolved.
///
/// # Errors
///
/// An open quote or an unknown escape.
pub fn split(line: &str) -> Result<Vec<String>, WordError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '\\' if quoted => {
                let escaped = escape(&mut characters).ok_or(WordError::Escape)?;
                word.get_or_insert_default().push(escaped);
            }
            blank if blank.is_whitespace() && !quoted => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    if quoted {
        return Err(WordError::OpenQuote);
    }
    words.extend(word);
    Ok(words)
}

fn escape(characters: &mut core::str::Chars<'_>) -> Option<char> {
    Some(match characters.next()? {
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'e' => '\x1b',
        '"' => '"',
        '\\' => '\\',
        'x' => {
            let high = characters.next()?.to_digit(16)?;
            let low = characters.next()?.to_digit(16)?;
            char::from_u32(high << 4 | low)?
        }
        _ => return None,
    })
}

/// A number in decimal, or in hexadecimal after `0x`.
#[must_use]
pub fn number(word: &str) -> Option<u64> {
    match word.strip_prefix("0x") {
        Some(digits) if !digits.starts_with('+') => u64::from_str_radix(digits, 16).ok(),
        None if !word.starts_with('+') => word.parse().ok(),
        _ => None,
    }
}

/// Displays a text as one word, quoted where [`split`] needs it.
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |character: char| {
            !character.is_whitespace() && !character.is_control() && !"\"\\".contains(character)
        };
        if !self.0.is_empty() && self.0.chars().all(plain) {
            return f.write_str(self.0);
        }
        f.write_char('"')?;
        for character in self.0.chars() {
            match character {
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '"' | '\\' => write!(f, "\\{character}")?,
                control if control.is_control() => write!(f, "\\x{:02x}", u32::from(control))?,
                other => f.write_char(other)?,
            }
        }
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    #[test]
    fn words_are_split_and_unquoted() {
        let words = split(r#"  type name="a b" "" x"\n\x1b\"\\"y  "#).unwrap();
        assert_eq!(words, ["type", "name=a b", "", "x\n\x1b\"\\y"]);
    }

    #[test]
    fn broken_quotes_are_named() {
        assert_eq!(split("a \"b"), Err(WordError::OpenQuote));
        for line in [r#""\q""#, r#""\x1""#, r#""\"#] {
            assert_eq!(split(line), Err(WordError::Escape), "{line}");
        }
    }

    #[test]
    fn numbers_are_decimal_or_hexadecimal() {
        assert_eq!(number("0x80"), Some(0x80));
        assert_eq!(number("960"), Some(960));
        assert_eq!(number("0xffffffffffffffff"), Some(u64::MAX));
        for word in ["", "0x", "-1", "+1", "0x+1", "abc", "0x10000000000000000"] {
            assert_eq!(number(word), None, "{word}");
        }
    }

    proptest! {
        #[test]
        fn quoted_words_split_back(texts in proptest::collection::vec(any::<String>(), 0..4)) {
            let words: Vec<String> = texts.iter().map(|text| Quoted(text).to_string()).collect();
            prop_assert_eq!(split(&words.join(" ")).unwrap(), texts);
        }

        #[test]
        fn no_line_panics(line in any::<String>()) {
            let _ = split(&line);
            let _ = number(&line);
        }
    }
}
