//! The check that every tree passes before another parser sees it.

use super::bytes::{first_outside_strings, first_zero};
use super::error::{DtError, Fault, Result, TreeName, malformed};
use super::header::{HEADER_BYTES, Header, word};
use super::tokens::{Token, Tokens};
use alloc::boxed::Box;
use alloc::string::String;

/// Nodes may be nested this deep; the root alone is 1.
pub const MAX_DEPTH: usize = 16;

/// A flattened device tree that is sound as far as its form goes.
///
/// Header, memory reservations, structure and strings have been checked: every offset is in
/// bounds, every string ends, tokens nest, properties come before child nodes, and no node is
/// deeper than [`MAX_DEPTH`].
#[derive(Clone, Debug)]
pub(super) struct CheckedTree<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) header: Header,
    pub(super) name: TreeName,
    /// How many nodes there are.
    pub(super) nodes: usize,
    /// How many properties there are.
    pub(super) properties: usize,
    /// Whether a child of the root has a child `__overlay__`.
    pub(super) is_overlay: bool,
}

impl<'a> CheckedTree<'a> {
    /// Checks `bytes`, which begin with a tree of at most `limit` bytes.
    pub(super) fn new(bytes: &'a [u8], name: TreeName, limit: usize) -> Result<Self> {
        let fail = |offset, fault| malformed(name, offset, fault);
        let address = bytes.as_ptr().addr();
        if !address.is_multiple_of(8) {
            return Err(fail(0, Fault::Misaligned(address)));
        }
        let first = bytes.get(..HEADER_BYTES);
        let header = Header::parse(
            first.ok_or_else(|| fail(0, Fault::Unreadable(HEADER_BYTES)))?,
            name,
            limit,
        )?;
        let bytes =
            bytes.get(..header.total).ok_or_else(|| fail(0, Fault::Unreadable(header.total)))?;

        let mut tree = Self { bytes, header, name, nodes: 0, properties: 0, is_overlay: false };
        tree.check_reservations()?;
        tree.check_strings()?;
        tree.check_structure()?;
        Ok(tree)
    }

    fn fail(&self, offset: usize, fault: Fault) -> Box<DtError> {
        malformed(self.name, offset, fault)
    }

    fn check_reservations(&self) -> Result<()> {
        let start = self.header.reservations;
        let block = self.bytes.get(start..self.header.structure.start).unwrap_or(&[]);
        if block.chunks_exact(16).any(|entry| entry.iter().all(|&byte| byte == 0)) {
            return Ok(());
        }
        Err(self.fail(start, Fault::Endless("memory reservation list")))
    }

    fn check_strings(&self) -> Result<()> {
        let strings = self.strings();
        let start = self.header.strings.start;
        if strings.last().is_some_and(|&byte| byte != 0) {
            return Err(self.fail(self.header.strings.end - 1, Fault::Endless("property name")));
        }
        match first_outside_strings(strings) {
            None => Ok(()),
            Some(bad) => Err(self.fail(start + bad, Fault::BadName("property"))),
        }
    }

    fn check_structure(&mut self) -> Result<()> {
        let mut tokens = self.tokens();
        let (mut depth, mut properties_allowed) = (0, false);
        let outcome = loop {
            let fault = match tokens.step() {
                Ok(Token::Begin(node)) => {
                    depth += 1;
                    self.nodes += 1;
                    properties_allowed = true;
                    self.is_overlay |= depth == 3 && node == b"__overlay__";
                    match check_node(node, depth, self.nodes) {
                        Ok(()) => continue,
                        Err(fault) => fault,
                    }
                }
                Ok(Token::Property { .. }) if !properties_allowed => {
                    Fault::Misplaced("a property after a child node or outside of nodes")
                }
                Ok(Token::Property { name, .. }) => {
                    self.properties += 1;
                    if (name as usize) < self.header.strings.len() {
                        continue;
                    }
                    Fault::NameOutside(name)
                }
                Ok(Token::End) if depth == 0 => Fault::Misplaced("the end of a node"),
                Ok(Token::End) => {
                    depth -= 1;
                    properties_allowed = false;
                    continue;
                }
                Ok(Token::Last) if depth > 0 || self.nodes == 0 => {
                    Fault::Misplaced("the end of the tree")
                }
                Ok(Token::Last) => break Ok(()),
                Err(fault) => fault,
            };
            break Err(fault);
        };
        outcome.map_err(|fault| self.fail(tokens.at, fault))
    }

    fn strings(&self) -> &'a [u8] {
        self.bytes.get(self.header.strings.clone()).unwrap_or(&[])
    }

    /// Returns the tokens from the root on.
    pub(super) fn tokens(&self) -> Tokens<'a> {
        let bytes = self.bytes.get(..self.header.structure.end).unwrap_or(&[]);
        Tokens::new(bytes, self.header.structure.start)
    }

    /// Returns the string that starts `offset` bytes into the strings block.
    pub(super) fn string(&self, offset: usize) -> &'a [u8] {
        let rest = self.strings().get(offset..).unwrap_or(&[]);
        rest.get(..first_zero(rest).unwrap_or(rest.len())).unwrap_or(rest)
    }

    /// Returns address and size of each entry of the memory reservation block.
    pub(super) fn reservations(&self) -> impl Iterator<Item = (u64, u64)> + 'a {
        let range = self.header.reservations..self.header.structure.start;
        let block = self.bytes.get(range).unwrap_or(&[]);
        block
            .chunks_exact(16)
            .map(|entry| (double(entry, 0), double(entry, 8)))
            .take_while(|&entry| entry != (0, 0))
    }

    /// Returns the path of the node whose token is at `offset`. For errors: it reads the tree
    /// again up to there.
    #[cold]
    #[inline(never)]
    pub(super) fn path_at(&self, offset: usize) -> String {
        let mut path = String::new();
        let mut tokens = self.tokens();
        loop {
            match tokens.next() {
                Ok(Token::Begin(name)) => {
                    push_component(&mut path, name);
                    if tokens.at >= offset {
                        break;
                    }
                }
                Ok(Token::End) => path.truncate(path.rfind('/').unwrap_or(0)),
                Ok(Token::Property { .. }) => {}
                Ok(Token::Last) | Err(_) => break,
            }
        }
        if path.is_empty() { String::from("/") } else { path }
    }
}

/// Appends the name of a child to a path; the root's own name is empty, and so is its path.
pub(super) fn push_component(path: &mut String, name: &[u8]) {
    if !name.is_empty() {
        path.push('/');
        path.push_str(core::str::from_utf8(name).unwrap_or_default());
    }
}

fn check_node(name: &[u8], depth: usize, nodes: usize) -> core::result::Result<(), Fault> {
    match (depth, nodes) {
        (1, 1) if name.is_empty() => Ok(()),
        (1, 1) => Err(Fault::BadName("root node's")),
        (1, _) => Err(Fault::Misplaced("a second root node")),
        _ if depth > MAX_DEPTH => Err(Fault::TooDeep(MAX_DEPTH)),
        _ if name.is_empty() => Err(Fault::BadName("node")),
        _ => Ok(()),
    }
}

fn double(bytes: &[u8], offset: usize) -> u64 {
    let half = |offset| u64::from(word(bytes, offset).unwrap_or(0));
    half(offset) << 32 | half(offset + 4)
}
