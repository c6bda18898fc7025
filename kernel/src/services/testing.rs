//! A wire with a peer at its other end that the test plays.

use super::{
    AnyService, Channel, ChannelError, Directory, Identity, Limits, Medium, Transport,
    TransportError,
};
use billy_protocol::{ErrorCode, ErrorReply, Frame, Kind, decode, payload};
use core::{
    cell::{Cell, RefCell},
    future::poll_fn,
    task::{Poll, Waker},
};
use gunyah::fake::{FakeTimer, Tasks};
use serde::Serialize;
use std::{collections::VecDeque, rc::Rc};

/// A channel in memory: what the peer sent, and up to `depth` messages that it did not take yet.
pub struct Wire {
    limits: Limits,
    depth: usize,
    to_service: RefCell<VecDeque<Vec<u8>>>,
    to_peer: RefCell<VecDeque<Vec<u8>>>,
    wakers: RefCell<Vec<Waker>>,
    pub closed: Cell<bool>,
}

impl Wire {
    pub fn new(size: usize, depth: usize) -> Self {
        Self {
            limits: Limits { receive: size, send: size },
            depth,
            to_service: RefCell::default(),
            to_peer: RefCell::default(),
            wakers: RefCell::default(),
            closed: Cell::new(false),
        }
    }

    fn wake(&self) {
        self.wakers.take().into_iter().for_each(Waker::wake);
    }

    /// The peer sends any bytes.
    pub fn send(&self, message: &[u8]) {
        self.to_service.borrow_mut().push_back(message.to_vec());
        self.wake();
    }

    /// The peer sends a request.
    pub fn request(&self, service: u16, request: u32, payload: &[u8]) {
        self.frame(Kind::Request, service, request, payload);
    }

    /// The peer sends a frame.
    pub fn frame(&self, kind: Kind, service: u16, request: u32, payload: &[u8]) {
        let mut buffer = vec![0; payload.len() + 8];
        Frame { kind, service, request, payload }.write(&mut buffer).unwrap();
        self.send(&buffer);
    }

    /// The peer takes a message.
    pub fn take(&self) -> Option<Vec<u8>> {
        let message = self.to_peer.borrow_mut().pop_front();
        self.wake();
        message
    }

    /// The peer takes a frame: kind, request id, payload.
    pub fn reply(&self) -> Option<(Kind, u32, Vec<u8>)> {
        let message = self.take()?;
        let frame = Frame::parse(&message).unwrap();
        Some((frame.kind, frame.request, frame.payload.to_vec()))
    }

    /// The peer takes an error reply: request id and what it says.
    pub fn error(&self) -> (u32, Error) {
        let (kind, request, payload) = self.reply().expect("no reply");
        assert_eq!(kind, Kind::Error);
        (request, Error::read(&payload))
    }

    /// Messages the peer sent that were not taken yet.
    pub fn unread(&self) -> usize {
        self.to_service.borrow().len()
    }

    /// The channel is gone.
    pub fn close(&self) {
        self.closed.set(true);
        self.wake();
    }
}

impl Transport for Wire {
    fn limits(&self) -> Limits {
        self.limits
    }

    async fn receive(&self, buffer: &mut [u8]) -> Result<usize, TransportError> {
        poll_fn(|cx| {
            if self.closed.get() {
                return Poll::Ready(Err(TransportError::Closed));
            }
            let Some(message) = self.to_service.borrow_mut().pop_front() else {
                self.wakers.borrow_mut().push(cx.waker().clone());
                return Poll::Pending;
            };
            let front = message.len().min(buffer.len());
            buffer[..front].copy_from_slice(&message[..front]);
            Poll::Ready(Ok(message.len()))
        })
        .await
    }

    async fn send(&self, message: &[u8]) -> Result<(), TransportError> {
        assert!(!message.is_empty() && message.len() <= self.limits.send);
        poll_fn(|cx| {
            if self.closed.get() {
                return Poll::Ready(Err(TransportError::Closed));
            }
            if self.to_peer.borrow().len() == self.depth {
                self.wakers.borrow_mut().push(cx.waker().clone());
                return Poll::Pending;
            }
            self.to_peer.borrow_mut().push_back(message.to_vec());
            Poll::Ready(Ok(()))
        })
        .await
    }
}

/// An error reply.
#[derive(Debug, PartialEq, Eq)]
pub struct Error {
    code: ErrorCode,
    field: String,
    detail: String,
}

impl Error {
    pub fn read(payload: &[u8]) -> Self {
        let ErrorReply { code, field, detail } = decode(payload).unwrap();
        error(code, field, detail)
    }
}

pub fn error(code: ErrorCode, field: &str, detail: &str) -> Error {
    Error { code, field: field.into(), detail: detail.into() }
}

/// A queue to VM 3 with the label for services.
pub fn identity() -> Identity {
    let label = Some(super::SERVICES_LABEL);
    Identity {
        medium: Medium::Queue,
        label,
        peer: Rc::new(Cell::new(Some(3))),
        name: "test".into(),
    }
}

/// A directory with these services.
pub fn directory(services: &[&'static dyn AnyService]) -> &'static Directory {
    let directory: &Directory = Box::leak(Box::new(Directory::new(None)));
    assert!(services.iter().all(|service| directory.add(*service)));
    directory
}

/// Services with one channel, asked one request at a time.
pub struct Bench {
    pub wire: Wire,
    channel: Rc<Channel>,
    clock: FakeTimer,
}

impl Bench {
    pub fn new(services: &[&'static dyn AnyService]) -> Self {
        Self::on(directory(services))
    }

    pub fn with_clock(services: &[&'static dyn AnyService], clock: FakeTimer) -> Self {
        Self { clock, ..Self::new(services) }
    }

    pub fn on(directory: &Directory) -> Self {
        let channel = directory.open(identity());
        Self { wire: Wire::new(240, 64), channel, clock: FakeTimer::default() }
    }

    /// Sends a request; the payloads of all parts and the reply, and whether that is an error.
    fn exchange(&self, service: u16, payload: &[u8]) -> (Vec<Vec<u8>>, bool) {
        let mut tasks = Tasks::new();
        tasks.spawn(async {
            let ended: Result<(), ChannelError> = self.channel.serve(&self.wire).await;
            panic!("{ended:?}");
        });
        self.wire.request(service, 77, payload);
        let mut payloads = Vec::new();
        loop {
            tasks.run_until_idle();
            let Some((kind, request, payload)) = self.wire.reply() else {
                assert!(self.clock.advance_to_next(), "no reply");
                continue;
            };
            assert_eq!(request, 77);
            payloads.push(payload);
            if kind != Kind::Part {
                return (payloads, kind == Kind::Error);
            }
        }
    }

    /// Asks, and is answered in any number of parts.
    pub fn all(&self, service: u16, request: &impl Serialize) -> Vec<Vec<u8>> {
        let mut buffer = [0; 240];
        let size = payload::encode(request, &mut buffer).unwrap();
        let (payloads, is_error) = self.exchange(service, &buffer[..size]);
        assert!(!is_error, "{payloads:?}");
        payloads
    }

    /// Asks, and is answered at once.
    pub fn ask(&self, service: u16, request: &impl Serialize) -> Vec<u8> {
        let mut payloads = self.all(service, request);
        assert_eq!(payloads.len(), 1);
        payloads.remove(0)
    }

    /// Asks with any payload, and is refused.
    pub fn refused(&self, service: u16, payload: &[u8]) -> Error {
        let (payloads, is_error) = self.exchange(service, payload);
        assert!(is_error && payloads.len() == 1, "{payloads:?}");
        Error::read(&payloads[0])
    }
}
