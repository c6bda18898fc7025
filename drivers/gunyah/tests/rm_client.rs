//! The client of the Resource Manager, against a fake one that may misbehave.

#[path = "support/asking.rs"]
mod asking;

use asking::{Client, ask, refusal};
use gunyah::fake::{Fault, Reaction, RmSetup, Tasks};
use gunyah::queue::QueueError;
use gunyah::rm::{Claim, Notification, NotificationHandler, RequestError};
use gunyah_abi::rm::{MessageId, OsState, RmError, VmState};
use gunyah_abi::{Error, Hypercall};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Default)]
struct Collector(Mutex<Vec<(MessageId, Vec<u8>)>>);

impl NotificationHandler for Collector {
    fn notify(&self, notification: &Notification<'_>) -> Claim {
        let mut collected = self.0.lock().unwrap();
        collected.push((notification.id, notification.content.to_vec()));
        Claim::Taken
    }
}

fn collect(client: &Client) -> Arc<Collector> {
    let collector = Arc::new(Collector::default());
    client.subscribe(collector.clone());
    collector
}

#[test]
fn typed_requests_get_their_answers() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    ask(&mut setup, &client, async {
        assert_eq!(client.vmid().await, Ok(0x80));
        assert_eq!(client.owner().await, Ok(3));
        assert_eq!(client.host_type().await, Ok(0x0100_0164));
        let state = client.state(0).await.unwrap();
        assert_eq!(
            (state.vm, state.os, state.application),
            (VmState::Running, OsState::Run, 0x1234)
        );
        let identity = client.identity(0).await.unwrap();
        assert_eq!(identity.name.as_deref(), Some("probe-svm"));
        assert_eq!(identity.guid, Some([0; 16]));
        assert_eq!(identity.signing_authority.as_deref(), Some("N/A"));
        assert_eq!(identity.uri, None);
        assert_eq!(refusal(client.set_status(OsState::Run, 1).await), Some(RmError::Denied));
        assert_eq!(client.set_crash_message(b"oops").await, Ok(()));
        assert_eq!(client.vm_exit(1, false).await, Ok(()));
    });
    assert_eq!(setup.rm.crash_message(), Some(&b"oops"[..]));
    assert_eq!(setup.rm.exit_code(), Some(1));
    let statistics = client.statistics();
    assert_eq!((statistics.requests, statistics.replies), (8, 8));
}

#[test]
fn refusals_say_what_was_asked() {
    let mut setup = RmSetup::new();
    setup.rm.has_console = false;
    let client = setup.client().unwrap();
    let error = ask(&mut setup, &client, client.console_open(0)).unwrap_err();
    assert_eq!(error.to_string(), "RM refused CONSOLE_OPEN (target 0): ARGUMENT_INVALID (6)");
    setup.rm.has_console = true;
    assert_eq!(refusal(ask(&mut setup, &client, client.console_open(0x80))), Some(RmError::Denied));
    setup.rm.react(MessageId::VM_GET_OWNER, Reaction::Refuse(RmError::Unknown(0x99)));
    let error = ask(&mut setup, &client, client.owner()).unwrap_err();
    assert_eq!(error.to_string(), "RM refused VM_GET_OWNER: unknown (153)");
    setup.rm.react(MessageId::VM_GET_OWNER, Reaction::Refuse(RmError::Unimplemented));
    assert_eq!(refusal(ask(&mut setup, &client, client.owner())), Some(RmError::Unimplemented));
}

#[test]
fn a_round_trip_takes_one_send_and_one_receive() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    ask(&mut setup, &client, client.vmid()).unwrap();
    let hypervisor = setup.guest.hypervisor().clone();
    let before = client.receiver().statistics();
    let sent = client.sender().statistics().messages;
    ask(&mut setup, &client, async {
        for _ in 0..100 {
            client.vmid().await.unwrap();
        }
    });
    let after = client.receiver().statistics();
    assert_eq!(after.messages - before.messages, 100);
    assert_eq!(after.waits, before.waits, "no call that finds the queue empty");
    assert_eq!(client.sender().statistics().messages - sent, 100);
    assert!(hypervisor.calls(Hypercall::MsgqueueSend) >= 202);
}

#[test]
fn fragments_go_both_ways() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let text: Vec<u8> = (0..14_612_u32).map(|index| (index % 253) as u8).collect();
    ask(&mut setup, &client, async {
        client.console_open(0).await.unwrap();
        client.console_write(0, &text).await.unwrap();
    });
    assert_eq!(setup.rm.console(), text);

    let name = vec![b'n'; 5000];
    let mut data = vec![1, 0, 0, 0, 2, 0];
    data.extend((name.len() as u16).to_le_bytes());
    data.extend(&name);
    setup.rm.react(MessageId::VM_GET_ID, Reaction::Reply(data));
    let identity = ask(&mut setup, &client, client.identity(0)).unwrap();
    assert_eq!(identity.name.map(String::into_bytes), Some(name));
}

#[test]
fn one_byte_too_many_is_never_sent() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let error = ask(&mut setup, &client, client.console_write(0, &[0; 14_613])).unwrap_err();
    assert!(matches!(error, RequestError::TooLong { length: 14_613, .. }));
    assert!(setup.rm.requests().is_empty());
}

#[test]
fn notifications_between_request_and_reply_are_delivered() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let collector = collect(&client);
    let long: Vec<u8> = (0..700_u32).map(|index| index as u8).collect();
    for content in [b"short".as_slice(), &long] {
        let reaction = Reaction::NotifyFirst(MessageId::VM_STATUS, content.to_vec());
        setup.rm.react(MessageId::VM_GET_VMID, reaction);
        assert_eq!(ask(&mut setup, &client, client.vmid()), Ok(0x80));
    }
    let collected = collector.0.lock().unwrap();
    assert_eq!(
        *collected,
        [(MessageId::VM_STATUS, b"short".to_vec()), (MessageId::VM_STATUS, long)]
    );
    assert_eq!(client.statistics().notifications, 2);
}

#[test]
fn notifications_nobody_wants_are_counted() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    setup.rm.notify(MessageId(0x5610_0777), b"?");
    assert_eq!(ask(&mut setup, &client, client.vmid()), Ok(0x80));
    assert_eq!(client.statistics().unclaimed_notifications, 1);
}

#[test]
fn silence_ends_in_a_timeout_and_the_next_request_works() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap().with_timeout(Duration::from_secs(2));
    setup.rm.react(MessageId::VM_GET_OWNER, Reaction::Silence);
    let error = ask(&mut setup, &client, client.owner()).unwrap_err();
    assert_eq!(error.to_string(), "RM did not answer VM_GET_OWNER within 2000 ms");
    assert_eq!(setup.timer.now(), Duration::from_secs(2));
    assert_eq!(ask(&mut setup, &client, client.owner()), Ok(3));
    assert_eq!(setup.timer.now(), Duration::from_secs(2), "no time passes for an answered request");
    assert_eq!(client.statistics().timeouts, 1);
}

#[test]
fn a_reply_to_somebody_else_is_dropped() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    for by in [1, u16::MAX] {
        setup.rm.react(MessageId::VM_GET_VMID, Reaction::WrongSequenceFirst(by));
        assert_eq!(ask(&mut setup, &client, client.vmid()), Ok(0x80));
    }
    setup.rm.react(MessageId::VM_GET_VMID, Reaction::WrongIdFirst(MessageId::VM_GET_OWNER));
    assert_eq!(ask(&mut setup, &client, client.vmid()), Ok(0x80));
    assert_eq!(client.statistics().mismatched_replies, 3);
}

#[test]
fn a_doubled_reply_is_dropped_the_second_time() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    setup.rm.react(MessageId::VM_GET_VMID, Reaction::Twice);
    assert_eq!(ask(&mut setup, &client, client.vmid()), Ok(0x80));
    assert_eq!(ask(&mut setup, &client, client.owner()), Ok(3));
    let statistics = client.statistics();
    assert_eq!(statistics.late_replies + statistics.mismatched_replies, 1);
}

#[test]
fn short_replies_are_errors_of_their_own() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    for (content, needed) in [(vec![], 4), (vec![0, 0, 0], 4), (vec![0; 4], 8), (vec![0; 7], 8)] {
        let length = content.len();
        setup.rm.react(MessageId::VM_GET_VMID, Reaction::RawContent(content));
        let error = ask(&mut setup, &client, client.vmid()).unwrap_err();
        let RequestError::ReplyTooShort { length: got, needed: want, .. } = error else {
            panic!("{error}");
        };
        assert_eq!((got, want), (length, needed));
    }
    let lying = vec![0, 0, 0, 0, 255, 255, 255, 255, 2, 0, 255, 255, 1];
    setup.rm.react(MessageId::VM_GET_ID, Reaction::RawContent(lying));
    let error = ask(&mut setup, &client, client.identity(0)).unwrap_err();
    assert!(matches!(error, RequestError::ReplyTooShort { .. }), "{error}");
}

#[test]
fn broken_packets_before_the_reply_do_no_harm() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let packets = vec![
        vec![0x21, 1],
        vec![0x22; 12],
        vec![0x21, 0, 1, 0, 1, 0, 0, 0],
        vec![0x21, 1, 1, 0, 1, 0, 0, 0],
    ];
    setup.rm.react(MessageId::VM_GET_VMID, Reaction::PacketsFirst(packets));
    assert_eq!(ask(&mut setup, &client, client.vmid()), Ok(0x80));
    let statistics = client.statistics();
    assert_eq!(
        (statistics.drops.short, statistics.drops.version, statistics.drops.orphan),
        (1, 1, 1)
    );
    assert_eq!(statistics.requests_received, 1);
}

#[test]
fn requests_of_several_tasks_take_turns() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let mut tasks = Tasks::new();
    tasks.spawn(async { panic!("queue failed: {}", client.run().await) });
    let asking: Vec<usize> = (0..5)
        .map(|_| {
            let client = &client;
            tasks.spawn(async move {
                for _ in 0..50 {
                    assert_eq!(client.vmid().await, Ok(0x80));
                    assert_eq!(client.owner().await, Ok(3));
                }
            })
        })
        .collect();
    setup.settle(&client, &mut tasks);
    assert!(asking.iter().all(|&task| tasks.is_done(task)));
    assert_eq!(client.statistics().replies, 500);
    let busiest = asking.iter().map(|&task| tasks.polls(task)).max().unwrap();
    assert!(busiest < 1000, "waiting tasks are not polled over and over: {busiest}");
}

#[test]
fn a_request_given_up_leaves_a_usable_client() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let mut tasks = Tasks::new();
    tasks.spawn(async { panic!("queue failed: {}", client.run().await) });
    let dropped = tasks.spawn(async {
        let _ = client.console_write(0, &[b'x'; 4000]).await;
        panic!("was dropped before its reply");
    });
    tasks.run_until_idle();
    assert!(client.is_busy());
    tasks.cancel(dropped);
    assert!(!client.is_busy());
    let asked = tasks.spawn(async { assert_eq!(client.vmid().await, Ok(0x80)) });
    setup.settle(&client, &mut tasks);
    assert!(tasks.is_done(asked));
}

#[test]
fn the_drain_task_gets_the_interrupts_back_when_a_request_ends() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let mut tasks = Tasks::new();
    let run = tasks.spawn(async { panic!("queue failed: {}", client.run().await) });
    let asked = tasks.spawn(async { assert_eq!(client.vmid().await, Ok(0x80)) });
    setup.settle(&client, &mut tasks);
    assert!(tasks.is_done(asked));
    assert_eq!(tasks.polls(run), 2, "to begin and to watch: the request took its reply itself");
    setup.rm.notify(MessageId::VM_STATUS, b"12345678");
    setup.settle(&client, &mut tasks);
    assert_eq!(client.statistics().unclaimed_notifications, 1);

    setup.rm.react(MessageId::VM_GET_VMID, Reaction::Silence);
    let given_up = tasks.spawn(async {
        let _ = client.vmid().await;
    });
    setup.settle(&client, &mut tasks);
    setup.rm.notify(MessageId::VM_STATUS, b"12345678");
    setup.rm.send();
    assert!(setup.interrupt(&client), "wakes the task that is given up now");
    tasks.cancel(given_up);
    setup.settle(&client, &mut tasks);
    assert_eq!(client.statistics().unclaimed_notifications, 2);
}

#[test]
fn a_reply_that_another_drainer_takes_reaches_its_request() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let mut tasks = Tasks::new();
    let asked = tasks.spawn(async { assert_eq!(client.vmid().await, Ok(0x80)) });
    tasks.run_until_idle();
    setup.rm.step();
    setup.interrupt(&client);
    assert_eq!(client.drain(), Ok(false));
    tasks.run_until_idle();
    assert!(tasks.is_done(asked));
    assert_eq!(client.statistics().replies, 1);
}

#[test]
fn a_failing_queue_fails_the_request_and_ends_the_drain() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let hypervisor = setup.guest.hypervisor().clone();
    hypervisor.inject(Hypercall::MsgqueueSend, Fault::Error(Error::Denied));
    let error = ask(&mut setup, &client, client.vmid()).unwrap_err();
    assert!(matches!(error, RequestError::Queue { error: QueueError::Refused { .. }, .. }));

    hypervisor.inject(Hypercall::MsgqueueReceive, Fault::EmptySuccess);
    let mut tasks = Tasks::new();
    client.receiver().on_interrupt();
    let run = tasks.spawn(async {
        assert!(matches!(client.run().await, QueueError::Broken { size: 0, .. }));
    });
    tasks.run_until_idle();
    assert!(tasks.is_done(run));
}

#[test]
fn a_flood_leaves_other_tasks_their_turn() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    for _ in 0..256 {
        setup.rm.notify(MessageId::VM_STATUS, b"12345678");
    }
    assert_eq!(ask(&mut setup, &client, client.vmid()), Ok(0x80));
    assert_eq!(client.statistics().unclaimed_notifications, 256);
}

#[test]
fn blocking_calls_drive_the_queue_themselves() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let mut idles = 0;
    let vmid = client.block_on(client.vmid(), || {
        idles += 1;
        setup.rm.step();
    });
    assert_eq!(vmid, Ok(Ok(0x80)));
    assert_eq!(idles, 1);

    let mut tasks = Tasks::new();
    tasks.spawn(async {
        let _ = client.owner().await;
    });
    tasks.run_until_idle();
    let busy = client.block_on(client.vmid(), || panic!("would wait for ever"));
    assert_eq!(busy, Err(RequestError::Busy));
}
