//! The ring against a plain history of all bytes, and the logger's lines.

use super::{contents::Contents, *};
use crate::task::{Cpu, Executor, RunQueue};
use core::time::Duration;
use log::{Level, Log, Record};
use proptest::prelude::*;
use std::{cell::RefCell, fmt, rc::Rc};

fn leaked<const N: usize>() -> &'static LogRing<N> {
    Box::leak(Box::default())
}

fn read_all<const N: usize>(ring: &LogRing<N>, reader: &mut Reader) -> (String, u64) {
    let (mut text, mut lost) = (Vec::new(), 0);
    let mut buffer = [0; 7];
    loop {
        let read = ring.read(reader, &mut buffer);
        text.extend_from_slice(&buffer[..read.bytes]);
        lost += read.lost;
        if read.bytes == 0 {
            return (String::from_utf8(text).unwrap(), lost);
        }
    }
}

#[test]
fn a_slow_reader_goes_on_at_a_line_and_learns_what_it_lost() {
    let ring = LogRing::<16>::new();
    let mut reader = Reader::new();
    ring.append(b"first\n");
    assert_eq!(read_all(&ring, &mut reader), ("first\n".into(), 0));
    ring.append(b"second\n");
    ring.append(b"third\n");
    ring.append(b"fourth\n");
    assert_eq!(ring.unread(reader), 16);
    // "second" is overwritten but for its last three bytes, which are no line.
    assert_eq!(read_all(&ring, &mut reader), ("third\nfourth\n".into(), 7));
    assert_eq!(reader.position(), ring.written());
    assert_eq!(ring.unread(reader), 0);
}

#[test]
fn a_tail_starts_with_a_line() {
    let ring = LogRing::<64>::new();
    ring.append(b"one\ntwo\nthree\n");
    for (bytes, expected) in [
        (0, ""),
        (5, ""),
        (6, "three\n"),
        (9, "three\n"),
        (10, "two\nthree\n"),
        (1000, "one\ntwo\nthree\n"),
    ] {
        let mut reader = ring.tail(bytes);
        assert_eq!(read_all(&ring, &mut reader), (expected.into(), 0), "{bytes} bytes");
    }
}

#[test]
fn a_debugger_finds_magic_size_count_and_bytes() {
    let mut contents = Contents::<16>::new();
    let words = |contents: &Contents<16>| (contents.magic, contents.size, contents.written);
    assert_eq!(words(&contents), ([0; 8], 0, 0), "not all zero, so part of the image");
    contents.append(b"0123456789abcdefXY\n");
    assert_eq!(words(&contents), (*b"BILLYLOG", 16, 19));
    assert_eq!(contents.bytes, *b"XY\n3456789abcdef");
    contents.append(b"a line longer than the ring\n");
    assert_eq!(contents.written, 47);
    let mut last = *b"er than the ring\n".last_chunk::<16>().unwrap();
    last.rotate_right(47 % 16);
    assert_eq!(contents.bytes, last);
}

proptest! {
    #[test]
    fn readers_see_a_suffix_of_all_lines(
        steps in prop::collection::vec((0u8..4, prop::collection::vec(b'a'..=b'z', 0..40)), 0..60)
    ) {
        let ring = LogRing::<64>::new();
        let mut history = Vec::new();
        let mut reader = Reader::new();
        for (action, mut line) in steps {
            if action > 0 {
                line.push(b'\n');
                ring.append(&line);
                history.extend(line);
                continue;
            }
            let before = reader.position();
            let mut buffer = vec![0; line.len()];
            let read = ring.read(&mut reader, &mut buffer);
            let start = (before + read.lost) as usize;
            let end = start + read.bytes;
            prop_assert_eq!(&buffer[..read.bytes], &history[start..end]);
            prop_assert_eq!(reader.position(), end as u64);
            let oldest = history.len().saturating_sub(64);
            prop_assert!(start >= oldest);
            if read.lost > 0 {
                prop_assert!(before < oldest as u64, "lost what was still there");
                prop_assert_eq!(history[start - 1], b'\n');
                let skipped = &history[oldest..start - 1];
                prop_assert!(!skipped.contains(&b'\n'), "lost a whole line");
            }
            prop_assert_eq!(read.bytes, buffer.len().min(history.len() - start));
        }
        prop_assert_eq!(ring.written(), history.len() as u64);
    }

    #[test]
    fn byte_counts_agree_with_division(bytes in any::<u64>(), shift in 0u32..64) {
        let bytes = bytes >> shift;
        let text = Bytes(bytes as usize).to_string();
        let (number, unit) = text.split_once(' ').unwrap();
        let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        let power = units.iter().position(|name| *name == unit).unwrap() as i32;
        let number: f64 = number.parse().unwrap();
        let exact = bytes as f64 / 1024f64.powi(power);
        prop_assert!((number - exact).abs() <= 0.0501, "{bytes}: {text}");
        prop_assert!(number < 1024.0 && (power == 0 || number >= 1.0), "{bytes}: {text}");
    }
}

#[test]
fn byte_counts_read_well() {
    for (bytes, text) in [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1025, "1.0 KiB"),
        (1229, "1.2 KiB"),
        (16 << 10, "16 KiB"),
        ((1 << 20) - 1, "1.0 MiB"),
        (64 << 20, "64 MiB"),
        (usize::MAX, "16.0 EiB"),
    ] {
        assert_eq!(Bytes(bytes).to_string(), text);
    }
}

fn logged(level: Level, target: &str, args: fmt::Arguments<'_>) -> String {
    let ring = leaked::<1024>();
    let logger = Logger::new(ring, || Duration::from_micros(123));
    logger.log(&Record::builder().level(level).target(target).args(args).build());
    read_all(ring, &mut Reader::new()).0
}

#[test]
fn a_line_has_time_module_and_event() {
    let size = Bytes(1229);
    assert_eq!(
        logged(Level::Info, "rm", format_args!("console open (backlog {size})")),
        "[    0.000123] rm: console open (backlog 1.2 KiB)\n"
    );
    assert_eq!(
        logged(Level::Warn, "billy_kernel::interrupts", format_args!("INTID 1020 unexpected")),
        "[    0.000123] interrupts: warning: INTID 1020 unexpected\n"
    );
    assert_eq!(
        logged(Level::Error, "a::b::rm", format_args!("no answer")),
        "[    0.000123] rm: error: no answer\n"
    );
}

#[test]
fn a_record_is_one_line_and_no_terminal_commands() {
    let text = logged(Level::Info, "rm", format_args!("a{}b\x1b[2Jc\u{7f}", "\n"));
    assert_eq!(text, "[    0.000123] rm: a b?[2Jc?\n");
}

#[test]
fn a_long_line_is_cut_between_characters() {
    for pad in 0..4 {
        let text = logged(Level::Info, "rm", format_args!("{:pad$}{}", "", "€".repeat(200)));
        assert!(text.len() <= 256 && text.len() > 248, "{} bytes", text.len());
        assert!(text.ends_with("€…\n"), "{text}");
    }
    let fits = "x".repeat(252 - "[    0.000123] rm: ".len());
    assert_eq!(logged(Level::Info, "rm", format_args!("{fits}")).len(), 253);
    assert!(logged(Level::Info, "rm", format_args!("{fits}")).ends_with("x\n"));
    assert!(logged(Level::Info, "rm", format_args!("{fits}y")).ends_with("x…\n"));
    assert!(logged(Level::Info, "rm", format_args!("{fits}{}z", "€")).ends_with("x…\n"));
}

#[test]
fn time_needs_no_fixed_width() {
    static RING: LogRing<1024> = LogRing::new();
    let logger = Logger::new(&RING, || Duration::from_micros(123_456_789_000_001));
    logger.log(&Record::builder().target("x").args(format_args!("y")).build());
    let text = read_all(&RING, &mut Reader::new()).0;
    assert_eq!(text, "[123456789.000001] x: y\n");
}

struct NoCpu;

impl Cpu for NoCpu {
    fn wait_for_interrupt(&self) {}
}

#[test]
fn new_lines_wake_every_reader_and_nobody_is_woken_in_between() {
    let queue: &'static RunQueue = Box::leak(Box::default());
    let ring = leaked::<256>();
    let executor = Executor::new(NoCpu, queue);
    let text = Rc::new(RefCell::new(String::new()));
    for _ in 0..4 {
        let text = Rc::clone(&text);
        executor.spawn("console", async move {
            let mut reader = Reader::new();
            loop {
                ring.wait(reader).await;
                text.borrow_mut().push_str(&read_all(ring, &mut reader).0);
            }
        });
    }
    while executor.poll_next() {}
    for line in ["a\n", "b\n"] {
        ring.append(line.as_bytes());
        while executor.poll_next() {}
        assert_eq!(text.take(), line.repeat(4));
        assert!(!executor.poll_next());
    }
    assert!(ring.try_append(b"c\n"));
    assert!(!executor.poll_next(), "the panic path wakes nobody");
    let polls: Vec<_> = executor.spawner().tasks().map(|task| task.polls).collect();
    assert_eq!(polls, [3; 4]);
}

#[test]
fn a_fifth_reader_is_not_forgotten() {
    let queue: &'static RunQueue = Box::leak(Box::default());
    let ring = leaked::<256>();
    let executor = Executor::new(NoCpu, queue);
    for _ in 0..5 {
        executor.spawn("console", ring.wait(Reader::new()));
    }
    for _ in 0..5 {
        assert!(executor.poll_next());
    }
    ring.append(b"a\n");
    while executor.poll_next() {}
    assert_eq!(executor.spawner().tasks().count(), 0);
}
