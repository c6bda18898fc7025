//! Lists that are kept in order while they are filled.

use alloc::vec::Vec;

/// Inserts `item` behind all items whose key is not greater.
///
/// For the few items that a tree has, most of them in one order already, this beats sorting
/// afterwards, and it needs a fraction of the code.
pub(super) fn insert<T, K: Ord>(list: &mut Vec<T>, item: T, key: impl Fn(&T) -> K) {
    let wanted = key(&item);
    let place = list.partition_point(|other| key(other) <= wanted);
    list.insert(place, item);
}
