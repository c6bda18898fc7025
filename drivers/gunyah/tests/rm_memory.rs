//! Memory parcels: what the client asks, and what the RM makes of it.

#[path = "support/asking.rs"]
mod asking;

use asking::{Client, ask, refusal};
use gunyah::fake::{FakeParcel, Reaction, RmSetup};
use gunyah::rm::memory::{
    AcceptFlags, AclEntry, AttrEntry, LookupMemory, MemoryAttribute, MemoryRights, MemoryType,
    NotifyFlag, Transaction,
};
use gunyah::rm::{
    AcceptMemory, Event, Events, MemHandle, MemoryRange, Received, RequestError, SharedMemory,
};
use gunyah_abi::rm::{MessageId, RmError};
use std::sync::Arc;

const READ: MemoryRights = MemoryRights::READ;
const READ_WRITE: MemoryRights = MemoryRights::READ.union(MemoryRights::WRITE);

fn subscribed(client: &Client) -> Arc<Events<8>> {
    let events = Arc::new(Events::new());
    client.subscribe(events.clone());
    events
}

/// Has a parcel shared and returns how it was announced.
fn announced(
    setup: &mut RmSetup,
    client: &Client,
    events: &Events<8>,
    parcel: FakeParcel,
) -> SharedMemory {
    let handle = setup.rm.share(parcel);
    ask(setup, client, client.vmid()).unwrap();
    match events.try_next() {
        Some(Received::Event(Event::MemShared(memory))) if memory.handle == handle => memory,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_parcel_lives_from_its_announcement_to_its_reclaim() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let events = subscribed(&client);
    let mut parcel = FakeParcel::shared(7, &[0x1000, 0x20_0000]);
    parcel.tag = 9;
    parcel.attributes = vec![AttrEntry::new(0x80, MemoryAttribute::Cached)];
    let memory = announced(&mut setup, &client, &events, parcel);
    assert_eq!(memory.handle, MemHandle(0), "0 is a valid handle");
    assert_eq!((memory.owner, memory.label, memory.tag), (3, 7, 9));
    assert_eq!(memory.total_size(), Some(0x20_1000));
    assert_eq!(memory.rights_of(0x80), READ_WRITE);

    let (handle, tag) = (memory.handle, memory.tag);
    let ranges = ask(&mut setup, &client, async {
        assert_eq!(refusal(client.release_memory(handle, false).await), Some(RmError::MemReleased));
        let early = client.notify_memory(handle, NotifyFlag::Accepted, tag).await;
        assert_eq!(refusal(early), Some(RmError::MemReleased));
        let ranges = client.accept_memory(&AcceptMemory::announced(&memory)).await.unwrap();
        client.notify_memory(handle, NotifyFlag::Accepted, tag).await.unwrap();
        let twice = client.accept_memory(&AcceptMemory::announced(&memory)).await;
        assert_eq!(refusal(twice), Some(RmError::Denied));
        ranges
    });
    let sizes: Vec<u64> = ranges.iter().map(|range| range.size).collect();
    assert_eq!(sizes, memory.sizes);
    assert_eq!(setup.rm.parcels.get(handle).unwrap().mapped, Some(ranges));
    assert_eq!(setup.rm.parcels.reclaim(handle), Err(RmError::MemInuse));

    setup.rm.recall(handle, tag);
    ask(&mut setup, &client, async {
        assert_eq!(events.next().await, Received::Event(Event::MemRecall { handle, tag }));
        let early = client.notify_memory(handle, NotifyFlag::Released, tag).await;
        assert_eq!(refusal(early), Some(RmError::MemInuse));
        client.release_memory(handle, true).await.unwrap();
        client.notify_memory(handle, NotifyFlag::Released, tag).await.unwrap();
    });
    assert_eq!(
        setup.rm.parcels.told,
        [(MessageId::MEM_ACCEPTED, handle), (MessageId::MEM_RELEASED, handle)]
    );
    assert_eq!(setup.rm.parcels.reclaim(handle), Ok(()));
    let gone = ask(&mut setup, &client, client.release_memory(handle, false));
    assert_eq!(
        gone.unwrap_err().to_string(),
        "RM refused MEM_RELEASE (parcel 0): HANDLE_INVALID (7)"
    );
}

#[test]
fn what_goes_out_is_what_rm_reads() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let accept = AcceptMemory {
        handle: MemHandle(0),
        kind: MemoryType::Normal,
        transaction: Transaction::Lend,
        flags: AcceptFlags::SANITIZE,
        label: 0x102,
        access: &[AclEntry::new(0x80, READ)],
        ranges: &[MemoryRange { base: 0x9000_0000, size: 0x1000 }],
        attributes: &[AttrEntry::new(0x80, MemoryAttribute::Uncached)],
    };
    ask(&mut setup, &client, async {
        let _ = client.accept_memory(&accept).await;
        let _ = client.release_memory(MemHandle(0), true).await;
        let _ = client.release_memory(MemHandle(1), false).await;
        let _ = client.notify_memory(MemHandle(2), NotifyFlag::Released, 3).await;
    });
    let contents: Vec<_> = setup.rm.requests().iter().map(|r| r.content.as_slice()).collect();
    let range = [[0, 0, 0, 0x90, 0, 0, 0, 0], [0, 0x10, 0, 0, 0, 0, 0, 0]].concat();
    let accepted = [
        &[0, 0, 0, 0, 0, 1, 0xA0, 0, 2, 1, 0, 0][..],
        &[1, 0, 0, 0, 0x80, 0, 4, 0],
        &[1, 0, 0, 0],
        &range,
        &[1, 0, 0, 0, 2, 0, 0x80, 0],
    ];
    assert_eq!(contents[0], accepted.concat());
    assert_eq!(contents[1], [0, 0, 0, 0, 1, 0, 0, 0]);
    assert_eq!(contents[2], [1, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(contents[3], [2, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0]);
}

#[test]
fn a_parcel_goes_where_the_guest_wants_it() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let events = subscribed(&client);
    let parcel = || FakeParcel::shared(1, &[0x1000, 0x2000]);
    let [first, second] = [0; 2].map(|_| announced(&mut setup, &client, &events, parcel()));
    let range = |base, size| MemoryRange { base, size };
    let wanted = [range(0x9000_0000, 0x1000), range(0x9800_0000, 0x2000)];
    ask(&mut setup, &client, async {
        let here = AcceptMemory { ranges: &wanted, ..AcceptMemory::announced(&first) };
        assert_eq!(client.accept_memory(&here).await, Ok(wanted.to_vec()));
        let over = [range(0x9000_0000, 0x1000), range(0x9900_0000, 0x2000)];
        let over = AcceptMemory { ranges: &over, ..AcceptMemory::announced(&second) };
        assert_eq!(refusal(client.accept_memory(&over).await), Some(RmError::Noresource));
        for ranges in [
            &[range(0x9100_0000, 0x1000)][..],
            &[range(0x9100_0000, 0x2000), range(0x9200_0000, 0x1000)],
            &[range(0x9100_0800, 0x1000), range(0x9200_0000, 0x2000)],
        ] {
            let wrong = AcceptMemory { ranges, ..AcceptMemory::announced(&second) };
            let result = client.accept_memory(&wrong).await;
            assert_eq!(refusal(result), Some(RmError::ArgumentInvalid), "{ranges:x?}");
        }
        let whole = AcceptFlags::MAP_CONTIGUOUS;
        let whole = AcceptMemory { flags: whole, ..AcceptMemory::announced(&second) };
        let ranges = client.accept_memory(&whole).await.unwrap();
        assert_eq!(ranges.iter().map(|range| range.size).collect::<Vec<_>>(), [0x3000]);
    });
}

#[test]
fn conditions_that_do_not_hold_are_refused() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let events = subscribed(&client);
    let memory = announced(&mut setup, &client, &events, FakeParcel::shared(7, &[0x1000]));
    let as_announced = AcceptMemory::announced(&memory);
    let cases = [
        (AcceptMemory { handle: MemHandle(9), ..as_announced }, RmError::HandleInvalid),
        (AcceptMemory { kind: MemoryType::Io, ..as_announced }, RmError::ArgumentInvalid),
        (AcceptMemory { transaction: Transaction::Lend, ..as_announced }, RmError::ArgumentInvalid),
        (AcceptMemory { label: 8, ..as_announced }, RmError::ValidateFailed),
        (AcceptMemory { access: &memory.access[1..], ..as_announced }, RmError::ValidateFailed),
        (
            AcceptMemory {
                attributes: &[AttrEntry::new(0x80, MemoryAttribute::Cached)],
                ..as_announced
            },
            RmError::ValidateFailed,
        ),
        (
            AcceptMemory { flags: AcceptFlags::VALIDATE_SANITIZED, ..as_announced },
            RmError::ValidateFailed,
        ),
        (AcceptMemory { flags: AcceptFlags::MAP_OTHER, ..as_announced }, RmError::Denied),
    ];
    ask(&mut setup, &client, async {
        for (accept, error) in cases {
            assert_eq!(refusal(client.accept_memory(&accept).await), Some(error), "{accept:?}");
        }
        assert_eq!(client.accept_memory(&as_announced).await.map(|ranges| ranges.len()), Ok(1));
        let tag = client.notify_memory(memory.handle, NotifyFlag::Accepted, 1).await;
        assert_eq!(refusal(tag), Some(RmError::ArgumentInvalid));
        let recall = client.notify_memory(memory.handle, NotifyFlag::Recall, 0).await;
        assert_eq!(refusal(recall), Some(RmError::Denied));
    });
}

#[test]
fn memory_for_others_and_memory_only_to_read() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let events = subscribed(&client);
    let mut to_read = FakeParcel::shared(1, &[0x1000]);
    to_read.access[1] = AclEntry::new(0x80, READ);
    let to_read = announced(&mut setup, &client, &events, to_read);
    let mut for_others = FakeParcel::shared(2, &[0x1000]);
    for_others.access[1] = AclEntry::new(0x81, READ_WRITE);
    let for_others = announced(&mut setup, &client, &events, for_others);
    ask(&mut setup, &client, async {
        let result = client.accept_memory(&AcceptMemory::announced(&for_others)).await;
        assert_eq!(refusal(result), Some(RmError::VmidInvalid));
        let result = client.release_memory(for_others.handle, false).await;
        assert_eq!(refusal(result), Some(RmError::HandleInvalid));
        client.accept_memory(&AcceptMemory::announced(&to_read)).await.unwrap();
        let result = client.release_memory(to_read.handle, true).await;
        assert_eq!(refusal(result), Some(RmError::ArgumentInvalid), "it may not be overwritten");
        client.release_memory(to_read.handle, false).await.unwrap();
    });
}

#[test]
fn a_parcel_of_512_ranges_is_the_largest() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let events = subscribed(&client);
    let parcel = FakeParcel::shared(1, &[0x1000; 512]);
    let memory = announced(&mut setup, &client, &events, parcel);
    assert_eq!(memory.sizes.len(), 512);
    let accept = AcceptMemory::announced(&memory);
    let ranges = ask(&mut setup, &client, client.accept_memory(&accept)).unwrap();
    assert_eq!(ranges.len(), 512);
    let there = AcceptMemory { ranges: &ranges, ..accept };
    let again = ask(&mut setup, &client, client.accept_memory(&there));
    assert_eq!(refusal(again), Some(RmError::Denied));

    let before = setup.rm.requests().len();
    let more = [ranges.as_slice(), &ranges[..1]].concat();
    let too_many = AcceptMemory { ranges: &more, ..accept };
    let result = ask(&mut setup, &client, client.accept_memory(&too_many));
    assert!(matches!(result, Err(RequestError::TooLong { .. })), "{result:?}");
    assert_eq!(setup.rm.requests().len(), before, "it is not sent");
}

#[test]
fn an_answer_that_makes_no_sense_is_named_and_doubtful() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let events = subscribed(&client);
    let memory = announced(&mut setup, &client, &events, FakeParcel::shared(1, &[0x1000]));
    let accept = AcceptMemory::announced(&memory);
    let range = |base: u64, size: u64| [base.to_le_bytes(), size.to_le_bytes()].concat();
    let cases = [
        (vec![0; 4], "it lists no range"),
        (
            [vec![1, 0, 1, 0], range(0, 0x1000)].concat(),
            "it does not list all ranges of the parcel",
        ),
        (
            [vec![1, 0, 0, 0], range(!0xfff, 0x1000)].concat(),
            "a range is not made of whole pages, or wraps",
        ),
    ];
    for (data, what) in cases {
        setup.rm.react(MessageId::MEM_ACCEPT, Reaction::Reply(data));
        let error = ask(&mut setup, &client, client.accept_memory(&accept)).unwrap_err();
        let text = format!("RM's reply to MEM_ACCEPT (parcel 0) makes no sense: {what}");
        assert_eq!(error.to_string(), text);
        assert!(error.is_doubtful());
    }
    setup.rm.react(MessageId::MEM_ACCEPT, Reaction::Reply(vec![2, 0, 0, 0, 9]));
    let error = ask(&mut setup, &client, client.accept_memory(&accept)).unwrap_err();
    assert!(matches!(error, RequestError::ReplyTooShort { length: 9, needed: 40, .. }), "{error}");
    assert!(error.is_doubtful());
    setup.rm.react(MessageId::MEM_ACCEPT, Reaction::Silence);
    let error = ask(&mut setup, &client, client.accept_memory(&accept)).unwrap_err();
    assert!(error.is_doubtful(), "{error}");
    setup.rm.react(MessageId::MEM_ACCEPT, Reaction::Refuse(RmError::Nomem));
    let error = ask(&mut setup, &client, client.accept_memory(&accept)).unwrap_err();
    assert!(!error.is_doubtful(), "{error}");
}

#[test]
fn a_parcel_of_ones_own_is_found_by_what_is_in_it() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let mut parcel = FakeParcel::shared(7, &[0x1000, 0x3000]);
    parcel.owner = 0x80;
    let others = FakeParcel::shared(7, &[0x1000, 0x3000]);
    let (access, ranges) = (parcel.access.clone(), parcel.ranges.clone());
    setup.rm.parcels.add(others);
    let handle = setup.rm.parcels.add(parcel);
    let lookup = LookupMemory {
        kind: MemoryType::Normal,
        label: 7,
        access: &access,
        ranges: &ranges,
        attributes: &[],
    };
    ask(&mut setup, &client, async {
        assert_eq!(client.lookup_memory(&lookup).await, Ok(handle));
        let fewer = LookupMemory { ranges: &ranges[1..], ..lookup };
        let error = client.lookup_memory(&fewer).await.unwrap_err();
        assert_eq!(error.to_string(), "RM refused MEM_LOOKUP_SGL: LOOKUP_FAILED (14)");
    });
}
