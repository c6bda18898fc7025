//! Lists: a count, believed no further than the bytes there are, then entries.

use super::{AclEntry, AttrEntry, ListHeader, SglEntry};
use core::fmt;
use zerocopy::byteorder::little_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Entries RM accepts in one list; also the ranges of a parcel that one message can name.
pub const MAX_LIST_ENTRIES: usize = 512;

/// Why bytes are no list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListError {
    /// The list needs this many bytes more than there are.
    Short(usize),
    /// It has this many entries, which is more than [`MAX_LIST_ENTRIES`].
    TooMany(usize),
    /// This many bytes are left after the last list.
    Trailing(usize),
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short(bytes) => write!(f, "a list lacks {bytes} bytes"),
            Self::TooMany(entries) => write!(f, "a list has {entries} entries"),
            Self::Trailing(bytes) => write!(f, "{bytes} bytes follow the last list"),
        }
    }
}

impl core::error::Error for ListError {}

/// A list's entries, the second word of its header, and the bytes after it.
pub type List<'a, E> = (&'a [E], u16, &'a [u8]);

/// Reads a list from the start of `data`: its entries, the second word of its header, and what follows.
///
/// # Errors
///
/// [`ListError::Short`], [`ListError::TooMany`].
///
/// # Examples
///
/// ```
/// use gunyah_abi::rm::memory::{AclEntry, ListError, list};
/// let data = [1, 0, 0, 0, 0x80, 0, 6, 0, 9];
/// let (entries, extra, rest) = list::<AclEntry>(&data).unwrap();
/// assert_eq!((entries[0].vmid.get(), extra, rest), (0x80, 0, &[9][..]));
/// assert_eq!(list::<AclEntry>(&data[..6]), Err(ListError::Short(2)));
/// ```
pub fn list<E: FromBytes + KnownLayout + Immutable>(data: &[u8]) -> Result<List<'_, E>, ListError> {
    let Ok((header, rest)) = ListHeader::ref_from_prefix(data) else {
        return Err(ListError::Short(size_of::<ListHeader>().saturating_sub(data.len())));
    };
    let count = usize::from(header.count.get());
    if count > MAX_LIST_ENTRIES {
        return Err(ListError::TooMany(count));
    }
    match <[E]>::ref_from_prefix_with_elems(rest, count) {
        Ok((entries, rest)) => Ok((entries, header.extra.get(), rest)),
        Err(_) => {
            let needed = count.saturating_mul(size_of::<E>());
            Err(ListError::Short(needed.saturating_sub(rest.len())))
        }
    }
}

/// Makes a list: hands `sink` its header with `extra` as second word, then its entries.
///
/// # Errors
///
/// [`ListError::TooMany`].
pub fn list_bytes<E: IntoBytes + Immutable>(
    entries: &[E],
    extra: u16,
    sink: &mut impl FnMut(&[u8]),
) -> Result<(), ListError> {
    let too_many = ListError::TooMany(entries.len());
    if entries.len() > MAX_LIST_ENTRIES {
        return Err(too_many);
    }
    let count = u16::try_from(entries.len()).map_err(|_| too_many)?;
    sink(ListHeader { count: U16::new(count), extra: U16::new(extra) }.as_bytes());
    sink(entries.as_bytes());
    Ok(())
}

/// The three lists at the end of `MEM_DONATE`, `MEM_LEND`, `MEM_SHARE`, `MEM_ACCEPT` and `MEM_LOOKUP_SGL`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParcelLists<'a> {
    /// Who may do what.
    pub access: &'a [AclEntry],
    /// The VMID to map for, 0 being the caller; of `MEM_ACCEPT` only.
    pub map_vmid: u16,
    /// The ranges.
    pub ranges: &'a [SglEntry],
    /// How who must map.
    pub attributes: &'a [AttrEntry],
}

impl<'a> ParcelLists<'a> {
    /// Reads the lists, which must end where `data` does.
    ///
    /// # Errors
    ///
    /// Every variant of [`ListError`].
    pub fn parse(data: &'a [u8]) -> Result<Self, ListError> {
        let (access, _, rest) = list(data)?;
        let (ranges, map_vmid, rest) = list(rest)?;
        let (attributes, _, rest) = list(rest)?;
        match rest.len() {
            0 => Ok(Self { access, map_vmid, ranges, attributes }),
            left => Err(ListError::Trailing(left)),
        }
    }

    /// Makes the lists: hands `sink` their bytes part by part.
    ///
    /// # Errors
    ///
    /// [`ListError::TooMany`].
    pub fn bytes(&self, sink: &mut impl FnMut(&[u8])) -> Result<(), ListError> {
        list_bytes(self.access, 0, sink)?;
        list_bytes(self.ranges, self.map_vmid, sink)?;
        list_bytes(self.attributes, 0, sink)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rm::memory::{MemoryAttribute, MemoryRights};

    fn made(lists: &ParcelLists<'_>) -> Result<Vec<u8>, ListError> {
        let mut bytes = Vec::new();
        lists.bytes(&mut |part| bytes.extend_from_slice(part))?;
        Ok(bytes)
    }

    #[test]
    fn lists_are_read_as_they_were_made() {
        let access =
            [AclEntry::new(3, MemoryRights::READ), AclEntry::new(0x80, MemoryRights::all())];
        let ranges = [SglEntry::new(0x8_0000_0000, 0x1000)];
        let attributes = [AttrEntry::new(0x80, MemoryAttribute::Uncached)];
        let lists =
            ParcelLists { access: &access, map_vmid: 7, ranges: &ranges, attributes: &attributes };
        let bytes = made(&lists).unwrap();
        assert_eq!(ParcelLists::parse(&bytes), Ok(lists));
        let empty = made(&ParcelLists::default()).unwrap();
        assert_eq!(empty, [0; 12]);
        assert_eq!(ParcelLists::parse(&empty), Ok(ParcelLists::default()));
    }

    #[test]
    fn every_cut_and_every_addition_is_refused() {
        let access = [AclEntry::new(3, MemoryRights::READ); 2];
        let ranges = [SglEntry::new(0, 0x1000)];
        let mut bytes =
            made(&ParcelLists { access: &access, ranges: &ranges, ..Default::default() }).unwrap();
        for length in 0..bytes.len() {
            let result = ParcelLists::parse(&bytes[..length]);
            assert!(matches!(result, Err(ListError::Short(1..=16))), "{length}: {result:?}");
        }
        bytes.push(0);
        assert_eq!(ParcelLists::parse(&bytes), Err(ListError::Trailing(1)));
    }

    #[test]
    fn no_list_has_more_entries_than_rm_takes() {
        let most = vec![SglEntry::new(0, 0x1000); MAX_LIST_ENTRIES];
        let bytes = made(&ParcelLists { ranges: &most, ..Default::default() }).unwrap();
        assert_eq!(ParcelLists::parse(&bytes).unwrap().ranges.len(), 512);
        let more = vec![SglEntry::new(0, 0x1000); MAX_LIST_ENTRIES + 1];
        let lists = ParcelLists { ranges: &more, ..Default::default() };
        assert_eq!(made(&lists), Err(ListError::TooMany(513)));
        let more = vec![AclEntry::default(); 0x1_0001];
        let lists = ParcelLists { access: &more, ..Default::default() };
        assert_eq!(made(&lists), Err(ListError::TooMany(0x1_0001)));
        let claimed = [[0xff, 0xff, 0, 0].as_slice(), &[0; 0x8_0000]].concat();
        assert_eq!(list::<AclEntry>(&claimed), Err(ListError::TooMany(0xffff)));
        assert_eq!(list::<AclEntry>(&[1, 2]), Err(ListError::Short(2)));
    }
}
