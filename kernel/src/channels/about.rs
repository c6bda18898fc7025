//! What every channel has: label, peer, origin, whether it is in use.

use super::Gate;
use crate::watch::Life;
use alloc::{rc::Rc, string::String};
use core::cell::Cell;
use core::fmt;

/// Who told of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The device tree.
    Tree,
    /// The Resource Manager, at run time.
    ResourceManager,
}

/// What a channel is known by.
pub struct About {
    /// What whoever configured the VM calls it.
    pub label: Option<u32>,
    /// VMID of the other end, as far as it is known.
    pub peer: Rc<Cell<Option<u16>>>,
    /// Where the tree names it; empty if it does not.
    pub path: String,
    /// Who told of it.
    pub origin: Origin,
    /// The VM for which the Resource Manager listed it.
    pub listed: Cell<Option<u16>>,
    /// Who uses it, and its end.
    pub gate: Gate,
    /// Where signs of life go; nowhere, until it is registered.
    pub life: Rc<Life>,
    working: Cell<u32>,
}

impl About {
    /// A channel of the tree.
    pub fn tree(label: Option<u32>, peer: Option<u16>, path: &str) -> Self {
        Self {
            label,
            peer: Rc::new(Cell::new(peer)),
            path: path.into(),
            origin: Origin::Tree,
            listed: Cell::new(None),
            gate: Gate::default(),
            life: Rc::default(),
            working: Cell::new(0),
        }
    }

    /// A channel of which the Resource Manager told, asked for what is shared with `listed`.
    pub fn late(label: u32, peer: u16, listed: u16) -> Self {
        Self {
            label: Some(label),
            peer: Rc::new(Cell::new(Some(peer))),
            path: String::new(),
            origin: Origin::ResourceManager,
            listed: Cell::new(Some(listed)),
            gate: Gate::default(),
            life: Rc::default(),
            working: Cell::new(0),
        }
    }

    /// Whether the two are two directions to the same peer: they have the same label, and their
    /// peers, where both are known, are the same.
    pub fn matches(&self, other: &Self) -> bool {
        let same_peer = match (self.peer.get(), other.peer.get()) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        };
        self.label.is_some() && self.label == other.label && same_peer
    }

    /// From now until the value is dropped, something received is being answered.
    pub fn work(&self) -> Working<'_> {
        self.working.set(self.working.get() + 1);
        Working(self)
    }

    /// Whether something received is being answered.
    pub fn is_working(&self) -> bool {
        self.working.get() > 0
    }
}

/// See [`About::work`].
#[must_use]
pub struct Working<'a>(&'a About);

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.working.set(self.0.working.get().saturating_sub(1));
    }
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(label) = self.label {
            write!(f, " {label}")?;
        }
        if let Some(peer) = self.peer.get() {
            write!(f, " of VMID {peer:#x}")?;
        }
        if !self.path.is_empty() {
            write!(f, " ({})", self.path)?;
        }
        Ok(())
    }
}
