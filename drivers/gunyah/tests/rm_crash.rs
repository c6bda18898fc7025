//! Last words: they get out without a lock, an allocation or an answer.

use core::fmt::Write as _;
use gunyah::fake::{Fault, RmSetup, Tasks};
use gunyah::hypercalls::Hypercalls;
use gunyah::rm::CrashChannel;
use gunyah::rm::crash::NotSaid;
use gunyah_abi::rm::{MessageId, exit_code};
use gunyah_abi::{Error, Hypercall};

#[test]
fn the_whole_story_reaches_rm() {
    let mut setup = RmSetup::new();
    let text = "x".repeat(4000);
    let mut waits = 0;
    let mut channel = CrashChannel::new(&setup.guest, setup.to_rm.tx, setup.from_rm.rx, || {
        waits += 1;
        setup.rm.step();
        true
    });
    channel.open().unwrap();
    write!(channel, "panic at {}:{}: {text}", module_path!(), 7).unwrap();
    channel.flush().unwrap();
    channel.set_crash_message(text.as_bytes()).unwrap();
    channel.exit(exit_code::SOFTWARE_ERROR, false).unwrap();
    setup.rm.step();
    assert_eq!(setup.rm.console(), format!("panic at rm_crash:7: {text}").as_bytes());
    assert_eq!(setup.rm.crash_message(), Some(&text.as_bytes()[..192]));
    assert_eq!(setup.rm.exit_code(), Some(1));
    assert!(waits > 0, "the queue holds 8 messages");
    let write = MessageId::CONSOLE_WRITE;
    let lengths = setup.rm.requests().iter().filter(|request| request.id == write);
    assert!(lengths.into_iter().all(|request| request.content.len() <= 232));
}

#[test]
fn short_text_waits_for_the_flush_and_goes_out_as_one_packet() {
    let mut setup = RmSetup::new();
    let mut channel = CrashChannel::new(&setup.guest, setup.to_rm.tx, setup.from_rm.rx, || false);
    channel.open().unwrap();
    writeln!(channel, "a{}", 1).unwrap();
    writeln!(channel, "b").unwrap();
    channel.flush().unwrap();
    channel.flush().unwrap();
    setup.rm.step();
    assert_eq!(setup.rm.console(), b"a1\nb\n");
    assert_eq!(setup.rm.requests().len(), 2);
}

#[test]
fn a_request_under_way_is_overtaken() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let mut tasks = Tasks::new();
    tasks.spawn(async {
        let _ = client.console_write(0, &[b'z'; 1500]).await;
    });
    tasks.run_one(0);
    let mut channel = CrashChannel::new(&setup.guest, setup.to_rm.tx, setup.from_rm.rx, || true);
    channel.open().unwrap();
    setup.rm.step();
    channel.print(b"last").unwrap();
    setup.rm.step();
    assert_eq!(setup.rm.console(), b"last");
}

#[test]
fn a_queue_that_stays_full_ends_at_the_deadline() {
    let setup = RmSetup::new();
    for _ in 0..8 {
        setup.guest.msgqueue_send(setup.to_rm.tx, b"junk", false).unwrap();
    }
    let mut left = 5;
    let mut channel = CrashChannel::new(&setup.guest, setup.to_rm.tx, setup.from_rm.rx, || {
        left -= 1;
        left > 0
    });
    assert_eq!(channel.print(b"unheard"), Err(NotSaid));
    assert_eq!(left, 0);
}

#[test]
fn a_refusing_or_broken_queue_does_not_hold_it_up() {
    let mut setup = RmSetup::new();
    let hypervisor = setup.guest.hypervisor().clone();
    let mut channel = CrashChannel::new(&setup.guest, setup.to_rm.tx, setup.from_rm.rx, || {
        panic!("no wait helps")
    });
    hypervisor.inject(Hypercall::MsgqueueSend, Fault::Error(Error::CspaceCapRevoked));
    assert_eq!(channel.open(), Err(NotSaid));
    hypervisor.inject(Hypercall::MsgqueueReceive, Fault::EmptySuccess);
    assert_eq!(channel.open(), Ok(()));
    setup.rm.step();
    assert_eq!(setup.rm.requests().len(), 1);
}

#[test]
fn replies_and_notifications_are_thrown_away() {
    let mut setup = RmSetup::new();
    for _ in 0..20 {
        setup.rm.type_text(b"noise");
    }
    setup.rm.send();
    let hypervisor = setup.guest.hypervisor().clone();
    assert_eq!(hypervisor.queued(&setup.guest, setup.from_rm.rx), 8);
    let mut channel = CrashChannel::new(&setup.guest, setup.to_rm.tx, setup.from_rm.rx, || false);
    channel.open().unwrap();
    assert_eq!(hypervisor.queued(&setup.guest, setup.from_rm.rx), 0);
}
