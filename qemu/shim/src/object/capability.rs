//! Capability tables: which objects a VM may touch, and how.
//!
//! Ids are opaque to the guest. A debug build of the hypervisor counts them from 0, a release build scrambles them; the
//! machine file gives each one, and the same numbers stand in the VM's device tree. Capabilities that are made later get
//! the next number, or a scrambled one if the others are.

use alloc::vec::Vec;

use bitflags::bitflags;
use gunyah_abi::CapabilityId;

use crate::object::{DoorbellIndex, QueueIndex};
use crate::random::Random;

/// Slots by which a capability table grows whose ids count from 0: higher ids than it has slots do not decode.
pub const LINEAR_SLOTS: u64 = 64;

/// Capabilities that a table can hold.
const MOST: usize = 2048;

/// Revoked capabilities that are remembered as such; of older ones the ids are free again.
const REMEMBERED: usize = 64;

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
    /// The capability was revoked.
    Revoked,
    /// The object has another type.
    WrongType,
    /// The capability lacks a right.
    InsufficientRights,
}

/// The capabilities of one VM.
#[derive(Debug, Default)]
pub struct CapabilityTable {
    entries: Vec<(u64, Object, Rights)>,
    /// Ids that were revoked, oldest first.
    revoked: Vec<u64>,
    slots: u64,
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

    /// Adds a capability under an id that is free, and returns that; `None` if the table is full.
    pub fn add(&mut self, object: Object, rights: Rights, random: &mut Random) -> Option<u64> {
        if self.entries.len() >= MOST {
            return None;
        }
        let is_free = |id: &u64| {
            !CapabilityId(*id).is_reserved()
                && self.get(*id).is_none()
                && !self.revoked.contains(id)
        };
        let id = match self.scrambled {
            true => core::iter::repeat_with(|| random.word()).find(is_free)?,
            false => (0..).find(is_free)?,
        };
        self.slots = self.slots.max((id / LINEAR_SLOTS + 1).saturating_mul(LINEAR_SLOTS));
        self.entries.push((id, object, rights));
        Some(id)
    }

    /// Takes all capabilities to an object away; returns their ids.
    pub fn revoke(&mut self, object: Object) -> Vec<u64> {
        let (gone, kept) = self.entries.drain(..).partition(|(_, held, _)| *held == object);
        self.entries = kept;
        let gone: Vec<(u64, Object, Rights)> = gone;
        let ids: Vec<u64> = gone.into_iter().map(|(id, ..)| id).collect();
        self.revoked.extend(&ids);
        let forgotten = self.revoked.len().saturating_sub(REMEMBERED);
        self.revoked.drain(..forgotten);
        ids
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
    /// [`LookupError::Undecodable`], [`LookupError::Null`] or [`LookupError::Revoked`].
    pub fn find_any(&self, id: u64) -> Result<(Object, Rights), LookupError> {
        if let Some(found) = self.get(id) {
            Ok(found)
        } else if self.revoked.contains(&id) {
            Err(LookupError::Revoked)
        } else if self.scrambled || id >= self.slots.max(LINEAR_SLOTS) {
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
    fn late_capabilities_get_the_next_ids_and_can_be_revoked() {
        let mut random = Random::new(1);
        let bell = |index| Object::Doorbell(DoorbellIndex(index));
        let mut linear = table([0, 1]);
        for index in 2..70 {
            assert_eq!(linear.add(bell(index), Rights::SEND, &mut random), Some(index as u64));
        }
        assert_eq!(linear.find_any(70), Err(LookupError::Null));
        assert_eq!(linear.find_any(128), Err(LookupError::Undecodable));
        assert_eq!(linear.revoke(bell(5)), [5]);
        assert_eq!(linear.revoke(bell(5)), []);
        assert_eq!(linear.find_any(5), Err(LookupError::Revoked));
        assert_eq!(linear.add(bell(5), Rights::SEND, &mut random), Some(70));
        for index in 6..70 {
            linear.revoke(bell(index));
        }
        assert_eq!(linear.find_any(5), Err(LookupError::Null), "long ago");
        assert_eq!(linear.add(bell(5), Rights::SEND, &mut random), Some(5));

        let mut scrambled = table([0x7c2f_0a11_d3e9_5b40, 1]);
        let id = scrambled.add(bell(1), Rights::SEND, &mut random).unwrap();
        assert!(id > LINEAR_SLOTS);
        assert_eq!(scrambled.find_any(id), Ok((bell(1), Rights::SEND)));
        while scrambled.entries.len() < MOST {
            scrambled.add(bell(1), Rights::SEND, &mut random).unwrap();
        }
        assert_eq!(scrambled.add(bell(1), Rights::SEND, &mut random), None);
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
