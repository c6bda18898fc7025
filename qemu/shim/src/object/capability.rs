//! Capability tables: which objects a VM may touch, and how.
//!
//! Ids are opaque to the guest. A debug build of the hypervisor counts them from 0, a release build scrambles them; the
//! machine file gives each one, and the same numbers stand in the VM's device tree.

use alloc::vec::Vec;

use bitflags::bitflags;
use gunyah_abi::CapabilityId;

use crate::object::{DoorbellIndex, QueueIndex};

/// Slots of a capability table whose ids count from 0: higher ids do not decode.
pub const LINEAR_SLOTS: u64 = 64;

bitflags! {
    /// What a capability allows on an object; bit values are per object type.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Rights: u32 {
        /// Doorbell: ring. Message queue: send, configure the send side.
        const SEND = 1 << 0;
        /// Doorbell: receive, mask, reset. Message queue: receive, flush, configure the receive side.
        const RECEIVE = 1 << 1;
        /// Doorbell: bind a vIRQ. Message queue: bind the send side's.
        const BIND = 1 << 2;
        /// Message queue: bind the receive side's vIRQ.
        const BIND_RECEIVE = 1 << 3;
        /// Any object: activate.
        const ACTIVATE = 1 << 31;
        const _ = !0;
    }
}

/// The type of an object, as a lookup asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectType {
    /// A message queue.
    MessageQueue,
    /// A doorbell.
    Doorbell,
    /// A type that a secondary VM never holds: partition, address space, vCPU, vPM group, …
    Other,
}

/// A reference to an object of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// A message queue.
    Queue(QueueIndex),
    /// A doorbell.
    Doorbell(DoorbellIndex),
}

impl Object {
    /// The object's type.
    #[must_use]
    pub fn object_type(self) -> ObjectType {
        match self {
            Self::Queue(_) => ObjectType::MessageQueue,
            Self::Doorbell(_) => ObjectType::Doorbell,
        }
    }
}

/// Why a capability id was refused, in the order in which it is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupError {
    /// The id does not decode to a place in the table.
    Undecodable,
    /// The place is empty.
    Null,
    /// The object has another type.
    WrongType,
    /// The capability lacks a right.
    InsufficientRights,
}

/// The capabilities of one VM.
#[derive(Debug, Default)]
pub struct CapabilityTable {
    entries: Vec<(u64, Object, Rights)>,
    scrambled: bool,
}

impl CapabilityTable {
    /// Adds a capability; `false` if the id is taken, or reserved (upper word all ones).
    pub fn insert(&mut self, id: u64, object: Object, rights: Rights) -> bool {
        if CapabilityId(id).is_reserved() || self.get(id).is_some() {
            return false;
        }
        self.scrambled |= id >= LINEAR_SLOTS;
        self.entries.push((id, object, rights));
        true
    }

    /// The object of type `wanted` behind `id`, if the capability has all of `rights`.
    ///
    /// # Errors
    ///
    /// The first check that fails, in the order of [`LookupError`].
    pub fn find(&self, id: u64, wanted: ObjectType, rights: Rights) -> Result<Object, LookupError> {
        let (object, held) = self.find_any(id)?;
        if object.object_type() != wanted {
            Err(LookupError::WrongType)
        } else if !held.contains(rights) {
            Err(LookupError::InsufficientRights)
        } else {
            Ok(object)
        }
    }

    /// The object of any type behind `id`, with the rights that the capability carries.
    ///
    /// # Errors
    ///
    /// [`LookupError::Undecodable`] or [`LookupError::Null`].
    pub fn find_any(&self, id: u64) -> Result<(Object, Rights), LookupError> {
        if let Some(found) = self.get(id) {
            Ok(found)
        } else if self.scrambled || id >= LINEAR_SLOTS {
            Err(LookupError::Undecodable)
        } else {
            Err(LookupError::Null)
        }
    }

    /// The objects that the VM holds, in no order.
    pub fn objects(&self) -> impl Iterator<Item = Object> {
        self.entries.iter().map(|(_, object, _)| *object)
    }

    fn get(&self, id: u64) -> Option<(Object, Rights)> {
        let found = self.entries.iter().find(|(entry, ..)| *entry == id)?;
        Some((found.1, found.2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(ids: [u64; 2]) -> CapabilityTable {
        let mut table = CapabilityTable::default();
        assert!(table.insert(ids[0], Object::Queue(QueueIndex(0)), Rights::SEND));
        assert!(table.insert(ids[1], Object::Doorbell(DoorbellIndex(0)), Rights::RECEIVE));
        table
    }

    #[test]
    fn lookup_fails_in_the_hypervisors_order() {
        let table = table([0, 1]);
        let find = |id, wanted, rights| table.find(id, wanted, rights);
        let queue = ObjectType::MessageQueue;
        assert_eq!(find(0, queue, Rights::SEND), Ok(Object::Queue(QueueIndex(0))));
        assert_eq!(find(64, queue, Rights::SEND), Err(LookupError::Undecodable));
        assert_eq!(find(63, queue, Rights::SEND), Err(LookupError::Null));
        assert_eq!(find(1, queue, Rights::SEND), Err(LookupError::WrongType));
        assert_eq!(find(0, queue, Rights::RECEIVE), Err(LookupError::InsufficientRights));
        assert_eq!(find(0, ObjectType::Other, Rights::empty()), Err(LookupError::WrongType));
    }

    #[test]
    fn scrambled_ids_leave_no_empty_place() {
        let table = table([0x7c2f_0a11_d3e9_5b40, 0x7c2f_0a11_d3e9_5b44]);
        for id in [0, 1, 63, 0x7c2f_0a11_d3e9_5b41, u64::MAX] {
            assert_eq!(table.find_any(id), Err(LookupError::Undecodable));
        }
    }

    #[test]
    fn ids_are_unique_and_never_reserved() {
        let mut table = table([0, 1]);
        let object = Object::Queue(QueueIndex(0));
        assert!(!table.insert(1, object, Rights::SEND));
        assert!(!table.insert(u64::MAX, object, Rights::SEND));
        assert!(!table.insert(0xffff_ffff_0000_0000, object, Rights::SEND));
        assert!(table.insert(0xffff_fffe_ffff_ffff, object, Rights::SEND));
    }
}
