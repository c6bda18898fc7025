//! Overlays applied to a base tree, by dtoolkit.

use super::error::{DtError, Fault, Result, TreeName, malformed};
use super::scan::{CheckedTree, MAX_DEPTH};
use super::tokens::{Token, Tokens};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use dtoolkit::error::OverlayError;
use dtoolkit::memreserve::MemoryReservation;
use dtoolkit::model::overlay::OverlayApplier;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use dtoolkit::overlay::{FixupLocation, NODE_FIXUPS};
use dtoolkit::{Node, Property};
use zerocopy::IntoBytes;

mod write;

/// A tree made here. It begins on an 8-byte boundary, as trees must.
#[derive(Clone, Debug)]
pub(super) struct OwnTree {
    words: Vec<u64>,
    len: usize,
}

impl OwnTree {
    fn with_capacity(bytes: usize) -> Self {
        Self { words: vec![0; bytes.div_ceil(8)], len: 0 }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.words.as_bytes().get(..self.len).unwrap_or(&[])
    }

    pub(super) fn leak<'s>(self) -> &'s [u8] {
        self.words.leak().as_bytes().get(..self.len).unwrap_or(&[])
    }

    /// Appends bytes.
    fn push(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        if end > self.words.len() * 8 {
            self.words.resize(end.div_ceil(8).next_power_of_two(), 0);
        }
        self.replace(self.len, bytes);
        self.len = end;
    }

    /// Overwrites bytes that there are already.
    fn replace(&mut self, start: usize, bytes: &[u8]) {
        if let Some(place) = self.words.as_mut_bytes().get_mut(start..start + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }
}

/// What one merge may take of the heap, in bytes.
const MEMORY_LIMIT: usize = 320 * 1024;
/// More than a node and a property were ever seen to take, without their names and values.
const NODE_MEMORY: usize = 1280;
const PROPERTY_MEMORY: usize = 320;

/// What is left for the trees of a merge. It is an estimate from above.
struct Budget {
    left: usize,
    /// The longest path so far: overlays may go there.
    longest_path: usize,
}

impl Budget {
    fn take(&mut self, tree: &CheckedTree<'_>, bytes: usize) -> Result<()> {
        let left = self.left.checked_sub(bytes);
        self.left = left.ok_or_else(|| {
            let (nodes, properties) = (tree.nodes, tree.properties);
            malformed(tree.name, 0, Fault::TooRich { nodes, properties })
        })?;
        Ok(())
    }
}

/// Applies the overlays one after the other and returns the merged tree.
pub(super) fn apply(base: &CheckedTree<'_>, overlays: &[CheckedTree<'_>]) -> Result<OwnTree> {
    let mut budget = Budget { left: MEMORY_LIMIT, longest_path: 0 };
    let mut merged = model(base, &mut budget)?;
    for tree in overlays {
        let overlay = model(tree, &mut budget)?;
        check_fragments(tree.name, &overlay)?;
        OverlayApplier::new(&mut merged)
            .apply_overlay_tree(overlay)
            .map_err(|error| explain(tree, &error))?;
        // Before the next overlay, since what applies it goes one call deeper with each level.
        if is_deeper(&merged.root, MAX_DEPTH) {
            let what = format!("nodes end up nested more than {MAX_DEPTH} deep");
            return Err(DtError::Overlay { tree: tree.name, what }.into());
        }
    }
    let size = [base].into_iter().chain(overlays).map(|tree| tree.bytes.len()).sum();
    Ok(write::write(&merged, size))
}

/// Makes dtoolkit's form of a tree; its own way there checks and reads every node several times.
fn model(tree: &CheckedTree<'_>, budget: &mut Budget) -> Result<DeviceTree> {
    // Twice for writing the merged tree out.
    budget.take(tree, tree.bytes.len() * 2)?;
    let mut tokens = tree.tokens();
    let mut model = DeviceTree::new();
    model.memory_reservations =
        tree.reservations().map(|(start, size)| MemoryReservation::new(start, size)).collect();
    if let Ok(Token::Begin(name)) = tokens.next() {
        let above = budget.longest_path;
        model.root = node(tree, &mut tokens, name, above, budget)?;
    }
    Ok(model)
}

/// Makes a node with all below it, which is not deep in a checked tree. The path of the parent
/// is at most `above` bytes long, once all is merged.
fn node(
    tree: &CheckedTree<'_>,
    tokens: &mut Tokens<'_>,
    name: &[u8],
    above: usize,
    budget: &mut Budget,
) -> Result<DeviceTreeNode> {
    let offset = tokens.at;
    let path = above + name.len() + 1;
    budget.longest_path = budget.longest_path.max(path);
    budget.take(tree, NODE_MEMORY + 2 * path.next_power_of_two())?;
    let mut node = DeviceTreeNode::new_unchecked(text(name));
    let (mut properties, mut children) = (0, 0);
    loop {
        match tokens.next() {
            Ok(Token::Property { name, value }) => {
                let name = tree.string(name as usize);
                let own = 2 * name.len().next_power_of_two() + value.len().next_power_of_two();
                budget.take(tree, PROPERTY_MEMORY + own)?;
                node.add_property(DeviceTreeProperty::new_unchecked(text(name), value));
                properties += 1;
            }
            Ok(Token::Begin(name)) => {
                node.add_child(self::node(tree, tokens, name, path, budget)?);
                children += 1;
            }
            Ok(Token::End | Token::Last) | Err(_) => break,
        }
    }
    // Both are kept by name, so what is there twice is there once now.
    for (found, made, what) in [
        (properties, node.properties().count(), "property"),
        (children, node.children().count(), "child"),
    ] {
        if found != made {
            let what =
                format!("{}: a {what} of the same name is there twice", tree.path_at(offset));
            return Err(DtError::Overlay { tree: tree.name, what }.into());
        }
    }
    Ok(node)
}

/// Returns a name, whose characters have been checked to be ASCII.
fn text(name: &[u8]) -> &str {
    core::str::from_utf8(name).unwrap_or_default()
}

fn is_deeper(node: &DeviceTreeNode, depth: usize) -> bool {
    depth == 0 || node.children().any(|child| is_deeper(child, depth - 1))
}

/// Checks that all that wants to be applied will be: dtoolkit passes over what it does not
/// take for a fragment.
fn check_fragments(tree: TreeName, overlay: &DeviceTree) -> Result<()> {
    for node in overlay.root.children() {
        let name = node.name();
        let targets = ["target", "target-path"].map(|name| node.property(name).is_some());
        let problem = match node.name_without_address() {
            "fragment" if node.child("__overlay__").is_none() => "there is no __overlay__",
            "fragment" if targets == [false, false] => "there is neither target nor target-path",
            "fragment" if targets == [true, true] => "there are both target and target-path",
            "fragment" => continue,
            _ if node.child("__overlay__").is_some() => "a fragment must be called fragment@N",
            _ => continue,
        };
        return Err(DtError::Overlay { tree, what: format!("/{name}: {problem}") }.into());
    }
    Ok(())
}

/// Says what dtoolkit could not do, and where.
#[cold]
#[inline(never)]
fn explain(tree: &CheckedTree<'_>, error: &OverlayError) -> Box<DtError> {
    let mut budget = Budget { left: MEMORY_LIMIT, longest_path: 0 };
    let place = model(tree, &mut budget).unwrap_or_default();
    let what = match error {
        OverlayError::TargetNotFound(target) => match fragment_with(&place, target) {
            Some((name, property)) => {
                format!("/{name}: {property}: the base tree has no node {target}")
            }
            None if let Some(name) = fragment_into_overlay(&place) => {
                format!("/{name}: target: a node of the overlay, not of the base tree")
            }
            None => format!("/{NODE_FIXUPS}: the base tree has no node {target}"),
        },
        OverlayError::UnresolvedSymbol(symbol) => {
            format!("/{NODE_FIXUPS}: {symbol}: the base tree has no such symbol")
        }
        OverlayError::InvalidFixupLocation => match bad_fixup(&place) {
            Some((symbol, location)) => {
                format!("/{NODE_FIXUPS}: {symbol}: \"{location}\" is no place in the overlay")
            }
            None => format!("/{NODE_FIXUPS}: {error}"),
        },
        OverlayError::InvalidLocalFixup { prop, offset } => {
            format!("/__local_fixups__: {prop}: no phandle at byte {offset}")
        }
        _ => error.to_string(),
    };
    DtError::Overlay { tree: tree.name, what }.into()
}

/// Returns the fragment that wants to go to `target`, and the property that says so.
fn fragment_with(overlay: &DeviceTree, target: &str) -> Option<(String, &'static str)> {
    let mut fragments = overlay.root.children();
    fragments.find_map(|node| {
        let path = node.property("target-path").and_then(|path| path.value_as::<&str>().ok());
        let phandle = node.property("target").and_then(|target| target.value_as::<u32>().ok());
        if path == Some(target) {
            return Some((node.name().into(), "target-path"));
        }
        let phandle = phandle.map(|phandle| format!("phandle 0x{phandle:x}"));
        (phandle.as_deref() == Some(target)).then(|| (node.name().into(), "target"))
    })
}

/// Returns the first fragment whose target is a phandle of the overlay itself.
fn fragment_into_overlay(overlay: &DeviceTree) -> Option<String> {
    let fixups = overlay.root.child("__local_fixups__")?;
    let mut fragments = fixups.children();
    fragments.find_map(|node| node.property("target").map(|_| node.name().into()))
}

/// Returns the first fixup that leads nowhere: the symbol and the place to be fixed.
fn bad_fixup(overlay: &DeviceTree) -> Option<(String, String)> {
    let fixups = overlay.root.child(NODE_FIXUPS)?;
    for symbol in fixups.properties() {
        for location in symbol.value().split(|&byte| byte == 0).filter(|text| !text.is_empty()) {
            let location = String::from_utf8_lossy(location);
            let is_good = FixupLocation::parse(&location).is_ok_and(|fixup| {
                let node = overlay.find_node(fixup.node_path);
                let property = node.and_then(|node| node.property(fixup.property_name));
                property.is_some_and(|property| {
                    fixup.offset.checked_add(4).is_some_and(|end| end <= property.value().len())
                })
            });
            if !is_good {
                return Some((symbol.name().into(), location.into_owned()));
            }
        }
    }
    None
}
