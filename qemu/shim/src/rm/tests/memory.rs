//! Parcels: offered, accepted, released, taken back; and asked for wrongly.

use gunyah_abi::rm::memory::{
    AclEntry, AttrEntry, MemAcceptRequest, MemoryAttribute, MemoryRights, NotifyFlag, ParcelLists,
    SglEntry, Transaction,
};
use gunyah_abi::rm::notification::MemShared;

use super::*;
use crate::machine_file::{SharedBuffer, VmConfig};
use crate::seam::MapRights;

mod refusals;

const ACCEPT: u32 = 0x5100_0011;
const RELEASE: u32 = 0x5100_0014;
const RECLAIM: u32 = 0x5100_0015;
const NOTIFY: u32 = 0x5100_0017;
const DONE: u8 = 0x80;
/// Where RM chooses first.
const FIRST: u64 = 0x1_0000_0000;
const READ_WRITE: MapRights = MapRights { write: true, execute: false };

fn offered(rig: &mut Rig, offer: Offer) -> u32 {
    rig.machine.rm.offer_memory(VM, offer).unwrap()
}

fn shared(rig: &mut Rig, size: u64) -> u32 {
    offered(rig, Offer::new(3, 7, Transaction::Share, size))
}

/// The content of `MEM_ACCEPT` for memory that is shared.
fn accept(handle: u32, flags: u8, ranges: &[(u64, u64)]) -> Vec<u8> {
    let request = MemAcceptRequest {
        handle: handle.into(),
        transaction: 2,
        flags,
        label: 7.into(),
        ..MemAcceptRequest::default()
    };
    let ranges: Vec<_> = ranges.iter().map(|(ipa, size)| SglEntry::new(*ipa, *size)).collect();
    with_lists(request, &ParcelLists { ranges: &ranges, ..ParcelLists::default() })
}

fn with_lists(request: MemAcceptRequest, lists: &ParcelLists<'_>) -> Vec<u8> {
    let mut content = zerocopy::IntoBytes::as_bytes(&request).to_vec();
    lists.bytes(&mut |part| content.extend_from_slice(part)).unwrap();
    content
}

/// What RM answers: the error, and what follows it.
fn ask(rig: &mut Rig, id: u32, content: &[u8]) -> (u32, Vec<u8>) {
    let reply = rig.call(id, 1, content);
    (error(&reply), reply[12..].to_vec())
}

fn release(handle: u32, flags: u8) -> Vec<u8> {
    [&handle.to_le_bytes()[..], &[flags, 0, 0, 0]].concat()
}

fn notify(handle: u32, flag: u8, tag: u32) -> Vec<u8> {
    [&release(handle, flag)[..], &tag.to_le_bytes()].concat()
}

fn events(rig: &mut Rig) -> Vec<MemoryAction> {
    rig.run();
    let heard = &mut rig.machine.peers[0].memory_events;
    heard.drain(..).map(|(_, action)| action).collect()
}

#[test]
fn a_parcel_from_its_offer_to_its_end() {
    let mut rig = rig();
    let handle = shared(&mut rig, 0x3000);
    assert_eq!(handle, 0, "handles count from 0");
    let Machine { rm, objects, .. } = &mut rig.machine;
    let announcement = Announcement { tag: 9, ..Announcement::default() };
    rm.announce_memory(VM, handle, &announcement, objects, &mut rig.signals).unwrap();
    let expected = hex("21030100 11001051 00000000 00020000 03000000 07000000 09000000 \
         02000000 80000600 03000600  01000000 0030000000000000  01000000 00008000");
    assert_eq!(rig.drain(), core::slice::from_ref(&expected));
    let (told, lists) = MemShared::parse(&expected[8..]).unwrap();
    assert_eq!((told.label.get(), lists.sizes[0].get()), (7, 0x3000));

    let (error, reply) = ask(&mut rig, ACCEPT, &accept(handle, DONE, &[]));
    assert_eq!((error, reply), (0, hex("01000000 0000000001000000 0030000000000000")));
    assert_eq!(rig.mappings.all(), [(FIRST, 0x3000, READ_WRITE)]);
    assert_eq!(rig.machine.rm.parcel_places(VM, 7), [(FIRST, 0x3000)]);
    rig.machine.rm.parcel_memory(VM, 7).unwrap().write(0x2fff, b"x").unwrap();
    assert_eq!(rig.mappings.load(FIRST + 0x2fff), Some(b'x'));
    rig.mappings.store(FIRST, b'y').unwrap();
    let mut byte = [0];
    rig.machine.rm.parcel_memory(VM, 7).unwrap().read(0, &mut byte).unwrap();
    assert_eq!(&byte, b"y");
    assert_eq!(rig.machine.rm.reclaim_memory(VM, handle), Err(RmError::MemInuse));
    assert_eq!(ask(&mut rig, NOTIFY, &notify(handle, 4, 5)).0, 6, "the tag is another");
    assert_eq!(ask(&mut rig, NOTIFY, &notify(handle, 4, 9)).0, 0);

    let Machine { rm, objects, .. } = &mut rig.machine;
    rm.recall_memory(VM, handle, None, objects, &mut rig.signals).unwrap();
    let other = rm.recall_memory(VM, handle, Some(6), objects, &mut rig.signals);
    assert_eq!(other, Err(RmError::ArgumentInvalid), "the owner has given another");
    let recall = rig.drain();
    assert_eq!(recall[0][4..], hex("14001051 00000000 09000000"));
    assert_eq!(ask(&mut rig, RELEASE, &release(handle, 0)).0, 0);
    assert_eq!((rig.mappings.all(), rig.mappings.load(FIRST)), (vec![], None));
    assert_eq!(ask(&mut rig, NOTIFY, &notify(handle, 2, 9)).0, 0);
    let (accepted, released) = (NotifyFlag::Accepted, NotifyFlag::Released);
    assert_eq!(
        events(&mut rig),
        [
            MemoryAction::Accepted,
            MemoryAction::Told(accepted, 9),
            MemoryAction::Released,
            MemoryAction::Told(released, 9)
        ]
    );
    assert_eq!(rig.machine.rm.reclaim_memory(VM, handle), Ok(()));
    assert_eq!(rig.machine.rm.reclaim_memory(VM, handle), Err(RmError::HandleInvalid));
    assert_eq!(ask(&mut rig, ACCEPT, &accept(handle, DONE, &[])).0, 7);
    assert_eq!(shared(&mut rig, 0x1000), handle, "the handle is free again");
}

#[test]
fn the_vm_may_say_where() {
    let mut rig = rig();
    let sizes = vec![0x1000, 0x2000];
    let handle = offered(&mut rig, Offer { sizes, ..Offer::new(3, 7, Transaction::Share, 0) });
    rig.machine.rm.parcel_memory(VM, 7).unwrap().write(0x1000, b"second").unwrap();
    let ranges = [(0x4_0000_0000, 0x1000), (0x1000_0000, 0x2000)];
    let (error, reply) = ask(&mut rig, ACCEPT, &accept(handle, DONE, &ranges));
    assert_eq!((error, reply.len()), (0, 0));
    let (high, low) = (ranges[0].0, ranges[1].0);
    assert_eq!(rig.mappings.all(), [(low, 0x2000, READ_WRITE), (high, 0x1000, READ_WRITE)]);
    assert_eq!(rig.mappings.load(low), Some(b's'));
    assert_eq!(rig.mappings.load(low - 1), None);
    assert_eq!(ask(&mut rig, ACCEPT, &accept(handle, DONE, &[])).0, 3, "accepted already");
    assert_eq!(ask(&mut rig, RELEASE, &release(handle, 0)).0, 0);
    assert_eq!(ask(&mut rig, RELEASE, &release(handle, 0)).0, 0xc, "released already");
}

#[test]
fn rm_chooses_where_nothing_is() {
    let mut rig = rig();
    let sizes = vec![0x1000, 0x2000];
    let other = offered(&mut rig, Offer::new(3, 8, Transaction::Share, 0x1000));
    let handle = offered(&mut rig, Offer { sizes, ..Offer::new(3, 7, Transaction::Share, 0) });
    assert_eq!(ask(&mut rig, ACCEPT, &accept(other, DONE, &[(FIRST, 0x1000)])).0, 0);
    let (error, reply) = ask(&mut rig, ACCEPT, &accept(handle, 0, &[]));
    let places =
        hex("02000000 0010000001000000 0010000000000000 0030000001000000 0020000000000000");
    assert_eq!((error, reply), (0, places));
    assert_eq!(rig.mappings.all().len(), 1, "only set aside, without DONE");
    assert_eq!(ask(&mut rig, ACCEPT, &accept(handle, DONE, &[])), (0, hex("00000000")));
    assert_eq!(rig.mappings.all().len(), 3);
    assert_eq!(ask(&mut rig, RELEASE, &release(handle, 0)).0, 0);
    let contiguous = accept(handle, DONE | 0x10, &[]);
    let one = hex("01000000 0010000001000000 0030000000000000");
    assert_eq!(ask(&mut rig, ACCEPT, &contiguous), (0, one));
}

#[test]
fn rights_hold_and_what_is_lent_is_out_of_the_owners_reach() {
    let mut rig = rig();
    let rights = MemoryRights::READ | MemoryRights::EXECUTE;
    let lent = Offer { rights, sanitized: true, ..Offer::new(3, 7, Transaction::Lend, 0x1000) };
    let handle = offered(&mut rig, lent);
    assert!(rig.machine.rm.parcel_memory(VM, 7).is_some());
    let mut content = accept(handle, DONE | 1 | 0x20, &[]);
    content[5] = 1;
    assert_eq!(ask(&mut rig, ACCEPT, &content).0, 6, "it may not write zeros");
    content[6] = DONE | 1;
    assert_eq!(ask(&mut rig, ACCEPT, &content).0, 0);
    assert_eq!(rig.mappings.all(), [(FIRST, 0x1000, MapRights { write: false, execute: true })]);
    assert_eq!((rig.mappings.load(FIRST), rig.mappings.store(FIRST, 1)), (Some(0), None));
    assert!(rig.machine.rm.parcel_memory(VM, 7).is_none());
    assert_eq!(ask(&mut rig, RELEASE, &release(handle, 1)).0, 6, "it may not write zeros");
    assert_eq!(ask(&mut rig, RELEASE, &release(handle, 0)).0, 0);

    let given = offered(&mut rig, Offer::new(3, 9, Transaction::Donate, 0x1000));
    let mut content = accept(given, DONE, &[]);
    (content[5], content[8]) = (0, 9);
    assert_eq!(ask(&mut rig, ACCEPT, &content).0, 0);
    assert_eq!(ask(&mut rig, RELEASE, &release(given, 0)).0, 7, "it is its own now");
    assert_eq!(rig.machine.rm.reclaim_memory(VM, given), Err(RmError::HandleInvalid));
    assert_eq!(rig.mappings.all().len(), 1);
    rig.restart();
    assert_eq!(rig.mappings.all(), []);
}

#[test]
fn zeros_are_left_if_asked_for() {
    for (at_accept, at_release, left) in [(0, 0, 1), (0x20, 0, 0), (0, 1, 0)] {
        let mut rig = rig();
        let handle = shared(&mut rig, 0x1000);
        assert_eq!(ask(&mut rig, ACCEPT, &accept(handle, DONE | at_accept, &[])).0, 0);
        rig.mappings.store(FIRST, 1).unwrap();
        let pages = rig.mappings.pages(FIRST);
        let byte = || {
            let mut byte = [9];
            pages.read(0, &mut byte).unwrap();
            byte[0]
        };
        assert_eq!(ask(&mut rig, RELEASE, &release(handle, at_release)).0, 0);
        assert_eq!(byte(), 1, "not before the owner takes it back");
        assert_eq!(rig.machine.rm.reclaim_memory(VM, handle), Ok(()));
        assert_eq!(byte(), left);
    }
}

#[test]
fn rm_may_lie_about_the_place() {
    let mut rig = rig();
    for (said_at, mapped) in [(0x8000_0000, 0), (0x9000_0000, 1), (0x9000_0800, 0)] {
        let offer = Offer::new(3, 7, Transaction::Share, 0x1000);
        let handle = offered(&mut rig, Offer { said_at: Some(said_at), ..offer });
        let (error, reply) = ask(&mut rig, ACCEPT, &accept(handle, DONE, &[]));
        assert_eq!((error, &reply[4..12]), (0, &said_at.to_le_bytes()[..]));
        assert_eq!(rig.mappings.all().len(), mapped);
        assert_eq!(ask(&mut rig, RELEASE, &release(handle, 0)).0, 0);
    }
}

#[test]
fn a_reset_takes_all_parcels_but_those_of_the_tree() {
    let buffer = |ipa, size| SharedBuffer {
        label: 0x10,
        peer: 3,
        ipa,
        size,
        handle: None,
        source: None,
        doorbell: None,
    };
    let named = buffer(0x4000_2000, 0x3_0000);
    let machine =
        |shared: &[SharedBuffer]| MachineFile::of(VmConfig { shared: shared.to_vec(), ..config() });
    let mut rig = Rig::new(&machine(&[named]));
    let at_start = [(0x4000_2000, 0x3_0000, READ_WRITE)];
    assert_eq!(rig.mappings.all(), at_start);
    let handle = shared(&mut rig, 0x1000);
    assert_eq!(handle, 1);
    assert_eq!(ask(&mut rig, ACCEPT, &accept(handle, DONE, &[(0x4000_3000, 0x1000)])).0, 2);
    assert_eq!(ask(&mut rig, ACCEPT, &accept(handle, DONE, &[])).0, 0);
    rig.mappings.store(0x4000_2000, 1).unwrap();
    assert_eq!(ask(&mut rig, RELEASE, &release(0, 0)).0, 0, "it may give that back too");
    events(&mut rig);
    rig.restart();
    assert_eq!(rig.mappings.all(), at_start);
    assert_eq!(rig.mappings.load(0x4000_2000), Some(0));
    assert_eq!(events(&mut rig), [MemoryAction::Released]);
    assert_eq!(rig.machine.rm.reclaim_memory(VM, handle), Ok(()));
    let twin = SharedBuffer { handle: Some(0), ..named };
    for wrong in [
        vec![buffer(0x4000_2800, 0x1000)],
        vec![buffer(0x4000_2000, 0x800)],
        vec![buffer(0x4000_2000, 0)],
        vec![buffer(0x8000_0000, 0x1000)],
        vec![buffer(0x3fff_0000, 0x1000)],
        vec![buffer(1 << 36, 0x1000)],
        vec![buffer(u64::MAX - 0xfff, 0x1000)],
        vec![buffer(0x4000_0000, 1 << 30)],
        vec![named, buffer(0x4003_1000, 0x1000)],
        vec![twin, SharedBuffer { ipa: 0x5000_0000, ..twin }],
    ] {
        let error = Machine::new(&machine(&wrong)).unwrap_err().to_string();
        assert!(error.starts_with("VM probe-svm: its shared memory"), "{error}");
    }
}

#[test]
fn memory_and_messages_are_bounded() {
    let mut rig = rig();
    let rm = &mut rig.machine.rm;
    let offer = |sizes| Offer { sizes, ..Offer::new(3, 7, Transaction::Share, 0) };
    for sizes in [vec![], vec![0], vec![0x1001], vec![0x1000, 0], vec![!0xfff; 2]] {
        assert_eq!(rm.offer_memory(VM, offer(sizes)), Err(RmError::ArgumentInvalid));
    }
    assert_eq!(rm.offer_memory(VM, offer(vec![0x1000; 513])), Err(RmError::ArgumentInvalid));
    assert_eq!(rm.offer_memory(VmIndex(1), offer(vec![0x1000])), Err(RmError::ArgumentInvalid));
    assert_eq!(rm.offer_memory(VM, offer(vec![16 << 20])), Err(RmError::Nomem));
    assert_eq!(rm.offer_memory(VM, offer(vec![5 << 20])), Ok(0));
    assert_eq!(rm.offer_memory(VM, offer(vec![0x1000])), Err(RmError::Nomem));
    assert_eq!(rm.reclaim_memory(VM, 0), Ok(()));
    assert_eq!(rm.offer_memory(VM, offer(vec![0x1000; 512])), Ok(0));
    let Machine { rm, objects, .. } = &mut rig.machine;
    rm.announce_memory(VM, 0, &Announcement::default(), objects, &mut rig.signals).unwrap();
    let packets = rig.drain();
    assert_eq!(packets.iter().map(|packet| packet.len() - 8).sum::<usize>(), 20 + 12 + 4100 + 8);
}

proptest! {
    #[test]
    fn no_request_does_harm(
        id in prop_oneof![Just(ACCEPT), Just(RELEASE), Just(RECLAIM), Just(NOTIFY)],
        known in any::<bool>(),
        mut content in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let mut rig = rig();
        shared(&mut rig, 0x1000);
        if let Some(handle) = content.get_mut(..4).filter(|_| known) {
            handle.fill(0);
        }
        ask(&mut rig, id, &content);
    }
}
