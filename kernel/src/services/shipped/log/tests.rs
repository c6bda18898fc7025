//! The log service: how much it reads, and how following it ends.

use super::*;
use crate::services::ChannelError;
use crate::services::testing::{Bench, Error, Wire, directory, error, identity};
use billy_protocol::{Kind, decode, payload};
use gunyah::fake::Tasks;

fn ring() -> &'static LogRing {
    Box::leak(Box::new(LogRing::new()))
}

fn service(ring: &'static LogRing) -> &'static LogReader {
    Box::leak(Box::new(LogReader::new(ring)))
}

fn follow(wire: &Wire, request: u32) {
    let mut buffer = [0; 8];
    let size = payload::encode(&Request { bytes: 0, follow: true }, &mut buffer).unwrap();
    wire.request(service::LOG, request, &buffer[..size]);
}

/// The next part for a request.
fn part(wire: &Wire, request: u32) -> (u64, String) {
    let (kind, of, payload) = wire.reply().expect("no part");
    assert_eq!((kind, of), (Kind::Part, request));
    let piece: Piece<'_> = decode(&payload).unwrap();
    (piece.lost, String::from_utf8(piece.text.to_vec()).unwrap())
}

#[test]
fn the_end_of_the_log_is_read_from_the_start_of_a_line_on() {
    let ring = ring();
    let lines: String = (0..100).map(|n| format!("line {n}\n")).collect();
    ring.append(lines.as_bytes());
    let bench = Bench::new(&[service(ring)]);
    let read = |bytes| {
        let parts = bench.all(service::LOG, &Request { bytes, follow: false });
        let pieces = parts.iter().map(|part| decode::<Piece<'_>>(part).unwrap());
        assert!(pieces.clone().all(|piece| piece.lost == 0));
        String::from_utf8(pieces.flat_map(|piece| piece.text).copied().collect()).unwrap()
    };
    assert_eq!(read(20), "line 98\nline 99\n");
    assert_eq!(read(u32::MAX), lines);
    assert_eq!(read(0), "");
}

#[test]
fn what_is_logged_later_follows_until_it_is_cancelled() {
    let ring = ring();
    ring.append(b"before\n");
    let directory = directory(&[service(ring)]);
    let (wire, channel) = (Wire::new(240, 8), directory.open(identity()));
    let mut tasks = Tasks::new();
    tasks.spawn(async { panic!("{:?}", channel.serve(&wire).await) });
    follow(&wire, 5);
    tasks.run_until_idle();
    assert!(wire.take().is_none());
    for line in ["one\n", "two\n"] {
        ring.append(line.as_bytes());
        tasks.run_until_idle();
        assert_eq!(part(&wire, 5), (0, line.into()));
    }
    wire.frame(Kind::Cancel, service::LOG, 5, &[]);
    tasks.run_until_idle();
    assert_eq!(wire.error(), (5, error(ErrorCode::Cancelled, "", "")));
    ring.append(b"three\n");
    tasks.run_until_idle();
    assert!(wire.take().is_none());
    assert_eq!(channel.outstanding(), 0);
}

#[test]
fn who_reads_too_slowly_is_told_how_much_is_lost() {
    let ring = ring();
    let directory = directory(&[service(ring)]);
    let (wire, channel) = (Wire::new(240, 1), directory.open(identity()));
    let mut tasks = Tasks::new();
    tasks.spawn(async { panic!("{:?}", channel.serve(&wire).await) });
    follow(&wire, 5);
    tasks.run_until_idle();
    let line = [&[b'x'; 99][..], b"\n"].concat();
    let mut total = 0;
    for _ in 0..400 {
        ring.append(&line);
        tasks.run_until_idle();
        total += 100;
    }
    let (mut lost, mut read) = (0, 0);
    while let Some((_, _, payload)) = wire.reply() {
        let piece: Piece<'_> = decode(&payload).unwrap();
        lost += piece.lost;
        read += piece.text.len() as u64;
        tasks.run_until_idle();
    }
    assert_eq!(lost + read, total);
    assert!(lost > 20_000, "{lost}");
}

#[test]
fn following_ends_with_the_channel() {
    let ring = ring();
    let directory = directory(&[service(ring)]);
    let (wire, channel) = (Wire::new(240, 8), directory.open(identity()));
    let mut tasks = Tasks::new();
    let task =
        tasks.spawn(async { assert_eq!(channel.serve(&wire).await, Err(ChannelError::Ended)) });
    follow(&wire, 5);
    tasks.run_until_idle();
    directory.end();
    tasks.run_until_idle();
    assert!(tasks.is_done(task));
    let (kind, request, _) = wire.reply().unwrap();
    assert_eq!((kind, request), (Kind::Reply, 5));
}

#[test]
fn no_more_follow_than_the_log_can_wake() {
    let ring = ring();
    let directory = directory(&[service(ring)]);
    let wires = [Wire::new(240, 8), Wire::new(240, 8)];
    let channels = [directory.open(identity()), directory.open(identity())];
    let mut tasks = Tasks::new();
    for (channel, wire) in channels.iter().zip(&wires) {
        tasks.spawn(async { panic!("{:?}", channel.serve(wire).await) });
        (0..4).for_each(|request| follow(wire, request));
    }
    tasks.run_until_idle();
    let refused: Vec<(u32, Error)> = vec![wires[1].error()];
    let busy = error(ErrorCode::Busy, "follow", "too many follow the log");
    assert_eq!(refused, [(3, busy)]);
    wires[0].frame(Kind::Cancel, service::LOG, 0, &[]);
    tasks.run_until_idle();
    follow(&wires[1], 9);
    tasks.run_until_idle();
    assert!(wires[1].take().is_none());
    assert_eq!((channels[0].outstanding(), channels[1].outstanding()), (3, 4));
}

#[test]
fn fields_that_are_missing_are_named() {
    let bench = Bench::new(&[service(ring())]);
    let missing = error(ErrorCode::Malformed, "follow", "the payload ends in it");
    assert_eq!(bench.refused(service::LOG, &[5]), missing);
    let other = error(ErrorCode::Malformed, "follow", "no such value");
    assert_eq!(bench.refused(service::LOG, &[5, 7]), other);
}
