//! The client when interrupts are lost, calls are refused and RM keeps silent.

#[path = "support/asking.rs"]
mod asking;

use asking::{ask, refusal};
use embedded_io_async::{Read, Write};
use gunyah::fake::{Fault, Reaction, RmSetup, Tasks};
use gunyah::queue::QueueError;
use gunyah::rm::{RequestError, RmConsole};
use gunyah_abi::rm::{MessageId, RmError};
use gunyah_abi::{Error, Hypercall};
use std::time::Duration;

#[test]
fn a_reply_whose_interrupt_is_lost_is_found_by_looking() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let mut tasks = Tasks::new();
    tasks.spawn(async { panic!("{}", client.run().await) });
    let asked = tasks.spawn(async { assert_eq!(client.vmid().await, Ok(0x80)) });
    tasks.run_until_idle();
    setup.rm.step();
    assert!(setup.guest.hypervisor().take_virq(setup.from_rm.rx_virq));
    tasks.run_until_idle();
    assert!(!tasks.is_done(asked));
    setup.timer.advance(Duration::from_secs(1));
    tasks.run_until_idle();
    assert!(tasks.is_done(asked));
    let statistics = client.statistics();
    assert_eq!((statistics.lost_interrupts, statistics.timeouts), (1, 0));
}

#[test]
fn one_timer_watches_over_requests_that_follow_each_other() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let mut tasks = Tasks::new();
    let run = tasks.spawn(async { panic!("{}", client.run().await) });
    let answered = tasks.spawn(async { assert_eq!(client.vmid().await, Ok(0x80)) });
    setup.settle(&client, &mut tasks);
    assert!(tasks.is_done(answered));
    setup.timer.advance(Duration::from_millis(500));
    setup.rm.react(MessageId::VM_GET_OWNER, Reaction::Silence);
    let silent = tasks.spawn(async {
        assert!(matches!(client.owner().await, Err(RequestError::Timeout { .. })));
    });
    let polls = tasks.polls(run);
    setup.settle(&client, &mut tasks);
    assert_eq!(tasks.polls(run), polls, "the timer runs already");
    while !tasks.is_done(silent) {
        assert!(setup.timer.now() < Duration::from_secs(6));
        assert!(setup.timer.advance_to_next());
        setup.settle(&client, &mut tasks);
    }
    assert!(setup.timer.now() >= Duration::from_millis(5500));
    assert_eq!(client.statistics().timeouts, 1);

    assert!(setup.timer.advance_to_next());
    setup.settle(&client, &mut tasks);
    assert!(!setup.timer.advance_to_next(), "no request, no timer");
    let again = tasks.spawn(async { assert_eq!(client.vmid().await, Ok(0x80)) });
    setup.settle(&client, &mut tasks);
    assert!(tasks.is_done(again));
    assert!(setup.timer.advance_to_next());
}

#[test]
fn a_blocking_call_without_an_answer_ends() {
    let setup = RmSetup::new();
    let client = setup.client().unwrap();
    let owner = client.block_on(client.owner(), || setup.timer.advance(Duration::from_millis(100)));
    assert!(matches!(owner, Ok(Err(RequestError::Timeout { .. }))));
    assert!(setup.timer.now() >= Duration::from_secs(5));
    assert!(setup.timer.now() < Duration::from_secs(6));
}

#[test]
fn room_whose_interrupt_is_lost_is_found_by_looking() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let text = vec![b'x'; 2500];
    let mut tasks = Tasks::new();
    tasks.spawn(async { panic!("{}", client.run().await) });
    let asked = tasks.spawn(async {
        client.console_open(0).await.unwrap();
        assert_eq!(client.print(&text).await, Ok(()));
    });
    tasks.run_until_idle();
    setup.rm.step();
    setup.interrupt(&client);
    tasks.run_until_idle();
    // The queue is full; RM makes room, which the guest does not hear of.
    setup.rm.step();
    assert!(setup.guest.hypervisor().take_virq(setup.to_rm.tx_virq));
    tasks.run_until_idle();
    // At the first tick the request is new: the watch began with the one before.
    setup.timer.advance(Duration::from_secs(1));
    tasks.run_until_idle();
    setup.timer.advance(Duration::from_secs(1));
    setup.settle(&client, &mut tasks);
    assert!(tasks.is_done(asked));
    assert_eq!(client.statistics().lost_interrupts, 1);
    assert_eq!(setup.rm.console(), text);
}

#[test]
fn calls_that_are_put_off_are_made_again() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let hypervisor = setup.guest.hypervisor().clone();
    for error in [Error::Busy, Error::Retry, Error::Busy] {
        hypervisor.inject(Hypercall::MsgqueueSend, Fault::Error(error));
    }
    assert_eq!(ask(&mut setup, &client, async { client.vmid().await }), Ok(0x80));
    for _ in 0..4 {
        hypervisor.inject(Hypercall::MsgqueueSend, Fault::Error(Error::Busy));
    }
    let result = ask(&mut setup, &client, async { client.vmid().await });
    let Err(RequestError::Queue { error: QueueError::Refused { error, .. }, .. }) = result else {
        panic!("{result:?}")
    };
    assert_eq!(error, Error::Busy);
}

#[test]
fn the_console_waits_while_its_queue_is_refused() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let mut console = RmConsole::new(&client);
    ask(&mut setup, &client, async { console.open().await.unwrap() });
    let hypervisor = setup.guest.hypervisor().clone();
    for _ in 0..3 {
        hypervisor.inject(Hypercall::MsgqueueSend, Fault::Error(Error::Denied));
    }
    ask(&mut setup, &client, async { console.write_all(b"whole").await.unwrap() });
    assert_eq!(setup.rm.console(), b"whole");
    assert_eq!(client.statistics().nomem_waits, 3);
}

#[test]
fn output_that_rm_does_not_answer_is_told_as_lost() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let mut console = RmConsole::new(&client);
    setup.rm.react(MessageId::CONSOLE_WRITE, Reaction::Silence);
    setup.rm.react(MessageId::CONSOLE_WRITE, Reaction::Silence);
    ask(&mut setup, &client, async {
        console.open().await.unwrap();
        console.write_all(b"gone").await.unwrap();
        // The next write begins with what is lost, and that is not answered either.
        console.write_all(b"here").await.unwrap();
        console.write_all(b", all well").await.unwrap();
    });
    let told = "here\r\n[4 bytes of output may be lost: RM did not answer]\r\n, all well";
    assert_eq!(String::from_utf8_lossy(setup.rm.console()), told);
    assert_eq!(client.statistics().unanswered_output, 4);
}

#[test]
fn a_console_that_never_answers_is_given_up() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let mut console = RmConsole::new(&client);
    for _ in 0..20 {
        setup.rm.react(MessageId::CONSOLE_WRITE, Reaction::Silence);
    }
    let result = ask(&mut setup, &client, async {
        console.open().await.unwrap();
        for _ in 0..20 {
            console.write_all(b"?").await?;
        }
        Ok(())
    });
    assert!(matches!(result, Err(RequestError::Timeout { .. })), "{result:?}");
}

#[test]
fn input_comes_through_though_receiving_was_refused() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let mut console = RmConsole::new(&client);
    let hypervisor = setup.guest.hypervisor().clone();
    ask(&mut setup, &client, async { console.open().await.unwrap() });
    for _ in 0..5 {
        hypervisor.inject(Hypercall::MsgqueueReceive, Fault::Error(Error::Denied));
    }
    setup.rm.type_text(b"ls\r");
    let mut typed = [0; 8];
    let count = ask(&mut setup, &client, async { console.read(&mut typed).await });
    assert_eq!(&typed[..count.unwrap()], b"ls\r");
    // The fake RM receives by the same call, so it got some of the refusals.
    assert!((1..=5).contains(&client.receiver().statistics().errors));
}

#[test]
fn a_queue_that_is_refused_for_good_ends_the_client_with_the_error() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let hypervisor = setup.guest.hypervisor().clone();
    let mut tasks = Tasks::new();
    let run = tasks.spawn(async {
        let error = client.run().await.to_string();
        assert!(error.contains("DENIED"), "{error}");
    });
    tasks.run_until_idle();
    for _ in 0..100 {
        hypervisor.inject(Hypercall::MsgqueueReceive, Fault::Error(Error::Denied));
    }
    setup.rm.type_text(b"x");
    setup.settle(&client, &mut tasks);
    while setup.timer.advance_to_next() {
        setup.settle(&client, &mut tasks);
    }
    assert!(tasks.is_done(run));
}

#[test]
fn a_malformed_notification_is_counted() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let console = RmConsole::new(&client);
    setup.rm.notify(MessageId::CONSOLE_CHARS, &[0, 0, 9, 0, b'x']);
    setup.rm.notify(MessageId(0x5610_00ff), b"?");
    ask(&mut setup, &client, async { client.vmid().await.unwrap() });
    ask(&mut setup, &client, async { client.vmid().await.unwrap() });
    let statistics = client.statistics();
    let counts = (statistics.malformed_notifications, statistics.unclaimed_notifications);
    assert_eq!(counts, (1, 1));
    assert_eq!(console.input().malformed(), 1);
}

#[test]
fn busy_is_waited_for_like_nomem() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let mut console = RmConsole::new(&client);
    setup.rm.react(MessageId::CONSOLE_WRITE, Reaction::Refuse(RmError::Busy));
    ask(&mut setup, &client, async {
        console.open().await.unwrap();
        console.write_all(b"x").await.unwrap();
    });
    assert_eq!(setup.rm.console(), b"x");
    setup.rm.react(MessageId::CONSOLE_WRITE, Reaction::Refuse(RmError::Denied));
    let result = ask(&mut setup, &client, async { console.write_all(b"y").await });
    assert_eq!(refusal(result), Some(RmError::Denied));
}
