//! A node of a tree, printed for people.

use super::MAX_TREE_BYTES;
use super::error::{DtError, TreeName};
use super::scan::CheckedTree;
use super::tokens::{Token, Tokens};
use core::fmt::Write;

/// Writes the node at `path`, its properties and the names of its children to `out`.
///
/// Names on the way may be given without their unit address (`/memory` for
/// `/memory@80000000`): the first that fits is taken. Values are decoded by their looks: nothing,
/// strings, cells, else bytes.
///
/// # Errors
///
/// [`DtError::NoSuchNode`] if no node has that path, [`DtError::Write`] if `out` fails, and
/// [`DtError::Structure`] if `tree` is not a tree.
pub fn show(tree: &[u8], path: &str, out: &mut dyn Write) -> Result<(), DtError> {
    let tree = CheckedTree::new(tree, TreeName::First, MAX_TREE_BYTES).map_err(|error| *error)?;
    let mut tokens = find(&tree, path).ok_or_else(|| DtError::NoSuchNode(path.into()))?;
    let mut depth = 0;
    while let Ok(token) = tokens.next() {
        match token {
            Token::Property { name, value } if depth == 0 => {
                write!(out, "{}", Text(tree.string(name as usize)))?;
                write_value(value, out)?;
                writeln!(out)?;
            }
            Token::Property { .. } => {}
            Token::Begin(name) => {
                if depth == 0 {
                    writeln!(out, "{}/", Text(name))?;
                }
                depth += 1;
            }
            Token::End if depth == 0 => break,
            Token::End => depth -= 1,
            Token::Last => break,
        }
    }
    Ok(())
}

/// Returns the tokens from the first property of the node on.
fn find<'t>(tree: &CheckedTree<'t>, path: &str) -> Option<Tokens<'t>> {
    let mut tokens = tree.tokens();
    let Ok(Token::Begin(_)) = tokens.next() else { return None };
    for wanted in path.split('/').filter(|component| !component.is_empty()) {
        let mut depth = 0_usize;
        loop {
            match tokens.next().ok()? {
                Token::Begin(name) if depth == 0 && is_called(name, wanted.as_bytes()) => break,
                Token::Begin(_) => depth += 1,
                Token::End => depth = depth.checked_sub(1)?,
                Token::Property { .. } => {}
                Token::Last => return None,
            }
        }
    }
    Some(tokens)
}

fn is_called(name: &[u8], wanted: &[u8]) -> bool {
    name == wanted || name.split(|&byte| byte == b'@').next() == Some(wanted)
}

fn write_value(value: &[u8], out: &mut dyn Write) -> core::fmt::Result {
    if value.is_empty() {
        return Ok(());
    }
    out.write_str(" =")?;
    if is_text(value) {
        let mut before = " ";
        for text in value[..value.len() - 1].split(|&byte| byte == 0) {
            write!(out, "{before}\"{}\"", Text(text))?;
            before = ", ";
        }
    } else if let (cells, []) = value.as_chunks::<4>() {
        let mut before = " <";
        for cell in cells {
            write!(out, "{before}{:#x}", u32::from_be_bytes(*cell))?;
            before = " ";
        }
        out.write_char('>')?;
    } else {
        let mut before = " [";
        for byte in value {
            write!(out, "{before}{byte:02x}")?;
            before = " ";
        }
        out.write_char(']')?;
    }
    Ok(())
}

/// Tells whether a value looks like strings: printable, none empty unless it is the only one.
fn is_text(value: &[u8]) -> bool {
    match value {
        [0] => true,
        [first, .., 0] if *first != 0 => {
            value.iter().all(|&byte| byte == 0 || byte == b' ' || byte.is_ascii_graphic())
                && !value.windows(2).any(|pair| pair == [0, 0])
        }
        _ => false,
    }
}

/// Bytes written as the characters that they are.
struct Text<'a>(&'a [u8]);

impl core::fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        for &byte in self.0 {
            f.write_char(char::from(byte))?;
        }
        Ok(())
    }
}
