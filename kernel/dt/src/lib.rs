//! The device tree: from bytes handed over at boot to one plain [`Platform`].
//!
//! Nothing else in the kernel sees a tree. Nodes are matched by their compatible strings, never
//! by name; their order means nothing; what is not known is passed over. A tree that is wrong
//! in what *is* known ends in a [`DtError`] that names the node and the property, or the byte.
//!
//! The way of a tree:
//!
//! 1. `scan` checks header, bounds, nesting and depth, before any other parser sees the bytes.
//! 2. `walk` collects the nodes that mean something, in one pass, with fdt-rs.
//! 3. If memory or hypervisor are missing, overlays are looked for behind the tree. dtoolkit
//!    applies them (`overlay`), and the merged tree goes through 1 and 2.
//! 4. `build` checks values, resolves phandles and makes the [`Platform`].
//!
//! What a tree can make this module allocate is bounded; a boot heap of 512 KiB is enough.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod build;
mod builtin;
mod bytes;
mod error;
mod header;
mod names;
mod overlay;
mod pairing;
mod platform;
mod record;
mod scan;
mod show;
mod sorted;
mod source;
mod tokens;
mod walk;

pub use builtin::builtin_base;
pub use error::{DtError, Fault, Problem, TreeName};
pub use pairing::pair_doorbells;
pub use platform::{
    AddressRange, Cpu, CpuStatus, Doorbell, DoorbellSource, EnableMethod, Gic, Hypervisor,
    Interrupt, MessageQueue, Platform, PsciConduit, QueueDirection, QueueEnd, QueuePair,
    ReservedRange, SharedBuffer, Trigger, Uart, UartKind, VmIdentity,
};
pub use scan::MAX_DEPTH;
pub use show::show;
pub use source::{MemoryAt, RawMemory, TreeSource};

use alloc::vec::Vec;
use error::{Result, malformed};
use header::is_magic;
use names::Kind;
use overlay::OwnTree;
use record::Collected;
use scan::CheckedTree;

/// The largest tree accepted, in bytes.
pub const MAX_TREE_BYTES: usize = 1024 * 1024;
/// The largest base tree or overlay accepted, in bytes.
pub const MAX_OVERLAY_BYTES: usize = 64 * 1024;
/// How many overlays may follow a base tree.
pub const MAX_OVERLAYS: usize = 8;

/// What was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One tree with everything in it.
    Merged,
    /// A base tree with so many overlays behind it.
    BaseAndOverlays(usize),
    /// So many overlays for the base tree that is built into the image.
    OverlaysOnly(usize),
}

/// A device tree that has been read.
#[derive(Clone, Debug)]
pub struct Loaded<'s> {
    /// Its bytes, merged if there were overlays.
    pub tree: Tree<'s>,
    /// What it says.
    pub platform: Platform,
    /// What was handed over.
    pub form: Form,
    /// Bytes from the first tree's begin to the last one's end.
    pub source_bytes: usize,
}

impl Loaded<'_> {
    /// Returns the bytes of the tree, for [`show`] to print.
    pub fn tree(&self) -> &[u8] {
        self.tree.bytes()
    }
}

/// The bytes of a tree: those handed over, or merged ones on the heap.
#[derive(Clone, Debug)]
pub struct Tree<'s>(Bytes<'s>);

#[derive(Clone, Debug)]
enum Bytes<'s> {
    Source(&'s [u8]),
    Own(OwnTree),
}

impl<'s> Tree<'s> {
    /// Returns the bytes.
    pub fn bytes(&self) -> &[u8] {
        match &self.0 {
            Bytes::Source(bytes) => bytes,
            Bytes::Own(tree) => tree.bytes(),
        }
    }

    /// Returns the bytes for as long as the source lasts, without a copy. Merged ones stay on
    /// the heap for good. What was handed over can be larger than a heap: do not copy it.
    pub fn leak(self) -> &'s [u8] {
        match self.0 {
            Bytes::Source(bytes) => bytes,
            Bytes::Own(tree) => tree.leak(),
        }
    }
}

/// Reads the device tree at the begin of `source`, and overlays behind it if it needs them.
///
/// Overlays are looked for at the next 8-byte boundary after a tree that lacks memory or a
/// hypervisor; where the tree gives memory, not beyond the range that it is in itself. If the
/// first tree is an overlay, it is applied to `builtin_base`.
///
/// # Errors
///
/// [`DtError`] for everything that cannot be used, the first that is found.
pub fn load<'s>(
    source: &'s dyn TreeSource,
    builtin_base: Option<&[u8]>,
) -> core::result::Result<Loaded<'s>, DtError> {
    read(source, builtin_base).map_err(|error| *error)
}

fn read<'s>(source: &'s dyn TreeSource, builtin_base: Option<&[u8]>) -> Result<Loaded<'s>> {
    let first = source::read(source, 0, TreeName::First, MAX_TREE_BYTES)?;
    if first.is_overlay {
        let Some(base) = builtin_base else {
            let fault = Fault::WrongKind("an overlay, and no base tree is built into the image");
            return Err(malformed(TreeName::First, 0, fault));
        };
        let base = CheckedTree::new(base, TreeName::Builtin, MAX_OVERLAY_BYTES)?;
        let overlays = overlays(source, 0, usize::MAX)?;
        return merge(&base, &overlays.trees, Form::OverlaysOnly, overlays.end);
    }
    let collected = walk::walk(&first)?;
    let memory = build::memory(&collected)?;
    let is_whole = !memory.is_empty() && collected.of(Kind::Hypervisor).next().is_some();
    let limit = search_limit(&memory, source.address());
    if let Some(limit) = limit.filter(|_| !is_whole) {
        let overlays = overlays(source, first.bytes.len(), limit)?;
        if !overlays.trees.is_empty() {
            drop(collected);
            return merge(&first, &overlays.trees, Form::BaseAndOverlays, overlays.end);
        }
    }
    Ok(Loaded {
        platform: build::platform(&collected)?,
        tree: Tree(Bytes::Source(first.bytes)),
        form: Form::Merged,
        source_bytes: first.bytes.len(),
    })
}

/// Returns how far from the tree's begin an overlay may reach; `None` if it may be nowhere.
fn search_limit(memory: &[AddressRange], tree: u64) -> Option<usize> {
    if memory.is_empty() {
        return Some(usize::MAX);
    }
    let mut holding = memory.iter().filter(|range| (range.start..range.end()).contains(&tree));
    holding.next().and_then(|range| usize::try_from(range.end() - tree).ok())
}

/// The overlays found, and where the last one ends.
struct Overlays<'s> {
    trees: Vec<CheckedTree<'s>>,
    end: usize,
}

/// Reads the overlays that begin at the 8-byte boundary after `end` and follow each other.
fn overlays(source: &dyn TreeSource, mut end: usize, limit: usize) -> Result<Overlays<'_>> {
    let mut trees = Vec::new();
    loop {
        let offset = end.next_multiple_of(8);
        let begins = offset.checked_add(8).is_some_and(|end| end <= limit)
            && source.bytes(offset, 8).is_some_and(is_magic);
        if !begins {
            return Ok(Overlays { trees, end });
        }
        let name = TreeName::Overlay(trees.len() + 1);
        let fail = |fault| Err(malformed(name, 0, fault));
        if trees.len() == MAX_OVERLAYS {
            return fail(Fault::WrongKind("more overlays than are accepted (8)"));
        }
        let tree = source::read(source, offset, name, MAX_OVERLAY_BYTES)?;
        end = offset + tree.bytes.len();
        if !tree.is_overlay {
            return fail(Fault::WrongKind("a tree without fragments follows the base tree"));
        }
        if end > limit {
            return fail(Fault::WrongKind("the overlay reaches beyond /memory"));
        }
        trees.push(tree);
    }
}

fn merge<'s>(
    base: &CheckedTree<'_>,
    overlays: &[CheckedTree<'_>],
    form: fn(usize) -> Form,
    source_bytes: usize,
) -> Result<Loaded<'s>> {
    let merged = overlay::apply(base, overlays)?;
    let tree = CheckedTree::new(merged.bytes(), TreeName::Merged, MAX_TREE_BYTES)?;
    let platform = platform_of(&tree)?;
    let form = form(overlays.len());
    Ok(Loaded { platform, tree: Tree(Bytes::Own(merged)), form, source_bytes })
}

fn platform_of(tree: &CheckedTree<'_>) -> Result<Platform> {
    let collected: Collected<'_> = walk::walk(tree)?;
    build::platform(&collected)
}
