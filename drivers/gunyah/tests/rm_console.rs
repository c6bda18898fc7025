//! The console over its traits: whole, in order, bounded.

use embedded_io::{ErrorKind, Read as _, Write as _};
use embedded_io_async::{BufRead, Read, Write};
use gunyah::fake::{FakeTimer, FakeVm, Reaction, RmSetup, Tasks};
use gunyah::rm::console::{INPUT_CAPACITY, WRITE_SIZE};
use gunyah::rm::{ResourceManager, RmConsole};
use gunyah_abi::rm::{MessageId, RmError};
use std::cell::RefCell;
use std::time::Duration;

type Client = ResourceManager<FakeVm, FakeTimer>;

/// Runs `work` to its end beside the client's drain, moving the clock when nothing else happens.
fn run<R>(setup: &mut RmSetup, client: &Client, work: impl Future<Output = R>) -> R {
    let result = RefCell::new(None);
    let mut tasks = Tasks::new();
    tasks.spawn(async { panic!("queue failed: {}", client.run().await) });
    let task = tasks.spawn(async { *result.borrow_mut() = Some(work.await) });
    setup.settle(client, &mut tasks);
    while !tasks.is_done(task) {
        assert!(setup.timer.advance_to_next(), "stuck without a timeout");
        setup.settle(client, &mut tasks);
    }
    drop(tasks);
    result.into_inner().unwrap()
}

/// Lets the client drain what the owner has typed.
fn drain(setup: &mut RmSetup, client: &Client) {
    loop {
        setup.rm.send();
        if !setup.interrupt(client) {
            return;
        }
        while client.drain().unwrap() {}
    }
}

fn numbered_lines(bytes: usize) -> Vec<u8> {
    let mut text = Vec::new();
    for line in 0.. {
        text.extend(format!("line {line:06}\n").bytes());
        if text.len() >= bytes {
            text.truncate(bytes);
            break;
        }
    }
    text
}

#[test]
fn sixty_four_kib_arrive_whole_and_in_order() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let mut console = RmConsole::new(&client);
    let text = numbered_lines(64 * 1024);
    run(&mut setup, &client, async {
        console.open().await.unwrap();
        console.write_all(&text).await.unwrap();
        console.flush().await.unwrap();
        console.close().await.unwrap();
    });
    assert!(setup.rm.console() == text);
    let writes = setup.rm.requests().len() - 2;
    assert_eq!(writes, text.len().div_ceil(WRITE_SIZE));
    let sends = client.sender().statistics().messages - 2;
    assert!(text.len() as u64 / sends >= 200, "{sends} sends");
    // What the FIFO of a Linux owner holds.
    const { assert!(WRITE_SIZE <= 1024) };
}

#[test]
fn a_write_is_never_nothing_and_nothing_is_no_request() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let mut console = RmConsole::new(&client);
    run(&mut setup, &client, async {
        console.open().await.unwrap();
        assert_eq!(console.write(b"").await, Ok(0));
        assert_eq!(console.write(b"x").await, Ok(1));
        assert_eq!(console.write(&[b'y'; 5000]).await, Ok(WRITE_SIZE));
    });
    assert_eq!(setup.rm.requests().len(), 3);
}

#[test]
fn without_memory_in_rm_the_writer_waits_and_goes_on() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let mut console = RmConsole::new(&client);
    for _ in 0..7 {
        setup.rm.react(MessageId::CONSOLE_WRITE, Reaction::Refuse(RmError::Nomem));
    }
    let text = numbered_lines(10_000);
    run(&mut setup, &client, async {
        console.open().await.unwrap();
        console.write_all(&text).await.unwrap();
    });
    assert!(setup.rm.console() == text);
    assert_eq!(client.statistics().nomem_waits, 7);
    assert!(setup.timer.now() > Duration::from_millis(5 * 7));
}

#[test]
fn memory_that_never_comes_back_is_an_error_in_the_end() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let mut console = RmConsole::new(&client);
    for _ in 0..100 {
        setup.rm.react(MessageId::CONSOLE_WRITE, Reaction::Refuse(RmError::Nomem));
    }
    let error = run(&mut setup, &client, async {
        console.open().await.unwrap();
        console.write_all(b"lost").await.unwrap_err()
    });
    assert_eq!(error.refusal(), Some(RmError::Nomem));
    assert_eq!(embedded_io::Error::kind(&error), ErrorKind::OutOfMemory);
}

#[test]
fn writing_before_opening_is_refused() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let mut console = RmConsole::new(&client);
    let error = run(&mut setup, &client, console.write_all(b"early")).unwrap_err();
    assert_eq!(error.to_string(), "RM refused CONSOLE_WRITE (target 0): DENIED (3)");
}

#[test]
fn input_is_read_in_order() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let mut console = RmConsole::new(&client);
    setup.rm.type_text(b"help\r");
    setup.rm.type_text(b"");
    setup.rm.type_text(b"vm\r");
    drain(&mut setup, &client);
    run(&mut setup, &client, async {
        let mut buffer = [0; 3];
        assert_eq!(console.read(&mut buffer).await, Ok(3));
        assert_eq!(&buffer, b"hel");
        assert_eq!(console.fill_buf().await, Ok(&b"p\rvm\r"[..]));
        console.consume(2);
        assert_eq!(console.read(&mut buffer).await, Ok(3));
        assert_eq!(&buffer, b"vm\r");
        assert_eq!(console.read(&mut []).await, Ok(0));
    });
    assert_eq!((console.input().received(), console.input().dropped()), (8, 0));
}

#[test]
fn a_reader_waits_for_input() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let (mut reader, _writer) = RmConsole::new(&client).split();
    let mut tasks = Tasks::new();
    tasks.spawn(async { panic!("queue failed: {}", client.run().await) });
    let reading = tasks.spawn(async {
        let mut buffer = [0; 16];
        assert_eq!(reader.read(&mut buffer).await, Ok(2));
        assert_eq!(&buffer[..2], b"ok");
    });
    setup.settle(&client, &mut tasks);
    assert!(!tasks.is_done(reading));
    setup.rm.type_text(b"ok");
    setup.settle(&client, &mut tasks);
    assert!(tasks.is_done(reading));
}

#[test]
fn a_flood_of_input_is_bounded_and_counted() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let mut console = RmConsole::new(&client);
    let typed = numbered_lines(5000);
    for part in typed.chunks(228) {
        setup.rm.type_text(part);
    }
    drain(&mut setup, &client);
    assert_eq!(console.input().received(), 5000);
    assert_eq!(console.input().dropped(), 5000 - INPUT_CAPACITY as u64);
    let mut kept = vec![0; INPUT_CAPACITY];
    run(&mut setup, &client, console.read_exact(&mut kept)).unwrap();
    assert!(kept == typed[..INPUT_CAPACITY], "the first that came");
}

#[test]
fn malformed_and_foreign_characters_are_not_input() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let console = RmConsole::new(&client);
    setup.rm.notify(MessageId::CONSOLE_CHARS, &[0, 0, 9, 0, b'x']);
    setup.rm.notify(MessageId::CONSOLE_CHARS, &[0]);
    setup.rm.notify(MessageId::CONSOLE_CHARS, &[0x81, 0, 1, 0, b'y']);
    drain(&mut setup, &client);
    assert_eq!((console.input().received(), console.input().malformed()), (0, 2));
    assert_eq!(client.statistics().unclaimed_notifications, 1);
}

#[test]
fn outside_tasks_the_console_drives_the_queue_itself() {
    let mut setup = RmSetup::new();
    let client = setup.client().unwrap();
    let mut console = RmConsole::new(&client);
    let text = numbered_lines(9000);
    let rm = RefCell::new(&mut setup.rm);
    let mut blocking = console.blocking(|| rm.borrow_mut().step());
    blocking.open().unwrap();
    blocking.write_all(&text).unwrap();
    blocking.flush().unwrap();
    rm.borrow_mut().type_text(b"y");
    let mut answer = [0; 4];
    assert_eq!(blocking.read(&mut answer), Ok(1));
    assert_eq!(answer[0], b'y');
    blocking.close().unwrap();
    assert!(setup.rm.console() == text);
}
