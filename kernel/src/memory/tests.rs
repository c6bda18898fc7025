//! What the memory plan maps, and what it refuses.
#![expect(clippy::single_range_in_vec_init, reason = "most machines have memory of one range")]

use super::*;

const BASE: u64 = 0x8000_0000;
const RAM: Range<u64> = BASE..BASE + 0x400_0000;
const TREE: Range<u64> = 0x83e0_0000..0x83e0_1234;
const IDLE: Range<u64> = BASE + 0x30_000..BASE + 0x38_000;

fn plan_with(
    ram: Range<u64>,
    reserved: &[Range<u64>],
    devices: &[Range<u64>],
    tree: Range<u64>,
) -> Result<Vec<Region>, PlanError> {
    let layout = Layout::fake(BASE as usize);
    plan(&Inputs { ram, reserved, devices, tree, layout: &layout, idle: &[IDLE] })
}

fn of_kind(plan: &[Region], kind: Kind) -> Vec<Range<u64>> {
    plan.iter().filter(|region| region.kind == kind).map(|region| region.range.clone()).collect()
}

#[test]
fn image_is_wx_and_guards_are_left_out() {
    let plan = plan_with(RAM, &[], &[0x3fff_0000..0x4000_0000], TREE).unwrap();
    assert_eq!(of_kind(&plan, Kind::Code), [BASE..BASE + 0x10_000]);
    assert_eq!(
        of_kind(&plan, Kind::Data),
        [
            BASE + 0x14_000..BASE + 0x18_000,
            BASE + 0x19_000..BASE + 0x1d_000,
            BASE + 0x1e_000..BASE + 0x30_000,
            BASE + 0x38_000..BASE + 0x40_000
        ]
    );
    assert_eq!(
        of_kind(&plan, Kind::Constant),
        [BASE + 0x10_000..BASE + 0x14_000, 0x83e0_0000..0x83e0_2000]
    );
    assert_eq!(of_kind(&plan, Kind::Heap), [BASE + 0x20_0000..0x83e0_0000]);
    assert_eq!(of_kind(&plan, Kind::Device), [0x3fff_0000..0x4000_0000]);
}

#[test]
fn a_small_machine_uses_every_page() {
    let ram = BASE..BASE + 0x18_0000;
    let tree = BASE + 0x10_0000..BASE + 0x10_1000;
    let plan = plan_with(ram, &[], &[], tree).unwrap();
    assert_eq!(
        of_kind(&plan, Kind::Heap),
        [BASE + 0x40_000..BASE + 0x10_0000, BASE + 0x10_1000..BASE + 0x18_0000, IDLE]
    );
}

#[test]
fn no_two_regions_overlap() {
    let reserved = [0x8100_0800..0x8100_0900, 0x8200_0000..0x8300_0000, 0x8280_0000..0x8290_0000];
    let plan = plan_with(RAM, &reserved, &[], TREE).unwrap();
    for (n, a) in plan.iter().enumerate() {
        assert!(a.range.start < a.range.end, "{a:?}");
        assert!(a.range.start % PAGE == 0 && a.range.end % PAGE == 0, "{a:?}");
        for b in &plan[n + 1..] {
            assert!(!overlap(&a.range, &b.range), "{a:?} {b:?}");
        }
    }
    let heap = of_kind(&plan, Kind::Heap);
    assert!(reserved.iter().all(|r| heap.iter().all(|h| !overlap(r, h))));
}

#[test]
fn a_tree_in_front_of_the_image_splits_nothing() {
    let layout = Layout::fake(0x4100_0000);
    let plan = plan(&Inputs {
        ram: 0x4000_0000..0x8000_0000,
        reserved: &[],
        devices: &[],
        tree: 0x40f0_0000..0x40f0_2000,
        layout: &layout,
        idle: &[],
    })
    .unwrap();
    assert_eq!(of_kind(&plan, Kind::Heap), [0x4000_0000..0x40e0_0000, 0x4120_0000..0x8000_0000]);
}

#[test]
fn what_cannot_be_mapped_is_named() {
    let text = |result: Result<Vec<Region>, PlanError>| result.unwrap_err().to_string();
    assert_eq!(
        text(plan_with(RAM, &[], &[0x8100_0000..0x8100_1000], TREE)),
        "a device's reg cannot be mapped: 0x81000000..0x81001000"
    );
    assert_eq!(
        text(plan_with(BASE..1 << 40, &[], &[], TREE)),
        "/memory lies beyond 39 bits: 0x80000000..0x10000000000"
    );
    assert!(plan_with(0..u64::MAX, &[0..u64::MAX], &[], TREE).is_err());
}
