//! The example service of README.md: as it is shown there, and it works.

#[path = "example/greeter.rs"]
mod greeter;

use billy_kernel::services::{
    Directory, Identity, Limits, Medium, Transport, TransportError, serve_channel,
};
use billy_protocol::{ErrorCode, ErrorReply, Frame, Kind, decode};
use greeter::{Greeter, Greeting, Request};
use gunyah::fake::{FakeTimer, Tasks};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

#[test]
fn the_readme_shows_this_service() {
    let readme = include_str!("../../README.md");
    let code: String = include_str!("example/greeter.rs")
        .lines()
        .map(|line| if line.is_empty() { "\n".into() } else { format!("    {line}\n") })
        .collect();
    assert!(readme.contains(&code), "README.md does not show kernel/tests/example/greeter.rs");
    assert!(code.lines().count() < 60);
}

/// A transport for one request; it takes any number of replies, and then nothing comes any more.
struct Once {
    request: RefCell<Option<Vec<u8>>>,
    replies: RefCell<Vec<Vec<u8>>>,
}

impl Transport for Once {
    fn limits(&self) -> Limits {
        Limits { receive: 240, send: 240 }
    }

    async fn receive(&self, buffer: &mut [u8]) -> Result<usize, TransportError> {
        let request = self.request.take();
        let Some(request) = request else { return std::future::pending().await };
        buffer[..request.len()].copy_from_slice(&request);
        Ok(request.len())
    }

    async fn send(&self, message: &[u8]) -> Result<(), TransportError> {
        self.replies.borrow_mut().push(message.to_vec());
        Ok(())
    }
}

/// What VM 3 is answered when it calls the greeter as README.md says.
fn answered(name: &str, times: u8) -> Vec<Vec<u8>> {
    let directory = Directory::new(None);
    assert!(directory.add(&Greeter));
    let (label, peer) = (Some(4), Rc::new(Cell::new(Some(3))));
    let identity = Identity { medium: Medium::Queue, label, peer, name: "msgq 4".into() };
    assert!(directory.claims(&identity));
    let mut buffer = [0; 240];
    let frame = Frame { kind: Kind::Request, service: 0x100, request: 1, payload: &[] };
    let size = frame.encode(&Request { name, times }, &mut buffer).unwrap();
    let wire = Once { request: Some(buffer[..size].to_vec()).into(), replies: RefCell::default() };
    let clock = FakeTimer::default();
    let mut tasks = Tasks::new();
    tasks.spawn(serve_channel(&directory, identity, &wire, &clock));
    tasks.run_until_idle();
    drop(tasks);
    wire.replies.into_inner()
}

#[test]
fn it_greets() {
    let replies = answered("world", 3);
    let frames: Vec<_> = replies.iter().map(|reply| Frame::parse(reply).unwrap()).collect();
    let kinds: Vec<_> = frames.iter().map(|frame| frame.kind).collect();
    assert_eq!(kinds, [Kind::Part, Kind::Part, Kind::Reply]);
    for frame in frames {
        assert_eq!(decode(frame.payload), Ok(Greeting { word: "hello", name: "world" }));
    }
}

#[test]
fn it_names_what_is_wrong() {
    let replies = answered("world", 0);
    let [reply] = replies.as_slice() else { panic!("{replies:?}") };
    let frame = Frame::parse(reply).unwrap();
    let wrong = ErrorReply { code: ErrorCode::OutOfRange, field: "times", detail: "1 or more" };
    assert_eq!((frame.kind, decode(frame.payload)), (Kind::Error, Ok(wrong)));
}
