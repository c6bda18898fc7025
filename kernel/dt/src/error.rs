//! What can be wrong with a device tree, in words.

use alloc::boxed::Box;
use alloc::string::String;
use thiserror::Error;

/// Why a device tree was refused.
///
/// Every variant names what it is about: the byte offset inside one of the trees, or the
/// path of a node and the property.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DtError {
    /// The bytes are not a well-formed flattened device tree.
    #[error("{tree}, byte {offset:#x}: {fault}")]
    Structure {
        /// Which of the trees handed over.
        tree: TreeName,
        /// Where in it, from its first byte.
        offset: usize,
        /// What is wrong there.
        fault: Fault,
    },
    /// A property has a value that cannot be used.
    #[error("{node}: {property}: {problem}")]
    Property {
        /// Path of the node.
        node: String,
        /// Name of the property.
        property: &'static str,
        /// What is wrong with it.
        problem: Problem,
    },
    /// A node stands in conflict with another one.
    #[error("{node}: {conflict} {other}")]
    Conflict {
        /// Path of the node.
        node: String,
        /// What is wrong between the two.
        conflict: &'static str,
        /// Path of the other node.
        other: String,
    },
    /// The tree lacks something that every virtual machine needs.
    #[error("the device tree has no {0}")]
    Missing(&'static str),
    /// The tree describes more than is kept of it.
    #[error("{node}: more than {limit} {what}")]
    TooMany {
        /// Path of the node with which the limit was passed.
        node: String,
        /// The limit.
        limit: usize,
        /// What there is too much of.
        what: &'static str,
    },
    /// An overlay does not fit the base tree.
    #[error("{tree}: {what}")]
    Overlay {
        /// Which overlay.
        tree: TreeName,
        /// What was being applied, and why it could not be.
        what: String,
    },
    /// A range of memory is not where the tree says memory is.
    #[error("the {what} at {start:#x}..{end:#x} {problem}")]
    Placement {
        /// The image or the device tree.
        what: &'static str,
        /// Its first address.
        start: u64,
        /// The address after its last.
        end: u64,
        /// What is wrong with the place.
        problem: String,
    },
    /// No node has the path that was asked for.
    #[error("no node {0}")]
    NoSuchNode(String),
    /// The output could not be written.
    #[error("the output could not be written")]
    Write,
}

/// What functions of this module return. The box keeps the good path short: an error is large
/// and would be moved by every function on the way.
pub(super) type Result<T> = core::result::Result<T, Box<DtError>>;

/// Returns the error that a tree is malformed.
#[cold]
#[inline(never)]
pub(super) fn malformed(tree: TreeName, offset: usize, fault: Fault) -> Box<DtError> {
    Box::new(DtError::Structure { tree, offset, fault })
}

impl From<core::fmt::Error> for DtError {
    fn from(_: core::fmt::Error) -> Self {
        Self::Write
    }
}

/// Which of the trees handed over an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TreeName {
    /// The tree that the boot protocol points at.
    First,
    /// The base tree built into the image.
    Builtin,
    /// The n-th overlay, counted from 1.
    Overlay(usize),
    /// What the overlays and the base tree were merged to.
    Merged,
}

impl core::fmt::Display for TreeName {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::First => f.write_str("device tree"),
            Self::Builtin => f.write_str("built-in device tree"),
            Self::Overlay(n) => write!(f, "overlay {n}"),
            Self::Merged => f.write_str("merged device tree"),
        }
    }
}

/// What is wrong with the bytes of a tree.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Fault {
    /// The bytes cannot be read.
    #[error("{0} bytes from here are not readable")]
    Unreadable(usize),
    /// The tree does not start on an 8-byte boundary.
    #[error("the tree is not aligned to 8 bytes (address {0:#x})")]
    Misaligned(usize),
    /// The first word is another one.
    #[error("not a device tree (magic {0:#010x} instead of 0xd00dfeed)")]
    Magic(u32),
    /// The format's version is unknown.
    #[error("format version {version}, compatible to {compatible}; 17 is needed")]
    Version {
        /// Version of the format.
        version: u32,
        /// Oldest version it can be read as.
        compatible: u32,
    },
    /// The tree is larger than is accepted.
    #[error("{size} bytes long, at most {limit} are accepted")]
    TooLong {
        /// `totalsize` of the header.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// A block lies outside the tree, in another one or on an odd address.
    #[error("the {0} block is not where it could be")]
    Block(&'static str),
    /// A list or a string does not end.
    #[error("the {0} does not end within its block")]
    Endless(&'static str),
    /// A word of the structure block that is no token.
    #[error("token {0:#x} is unknown")]
    UnknownToken(u32),
    /// A token where it must not be.
    #[error("{0} is out of place")]
    Misplaced(&'static str),
    /// Nodes are nested too deeply.
    #[error("nodes nested more than {0} deep")]
    TooDeep(usize),
    /// A node or property name with characters that names do not have.
    #[error("the {0} name has characters that no name has")]
    BadName(&'static str),
    /// A node name that is too long.
    #[error("a node name of more than {0} bytes")]
    LongName(usize),
    /// A property name that starts outside the strings block.
    #[error("the property name at {0:#x} is outside the strings block")]
    NameOutside(u32),
    /// The tree needs more memory for merging than there is.
    #[error("{nodes} nodes and {properties} properties are too many to apply an overlay to")]
    TooRich {
        /// Nodes in the tree.
        nodes: usize,
        /// Properties in the tree.
        properties: usize,
    },
    /// Tree and overlay in one, or a plain tree where an overlay must be.
    #[error("{0}")]
    WrongKind(&'static str),
    /// The reader rejected what the checks had let pass.
    #[error("the reader stopped here")]
    Reader,
}

/// What is wrong with a property.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Problem {
    /// It must be there.
    #[error("missing")]
    Missing,
    /// It is there twice.
    #[error("given twice")]
    Twice,
    /// Its length does not fit.
    #[error("{found} bytes long, expected {expected}")]
    Length {
        /// Length of the value, in bytes.
        found: usize,
        /// What would fit.
        expected: &'static str,
    },
    /// It is no string or no list of strings.
    #[error("not a string that ends with a zero byte")]
    NotText,
    /// The value is not one of those allowed.
    #[error("{value:#x} is not {expected}")]
    Value {
        /// The value.
        value: u64,
        /// What would be.
        expected: &'static str,
    },
    /// The text is not one of those allowed.
    #[error("\"{found}\" is not {expected}")]
    Text {
        /// The value.
        found: String,
        /// What would be.
        expected: &'static str,
    },
    /// A range of size 0.
    #[error("the range at {0:#x} is empty")]
    Empty(u64),
    /// A range that goes past the end of the address space.
    #[error("the range at {start:#x} of {size:#x} bytes runs past the end of the address space")]
    Wraps {
        /// Its first address.
        start: u64,
        /// Its size, in bytes.
        size: u64,
    },
    /// A range that overlaps another one.
    #[error("the range at {start:#x} overlaps the one at {other:#x} of {node}")]
    Overlaps {
        /// Its first address.
        start: u64,
        /// First address of the other range.
        other: u64,
        /// Node of the other range.
        node: String,
    },
    /// Registers where memory is.
    #[error("the range at {start:#x} lies over the memory at {memory:#x}")]
    OverMemory {
        /// Its first address.
        start: u64,
        /// First address of the memory.
        memory: u64,
    },
    /// An interrupt number beyond its kind's range.
    #[error("{kind} {number} does not exist")]
    NoSuchInterrupt {
        /// SPI, PPI, extended SPI or extended PPI.
        kind: &'static str,
        /// Its number among those of that kind.
        number: u32,
    },
    /// An INTID that another node has as well.
    #[error("INTID {intid} is also that of {other}")]
    SharedInterrupt {
        /// The INTID.
        intid: u32,
        /// Path of the other node.
        other: String,
    },
    /// A phandle that leads nowhere useful.
    #[error("phandle {phandle:#x} is not that of {expected}")]
    Phandle {
        /// The phandle.
        phandle: u32,
        /// What it should lead to.
        expected: &'static str,
    },
}
