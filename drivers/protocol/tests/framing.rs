//! The framing: golden bytes, fields named in errors, and any bytes at all.

use billy_protocol::frame::VERSION;
use billy_protocol::service::{directory, echo::Echo, entropy, log, stats};
use billy_protocol::*;
use proptest::prelude::*;

fn frame(kind: Kind, service: u16, request: u32, payload: &[u8]) -> Frame<'_> {
    Frame { kind, service, request, payload }
}

#[test]
fn a_request_has_these_bytes() {
    let mut buffer = [0xee; 32];
    let request = frame(Kind::Request, service::ECHO, 0x0403_0201, &[]);
    let size = request.encode(&Echo { data: b"hello" }, &mut buffer).unwrap();
    assert_eq!(buffer[..size], *b"\x01\x01\x01\x00\x01\x02\x03\x04\x05hello");
    let parsed = Frame::parse(&buffer[..size]).unwrap();
    assert_eq!((parsed.kind, parsed.service, parsed.request), (Kind::Request, 1, 0x0403_0201));
    assert_eq!(decode(parsed.payload), Ok(Echo { data: b"hello" }));
}

#[test]
fn an_error_reply_has_these_bytes() {
    let mut buffer = [0; 64];
    let reply = ErrorReply { code: ErrorCode::OutOfRange, field: "bytes", detail: "64 at most" };
    let size = frame(Kind::Error, 3, 7, &[]).encode(&reply, &mut buffer).unwrap();
    assert_eq!(buffer[..size], *b"\x01\x03\x03\x00\x07\0\0\0\x05\x05bytes\x0a64 at most");
    let parsed = Frame::parse(&buffer[..size]).unwrap();
    assert_eq!(decode(parsed.payload), Ok(reply));
    assert_eq!(reply.to_string(), "out of range, field bytes: 64 at most");
}

#[test]
fn defects_of_the_header_are_named() {
    let short = Frame::parse(&[1, 1, 0, 0, 0, 0, 0]).unwrap_err();
    assert_eq!((short.reply_to(), short.field()), (None, "header"));
    assert_eq!(short.to_string(), "a message of 7 bytes has no room for a header");
    let version = Frame::parse(&[2, 1, 3, 0, 4, 0, 0, 0]).unwrap_err();
    assert_eq!((version.reply_to(), version.field()), (Some((3, 4)), "version"));
    assert_eq!(version.to_string(), "version 2 is not 1");
    let kind = Frame::parse(&[1, 6, 3, 0, 4, 0, 0, 0]).unwrap_err();
    assert_eq!((kind.reply_to(), kind.field()), (Some((3, 4)), "kind"));
    assert_eq!(kind.to_string(), "kind 6 is none there is");
}

#[test]
fn the_field_that_is_wrong_is_named() {
    let ends = decode::<log::Request>(&[5]).unwrap_err();
    assert_eq!(ends, DecodeError::Ends { field: "follow" });
    assert_eq!(ends.to_string(), "the payload ends before follow does");
    let value = decode::<log::Request>(&[5, 2]).unwrap_err();
    assert_eq!(value, DecodeError::Value { field: "follow" });
    let varint = decode::<entropy::Request>(&[0xff, 0xff, 0xff]).unwrap_err();
    assert_eq!(varint, DecodeError::Value { field: "bytes" });
    let variant = decode::<stats::Request>(&[3]).unwrap_err();
    assert_eq!(variant, DecodeError::Value { field: "subject" });
    let length = decode::<Echo<'_>>(&[4, b'a', b'b', b'c']).unwrap_err();
    assert_eq!(length, DecodeError::Ends { field: "data" });
    let trailing = decode::<directory::Request>(&[1, 2]).unwrap_err();
    assert_eq!((trailing.field(), trailing), ("payload", DecodeError::Trailing { bytes: 2 }));
    assert_eq!(decode::<directory::Request>(&[]), Ok(directory::Request {}));
    let text = decode::<ErrorReply<'_>>(&[1, 1, 0xff, 0]).unwrap_err();
    assert_eq!(text, DecodeError::Value { field: "field" });
}

#[test]
fn what_does_not_fit_is_refused() {
    let reply = frame(Kind::Reply, 1, 1, b"abc");
    assert_eq!(reply.write(&mut [0; 10]), Err(EncodeError::Room));
    assert_eq!(reply.write(&mut [0; 7]), Err(EncodeError::Room));
    assert_eq!(reply.write(&mut [0; 11]), Ok(11));
    assert_eq!(reply.encode(&Echo { data: b"abc" }, &mut [0; 11]), Err(EncodeError::Room));
    assert_eq!(reply.encode(&Echo { data: b"abc" }, &mut [0; 12]), Ok(12));
}

#[test]
fn lists_are_read_entry_by_entry() {
    let mut payload = [0; 32];
    let first = payload::encode(&directory::Entry { number: 0, name: "list" }, &mut payload);
    let first = first.unwrap();
    let entry = directory::Entry { number: 300, name: "own" };
    let second = payload::encode(&entry, &mut payload[first..]).unwrap();
    let mut entries = Entries::<directory::Entry<'_>>::new(&payload[..first + second]);
    assert_eq!(entries.next(), Some(Ok(directory::Entry { number: 0, name: "list" })));
    assert_eq!(entries.next(), Some(Ok(entry)));
    assert_eq!(entries.next(), None);
    let mut cut = Entries::<directory::Entry<'_>>::new(&payload[..first + second - 1]);
    assert!(cut.next().unwrap().is_ok());
    assert_eq!(cut.next(), Some(Err(DecodeError::Ends { field: "name" })));
    assert_eq!(cut.next(), None);
    let mut nothing = Entries::<directory::Request>::new(&[0]);
    assert!(nothing.next().unwrap().is_err());
    assert_eq!(nothing.next(), None);
}

#[test]
fn codes_have_words_and_keep_their_number() {
    assert_eq!(ErrorCode::Busy.to_string(), "too many requests outstanding");
    assert_eq!(ErrorCode(200).to_string(), "error 200");
    assert_eq!(ErrorCode::Cancelled.name(), Some("cancelled"));
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Request),
        Just(Kind::Reply),
        Just(Kind::Error),
        Just(Kind::Part),
        Just(Kind::Cancel)
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_a_frame_or_an_error(mut bytes: Vec<u8>, valid: bool) {
        if let (true, Some(version)) = (valid, bytes.first_mut()) {
            *version = VERSION;
        }
        match Frame::parse(&bytes) {
            Ok(frame) => {
                let mut again = vec![0; bytes.len()];
                prop_assert_eq!(frame.write(&mut again), Ok(bytes.len()));
                prop_assert_eq!(again, bytes);
            }
            Err(error) => {
                prop_assert_eq!(error.reply_to().is_none(), bytes.len() < HEADER_SIZE);
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }

    #[test]
    fn any_payload_is_a_value_or_an_error(bytes: Vec<u8>) {
        let fields = ["bytes", "follow", "subject", "data", "payload", "code", "field", "detail", "lost", "text"];
        let errors = [
            decode::<log::Request>(&bytes).err(),
            decode::<log::Piece<'_>>(&bytes).err(),
            decode::<entropy::Request>(&bytes).err(),
            decode::<stats::Request>(&bytes).err(),
            decode::<Echo<'_>>(&bytes).err(),
            decode::<ErrorReply<'_>>(&bytes).err(),
        ];
        for error in errors.into_iter().flatten() {
            prop_assert!(fields.contains(&error.field()), "{}", error);
        }
        let entries = Entries::<stats::Task<'_>>::new(&bytes);
        prop_assert!(entries.count() <= bytes.len());
    }

    #[test]
    fn frames_come_back_as_they_were(kind in kinds(), service: u16, request: u32, data: Vec<u8>) {
        let mut buffer = vec![0; data.len() + 32];
        let size = frame(kind, service, request, &[]).encode(&Echo { data: &data }, &mut buffer);
        let parsed = Frame::parse(&buffer[..size.unwrap()]).unwrap();
        prop_assert_eq!((parsed.kind, parsed.service, parsed.request), (kind, service, request));
        prop_assert_eq!(decode(parsed.payload), Ok(Echo { data: &data }));
    }
}
