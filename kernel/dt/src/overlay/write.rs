//! A tree written out as bytes, with few instructions a property.

use super::OwnTree;
use crate::header::HEADER_BYTES;
use alloc::vec::Vec;
use dtoolkit::model::{DeviceTree, DeviceTreeNode};
use dtoolkit::{Node, Property};

/// Names that are remembered, so that most stand in the strings block once.
const KNOWN_NAMES: usize = 64;
/// Bytes of names that most trees have at most.
const STRINGS_HINT: usize = 1024;

/// The structure block and the strings block while they grow.
struct Writer {
    bytes: OwnTree,
    strings: Vec<u8>,
    /// Offset and length of names in the strings block.
    known: [(u32, u32); KNOWN_NAMES],
}

/// Writes a tree out; dtoolkit's own way goes over it twice and searches all names each time.
pub(super) fn write(tree: &DeviceTree, size_hint: usize) -> OwnTree {
    let mut writer = Writer {
        bytes: OwnTree::with_capacity(size_hint),
        strings: Vec::with_capacity(STRINGS_HINT),
        known: [(0, 0); KNOWN_NAMES],
    };
    writer.bytes.push(&[0; HEADER_BYTES]);
    for reservation in &tree.memory_reservations {
        writer.bytes.push(&reservation.address().to_be_bytes());
        writer.bytes.push(&reservation.size().to_be_bytes());
    }
    writer.bytes.push(&[0; 16]);
    let structure = writer.bytes.len;
    writer.node(&tree.root);
    writer.word(9);
    let Writer { mut bytes, strings, .. } = writer;
    let strings_start = bytes.len;
    bytes.push(&strings);
    let header = [
        0xd00d_feed,
        bytes.len as u32,
        structure as u32,
        strings_start as u32,
        HEADER_BYTES as u32,
        17,
        16,
        0,
        strings.len() as u32,
        (strings_start - structure) as u32,
    ];
    for (index, word) in header.into_iter().enumerate() {
        bytes.replace(index * 4, &word.to_be_bytes());
    }
    bytes
}

impl Writer {
    fn node(&mut self, node: &DeviceTreeNode) {
        self.word(1);
        self.bytes.push(node.name().as_bytes());
        self.bytes.push(&[0]);
        self.align();
        for property in node.properties() {
            let value = property.value();
            let name = self.name(property.name().as_bytes());
            let head = [3, value.len() as u32, name].map(u32::to_be_bytes);
            self.bytes.push(head.as_flattened());
            self.bytes.push(value);
            self.align();
        }
        for child in node.children() {
            self.node(child);
        }
        self.word(2);
    }

    fn word(&mut self, word: u32) {
        self.bytes.push(&word.to_be_bytes());
    }

    fn align(&mut self) {
        let beyond = self.bytes.len % 4;
        if beyond > 0 {
            self.bytes.push(&[0; 3][..4 - beyond]);
        }
    }

    /// Returns the offset of a name in the strings block.
    fn name(&mut self, name: &[u8]) -> u32 {
        let ends = (name.first(), name.get(name.len() / 2), name.last());
        let (first, middle, last) = match ends {
            (Some(&first), Some(&middle), Some(&last)) => (first, middle, last),
            _ => (0, 0, 0),
        };
        let mix = usize::from(first) * 7 + usize::from(middle) * 3 + usize::from(last) + name.len();
        let known = &mut self.known[mix % KNOWN_NAMES];
        let (start, end) = (known.0 as usize, known.0 as usize + known.1 as usize);
        if known.1 == 0 || self.strings.get(start..end) != Some(name) {
            *known = (self.strings.len() as u32, name.len() as u32);
            self.strings.extend_from_slice(name);
            self.strings.push(0);
        }
        known.0
    }
}
