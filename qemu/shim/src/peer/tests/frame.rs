//! Framed requests, over queues and rings.

use billy_protocol::{ErrorCode, ErrorReply, Frame, Kind, payload, service};
use shared_ring::{Mode, Modes};

use super::ring::Guest;
use super::*;

fn frame(kind: Kind, request: u32, payload: &[u8]) -> Vec<u8> {
    let mut buffer = [0; 128];
    let frame = Frame { kind, service: service::ECHO, request, payload };
    let length = frame.write(&mut buffer).unwrap();
    buffer[..length].to_vec()
}

fn refusal(request: u32, code: ErrorCode, field: &str) -> Vec<u8> {
    let mut buffer = [0; 128];
    let frame = Frame { kind: Kind::Error, service: service::ECHO, request, payload: &[] };
    let reply = ErrorReply { code, field, detail: "it is" };
    let length = frame.encode(&reply, &mut buffer).unwrap();
    buffer[..length].to_vec()
}

#[test]
fn requests_go_over_a_queue_and_answers_are_matched() {
    let mut rig = Rig::scripted(
        "request 9 echo 7 text=hi times=2\nrequest 9 0x100 9 \"0a 0b\"\ncancel 9 echo 7\nframe 9 ff 2\n\
         expect reply 9 echo 8 text=hi\nexpect refusal 9 echo 7 busy payload\n\
         expect part 9 echo 9 01\nexpect reply 9 echo 9\nexpect refusal 9 echo 10\n\
         expect answers 9 2\nstop",
    );
    rig.run();
    let sent: Vec<_> = core::iter::from_fn(|| rig.receive(5)).collect();
    let other = Frame { kind: Kind::Request, service: 0x100, request: 9, payload: &[10, 11] };
    let mut buffer = [0; 10];
    other.write(&mut buffer).unwrap();
    assert_eq!(
        sent,
        [
            frame(Kind::Request, 7, b"\x02hi"),
            frame(Kind::Request, 8, b"\x02hi"),
            buffer.to_vec(),
            frame(Kind::Cancel, 7, b""),
            vec![0xff],
            vec![0xff]
        ]
    );
    for answer in [
        refusal(7, ErrorCode::Busy, "payload"),
        frame(Kind::Reply, 8, b"\x02hi"),
        frame(Kind::Part, 9, &[1]),
        frame(Kind::Reply, 9, &[]),
        refusal(10, ErrorCode::Failed, ""),
        refusal(11, ErrorCode::Failed, ""),
    ] {
        assert_eq!(rig.send(4, &answer), 0);
    }
    rig.run();
    assert_eq!(rig.receive(5), None, "answers are not answered");
    assert_eq!(rig.send(4, &frame(Kind::Reply, 12, &[])), 0);
    assert_eq!(rig.pump(), Some(Event::Finished(Outcome::Success)));
}

#[test]
fn other_answers_fail_by_what_they_are() {
    let busy = refusal(7, ErrorCode::Busy, "payload");
    let reply = frame(Kind::Reply, 7, b"\x02ho");
    for (step, answer, reason) in [
        (
            "reply 9 echo 7 text=hi",
            &reply,
            "3 bytes \"\\x02ho\" came instead of 3 bytes \"\\x02hi\"",
        ),
        (
            "reply 9 echo 7",
            &busy,
            "it was refused: too many requests outstanding, field payload: it is",
        ),
        ("refusal 9 echo 7", &reply, "3 bytes \"\\x02ho\" came, no refusal"),
        (
            "refusal 9 echo 7 failed",
            &busy,
            "it was refused: too many requests outstanding, field payload: it is",
        ),
        (
            "refusal 9 echo 7 3 header",
            &busy,
            "it was refused: too many requests outstanding, field payload: it is",
        ),
    ] {
        let mut rig = Rig::scripted(&format!("expect {step}"));
        assert_eq!(rig.send(4, answer), 0);
        assert_eq!(failure(&mut rig), format!("script line 1 `expect {step}`: {reason}"));
    }
    let mut rig = Rig::scripted("expect reply 9 echo 7 within 5");
    rig.run();
    assert_eq!(rig.send(4, &frame(Kind::Reply, 8, &[])), 0);
    rig.run();
    rig.clock.0.set(5_000_000);
    let seen = "not within 5 ms: 1 other messages came, the last 8 bytes";
    assert!(failure(&mut rig).contains(seen));
}

#[test]
fn requests_go_over_a_ring_and_wait_for_room() {
    let modes = Modes { send: Mode::Messages, receive: Mode::Messages };
    let script = "attach 16\nexpect attached 16\nrequest 16 echo 1 text=abcdefgh times=500\n\
        expect answers 16 500\nstop";
    let mut guest = Guest::new(script, modes);
    let mut answered = 0;
    for _ in 0..2000 {
        match guest.receive() {
            Some(message) => {
                let request = Frame::parse(&message).unwrap();
                answered += 1;
                assert_eq!((request.kind, request.request), (Kind::Request, answered));
                let reply = frame(Kind::Reply, request.request, request.payload);
                assert_eq!(guest.producer.try_send(&reply), Ok(true));
            }
            None => {
                guest.consumer.sleep().unwrap();
            }
        }
        if let Some(event) = guest.pump() {
            assert_eq!((event, answered), (Event::Finished(Outcome::Success), 500));
            return;
        }
    }
    panic!("no end after {answered}");
}

#[test]
fn mistakes_in_steps_with_frames_are_named() {
    for (line, problem) in [
        ("request 9 tea 1", "`tea` is no service"),
        ("request 9 echo", "request id is missing"),
        ("request 9 echo 1 xyz", "`xyz` is no row of bytes"),
        ("request 9 echo 1 times=x", "`x` is no count"),
        ("request 9 echo 1 date=none", "`date=none` is no row of bytes"),
        ("expect reply 9 time 1 date=1", "`date=1` is no payload"),
        ("expect reply 9 time 1 date=1..x", "`date=1..x` is no payload"),
        ("expect reply 9 entropy 1 random=3", "`random=3` is no payload"),
        ("expect reply 9 entropy 1 random=3:me", "`random=3:me` is no payload"),
        ("frame 9 \"\"", "`` is no row of bytes"),
        ("expect refusal 9 echo 1 tired", "`tired` is no error code"),
    ] {
        let error = Script::parse([line]).unwrap_err();
        assert_eq!(error.to_string(), format!("script line 1 `{line}`: {problem}"));
    }
    let mut rig = Rig::scripted("request 8 echo 1");
    assert!(
        failure(&mut rig)
            .ends_with("there is no queue 8, and no ring to which the peer is attached")
    );
}

#[test]
fn what_is_known_of_a_reply_is_looked_for() {
    let encoded = |encode: &dyn Fn(&mut [u8]) -> usize| {
        let mut buffer = [0; 64];
        let length = encode(&mut buffer);
        buffer[..length].to_vec()
    };
    let date = |wall_clock| {
        let reply = service::time::Reply { uptime: 1 << 40, wall_clock };
        encoded(&|buffer| payload::encode(&reply, buffer).unwrap())
    };
    let random = |source, data| {
        let reply = service::entropy::Reply { source, data };
        encoded(&|buffer| payload::encode(&reply, buffer).unwrap())
    };
    let (trng, hypervisor) = (service::entropy::Source::Trng, service::entropy::Source::Hypervisor);
    let holds = |known: &str, payload: &[u8]| {
        let step = format!("expect reply 9 echo 7 {known}");
        let mut rig = Rig::scripted(&format!("{step}\nstop"));
        assert_eq!(rig.send(4, &frame(Kind::Reply, 7, payload)), 0);
        match rig.pump() {
            Some(Event::Finished(Outcome::Success)) => true,
            Some(Event::Finished(Outcome::Failure(reason))) => {
                assert!(reason.starts_with(&format!("script line 1 `{step}`: ")), "{reason}");
                false
            }
            other => panic!("{other:?}"),
        }
    };
    assert!(holds("date=100..0x80", &date(Some(100))) && holds("date=100..0x80", &date(Some(128))));
    for wrong in [date(Some(99)), date(Some(129)), date(None), b"x".to_vec()] {
        assert!(!holds("date=100..128", &wrong), "{wrong:?}");
    }
    assert!(holds("date=none", &date(None)) && !holds("date=none", &date(Some(0))));
    assert!(!holds("date=none", b""));
    assert!(holds("random=3:trng", &random(trng, b"abc")));
    assert!(holds("random=3:hypervisor", &random(hypervisor, b"abc")));
    for (source, data) in [(hypervisor, &b"abc"[..]), (trng, b"ab"), (trng, b"aaa"), (trng, b"")] {
        assert!(!holds("random=3:trng", &random(source, data)), "{source:?} {data:?}");
    }
}
