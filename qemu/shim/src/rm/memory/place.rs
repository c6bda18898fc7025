//! Guest physical addresses: what is taken, what is free.

use alloc::vec::Vec;
use core::ops::Range;

use gunyah_abi::rm::RmError;
use gunyah_abi::rm::memory::{PAGE_SIZE, SglEntry};

/// Guest physical addresses that RM chooses from when it may: above every VM's RAM and devices, but not only that is
/// looked at.
const CHOICE: Range<u64> = 0x1_0000_0000..1 << 36;

/// All guest physical addresses.
const ALL: Range<u64> = 0..1 << 36;

/// The addresses of a range; empty if they wrap.
pub(super) fn range(entry: &SglEntry) -> Range<u64> {
    let start = entry.ipa.get();
    start..start.checked_add(entry.size.get()).unwrap_or(start)
}

fn overlap(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}

/// Checks ranges that a VM gives, one after the other: each is of its size, and where nothing is, the others included. There
/// may be fewer ranges than sizes.
///
/// # Errors
///
/// `ARGUMENT_INVALID`: not of that size, no pages, or too many; `NORESOURCE`: something is there.
pub(super) fn check(
    ranges: &[SglEntry],
    sizes: &[u64],
    mut taken: Vec<Range<u64>>,
) -> Result<(), RmError> {
    if ranges.len() > sizes.len() {
        return Err(RmError::ArgumentInvalid);
    }
    for (entry, size) in ranges.iter().zip(sizes) {
        if entry.size.get() != *size || !entry.ipa.get().is_multiple_of(PAGE_SIZE) {
            return Err(RmError::ArgumentInvalid);
        }
        let wanted = range(entry);
        let in_space = !wanted.is_empty() && wanted.end <= ALL.end;
        if !in_space || taken.iter().any(|other| overlap(other, &wanted)) {
            return Err(RmError::Noresource);
        }
        taken.push(wanted);
    }
    Ok(())
}

/// Chooses a place for each of `sizes`, with a page that nothing has after each; `None` if there is none left.
pub(super) fn choose(sizes: &[u64], taken: &[Range<u64>]) -> Option<Vec<SglEntry>> {
    let mut taken = taken.to_vec();
    let mut chosen = Vec::with_capacity(sizes.len());
    for &size in sizes {
        let wanted = size.checked_add(PAGE_SIZE)?;
        let mut start = CHOICE.start;
        loop {
            let here = start..start.checked_add(wanted)?;
            match taken.iter().find(|other| overlap(other, &here)) {
                Some(other) => start = other.end.checked_next_multiple_of(PAGE_SIZE)?,
                None if here.end > CHOICE.end => return None,
                None => {
                    taken.push(here);
                    break;
                }
            }
        }
        chosen.push(SglEntry::new(start, size));
    }
    Some(chosen)
}

/// The ranges one after the other from `start` on.
pub(super) fn in_a_row(start: u64, sizes: &[u64]) -> Vec<SglEntry> {
    let mut next = start;
    let entry = |size: &u64| {
        let entry = SglEntry::new(next, *size);
        next = next.wrapping_add(*size);
        entry
    };
    sizes.iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_place_that_is_free_is_chosen() {
        let first = CHOICE.start;
        let chosen = |sizes: &[u64], taken: &[Range<u64>]| {
            let chosen = choose(sizes, taken)?;
            Some(chosen.iter().map(|entry| entry.ipa.get() - first).collect::<Vec<_>>())
        };
        assert_eq!(chosen(&[0x1000, 0x2000], &[]), Some(vec![0, 0x2000]));
        let taken = [first..first + 0x1000, first + 0x3000..first + 0x3001];
        assert_eq!(chosen(&[0x1000, 0x2000], &taken), Some(vec![0x1000, 0x4000]));
        assert_eq!(chosen(&[CHOICE.end - first], &[]), None);
        assert_eq!(chosen(&[u64::MAX], &[]), None);
        assert_eq!(chosen(&[0x1000], &[1..2, 0..u64::MAX]), None);
    }

    #[test]
    fn ranges_are_checked() {
        let [taken, beside] = [0x1000..0x2000, 0x2000..0x3000];
        let checked = |entries: &[(u64, u64)], sizes: &[u64]| {
            let entries: Vec<_> = entries.iter().map(|(a, b)| SglEntry::new(*a, *b)).collect();
            check(&entries, sizes, vec![taken.clone()])
        };
        let apart = [(0, 0x1000), (beside.start, 0x1000), (beside.end, 0x1000)];
        assert_eq!(checked(&apart, &[0x1000; 3]), Ok(()));
        assert_eq!(checked(&apart, &[0x1000; 4]), Ok(()));
        assert_eq!(checked(&[((1 << 36) - 0x1000, 0x1000)], &[0x1000]), Ok(()));
        let wrong = Err(RmError::ArgumentInvalid);
        assert_eq!(checked(&apart, &[0x1000; 2]), wrong);
        assert_eq!(checked(&apart, &[0x1000, 0x1000, 0x2000]), wrong);
        assert_eq!(checked(&[(0x4800, 0x1000)], &[0x1000]), wrong);
        assert_eq!(checked(&[(0x4000, 0x800)], &[0x1000]), wrong);
        for (entry, size) in [
            ((0x1000, 0x1000), 0x1000),
            ((0, 0x4000), 0x4000),
            ((0, 0x2000), 0x2000),
            (((1 << 36) - 0x1000, 0x2000), 0x2000),
            ((u64::MAX - 0xfff, 0x1000), 0x1000),
        ] {
            assert_eq!(checked(&[entry], &[size]), Err(RmError::Noresource), "{entry:x?}");
        }
        let each_other = [(0x4000, 0x2000), (0x5000, 0x1000)];
        assert_eq!(checked(&each_other, &[0x2000, 0x1000]), Err(RmError::Noresource));
        // The first that is wrong counts.
        let taken_first = [(0x1000, 0x1000), (0x4000, 0x800)];
        assert_eq!(checked(&taken_first, &[0x1000; 2]), Err(RmError::Noresource));
    }

    proptest! {
        #[test]
        fn what_is_chosen_is_free(
            sizes in proptest::collection::vec(1_u64..0x100, 0..5),
            taken in proptest::collection::vec((0_u64..0x200, 0_u64..0x100), 0..8),
        ) {
            let sizes: Vec<u64> = sizes.iter().map(|pages| pages * PAGE_SIZE).collect();
            let taken: Vec<Range<u64>> = taken
                .iter()
                .map(|(start, size)| {
                    let start = CHOICE.start + start * PAGE_SIZE;
                    start..start + size * PAGE_SIZE
                })
                .collect();
            let chosen = choose(&sizes, &taken).unwrap();
            prop_assert_eq!(check(&chosen, &sizes, taken), Ok(()));
        }
    }
}
