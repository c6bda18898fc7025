//! Notifications as events: in order, to each subscriber, misses counted.

#[path = "support/asking.rs"]
mod asking;

use asking::{Client, ask, refusal};
use gunyah::fake::{RmSetup, Tasks};
use gunyah::rm::{
    Claim, Event, Events, MemHandle, Notification, NotificationHandler, Received, RmConsole,
    VmStatus,
};
use gunyah_abi::rm::memory::{MemoryAttribute, MemoryRights, MemoryType, Transaction};
use gunyah_abi::rm::{ExitType, MessageId, OsState, VmState};
use proptest::prelude::*;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// `MEM_SHARED` of parcel 0: two ranges, shared by VM 3 with itself and 0x80.
const SHARED: &[u8] = &[
    0, 0, 0, 0, 0, 2, 1, 0, 3, 0, 0, 0, 7, 0, 0, 0, 9, 0, 0, 0, // fixed part
    2, 0, 0, 0, 3, 0, 6, 0, 0x80, 0, 4, 0, // access list
    2, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0, // sizes
    1, 0, 0, 0, 3, 0, 0x80, 0, // attributes
];

fn status(vmid: u8, vm: u8, os: u8, application: u8) -> [u8; 8] {
    [vmid, 0, 0, 0, vm, os, application, 0]
}

fn subscribed<const N: usize>(client: &Client, events: Events<N>) -> Arc<Events<N>> {
    let events = Arc::new(events);
    client.subscribe(events.clone());
    events
}

fn notify(setup: &mut RmSetup, client: &Client, notifications: &[(MessageId, &[u8])]) {
    for (id, content) in notifications {
        setup.rm.notify(*id, content);
    }
    assert_eq!(refusal(ask(setup, client, client.vmid())), None);
}

fn all<const N: usize>(events: &Events<N>) -> Vec<Received> {
    std::iter::from_fn(|| events.try_next()).collect()
}

#[test]
fn each_notification_becomes_its_event() {
    let cases: [(MessageId, &[u8], Event); 11] = [
        (MessageId::VM_SHUTDOWN, &[7, 0, 0, 0], Event::Shutdown { reason: 7 }),
        (
            MessageId::VM_STATUS,
            &[0x81, 0, 0, 0, 9, 5, 0x34, 0x12],
            Event::VmStatus {
                vmid: 0x81,
                status: VmStatus {
                    vm: VmState::Exited,
                    os: OsState::Shutdown,
                    application: 0x1234,
                },
            },
        ),
        (
            MessageId::VM_EXITED,
            &[0x80, 0, 1, 0, 4, 0, 0, 0, 0, 0, 1, 0],
            Event::VmExited {
                vmid: 0x80,
                exit: ExitType::PlatformOff,
                flags: 0,
                code: 1,
                reset: None,
            },
        ),
        (
            MessageId::VM_EXITED,
            &[0x80, 0, 3, 0, 16, 0, 0, 0, 0, 0x80, 0, 0, 1, 0, 0, 0x80, 2, 0, 0, 0, 3, 0, 0, 0],
            Event::VmExited {
                vmid: 0x80,
                exit: ExitType::PsciSystemReset2,
                flags: 0x8000,
                code: 0,
                reset: Some((0x8000_0001, 0x3_0000_0002)),
            },
        ),
        (
            MessageId::MEM_RELEASED,
            &[1, 0, 0, 0, 0x81, 0, 0, 0, 9, 0, 0, 0],
            Event::MemReleased { handle: MemHandle(1), vmid: 0x81, tag: 9 },
        ),
        (
            MessageId::MEM_ACCEPTED,
            &[0, 0, 0, 0, 0x81, 0, 0, 0, 9, 0, 0, 0],
            Event::MemAccepted { handle: MemHandle(0), vmid: 0x81, tag: 9 },
        ),
        (
            MessageId::MEM_RECALL,
            &[0, 0, 0, 0, 5, 0, 0, 0],
            Event::MemRecall { handle: MemHandle(0), tag: 5 },
        ),
        (
            MessageId::VM_IRQ_LENT,
            &[3, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0],
            Event::IrqLent { owner: 3, handle: 0, label: 8 },
        ),
        (MessageId::VM_IRQ_RELEASED, &[4, 0, 0, 0], Event::IrqReleased { handle: 4 }),
        (MessageId::VM_IRQ_ACCEPTED, &[0, 0, 0, 0], Event::IrqAccepted { handle: 0 }),
        // What a newer RM may add is left out.
        (MessageId::VM_IRQ_ACCEPTED, &[1, 0, 0, 0, 9, 9], Event::IrqAccepted { handle: 1 }),
    ];
    for (id, content, event) in cases {
        assert_eq!(Event::parse(id, content), Ok(event), "{id}");
    }
}

#[test]
fn a_shared_parcel_is_read_to_its_last_entry() {
    let Ok(Event::MemShared(memory)) = Event::parse(MessageId::MEM_SHARED, SHARED) else {
        panic!("it is well formed")
    };
    assert_eq!((memory.handle, memory.owner), (MemHandle(0), 3));
    assert_eq!((memory.kind, memory.transaction), (MemoryType::Normal, Transaction::Share));
    assert_eq!((memory.flags.bits(), memory.label, memory.tag), (1, 7, 9));
    assert_eq!(memory.rights_of(3), MemoryRights::READ | MemoryRights::WRITE);
    assert_eq!(memory.rights_of(0x80), MemoryRights::READ);
    assert_eq!(memory.rights_of(0x81), MemoryRights::empty());
    assert_eq!(memory.sizes, [0x1000, 0x2000]);
    assert_eq!(memory.total_size(), Some(0x3000));
    let [attribute] = memory.attributes[..] else { panic!("one attribute") };
    assert_eq!(attribute.attribute(), MemoryAttribute::Cached);
    assert_eq!(attribute.vmid.get(), 0x80);
}

#[test]
fn sizes_beyond_the_address_space_have_no_sum() {
    let mut content = SHARED.to_vec();
    content[36..52].fill(0xff);
    let Ok(Event::MemShared(memory)) = Event::parse(MessageId::MEM_SHARED, &content) else {
        panic!("it is well formed")
    };
    assert_eq!(memory.total_size(), None);
}

#[test]
fn whatever_is_cut_short_is_malformed_and_counted() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let events = subscribed(&client, Events::<4>::new());
    let other = subscribed(&client, Events::<4>::new());
    let mut sent = 0;
    for id in Event::ALL {
        for content in [&[][..], &[0; 3]] {
            notify(&mut setup, &client, &[(*id, content)]);
            sent += 1;
        }
    }
    // A list's end, but not the end of a list: without attributes it is what RM before 12/2023 sends.
    let lists_end = SHARED.len() - 8;
    for length in (0..SHARED.len()).filter(|length| *length != lists_end) {
        notify(&mut setup, &client, &[(MessageId::MEM_SHARED, &SHARED[..length])]);
        sent += 1;
    }
    let reason_too_long = [0x80, 0, 3, 0, 5, 0, 0, 0, 0, 0, 0, 0];
    let reason_too_short = [0x80, 0, 3, 0, 3, 0, 0, 0, 0, 0, 0, 0];
    for content in [reason_too_long, reason_too_short] {
        notify(&mut setup, &client, &[(MessageId::VM_EXITED, &content)]);
        sent += 1;
    }
    let mut many = SHARED[..20].to_vec();
    many.extend([1, 2, 0, 0]);
    many.resize(24 + 513 * 4 + 8, 0);
    notify(&mut setup, &client, &[(MessageId::MEM_SHARED, &many)]);
    let statistics = client.statistics();
    assert_eq!(statistics.malformed_notifications, sent + 1, "once for both subscribers");
    assert_eq!((statistics.notifications, statistics.unclaimed_notifications), (0, 0));
    assert_eq!((all(&events), all(&other)), (vec![], vec![]));
}

#[test]
fn every_subscriber_gets_what_it_is_interested_in() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let mut console = RmConsole::new(&client);
    let everything = subscribed(&client, Events::<8>::new());
    let shutdown = subscribed(&client, Events::<8>::only(&[MessageId::VM_SHUTDOWN]));
    ask(&mut setup, &client, console.open()).unwrap();
    setup.rm.type_text(b"x");
    let told: &[(MessageId, &[u8])] =
        &[(MessageId::VM_SHUTDOWN, &[1, 0, 0, 0]), (MessageId::MEM_RECALL, &[0; 8])];
    notify(&mut setup, &client, told);
    let event = || Received::Event(Event::Shutdown { reason: 1 });
    assert_eq!(all(&shutdown), [event()]);
    let recall = Event::MemRecall { handle: MemHandle(0), tag: 0 };
    assert_eq!(all(&everything), [event(), Received::Event(recall)]);
    assert_eq!(console.input().received(), 1);

    client.unsubscribe(&everything);
    notify(&mut setup, &client, told);
    assert_eq!(all(&everything), []);
    assert_eq!(all(&shutdown).len(), 1);
    let statistics = client.statistics();
    assert_eq!((statistics.notifications, statistics.unclaimed_notifications), (4, 1));
    assert_eq!(Arc::strong_count(&everything), 1);
}

#[derive(Default)]
struct Asked(AtomicU64);

impl NotificationHandler for Asked {
    fn notify(&self, _: &Notification<'_>) -> Claim {
        self.0.fetch_add(1, Relaxed);
        Claim::No
    }
}

#[test]
fn nobody_else_is_asked_about_what_is_typed() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let mut console = RmConsole::new(&client);
    let other = Arc::new(Asked::default());
    client.subscribe(other.clone());
    ask(&mut setup, &client, console.open()).unwrap();
    for _ in 0..5 {
        setup.rm.type_text(b"x");
    }
    setup.rm.shut_down(0);
    ask(&mut setup, &client, client.vmid()).unwrap();
    assert_eq!(console.input().received(), 5);
    assert_eq!(other.0.load(Relaxed), 1, "only about the shutdown");
}

#[test]
fn what_is_missed_is_counted_where_it_was_missed() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let events = subscribed(&client, Events::<2>::new());
    for reason in 0..5 {
        notify(&mut setup, &client, &[(MessageId::VM_SHUTDOWN, &[reason, 0, 0, 0])]);
    }
    let shutdown = |reason| Received::Event(Event::Shutdown { reason });
    assert_eq!(all(&events), [Received::Missed(3), shutdown(3), shutdown(4)]);
    notify(&mut setup, &client, &[(MessageId::VM_SHUTDOWN, &[5, 0, 0, 0])]);
    assert_eq!(all(&events), [shutdown(5)]);
    assert_eq!(events.lost(), 3);
}

#[test]
fn a_peer_that_announces_itself_pushes_nothing_out() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let events = subscribed(&client, Events::<4>::new());
    notify(&mut setup, &client, &[(MessageId::MEM_RECALL, &[0; 8])]);
    for application in 0..200 {
        let flood = status(0x81, 3, 4, application);
        notify(&mut setup, &client, &[(MessageId::VM_STATUS, &flood)]);
    }
    notify(
        &mut setup,
        &client,
        &[
            (MessageId::VM_STATUS, &status(0x81, 9, 4, 0)),
            (MessageId::VM_STATUS, &status(0x81, 3, 1, 0)),
        ],
    );
    let seen: Vec<_> = all(&events)
        .into_iter()
        .map(|received| match received {
            Received::Event(Event::VmStatus { status, .. }) => {
                Some((status.vm, status.application))
            }
            Received::Event(Event::MemRecall { .. }) => None,
            other => panic!("{other:?}"),
        })
        .collect();
    let (running, exited) = (VmState::Running, VmState::Exited);
    assert_eq!(seen, [None, Some((running, 199)), Some((exited, 0)), Some((running, 0))]);
    assert_eq!(events.lost(), 0);
}

#[test]
fn a_waiting_subscriber_is_woken_once_for_each() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let events = subscribed(&client, Events::<4>::new());
    let seen = Cell::new(0);
    let mut tasks = Tasks::new();
    tasks.spawn(async { panic!("queue failed: {}", client.run().await) });
    let watcher = tasks.spawn(async {
        loop {
            let Received::Event(Event::Shutdown { reason }) = events.next().await else {
                panic!("only shutdowns come")
            };
            seen.set(reason);
        }
    });
    setup.settle(&client, &mut tasks);
    let polls = tasks.polls(watcher);
    for reason in 1..=10 {
        setup.rm.notify(MessageId::VM_SHUTDOWN, &[reason, 0, 0, 0]);
        setup.settle(&client, &mut tasks);
        assert_eq!(seen.get(), u32::from(reason));
    }
    assert_eq!(tasks.polls(watcher) - polls, 10);
}

proptest! {
    #[test]
    fn no_bytes_make_more_of_an_event_than_there_are(
        id in prop::sample::select(Event::ALL),
        content in prop::collection::vec(any::<u8>(), 0..200),
        byte in 0..SHARED.len(),
        to: u8,
    ) {
        let _ = Event::parse(id, &content);
        let mut shared = SHARED.to_vec();
        shared[byte] = to;
        if let Ok(Event::MemShared(memory)) = Event::parse(MessageId::MEM_SHARED, &shared) {
            let lists = memory.access.len() * 4 + memory.sizes.len() * 8 + memory.attributes.len() * 4;
            prop_assert!(28 + lists <= shared.len());
        }
    }
}
