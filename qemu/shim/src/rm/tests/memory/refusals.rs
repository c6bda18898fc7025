//! What RM refuses about parcels, with which error, and what it leaves undone.

use super::*;

#[test]
fn what_overlaps_is_not_mapped() {
    let mut rig = rig();
    let handle = shared(&mut rig, 0x2000);
    let other = offered(&mut rig, Offer::new(3, 8, Transaction::Share, 0x1000));
    let sizes = vec![0x1000; 2];
    let in_two = offered(&mut rig, Offer { sizes, ..Offer::new(3, 9, Transaction::Share, 0) });
    assert_eq!(ask(&mut rig, ACCEPT, &accept(other, DONE, &[(0x5000_0000, 0x1000)])).0, 0);
    for ranges in [
        &[(0x8000_0000, 0x2000)][..],
        &[(0x800f_f000, 0x2000)],
        &[(0x7fff_f000, 0x2000)],
        &[(0x3fff_0000, 0x2000)],
        &[(0x4fff_f000, 0x2000)],
        &[(0x6000_0000, 0x1000), (0x6000_0000, 0x1000)],
        &[(0xf_ffff_f000, 0x2000)],
        &[(u64::MAX - 0xfff, 0x2000)],
    ] {
        let pieces = if ranges.len() == 1 { handle } else { in_two };
        assert_eq!(ask(&mut rig, ACCEPT, &accept(pieces, DONE, ranges)).0, 2, "{ranges:x?}");
    }
    for ranges in [
        &[(0x6000_0000, 0x1000)][..],
        &[(0x6000_0000, 0x3000)],
        &[(0x6000_0800, 0x2000)],
        &[(0x6000_0000, 0x1000), (0x7000_0000, 0x1000)],
        &[(0x6000_0000, 0x2000), (0x7000_0000, 0)],
    ] {
        assert_eq!(ask(&mut rig, ACCEPT, &accept(handle, DONE, ranges)).0, 6, "{ranges:x?}");
    }
    rig.mappings.exhausted = true;
    assert_eq!(ask(&mut rig, ACCEPT, &accept(handle, DONE, &[])).0, 9);
    rig.mappings.exhausted = false;
    assert_eq!(rig.mappings.all().len(), 1);
    assert_eq!(ask(&mut rig, RELEASE, &release(handle, 0)).0, 0xc);
    assert_eq!(ask(&mut rig, ACCEPT, &accept(handle, DONE, &[])).0, 0);
}

#[test]
fn what_is_validated_is_named_by_flags() {
    let mut rig = rig();
    let handle = shared(&mut rig, 0x1000);
    let request = MemAcceptRequest {
        handle: handle.into(),
        transaction: 2,
        flags: DONE | 2 | 4,
        label: 7.into(),
        ..MemAcceptRequest::default()
    };
    let all = MemoryRights::READ | MemoryRights::WRITE;
    let access = [AclEntry::new(0x80, all), AclEntry::new(3, all)];
    let swapped = [access[1], access[0]];
    let attributes = [AttrEntry::new(0x80, MemoryAttribute::Normal)];
    let lists = ParcelLists { access: &access, attributes: &attributes, ..Default::default() };
    let device = [AttrEntry::new(0x80, MemoryAttribute::Device)];
    let wrong = [
        (MemAcceptRequest { label: 8.into(), ..request }, lists),
        (MemAcceptRequest { flags: DONE | 1, ..request }, lists),
        (request, ParcelLists { access: &access[..1], ..lists }),
        (request, ParcelLists { access: &swapped, ..lists }),
        (request, ParcelLists { attributes: &device, ..lists }),
        (request, ParcelLists { attributes: &[], ..lists }),
    ];
    for (request, lists) in wrong {
        let content = with_lists(request, &lists);
        assert_eq!(ask(&mut rig, ACCEPT, &content).0, 8, "{request:?} {lists:?}");
    }
    for (request, map_vmid, error) in [
        (MemAcceptRequest { transaction: 1, ..request }, 0, 6),
        (MemAcceptRequest { memory_type: 1, ..request }, 0, 6),
        (MemAcceptRequest { memory_type: 1, label: 8.into(), ..request }, 0, 6),
        (MemAcceptRequest { flags: DONE | 8, ..request }, 0x81, 3),
        (request, 0x80, 6),
    ] {
        let content = with_lists(request, &ParcelLists { map_vmid, ..lists });
        assert_eq!(ask(&mut rig, ACCEPT, &content).0, error, "{request:?} {map_vmid}");
    }
    let unknown = MemAcceptRequest { handle: 1.into(), ..request };
    assert_eq!(ask(&mut rig, ACCEPT, &with_lists(unknown, &lists)).0, 7);
    let mut content = with_lists(request, &lists);
    content.push(0);
    assert_eq!(ask(&mut rig, ACCEPT, &content).0, 4);
    for length in [0, 11, 12, content.len() - 2] {
        assert_eq!(ask(&mut rig, ACCEPT, &content[..length]).0, 4, "{length}");
    }
    content.pop();
    assert_eq!(ask(&mut rig, ACCEPT, &content).0, 0);
}

#[test]
fn a_parcel_of_others_is_not_for_the_vm() {
    let other = VmConfig { vmid: 0x81, script: vec![], ..config() };
    let mut rig = Rig::new(&MachineFile { vms: vec![config(), other], ..MachineFile::default() });
    let offer = Offer::new(3, 7, Transaction::Share, 0x1000);
    let handle = rig.machine.rm.offer_memory(VmIndex(1), offer).unwrap();
    for (id, content, error) in [
        (ACCEPT, accept(handle, DONE, &[]), 0xd),
        (ACCEPT, accept(handle, DONE | 8, &[]), 3),
        (RELEASE, release(handle, 0), 7),
        (RECLAIM, release(handle, 0), 3),
        (NOTIFY, notify(handle, 4, 0), 7),
        (NOTIFY, notify(handle, 8, 0), 3),
    ] {
        assert_eq!(ask(&mut rig, id, &content).0, error, "{id:#x} {content:x?}");
    }
}

#[test]
fn what_only_owners_may_ask_is_refused() {
    let mut rig = rig();
    let handle = shared(&mut rig, 0x1000);
    assert_eq!(ask(&mut rig, RECLAIM, &release(handle, 0)).0, 3);
    assert_eq!(ask(&mut rig, RECLAIM, &release(1, 0)).0, 7);
    assert_eq!(ask(&mut rig, RECLAIM, &[0; 7]).0, 4);
    for (content, error) in [
        (notify(handle, 1, 0), 3),
        (notify(handle, 8, 0), 3),
        (notify(9, 8, 0), 7),
        (notify(handle, 3, 0), 6),
        (notify(handle, 4, 0), 0xc),
        (notify(9, 4, 0), 7),
        (notify(9, 3, 0), 7),
        (notify(handle, 4, 0)[..11].to_vec(), 4),
        ([notify(handle, 4, 0), vec![0; 4]].concat(), 0xc),
        (notify(handle, 2, 0), 0),
    ] {
        assert_eq!(ask(&mut rig, NOTIFY, &content).0, error, "{content:?}");
    }
    assert_eq!(ask(&mut rig, ACCEPT, &accept(handle, DONE, &[])).0, 0);
    assert_eq!(ask(&mut rig, NOTIFY, &notify(handle, 2, 0)).0, 0xb, "it still has it");
    assert_eq!(ask(&mut rig, RECLAIM, &release(handle, 0)).0, 3);
    assert_eq!(ask(&mut rig, 0x5100_001a, &[0; 20]).0, 0xe);
    assert_eq!(ask(&mut rig, 0x5100_001a, &[0; 19]).0, 4);
    assert_eq!(ask(&mut rig, 0x5100_0013, &[0; 20]).0, u32::MAX);
}

#[test]
fn places_are_set_aside_part_by_part() {
    let mut rig = rig();
    let sizes = vec![0x1000, 0x2000, 0x1000];
    let handle = offered(&mut rig, Offer { sizes, ..Offer::new(3, 7, Transaction::Share, 0) });
    let part = |flags, ranges: &[(u64, u64)]| accept(handle, flags, ranges);
    let [first, second] = [(0x1000_0000, 0x1000), (0x2000_0000, 0x2000)];
    assert_eq!(ask(&mut rig, ACCEPT, &part(DONE, &[first])).0, 6, "not all have a place");
    assert_eq!(ask(&mut rig, NOTIFY, &notify(handle, 4, 0)).0, 0xc);
    assert_eq!(ask(&mut rig, ACCEPT, &part(0, &[first])), (0, vec![]));
    assert_eq!((rig.mappings.all(), rig.machine.rm.parcel_places(VM, 7)), (vec![], vec![]));
    assert_eq!(rig.machine.rm.reclaim_memory(VM, handle), Err(RmError::MemInuse));
    assert_eq!(ask(&mut rig, NOTIFY, &notify(handle, 4, 0)).0, 0);
    for (flags, ranges, error) in [
        (DONE | 0x10, &[first][..], 6),
        (0, &[(0x2000_0000, 0x1000)], 6),
        (0, &[(first.0, 0x2000)], 2),
        (0, &[second, first], 2),
        (0, &[second, (0x3000_0000, 0x1000), (0x4000_0000, 0x1000)], 6),
        (DONE, &[second], 6),
    ] {
        assert_eq!(ask(&mut rig, ACCEPT, &part(flags, ranges)).0, error, "{ranges:x?}");
    }
    rig.mappings.exhausted = true;
    assert_eq!(ask(&mut rig, ACCEPT, &part(DONE, &[])).0, 9);
    rig.mappings.exhausted = false;
    assert_eq!(ask(&mut rig, ACCEPT, &part(0, &[second])).0, 0);
    let last = hex("01000000 0000000001000000 0010000000000000");
    assert_eq!(ask(&mut rig, ACCEPT, &part(DONE, &[])), (0, last));
    let mapped: Vec<_> = rig.mappings.all().iter().map(|(ipa, size, _)| (*ipa, *size)).collect();
    assert_eq!(mapped, [first, second, (FIRST, 0x1000)]);
    assert_eq!(events(&mut rig)[1..], [MemoryAction::Accepted]);
    assert_eq!(ask(&mut rig, RELEASE, &release(handle, 0)).0, 0);
    assert_eq!(ask(&mut rig, ACCEPT, &part(0x10, &[(first.0, 0x4000)])).0, 0);
    assert_eq!(ask(&mut rig, RELEASE, &release(handle, 0)).0, 0, "set aside is accepted");
    assert_eq!(rig.mappings.all(), []);
}

#[test]
fn a_recall_of_what_the_tree_names_may_be_the_first_to_give_a_tag() {
    let mut rig = rig();
    let handle = shared(&mut rig, 0x1000);
    assert_eq!(ask(&mut rig, ACCEPT, &accept(handle, DONE, &[])).0, 0);
    assert_eq!(ask(&mut rig, NOTIFY, &notify(handle, 4, 77)).0, 0, "there is none yet");
    let Machine { rm, objects, .. } = &mut rig.machine;
    rm.recall_memory(VM, handle, Some(6), objects, &mut rig.signals).unwrap();
    rig.drain();
    assert_eq!(ask(&mut rig, RELEASE, &release(handle, 0)).0, 0);
    for (content, error) in
        [(notify(handle, 2, 0), 6), (notify(handle, 1, 0), 6), (notify(handle, 2, 6), 0)]
    {
        assert_eq!(ask(&mut rig, NOTIFY, &content).0, error, "{content:?}");
    }
}
