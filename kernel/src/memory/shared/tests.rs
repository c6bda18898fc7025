//! What may be mapped as shared memory, and that nothing stays behind.

use super::{fake::FakeMapper, *};
use crate::memory::{Kind, Region};
use core::sync::atomic::Ordering;
use proptest::prelude::*;

const BASE: u64 = 0x8000_0000;
const IMAGE: Range<u64> = BASE..BASE + 0x4_0000;
const HEAP: Range<u64> = BASE + 0x20_0000..BASE + 0x200_0000;
const TREE: Range<u64> = BASE + 0x3e0_0000..BASE + 0x3e0_2000;
const DEVICE: Range<u64> = 0x3fff_0000..0x4000_0000;
const BUFFER: Range<u64> = 0x4000_2000..0x4003_2000;

fn territory() -> Territory {
    let region = |range, kind| Region { range, kind };
    let plan = [
        region(BASE..BASE + 0x1_0000, Kind::Code),
        region(HEAP, Kind::Heap),
        region(TREE, Kind::Constant),
        region(DEVICE, Kind::Device),
    ];
    Territory::new(&plan, IMAGE, [BUFFER, BASE..BASE + 0x400_0000], [BUFFER])
}

fn refused(range: Range<u64>, claim: Claim) -> String {
    territory().check(&range, claim).unwrap_err().to_string()
}

#[test]
fn what_is_ours_is_never_shared() {
    for (range, says) in [
        (
            0x8003_f000..0x8004_0000,
            "0x8003f000..0x80040000 overlaps the image at 0x80000000..0x80040000",
        ),
        (
            0x81ff_f000..0x8200_1000,
            "0x81fff000..0x82001000 overlaps the heap at 0x80200000..0x82000000",
        ),
        (
            0x83e0_1000..0x83e0_2000,
            "0x83e01000..0x83e02000 overlaps the device tree at 0x83e00000..0x83e02000",
        ),
        (
            0x3ffe_f000..0x3fff_1000,
            "0x3ffef000..0x3fff1000 overlaps a device at 0x3fff0000..0x40000000",
        ),
        (
            0x7fff_f000..0x8400_1000,
            "0x7ffff000..0x84001000 overlaps the image at 0x80000000..0x80040000",
        ),
        (
            0x8300_0000..0x8300_1000,
            "0x83000000..0x83001000 overlaps this VM's memory at 0x80000000..0x84000000",
        ),
    ] {
        assert_eq!(refused(range.clone(), Claim::Parcel), says);
        assert_eq!(refused(range, Claim::Tree), says);
    }
    assert_eq!(
        refused(0x4003_1000..0x4003_3000, Claim::Parcel),
        "0x40031000..0x40033000 overlaps reserved memory at 0x40002000..0x40032000"
    );
    assert_eq!(territory().check(&BUFFER, Claim::Tree), Ok(()));
}

#[test]
fn what_cannot_be_mapped_is_named() {
    for (range, says) in [
        (0x5000_0000..0x5000_0000, "0x50000000..0x50000000 is empty or wraps"),
        (
            Range { start: 0x5000_0000, end: 0x4fff_f000 },
            "0x50000000..0x4ffff000 is empty or wraps",
        ),
        (0x5000_0800..0x5000_1000, "0x50000800..0x50001000 is not in whole pages of 4 KiB"),
        (0x5000_0000..0x5000_0001, "0x50000000..0x50000001 is not in whole pages of 4 KiB"),
        (0..0x1000, "0x0..0x1000 has the null page"),
        ((1 << 39) - 0x1000..(1 << 39) + 0x1000, "0x7ffffff000..0x8000001000 lies beyond 39 bits"),
        (
            0xffff_ffff_ffff_e000..0xffff_ffff_ffff_f000,
            "0xffffffffffffe000..0xfffffffffffff000 lies beyond 39 bits",
        ),
        (0x5000_0000..0x5100_1000, "16781312 bytes are more than the 16777216 of one region"),
    ] {
        assert_eq!(refused(range, Claim::Parcel), says);
    }
    assert_eq!(territory().check(&((1 << 39) - 0x1000..1 << 39), Claim::Parcel), Ok(()));
}

#[test]
fn all_regions_together_are_bounded_in_number_and_size() {
    let mut bytes = territory();
    for n in 0..4 {
        let start = 0x1_0000_0000 + n * 0x100_0000;
        bytes.take(&(start..start + 0x100_0000), Claim::Parcel).unwrap();
    }
    let more = 0x5000_0000..0x5000_1000;
    let refusal = bytes.take(&more, Claim::Parcel).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "4096 bytes more than are shared already would exceed 67108864"
    );
    bytes.give_back(&(0x1_0000_0000..0x1_0100_0000));
    bytes.take(&more, Claim::Parcel).unwrap();

    let mut number = territory();
    for n in 0..64 {
        let start = 0x1_0000_0000 + n * 0x2000;
        number.take(&(start..start + 0x1000), Claim::Parcel).unwrap();
    }
    let refusal = number.take(&more, Claim::Parcel).unwrap_err();
    assert_eq!(refusal.to_string(), "more than 64 regions");
}

#[test]
fn a_region_is_mapped_once_and_unmapped_when_it_is_dropped() {
    let tables = Arc::new(FakeMapper::default());
    let maps = tables.maps(territory());
    let range = 0x5000_0000..0x5000_2000;
    let region = maps.map(range.clone(), Access::ReadWrite, Claim::Parcel).unwrap();
    assert_eq!((region.size(), region.access()), (0x2000, Access::ReadWrite));
    assert_eq!(tables.mapped(), [(range.clone(), Access::ReadWrite)]);
    assert_eq!(maps.mapped_bytes(), 0x2000);
    let again = maps.map(0x5000_1000..0x5000_3000, Access::Read, Claim::Parcel).unwrap_err();
    assert_eq!(
        again.to_string(),
        "0x50001000..0x50003000 overlaps other shared memory at 0x50000000..0x50002000"
    );
    assert!(!region.gone().load(Ordering::Relaxed));
    tables.take_away(0x5000_1000);
    assert!(region.gone().load(Ordering::Relaxed));
    drop(region);
    assert_eq!((tables.mapped(), maps.mapped_bytes()), (vec![], 0));
    maps.map(range, Access::Read, Claim::Parcel).unwrap();
}

#[test]
fn tables_that_refuse_leave_nothing_taken() {
    let tables = Arc::new(FakeMapper::default());
    let maps = tables.maps(territory());
    tables.refuses.store(true, Ordering::Relaxed);
    let refusal = maps.map(BUFFER, Access::Read, Claim::Tree).unwrap_err();
    assert_eq!(refusal.to_string(), "cannot map 0x40002000..0x40032000: the page tables refuse it");
    assert_eq!(maps.mapped_bytes(), 0);
    tables.refuses.store(false, Ordering::Relaxed);
    maps.map(BUFFER, Access::Read, Claim::Tree).unwrap();
}

#[test]
fn a_released_buffer_is_a_place_for_parcels() {
    let maps = Arc::new(FakeMapper::default()).maps(territory());
    assert!(maps.check(&BUFFER, Claim::Parcel).is_err());
    maps.forget_buffer(&BUFFER);
    assert_eq!(maps.check(&BUFFER, Claim::Parcel), Ok(()));

    // One of two reserved ranges that follow one another, and one beside it.
    let [first, second] = [0x4000_2000..0x4000_4000, 0x4000_4000..0x4000_5000];
    let other = 0x4000_6000..0x4000_7000;
    let reserved = [first, second, other.clone()];
    let territory = Territory::new(&[], IMAGE, [], reserved);
    let maps = Arc::new(FakeMapper::default()).maps(territory);
    let buffer = 0x4000_2000..0x4000_5000;
    maps.forget_buffer(&buffer);
    assert_eq!(maps.check(&buffer, Claim::Parcel), Ok(()));
    assert!(maps.check(&other, Claim::Parcel).is_err());
}

proptest! {
    /// Whatever is asked for, no two regions overlap, and nothing held is given away.
    #[test]
    fn regions_never_overlap(
        asked in prop::collection::vec((0_u64..1 << 20, 0_u64..64, any::<bool>()), 0..100)
    ) {
        let mut all = territory();
        let mut taken: Vec<Range<u64>> = Vec::new();
        for (page, pages, give_back) in asked {
            let range = page * 4096..(page + pages) * 4096;
            if all.take(&range, Claim::Parcel).is_ok() {
                for held in taken.iter().chain(&[IMAGE, HEAP, TREE, DEVICE, BUFFER]) {
                    prop_assert!(range.end <= held.start || held.end <= range.start);
                }
                taken.push(range);
            } else if give_back && !taken.is_empty() {
                all.give_back(&taken.swap_remove(0));
            }
        }
        prop_assert_eq!(all.shared_bytes(), taken.iter().map(|r| r.end - r.start).sum::<u64>());
    }
}
