//! A node that the walk has kept, and its properties as typed values.

use super::error::{DtError, Problem, Result};
use super::header::word;
use super::names::{Kind, Name};
use super::platform::AddressRange;
use super::scan::CheckedTree;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;
use core::ops::Range;

/// Entries of `reg` that are read of one node.
pub(super) const MAX_RANGES: usize = 128;
/// The longest string that is kept, in bytes.
const MAX_TEXT: usize = 127;
/// The longest command line, or list of strings, that is kept, in bytes.
const MAX_LONG_TEXT: usize = 2047;

/// What the walk has kept of a tree.
pub(super) struct Collected<'t> {
    pub(super) tree: &'t CheckedTree<'t>,
    pub(super) records: Vec<Record<'t>>,
    pub(super) properties: Vec<(Name, &'t [u8])>,
}

/// A node.
pub(super) struct Record<'t> {
    pub(super) kind: Kind,
    pub(super) offset: usize,
    pub(super) parent_offset: usize,
    pub(super) properties: Range<usize>,
    /// `#address-cells` of the parent.
    pub(super) address_cells: u32,
    /// `#size-cells` of the parent.
    pub(super) size_cells: u32,
    /// The interrupt parent of its own or inherited.
    pub(super) interrupt_parent: Option<u32>,
    pub(super) name: &'t [u8],
    /// Empty for a node whose path is not part of the platform.
    pub(super) path: Cell<String>,
    pub(super) buses: Vec<Bus<'t>>,
}

/// A node between a device and the root that changes addresses, or does not pass them on.
pub(super) struct Bus<'t> {
    pub(super) offset: usize,
    /// `ranges`; without it nothing is passed on.
    pub(super) ranges: Option<&'t [u8]>,
    pub(super) address_cells: u32,
    pub(super) size_cells: u32,
    pub(super) parent_address_cells: u32,
}

impl<'t> Collected<'t> {
    pub(super) fn new(tree: &'t CheckedTree<'t>) -> Self {
        Self { tree, records: Vec::with_capacity(16), properties: Vec::with_capacity(64) }
    }

    /// Returns the nodes of one kind, in the order of the tree.
    pub(super) fn of(&self, kind: Kind) -> impl Iterator<Item = Node<'_, 't>> {
        self.nodes().filter(move |node| node.record.kind == kind)
    }

    /// Returns all nodes, in the order of the tree.
    pub(super) fn nodes(&self) -> impl Iterator<Item = Node<'_, 't>> {
        self.records.iter().map(|record| Node { collected: self, record })
    }

    /// Returns the only node of a kind, if there is one.
    pub(super) fn only(&self, kind: Kind) -> Result<Option<Node<'_, 't>>> {
        let mut nodes = self.of(kind);
        match (nodes.next(), nodes.next()) {
            (Some(first), Some(second)) => Err(DtError::Conflict {
                node: second.path(),
                conflict: "there may be only one of its kind, and there is already",
                other: first.path(),
            }
            .into()),
            (first, _) => Ok(first),
        }
    }
}

/// A node with access to its properties.
#[derive(Clone, Copy)]
pub(super) struct Node<'c, 't> {
    collected: &'c Collected<'t>,
    pub(super) record: &'c Record<'t>,
}

impl<'t> Node<'_, 't> {
    /// Returns the node's path.
    pub(super) fn path(&self) -> String {
        self.collected.tree.path_at(self.record.offset)
    }

    /// Takes the path that the walk has made for the platform; another time it is empty.
    pub(super) fn take_path(&self) -> String {
        self.record.path.take()
    }

    /// Returns the error that the property has a problem.
    #[cold]
    #[inline(never)]
    pub(super) fn fail(&self, name: Name, problem: Problem) -> Box<DtError> {
        DtError::Property { node: self.path(), property: name.spelled(), problem }.into()
    }

    /// Returns the value of a property.
    pub(super) fn get(&self, name: Name) -> Option<&'t [u8]> {
        let properties = self.collected.properties.get(self.record.properties.clone())?;
        properties.iter().find(|property| property.0 == name).map(|property| property.1)
    }

    /// Returns the value of a property that must be there.
    pub(super) fn need(&self, name: Name) -> Result<&'t [u8]> {
        self.get(name).ok_or_else(|| self.fail(name, Problem::Missing))
    }

    /// Tells whether an empty property is there.
    pub(super) fn has(&self, name: Name) -> bool {
        self.get(name).is_some()
    }

    /// Returns a property of one cell.
    pub(super) fn cell(&self, name: Name) -> Result<Option<u32>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match (word(value, 0), value.len()) {
            (Some(cell), 4) => Ok(Some(cell)),
            _ => Err(self.length(name, value, "4")),
        }
    }

    /// Returns a property of two cells.
    pub(super) fn two_cells(&self, name: Name) -> Result<Option<u64>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let bytes = value.try_into().map_err(|_| self.length(name, value, "8"))?;
        Ok(Some(u64::from_be_bytes(bytes)))
    }

    /// Returns a property of one cell or two.
    pub(super) fn one_or_two_cells(&self, name: Name) -> Result<Option<u64>> {
        match self.get(name) {
            Some(value) if value.len() == 4 => Ok(self.cell(name)?.map(u64::from)),
            Some(value) if value.len() != 8 => Err(self.length(name, value, "4 or 8")),
            _ => self.two_cells(name),
        }
    }

    /// Returns a property of one cell that is a VMID.
    pub(super) fn vmid(&self, name: Name) -> Result<Option<u16>> {
        let Some(cell) = self.cell(name)? else { return Ok(None) };
        let vmid = u16::try_from(cell).map_err(|_| {
            self.fail(name, Problem::Value { value: cell.into(), expected: "a VMID of 16 bits" })
        })?;
        Ok(Some(vmid))
    }

    /// Returns a property that is a string.
    pub(super) fn text(&self, name: Name) -> Result<Option<&'t str>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let (longest, expected) = match name {
            Name::Bootargs => (MAX_LONG_TEXT, "at most 2048"),
            _ => (MAX_TEXT, "at most 128"),
        };
        let text = match value.split_last() {
            Some((0, text)) if text.len() > longest => {
                return Err(self.length(name, value, expected));
            }
            Some((0, text)) if !text.contains(&0) => core::str::from_utf8(text).ok(),
            _ => None,
        };
        text.map(Some).ok_or_else(|| self.fail(name, Problem::NotText))
    }

    /// Returns a property that is a string, as an own one.
    pub(super) fn string(&self, name: Name) -> Result<Option<String>> {
        Ok(self.text(name)?.map(String::from))
    }

    /// Returns a property that is a list of strings.
    pub(super) fn strings(&self, name: Name) -> Result<Vec<String>> {
        let Some(value) = self.get(name) else { return Ok(Vec::new()) };
        if value.len() > MAX_LONG_TEXT + 1 {
            return Err(self.length(name, value, "at most 2048"));
        }
        let text = match value.split_last() {
            Some((0, text)) => core::str::from_utf8(text).ok(),
            _ => None,
        };
        let text = text.ok_or_else(|| self.fail(name, Problem::NotText))?;
        Ok(text.split('\0').map(String::from).collect())
    }

    /// Returns the error that a property has a length other than expected.
    #[cold]
    #[inline(never)]
    pub(super) fn length(&self, name: Name, value: &[u8], expected: &'static str) -> Box<DtError> {
        self.fail(name, Problem::Length { found: value.len(), expected })
    }

    /// Returns the address ranges in `reg`, as the bus that the node is on counts them; one at
    /// least.
    pub(super) fn ranges(&self) -> Result<Vec<AddressRange>> {
        let value = self.need(Name::Reg)?;
        let address = self.cells(Name::AddressCells, self.record.address_cells, "1 or 2")?;
        let size = self.cells(Name::SizeCells, self.record.size_cells, "1 or 2")?;
        let entry = (address + size) * 4;
        if value.is_empty() || !value.len().is_multiple_of(entry) {
            return Err(self.length(Name::Reg, value, "a multiple of an address and a size"));
        }
        if value.len() / entry > MAX_RANGES {
            let (limit, what) = (MAX_RANGES, "ranges in reg");
            return Err(DtError::TooMany { node: self.path(), limit, what }.into());
        }
        let mut ranges = Vec::with_capacity(value.len() / entry);
        for entry in value.chunks_exact(entry) {
            let (start, size) = entry.split_at(address * 4);
            let range = AddressRange { start: number(start), size: number(size) };
            if range.start.checked_add(range.size).is_none() {
                let AddressRange { start, size } = range;
                return Err(self.fail(Name::Reg, Problem::Wraps { start, size }));
            }
            ranges.push(range);
        }
        Ok(ranges)
    }

    /// Checks a count of cells that the parent declares.
    pub(super) fn cells(&self, name: Name, count: u32, expected: &'static str) -> Result<usize> {
        match count {
            1 => Ok(1),
            2 => Ok(2),
            _ => Err(self.parent_cells(name, count, expected)),
        }
    }

    /// Returns the error that the parent declares a count of cells that cannot be used here.
    #[cold]
    #[inline(never)]
    fn parent_cells(&self, name: Name, count: u32, expected: &'static str) -> Box<DtError> {
        DtError::Property {
            node: self.collected.tree.path_at(self.record.parent_offset),
            property: name.spelled(),
            problem: Problem::Value { value: count.into(), expected },
        }
        .into()
    }

    /// Returns where a CPU finds `range`, which is an address on the bus that the node is on;
    /// `None` if a bus on the way does not pass it on.
    pub(super) fn translate(&self, mut range: AddressRange) -> Result<Option<AddressRange>> {
        for bus in &self.record.buses {
            match bus.translate(range) {
                Ok(Some(outside)) => range = outside,
                Ok(None) => return Ok(None),
                Err(problem) => {
                    let node = self.collected.tree.path_at(bus.offset);
                    return Err(DtError::Property {
                        node,
                        property: Name::Ranges.spelled(),
                        problem,
                    }
                    .into());
                }
            }
        }
        Ok(Some(range))
    }
}

impl Bus<'_> {
    fn translate(
        &self,
        range: AddressRange,
    ) -> core::result::Result<Option<AddressRange>, Problem> {
        let Some(ranges) = self.ranges else { return Ok(None) };
        let counts = [self.address_cells, self.parent_address_cells, self.size_cells];
        if counts.iter().any(|count| !matches!(count, 1 | 2)) {
            return Ok(None);
        }
        let [child, parent, size] = counts.map(|count| count as usize * 4);
        if !ranges.len().is_multiple_of(child + parent + size) {
            let expected = "a multiple of two addresses and a size";
            return Err(Problem::Length { found: ranges.len(), expected });
        }
        for entry in ranges.chunks_exact(child + parent + size) {
            let (inside, rest) = entry.split_at(child);
            let (outside, size) = rest.split_at(parent);
            let window = AddressRange { start: number(inside), size: number(size) };
            if window.contains(&range) {
                let start = number(outside).checked_add(range.start - window.start);
                let start = start.filter(|start| start.checked_add(range.size).is_some());
                return Ok(start.map(|start| AddressRange { start, size: range.size }));
            }
        }
        Ok(None)
    }
}

/// Returns one cell or two as a number.
pub(super) fn number(cells: &[u8]) -> u64 {
    cells.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}
