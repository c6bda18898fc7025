//! Trees in memory.

use billy_dt::{self as dt, DtError, Form, Loaded, MemoryAt, Platform};
use dtoolkit::fdt::Fdt;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use std::path::PathBuf;

/// RAM of the virtual machines in most of these tests.
pub const RAM: u64 = 0x8000_0000;
/// Where trees lie in it.
pub const TREE: u64 = RAM + 0x3f0_0000;

/// Returns the path of a file among the test trees.
pub fn path(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/trees")).join(name)
}

/// Returns a test tree.
pub fn tree(name: &str) -> Vec<u8> {
    if name == "gunyah-vm.dtb" {
        return dt::builtin_base().to_vec();
    }
    std::fs::read(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Memory that begins on an 8-byte boundary.
pub struct Memory {
    words: Vec<u64>,
    len: usize,
    address: u64,
}

impl Memory {
    /// Puts trees one after the other, each on the next 8-byte boundary.
    pub fn new(address: u64, trees: &[&[u8]]) -> Self {
        let mut bytes = Vec::new();
        for tree in trees {
            bytes.resize(bytes.len().next_multiple_of(8), 0);
            bytes.extend_from_slice(tree);
        }
        let len = bytes.len();
        bytes.resize(len.next_multiple_of(8), 0);
        let words = bytes.chunks(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap()));
        Self { words: words.collect(), len, address }
    }

    /// Returns the memory as a tree source.
    pub fn source(&self) -> MemoryAt<'_> {
        MemoryAt { address: self.address, bytes: self.bytes() }
    }

    /// Returns the memory's bytes.
    pub fn bytes(&self) -> &[u8] {
        &zerocopy::IntoBytes::as_bytes(self.words.as_slice())[..self.len]
    }
}

/// Loads trees that lie in memory one after the other, and passes the result on.
pub fn with<T>(trees: &[&[u8]], then: impl FnOnce(Result<Loaded<'_>, DtError>) -> T) -> T {
    let memory = Memory::new(TREE, trees);
    then(dt::load(&memory.source(), None))
}

/// Loads trees and returns the platform.
pub fn platform(trees: &[&[u8]]) -> Platform {
    with(trees, |loaded| loaded.expect("the trees are good").platform)
}

/// Loads trees and returns the form they had.
pub fn form(trees: &[&[u8]]) -> Form {
    with(trees, |loaded| loaded.expect("the trees are good").form)
}

/// Loads trees and returns the error, in words.
pub fn error(trees: &[&[u8]]) -> String {
    with(trees, |loaded| loaded.expect_err("the trees are broken").to_string())
}

/// Returns cells as bytes.
pub fn cells(cells: &[u32]) -> Vec<u8> {
    cells.iter().flat_map(|cell| cell.to_be_bytes()).collect()
}

/// Makes a node.
pub fn node(
    name: &str,
    properties: &[(&str, Vec<u8>)],
    children: impl IntoIterator<Item = DeviceTreeNode>,
) -> DeviceTreeNode {
    let mut node = DeviceTreeNode::new_unchecked(name);
    for (name, value) in properties {
        node.add_property(DeviceTreeProperty::new_unchecked(*name, value.clone()));
    }
    for child in children {
        node.add_child(child);
    }
    node
}

/// Makes a tree.
pub fn dtb(root: DeviceTreeNode) -> Vec<u8> {
    let mut tree = DeviceTree::new();
    tree.root = root;
    tree.to_dtb()
}

/// Returns a string as a property has it.
pub fn text(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

/// Returns a good tree to change.
pub fn good() -> DeviceTree {
    let bytes = tree("merged-linear.dtb");
    DeviceTree::from_fdt(&Fdt::new(&bytes).unwrap())
}

/// Returns the platform of the good tree after a change.
pub fn changed(change: impl FnOnce(&mut DeviceTreeNode)) -> Platform {
    let mut tree = good();
    change(&mut tree.root);
    platform(&[&tree.to_dtb()])
}

/// Gives a node a property.
pub fn set(node: &mut DeviceTreeNode, name: &str, value: Vec<u8>) {
    node.add_property(DeviceTreeProperty::new_unchecked(name, value));
}

/// Returns a child that is there.
pub fn child<'n>(node: &'n mut DeviceTreeNode, name: &str) -> &'n mut DeviceTreeNode {
    node.child_mut(name).unwrap_or_else(|| panic!("no {name}"))
}
