//! The one walk over a tree: it collects the nodes that mean something.
//!
//! The only file that knows fdt-rs. That crate's iterators refuse node names of 30 bytes and
//! more, and the resource manager makes longer ones, so node names are read here and the rest
//! of the tokens by fdt-rs.

use super::bytes::first_zero;
use super::error::{DtError, Fault, Result, malformed};
use super::header::word;
use super::names::{Kind, Name, kind_of};
use super::record::{Bus, Collected, Record};
use super::scan::{CheckedTree, MAX_DEPTH, push_component};
use super::tokens::{BEGIN_NODE, Words, node_name};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;
use fdt_rs::base::DevTree;
use fdt_rs::base::parse::{DevTreeParseIter, ParsedProp, ParsedTok};
use fdt_rs::prelude::FallibleIterator;

/// Nodes that are kept.
const MAX_RECORDS: usize = 512;
/// Nodes that are kept with the buses above them.
const MAX_MAPPED: usize = 32;
/// Properties of these nodes that are kept.
const MAX_PROPERTIES: usize = 2048;
/// Bytes of the paths of these nodes that are kept.
const MAX_PATH_BYTES: usize = 32 * 1024;
/// Bytes of the strings block whose names are remembered; few trees have more.
const KNOWN_NAMES: usize = 1024;

/// Collects from `tree` what a [`super::Platform`] is made of.
pub(super) fn walk<'t>(tree: &'t CheckedTree<'t>) -> Result<Collected<'t>> {
    // SAFETY: CheckedTree::new has checked that the address is a multiple of 8, that `bytes` is
    // exactly as long as the header's totalsize, and that the structure block begins at a
    // multiple of 4.
    let reader = unsafe { DevTree::new(tree.bytes) };
    let reader = reader.map_err(|_| reader_fault(tree, 0))?;
    let mut walk = Walk {
        tree,
        stack: Vec::with_capacity(MAX_DEPTH),
        collected: Collected::new(tree),
        path_bytes: 0,
        mapped: 0,
        known: [None; KNOWN_NAMES],
    };
    walk.run(reader.parse_iter())?;
    Ok(walk.collected)
}

fn reader_fault(tree: &CheckedTree<'_>, offset: usize) -> Box<DtError> {
    malformed(tree.name, offset, Fault::Reader)
}

/// A node that is open.
#[derive(Clone, Copy)]
struct Frame<'t> {
    name: &'t [u8],
    offset: usize,
    address_cells: u32,
    size_cells: u32,
    interrupt_parent: Option<u32>,
    ranges: Option<&'t [u8]>,
    compatible: &'t [u8],
    device_type: &'t [u8],
    status: &'t [u8],
    /// Whether a node above is not to be used.
    parent_disabled: bool,
    /// The names seen, a bit each.
    seen: u64,
    first_property: usize,
    /// Whether the properties have ended and the node has been kept or not.
    decided: bool,
}

impl Frame<'_> {
    const ROOT: Self = Self {
        name: b"",
        offset: 0,
        address_cells: 2,
        size_cells: 1,
        interrupt_parent: None,
        ranges: None,
        compatible: b"",
        device_type: b"",
        status: b"",
        parent_disabled: false,
        seen: 0,
        first_property: 0,
        decided: false,
    };

    fn is_disabled(&self) -> bool {
        self.parent_disabled || !matches!(self.status, b"" | b"okay\0" | b"ok\0")
    }
}

struct Walk<'t> {
    tree: &'t CheckedTree<'t>,
    /// The open nodes.
    stack: Vec<Frame<'t>>,
    collected: Collected<'t>,
    path_bytes: usize,
    mapped: usize,
    /// What was found at an offset in the strings block: most names come several times.
    known: [Option<Option<Name>>; KNOWN_NAMES],
}

impl<'t> Walk<'t> {
    fn run(&mut self, mut tokens: DevTreeParseIter<'_, 't>) -> Result<()> {
        let words = Words::new(self.tree.bytes);
        loop {
            let offset = tokens.offset;
            if words.at(offset) == Some(BEGIN_NODE) {
                let name = node_name(self.tree.bytes, offset + 4);
                let name = name.map_err(|_| reader_fault(self.tree, offset))?;
                tokens.offset = (offset + 4 + name.len() + 1).next_multiple_of(4);
                self.begin(name, offset)?;
                continue;
            }
            match tokens.next() {
                Ok(Some(ParsedTok::Prop(property))) => self.property(&property)?,
                Ok(Some(ParsedTok::EndNode)) => {
                    self.decide()?;
                    self.stack.pop();
                }
                Ok(Some(ParsedTok::Nop)) => {}
                Ok(None) => return Ok(()),
                Ok(Some(ParsedTok::BeginNode(_))) | Err(_) => {
                    return Err(reader_fault(self.tree, offset));
                }
            }
        }
    }

    fn begin(&mut self, name: &'t [u8], offset: usize) -> Result<()> {
        let mut frame = Frame { name, offset, ..Frame::ROOT };
        self.decide()?;
        if let Some(parent) = self.stack.last() {
            frame.interrupt_parent = parent.interrupt_parent;
            frame.parent_disabled = parent.is_disabled();
        }
        frame.first_property = self.collected.properties.len();
        if self.stack.len() == MAX_DEPTH {
            return Err(reader_fault(self.tree, offset));
        }
        self.stack.push(frame);
        Ok(())
    }

    fn property(&mut self, property: &ParsedProp<'t>) -> Result<()> {
        let name = self.name(property.name_offset);
        let (Some(name), Some(frame)) = (name, self.stack.last_mut()) else { return Ok(()) };
        let value = property.prop_buf;
        let bit = 1_u64 << name as u32;
        if frame.seen & bit != 0 {
            return Err(DtError::Property {
                node: self.tree.path_at(frame.offset),
                property: name.spelled(),
                problem: super::Problem::Twice,
            }
            .into());
        }
        frame.seen |= bit;
        // A count of the wrong length becomes one that no reader accepts.
        let count = || word(value, 0).filter(|_| value.len() == 4).unwrap_or(u32::MAX);
        match name {
            Name::AddressCells => frame.address_cells = count(),
            Name::SizeCells => frame.size_cells = count(),
            Name::InterruptParent => frame.interrupt_parent = Some(count()),
            Name::Ranges => frame.ranges = Some(value),
            Name::Compatible => frame.compatible = value,
            Name::DeviceType => frame.device_type = value,
            Name::Status => frame.status = value,
            _ => {}
        }
        self.collected.properties.push((name, value));
        Ok(())
    }

    /// Returns the name at an offset in the strings block, if it means something.
    fn name(&mut self, offset: usize) -> Option<Name> {
        let look = || Name::from_bytes(self.tree.string(offset));
        match self.known.get_mut(offset) {
            Some(known) => *known.get_or_insert_with(look),
            None => look(),
        }
    }

    /// Keeps or drops the innermost open node, whose properties have all been seen.
    fn decide(&mut self) -> Result<()> {
        let depth = self.stack.len().wrapping_sub(1);
        let Some(frame) = self.stack.get_mut(depth).filter(|frame| !frame.decided) else {
            return Ok(());
        };
        frame.decided = true;
        let frame = &self.stack[depth];
        let kind = self.kind(depth).filter(|&kind| match kind {
            Kind::Cpu => !frame.parent_disabled,
            _ => !frame.is_disabled(),
        });
        let Some(kind) = kind else {
            self.collected.properties.truncate(frame.first_property);
            return Ok(());
        };
        let parent = &self.stack[depth.saturating_sub(1)];
        let path = if has_path(kind) { self.path(depth) } else { String::new() };
        self.path_bytes += path.len();
        self.mapped += usize::from(is_mapped(kind));
        self.check_limits(frame.offset)?;
        let record = Record {
            kind,
            offset: frame.offset,
            parent_offset: parent.offset,
            properties: frame.first_property..self.collected.properties.len(),
            address_cells: parent.address_cells,
            size_cells: parent.size_cells,
            interrupt_parent: frame.interrupt_parent,
            name: frame.name,
            path: Cell::new(path),
            buses: if is_mapped(kind) { self.buses(depth) } else { Vec::new() },
        };
        self.collected.records.push(record);
        Ok(())
    }

    /// Checks that there is room for one more node.
    fn check_limits(&self, offset: usize) -> Result<()> {
        let (what, limit) = if self.collected.records.len() >= MAX_RECORDS {
            ("nodes that mean something", MAX_RECORDS)
        } else if self.collected.properties.len() > MAX_PROPERTIES {
            ("properties that mean something", MAX_PROPERTIES)
        } else if self.mapped > MAX_MAPPED {
            ("interrupt controllers and UARTs", MAX_MAPPED)
        } else if self.path_bytes > MAX_PATH_BYTES {
            ("bytes of paths", MAX_PATH_BYTES)
        } else {
            return Ok(());
        };
        Err(DtError::TooMany { node: self.tree.path_at(offset), limit, what }.into())
    }

    fn kind(&self, depth: usize) -> Option<Kind> {
        let frame = &self.stack[depth];
        match depth {
            0 => return None,
            1 if frame.name == b"chosen" => return Some(Kind::Chosen),
            1 if frame.device_type == b"memory\0" => return Some(Kind::Memory),
            2 => match self.stack[1].name {
                b"reserved-memory" => return Some(Kind::Reserved),
                b"cpus" if frame.device_type == b"cpu\0" => return Some(Kind::Cpu),
                _ => {}
            },
            _ => {}
        }
        let (mut best, mut rest) = (None, frame.compatible);
        while !rest.is_empty() {
            let (text, after) = rest.split_at(first_zero(rest).unwrap_or(rest.len()));
            best = best.max(kind_of(text));
            rest = after.get(1..).unwrap_or(&[]);
        }
        best
    }

    fn path(&self, depth: usize) -> String {
        let frames = &self.stack[..=depth];
        let mut path = String::with_capacity(frames.iter().map(|frame| frame.name.len() + 1).sum());
        for frame in frames {
            push_component(&mut path, frame.name);
        }
        path
    }

    /// Returns the buses between the node and the root that do more than pass addresses on.
    fn buses(&self, depth: usize) -> Vec<Bus<'t>> {
        let mut buses = Vec::new();
        for inner in (1..depth).rev() {
            let (bus, above) = (&self.stack[inner], &self.stack[inner - 1]);
            if bus.ranges.is_none_or(|ranges| !ranges.is_empty()) {
                buses.push(Bus {
                    offset: bus.offset,
                    ranges: bus.ranges,
                    address_cells: bus.address_cells,
                    size_cells: bus.size_cells,
                    parent_address_cells: above.address_cells,
                });
            }
        }
        buses
    }
}

/// Tells whether the path of such a node is part of the platform.
fn has_path(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Doorbell
            | Kind::DoorbellSource
            | Kind::MessageQueue
            | Kind::ResourceManager
            | Kind::SharedBuffer
            | Kind::Ns16550a
            | Kind::Pl011
    )
}

/// Tells whether `reg` of such a node is an address on the bus it is on.
fn is_mapped(kind: Kind) -> bool {
    matches!(kind, Kind::Gic | Kind::Ns16550a | Kind::Pl011 | Kind::Pl031)
}
