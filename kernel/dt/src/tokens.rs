//! The tokens of a structure block, each checked against its bounds.

use super::bytes::first_outside_name;
use super::error::Fault;
use zerocopy::FromBytes;

/// The longest node name accepted, in bytes, unit address included.
pub(super) const MAX_NODE_NAME: usize = 127;

/// `FDT_BEGIN_NODE`.
pub(super) const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROPERTY: u32 = 3;
const NOP: u32 = 4;
const END: u32 = 9;

/// One token, without the NOPs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Token<'a> {
    /// A node begins.
    Begin(&'a [u8]),
    /// A property of the node that began last.
    Property {
        /// Where its name is in the strings block.
        name: u32,
        /// Its value.
        value: &'a [u8],
    },
    /// The innermost open node ends.
    End,
    /// The structure block ends.
    Last,
}

/// Reads tokens from a tree.
#[derive(Clone, Debug)]
pub(super) struct Tokens<'a> {
    bytes: &'a [u8],
    words: Words<'a>,
    /// Where the token is that [`Tokens::next`] returned last.
    pub(super) at: usize,
    next: usize,
}

impl<'a> Tokens<'a> {
    /// Starts at offset `start`; `bytes` must end where the structure block does.
    pub(super) fn new(bytes: &'a [u8], start: usize) -> Self {
        Self { bytes, words: Words::new(bytes), at: start, next: start }
    }

    /// Returns the next token. An error is about the byte at [`Tokens::at`].
    #[inline(never)]
    pub(super) fn next(&mut self) -> Result<Token<'a>, Fault> {
        self.step()
    }

    /// The same as [`Tokens::next`], as a part of the caller: for the one that reads every tree.
    #[inline(always)]
    pub(super) fn step(&mut self) -> Result<Token<'a>, Fault> {
        loop {
            self.at = self.next;
            let token = self.words.at(self.at).ok_or(Fault::Endless("structure block"))?;
            self.next = self.at + 4;
            match token {
                NOP => {}
                BEGIN_NODE => return self.begin(),
                PROPERTY => return self.property(),
                END_NODE => return Ok(Token::End),
                END => return Ok(Token::Last),
                _ => return Err(Fault::UnknownToken(token)),
            }
        }
    }

    fn begin(&mut self) -> Result<Token<'a>, Fault> {
        let name = node_name(self.bytes, self.next)?;
        self.next = (self.next + name.len() + 1).next_multiple_of(4);
        Ok(Token::Begin(name))
    }

    #[inline(always)]
    fn property(&mut self) -> Result<Token<'a>, Fault> {
        const OUTSIDE: Fault = Fault::Endless("property");
        let length = self.words.at(self.next).ok_or(OUTSIDE)? as usize;
        let name = self.words.at(self.next + 4).ok_or(OUTSIDE)?;
        let start = self.next + 8;
        let end = start.checked_add(length).ok_or(OUTSIDE)?;
        let value = self.bytes.get(start..end).ok_or(OUTSIDE)?;
        self.next = end.next_multiple_of(4);
        Ok(Token::Property { name, value })
    }
}

/// The words of a tree, which begins on a word boundary: read whole, not byte by byte.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words<'a>(&'a [u32]);

impl<'a> Words<'a> {
    /// Takes a tree, or its begin. Of one that is not aligned there are no words.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let words = <[u32]>::ref_from_prefix_with_elems(bytes, bytes.len() / 4);
        Self(words.map_or(&[], |(words, _)| words))
    }

    /// Returns the word at `offset`, a multiple of 4.
    pub(super) fn at(&self, offset: usize) -> Option<u32> {
        self.0.get(offset / 4).copied().map(u32::from_be)
    }
}

/// Returns the node name at `offset`, without its final zero byte. Its characters are printable,
/// and none is a slash.
pub(super) fn node_name(bytes: &[u8], offset: usize) -> Result<&[u8], Fault> {
    let rest = bytes.get(offset..).unwrap_or(&[]);
    let window = rest.get(..=MAX_NODE_NAME).unwrap_or(rest);
    if let Some(length) = first_outside_name(window) {
        return match window[length] {
            0 => Ok(&window[..length]),
            _ => Err(Fault::BadName("node")),
        };
    }
    match rest.len() > MAX_NODE_NAME {
        true => Err(Fault::LongName(MAX_NODE_NAME)),
        false => Err(Fault::Endless("node name")),
    }
}
