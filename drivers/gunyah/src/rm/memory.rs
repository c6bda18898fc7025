//! Memory parcels: mapping what others share, lend or give, and letting go.
//!
//! An owner's parcel is announced by [`Event::MemShared`](super::event::Event::MemShared).
//! [`ResourceManager::accept_memory`] maps it, RM says where; [`ResourceManager::release_memory`] unmaps it; after either the
//! owner may be told by [`ResourceManager::notify_memory`]. When the owner recalls it
//! ([`Event::MemRecall`](super::event::Event::MemRecall)) the VM stops using it, unmaps it from its own tables, and only then
//! releases it. What the requests look like on the wire is told in [`gunyah_abi::rm::memory`].

pub use gunyah_abi::rm::memory::{
    AcceptFlags, AclEntry, AttrEntry, MAX_LIST_ENTRIES, MemoryAttribute, MemoryRights, MemoryType,
    NotifyFlag, PAGE_SIZE, Transaction,
};

use super::client::{ResourceManager, Timer};
use super::error::{RequestError, RequestName, Target};
use super::event::SharedMemory;
use super::requests::{nothing, word};
use crate::hypercalls::Hypercalls;
use alloc::vec::Vec;
use core::fmt;
use gunyah_abi::rm::MessageId;
use gunyah_abi::rm::memory::{
    AcceptReplyFlags, ListError, MemAcceptRequest, MemLookupRequest, MemNotifyRequest,
    MemReleaseRequest, ParcelLists, ReleaseFlags, SglEntry, list,
};
use zerocopy::IntoBytes;

/// RM's name for a parcel. 0 is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemHandle(pub u32);

impl fmt::Display for MemHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "parcel {}", self.0)
    }
}

/// A range of the caller's address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryRange {
    /// IPA.
    pub base: u64,
    /// Bytes.
    pub size: u64,
}

impl MemoryRange {
    /// The IPA after the range; `None` unless base and size are multiples of 4 KiB, the size is not 0, and the range does not
    /// wrap.
    pub const fn end(&self) -> Option<u64> {
        if self.size == 0
            || !self.base.is_multiple_of(PAGE_SIZE)
            || !self.size.is_multiple_of(PAGE_SIZE)
        {
            return None;
        }
        self.base.checked_add(self.size)
    }
}

/// What is to be accepted, and on what conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptMemory<'a> {
    /// Which parcel.
    pub handle: MemHandle,
    /// The parcel's kind of memory; RM refuses another with `ARGUMENT_INVALID`.
    pub kind: MemoryType,
    /// What the owner did; RM refuses another with `ARGUMENT_INVALID`.
    pub transaction: Transaction,
    /// Conditions and wishes; [`AcceptFlags::DONE`] is always added: parcels are mapped in one step.
    pub flags: AcceptFlags,
    /// The label that [`AcceptFlags::VALIDATE_LABEL`] demands.
    pub label: u32,
    /// The access list that [`AcceptFlags::VALIDATE_ACL_ATTR`] demands, in the parcel's order.
    pub access: &'a [AclEntry],
    /// Where to map it, one range for each of the parcel's and of the same size; empty for RM to choose.
    pub ranges: &'a [MemoryRange],
    /// The attributes that [`AcceptFlags::VALIDATE_ACL_ATTR`] demands, in the parcel's order.
    pub attributes: &'a [AttrEntry],
}

impl<'a> AcceptMemory<'a> {
    /// Accepts a parcel as it was announced, where RM chooses, and only if label, access list and attributes are still the ones
    /// announced.
    pub fn announced(memory: &'a SharedMemory) -> Self {
        Self {
            handle: memory.handle,
            kind: memory.kind,
            transaction: memory.transaction,
            flags: AcceptFlags::VALIDATE_LABEL | AcceptFlags::VALIDATE_ACL_ATTR,
            label: memory.label,
            access: &memory.access,
            ranges: &[],
            attributes: &memory.attributes,
        }
    }
}

/// A parcel of the caller's own, by what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookupMemory<'a> {
    /// Kind of memory.
    pub kind: MemoryType,
    /// Label that the parcel gets if it has none.
    pub label: u32,
    /// Access list.
    pub access: &'a [AclEntry],
    /// Ranges, in the caller's address space.
    pub ranges: &'a [MemoryRange],
    /// Attributes.
    pub attributes: &'a [AttrEntry],
}

const TOO_MANY: &str = "it lists more ranges than a parcel can have";
const INCOMPLETE: &str = "it does not list all ranges of the parcel";
const NO_RANGE: &str = "it lists no range";
const NO_PAGES: &str = "a range is not made of whole pages, or wraps";

/// Reads the reply of `MEM_ACCEPT`: where the parcel is, or what is wrong with what RM says.
fn placed(data: &[u8]) -> Result<Result<Vec<MemoryRange>, &'static str>, usize> {
    let (entries, flags) = match list::<SglEntry>(data) {
        Ok((entries, flags, _)) => (entries, AcceptReplyFlags::from_bits_truncate(flags as u8)),
        Err(ListError::Short(missing)) => return Err(data.len().saturating_add(missing)),
        Err(_) => return Ok(Err(TOO_MANY)),
    };
    if flags.contains(AcceptReplyFlags::INCOMPLETE) {
        return Ok(Err(INCOMPLETE));
    }
    if entries.is_empty() {
        return Ok(Err(NO_RANGE));
    }
    let range = |entry: &SglEntry| MemoryRange { base: entry.ipa.get(), size: entry.size.get() };
    if entries.iter().any(|entry| range(entry).end().is_none()) {
        return Ok(Err(NO_PAGES));
    }
    Ok(Ok(entries.iter().map(range).collect()))
}

/// The three lists as a request has them.
fn lists(
    request: RequestName,
    access: &[AclEntry],
    ranges: &[MemoryRange],
    attributes: &[AttrEntry],
) -> Result<Vec<u8>, RequestError> {
    let ranges: Vec<_> = ranges.iter().map(|r| SglEntry::new(r.base, r.size)).collect();
    let length = size_of_val(access) + size_of_val(&*ranges) + size_of_val(attributes);
    let mut bytes = Vec::new();
    let parts = ParcelLists { access, map_vmid: 0, ranges: &ranges, attributes };
    match parts.bytes(&mut |part| bytes.extend_from_slice(part)) {
        Ok(()) => Ok(bytes),
        Err(_) => Err(RequestError::TooLong { request, length }),
    }
}

/// Unless stated otherwise the calls fail with what [`ResourceManager::request`] lists.
impl<H: Hypercalls, T: Timer> ResourceManager<H, T> {
    /// Maps a parcel and returns where it is (`MEM_ACCEPT`, request 0x51000011): the ranges given, or those RM chose, of whole
    /// pages, at least one, at most 512.
    ///
    /// # Errors
    ///
    /// RM refuses with `HANDLE_INVALID` (no such parcel), `ARGUMENT_INVALID` (it is of another kind), `VALIDATE_FAILED` (a
    /// condition does not hold), `VMID_INVALID` (the caller is not in the access list), `DENIED` (it is the caller's own, or
    /// mapped already), `NORESOURCE` or `MAP_FAILED` (it does not fit there). [`RequestError::TooLong`] with more than 512
    /// entries in a list, [`RequestError::ReplyInvalid`] if what RM says makes no sense. After an error that
    /// [is doubtful](RequestError::is_doubtful) the parcel may be mapped: release it.
    pub async fn accept_memory(
        &self,
        accept: &AcceptMemory<'_>,
    ) -> Result<Vec<MemoryRange>, RequestError> {
        let request = RequestName::about_parcel(MessageId::MEM_ACCEPT, accept.handle);
        let content = MemAcceptRequest {
            handle: accept.handle.0.into(),
            memory_type: accept.kind.code(),
            transaction: accept.transaction.code(),
            flags: (accept.flags | AcceptFlags::DONE).bits(),
            reserved: 0,
            label: accept.label.into(),
        };
        let lists = lists(request, accept.access, accept.ranges, accept.attributes)?;
        let parse = |data: &[u8]| match accept.ranges {
            [] => placed(data),
            given => Ok(Ok(given.to_vec())),
        };
        let ranges = self.request(request, content.as_bytes(), &lists, parse).await?;
        ranges.map_err(|what| RequestError::ReplyInvalid { request, what })
    }

    /// Unmaps a parcel; with `sanitize` the memory is filled with zeros before the owner has it back, which needs the right to
    /// write (`MEM_RELEASE`, request 0x51000014).
    ///
    /// # Errors
    ///
    /// RM refuses with `HANDLE_INVALID` (no such parcel, or not for the caller), `MEM_RELEASED` (not accepted), `DENIED` (the
    /// caller's own), `ARGUMENT_INVALID` (may not be filled with zeros).
    pub async fn release_memory(
        &self,
        handle: MemHandle,
        sanitize: bool,
    ) -> Result<(), RequestError> {
        let request = RequestName::about_parcel(MessageId::MEM_RELEASE, handle);
        let flags = if sanitize { ReleaseFlags::SANITIZE } else { ReleaseFlags::empty() };
        let content = MemReleaseRequest {
            handle: handle.0.into(),
            flags: flags.bits(),
            ..MemReleaseRequest::default()
        };
        self.request(request, content.as_bytes(), &[], nothing).await
    }

    /// Tells the owner that the caller accepted or released a parcel, with the tag of its announcement (`MEM_NOTIFY`, request
    /// 0x51000017).
    ///
    /// # Errors
    ///
    /// RM refuses with `HANDLE_INVALID` (no such parcel, or not for the caller), `MEM_INUSE` or `MEM_RELEASED` (it is not so),
    /// `ARGUMENT_INVALID` (another tag than the owner's), and with `DENIED` what only owners tell.
    pub async fn notify_memory(
        &self,
        handle: MemHandle,
        flag: NotifyFlag,
        tag: u32,
    ) -> Result<(), RequestError> {
        let request = RequestName::about_parcel(MessageId::MEM_NOTIFY, handle);
        let content = MemNotifyRequest {
            handle: handle.0.into(),
            flag: flag.code(),
            reserved: [0; 3],
            tag: tag.into(),
        };
        self.request(request, content.as_bytes(), &[], nothing).await
    }

    /// Finds a parcel that the caller owns and nobody has accepted, by what is in it (`MEM_LOOKUP_SGL`, request 0x5100001A).
    ///
    /// # Errors
    ///
    /// RM refuses with `LOOKUP_FAILED` if there is none.
    pub async fn lookup_memory(
        &self,
        lookup: &LookupMemory<'_>,
    ) -> Result<MemHandle, RequestError> {
        let request = RequestName { id: MessageId::MEM_LOOKUP_SGL, target: None };
        let content = MemLookupRequest {
            memory_type: lookup.kind.code(),
            reserved: [0; 3],
            label: lookup.label.into(),
        };
        let lists = lists(request, lookup.access, lookup.ranges, lookup.attributes)?;
        let parse = |data: &[u8]| word(data).map(MemHandle);
        self.request(request, content.as_bytes(), &lists, parse).await
    }
}

impl RequestName {
    const fn about_parcel(id: MessageId, handle: MemHandle) -> Self {
        Self { id, target: Some(Target::Parcel(handle)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(header: [u8; 4], ranges: &[(u64, u64)]) -> Vec<u8> {
        let mut data = header.to_vec();
        for (base, size) in ranges {
            data.extend(base.to_le_bytes());
            data.extend(size.to_le_bytes());
        }
        data
    }

    #[test]
    fn ranges_are_those_of_the_reply() {
        let data = reply([2, 0, 0, 0], &[(0, 0x1000), (0x9000_0000, 0x2000)]);
        let ranges = placed(&data).unwrap().unwrap();
        let second = MemoryRange { base: 0x9000_0000, size: 0x2000 };
        assert_eq!(ranges, [MemoryRange { base: 0, size: 0x1000 }, second]);
    }

    #[test]
    fn a_reply_that_makes_no_sense_is_refused() {
        assert_eq!(placed(&[]), Err(4));
        assert_eq!(placed(&reply([2, 0, 0, 0], &[(0, 0x1000)])), Err(36));
        assert_eq!(placed(&reply([0; 4], &[])), Ok(Err(NO_RANGE)));
        assert_eq!(placed(&reply([1, 0, 1, 0], &[(0, 0x1000)])), Ok(Err(INCOMPLETE)));
        assert_eq!(placed(&reply([1, 2, 0, 0], &[(0, 0x1000); 513])), Ok(Err(TOO_MANY)));
        let wrong =
            [(0, 0), (0, 0x800), (0x800, 0x1000), (u64::MAX - 0xfff, 0x1000), (0x1000, !0xfff)];
        for range in wrong {
            assert_eq!(placed(&reply([1, 0, 0, 0], &[range])), Ok(Err(NO_PAGES)), "{range:x?}");
        }
    }
}
