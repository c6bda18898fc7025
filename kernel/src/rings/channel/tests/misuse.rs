//! What a peer may not do, and memory that cannot hold a ring.

use super::*;

#[test]
fn misuse_closes_the_ring_and_names_field_and_value() {
    type Misuse = fn(&Rig, &mut Halves);
    let cases: [(Modes, Misuse, &str); 4] = [
        (
            Modes::MESSAGES,
            |rig, _| rig.spoil(2, |position| position & !0xffff_ffff | 0xdead_bee8),
            "the peer's head is invalid: 0xdeadbee8",
        ),
        (
            Modes::BYTES,
            |rig, _| rig.spoil(2, |position| position & !0xffff_ffff | 0xffff_ffff),
            "the peer's head is invalid: 0xffffffff",
        ),
        (
            Modes::MESSAGES,
            |rig, halves| {
                halves.0.try_send(b"12345678").unwrap();
                // Behind the request of 23 bytes and its header.
                rig.spoil(4 * LINE + 4, |_| 0xffff);
            },
            "the peer's message length is invalid: 0xffff",
        ),
        (
            Modes::MESSAGES,
            |rig, _| {
                rig.spoil(LINE + 2 + 2 * LINE, |position| position & 0xffff_ffff_ffff | 9 << 48)
            },
            "the peer's session seen is invalid: 0x9",
        ),
    ];
    for (modes, misuse, says) in cases {
        let mut rig = Rig::new();
        let mut halves = rig.attach(modes);
        if modes == Modes::MESSAGES {
            echoed(&mut rig, &mut halves, 0, b"so far so good");
        }
        misuse(&rig, &mut halves);
        // The shell's word makes the guest look at the other direction, too.
        rig.channel.say("?");
        rig.ring();
        assert_eq!(rig.end().expect(says).to_string(), says);
        assert!(rig.tasks.is_done(rig.task) && !rig.buffer.is_leased());
        assert!(rig.directory.channels().is_empty());
        rig.ring();
        drop(halves);
    }
}

#[test]
fn messages_that_are_no_requests_close_the_ring_in_the_end() {
    let mut rig = Rig::new();
    let mut halves = rig.attach(Modes::MESSAGES);
    let mut reply = [0; 256];
    for _ in 0..20 {
        // Once the ring is closed the peer finds nobody there.
        let _ = halves.0.try_send(b"nonsense, of no version");
        rig.settle();
        while let Ok(Some(_)) = halves.1.try_receive(&mut reply) {}
    }
    let end = rig.end().unwrap();
    assert!(end.to_string().contains("16 messages in a row were no requests"), "{end}");
}

#[test]
fn a_request_that_is_too_large_is_refused_and_what_is_outstanding_is_answered() {
    let mut rig = Rig::with(0x1_0000, Access::ReadWrite);
    let mut halves = rig.attach(Modes::MESSAGES);
    // 113 replies have room.
    for id in 0..115 {
        assert!(halves.0.try_send(&request(id, &[0; 127])).unwrap());
        rig.ring();
    }
    assert_eq!(rig.directory.channels()[0].outstanding(), 2);
    assert!(halves.0.try_send(&request(999, &[1; 5000])).unwrap());
    rig.ring();
    let (mut reply, mut refused, mut answered) = ([0; 256], 0, Vec::new());
    while let Some(size) = halves.1.try_receive(&mut reply).unwrap() {
        let frame = Frame::parse(&reply[..size]).unwrap();
        if frame.kind == Kind::Error {
            let ErrorReply { code, field, .. } = decode(frame.payload).unwrap();
            assert_eq!((frame.request, code, field), (999, ErrorCode::TooLarge, "payload"));
            refused += 1;
        } else {
            assert_eq!(frame.kind, Kind::Reply);
            answered.push(frame.request);
        }
        rig.settle();
    }
    answered.sort_unstable();
    assert_eq!((refused, answered), (1, (0..115).collect()));
    echoed(&mut rig, &mut halves, 9, b"still here");
}

#[test]
fn messages_that_are_too_large_close_the_ring_in_the_end() {
    let mut rig = Rig::with(0x1_0000, Access::ReadWrite);
    let mut halves = rig.attach(Modes::MESSAGES);
    for _ in 0..16 {
        let _ = halves.0.try_send(&[1; 5000]);
        rig.settle();
    }
    let end = rig.end().unwrap();
    assert!(end.to_string().contains("a message of 5000 bytes, where 4096 are"), "{end}");
}

#[test]
fn memory_that_is_taken_away_by_force_closes_the_ring() {
    for modes in [Modes::MESSAGES, Modes::BYTES] {
        let mut rig = Rig::new();
        let mut halves = rig.attach(modes);
        match modes {
            Modes::MESSAGES => assert_eq!(halves.0.try_send(&request(1, b"lost")), Ok(true)),
            _ => assert_eq!(halves.0.write(b"lost"), Ok(4)),
        }
        rig.tables.take_away(0x9000_0000);
        rig.ring();
        assert_eq!(rig.end(), Some(RingEnd::Gone));
        assert_eq!(rig.channel.counts.sent.get(), 0);
        drop(halves);
    }
}

#[test]
fn what_cannot_hold_a_ring_is_named() {
    let rig = Rig::with(0x4000, Access::Read);
    assert_eq!(rig.end().unwrap().to_string(), "the shared memory is read-only");
    let mut rig = Rig::new();
    let halves = rig.attach(Modes { send: Mode::Bytes, receive: Mode::Messages });
    assert_eq!(rig.end(), Some(RingEnd::Mixed));
    drop(halves);
}

#[test]
fn a_peer_that_changes_its_mode_without_end_is_given_up() {
    let mut rig = Rig::new();
    let _first = core::mem::ManuallyDrop::new(rig.attach(Modes::BYTES));
    for n in 0..10 {
        let modes = if n % 2 == 0 { Modes::MESSAGES } else { Modes::BYTES };
        let _other = core::mem::ManuallyDrop::new(rig.attach(modes));
        rig.ring();
    }
    assert_eq!(rig.end(), Some(RingEnd::ModeChanges));
}
