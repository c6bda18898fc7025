//! Which channel, and who is at its other end.

use crate::services::service::Binding;
use alloc::{rc::Rc, string::String};
use core::{cell::Cell, fmt};

/// What a channel is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// A pair of message queues.
    Queue,
    /// A ring in shared memory.
    Ring,
}

/// Which channel, and who is at its other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What it is made of.
    pub medium: Medium,
    /// Its label, if it has one.
    pub label: Option<u32>,
    /// The VMID of the peer, as far as it is known: that of a queue of the tree is learned later.
    pub peer: Rc<Cell<Option<u16>>>,
    /// Its name in lists and log lines.
    pub name: String,
}

impl Identity {
    /// Whether one of the bindings names this channel.
    pub(in crate::services) fn is_bound(&self, bindings: &[Binding]) -> bool {
        bindings.iter().any(|binding| match binding {
            Binding::Everywhere => false,
            Binding::Label(label) => self.label == Some(*label),
            Binding::Peer(vmid) => self.peer.get() == Some(*vmid),
        })
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match self.peer.get() {
            Some(vmid) => write!(f, " (VM {vmid})"),
            None => Ok(()),
        }
    }
}
