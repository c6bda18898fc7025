//! One of the requests that a channel may have outstanding.

use crate::services::service::{Answer, Refusal};
use alloc::{boxed::Box, vec};
use billy_protocol::{EncodeError, ErrorCode, Frame, HEADER_SIZE, Kind, payload};
use core::{
    cell::Cell,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};
use serde::Serialize;

/// What comes next for a request.
pub enum Step {
    /// A part is to be sent.
    Part,
    /// It was answered, or refused.
    End(Answer),
}

/// A buffer, and how much of it is used.
#[derive(Default)]
pub struct Message {
    buffer: Box<[u8]>,
    size: usize,
}

impl Message {
    /// What is used.
    pub fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.size).unwrap_or_default()
    }

    /// What is behind the header.
    pub fn payload(&self) -> &[u8] {
        self.buffer.get(HEADER_SIZE..self.size).unwrap_or_default()
    }
}

/// A place for a request with its answer. Its buffers are made when they are first needed.
pub struct Slot {
    taken: Cell<bool>,
    cancelled: Cell<bool>,
    service: Cell<u16>,
    request: Cell<u32>,
    offer: Cell<Option<usize>>,
    message: Cell<Message>,
    outgoing: Cell<Message>,
    has_outgoing: Cell<bool>,
    room: usize,
}

impl Slot {
    /// A free slot, for answers of up to `room` bytes.
    pub fn new(room: usize) -> Self {
        Self {
            taken: Cell::new(false),
            cancelled: Cell::new(false),
            service: Cell::new(0),
            request: Cell::new(0),
            offer: Cell::new(None),
            message: Cell::default(),
            outgoing: Cell::default(),
            has_outgoing: Cell::new(false),
            room,
        }
    }

    /// Takes a request: the first `size` bytes of `message`, in exchange for another buffer.
    pub fn take(
        &self,
        service: u16,
        request: u32,
        offer: Option<usize>,
        message: &mut Box<[u8]>,
        size: usize,
    ) {
        let (mut mine, mut outgoing) = (self.message.take(), self.outgoing.take());
        if mine.buffer.is_empty() {
            mine.buffer = vec![0; message.len()].into_boxed_slice();
        }
        if outgoing.buffer.is_empty() {
            outgoing.buffer = vec![0; self.room].into_boxed_slice();
        }
        core::mem::swap(&mut mine.buffer, message);
        mine.size = size;
        outgoing.size = 0;
        self.message.set(mine);
        self.outgoing.set(outgoing);
        self.has_outgoing.set(false);
        self.service.set(service);
        self.request.set(request);
        self.offer.set(offer);
        self.cancelled.set(false);
        self.taken.set(true);
    }

    /// Makes the slot free.
    pub fn release(&self) {
        self.taken.set(false);
    }

    /// Whether it has a request.
    pub fn is_taken(&self) -> bool {
        self.taken.get()
    }

    /// Whether it has this request.
    pub fn is_for(&self, service: u16, request: u32) -> bool {
        self.taken.get() && self.service.get() == service && self.request.get() == request
    }

    /// Waits for a request.
    pub async fn taken(&self) {
        poll_fn(|_| if self.taken.get() { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// The request's id.
    pub fn request(&self) -> u32 {
        self.request.get()
    }

    /// Which of the channel's services is asked; None is the directory.
    pub fn offer(&self) -> Option<usize> {
        self.offer.get()
    }

    /// The peer wants no more of the request.
    pub fn cancel(&self) {
        self.cancelled.set(true);
    }

    /// The request, to be put back when it was answered.
    pub fn take_message(&self) -> Message {
        self.message.take()
    }

    /// Keeps the buffer for the next request.
    pub fn put_message(&self, message: Message) {
        self.message.set(message);
    }

    /// What is to be sent, to be put back when it was.
    pub fn take_outgoing(&self) -> Message {
        self.outgoing.take()
    }

    /// Keeps the buffer for the next message; nothing is to be sent now.
    pub fn put_outgoing(&self, message: Message) {
        self.outgoing.set(message);
        self.has_outgoing.set(false);
    }

    /// Bytes of the largest message that can be sent.
    pub fn room(&self) -> usize {
        self.room
    }

    /// Whether nothing is to be sent.
    pub fn is_sent(&self) -> bool {
        !self.has_outgoing.get()
    }

    /// Puts a message there, to be sent.
    pub fn put(
        &self,
        kind: Kind,
        encode: impl FnOnce(Frame<'_>, &mut [u8]) -> Result<usize, EncodeError>,
    ) -> Result<(), EncodeError> {
        let mut outgoing = self.outgoing.take();
        let size = encode(self.frame(kind), &mut outgoing.buffer);
        if let Ok(size) = size {
            outgoing.size = size;
            self.has_outgoing.set(true);
        }
        self.outgoing.set(outgoing);
        size.map(drop)
    }

    /// Puts `entry` behind the first `offset` bytes of a payload that is not to be sent yet.
    pub fn append<T: Serialize + ?Sized>(
        &self,
        offset: usize,
        entry: &T,
    ) -> Result<usize, EncodeError> {
        let mut outgoing = self.outgoing.take();
        let room = outgoing.buffer.get_mut(HEADER_SIZE + offset..).unwrap_or_default();
        let size = payload::encode(entry, room);
        self.outgoing.set(outgoing);
        size
    }

    /// Has a payload of `size` bytes sent that was put together by [`Slot::append`].
    pub fn finish(&self, kind: Kind, size: usize) -> Result<(), EncodeError> {
        self.put(kind, |frame, buffer| Ok(frame.write(buffer)? + size))
    }

    fn frame(&self, kind: Kind) -> Frame<'static> {
        Frame { kind, service: self.service.get(), request: self.request.get(), payload: &[] }
    }

    /// Runs the service until it has something to send or is done, or the peer has cancelled.
    pub fn poll(
        &self,
        handler: Pin<&mut dyn Future<Output = Answer>>,
        cx: &mut Context<'_>,
    ) -> Poll<Step> {
        if self.cancelled.get() {
            return Poll::Ready(Step::End(Err(Refusal::new(ErrorCode::Cancelled, ""))));
        }
        match handler.poll(cx) {
            Poll::Ready(answer) => Poll::Ready(Step::End(answer)),
            Poll::Pending if !self.is_sent() => Poll::Ready(Step::Part),
            Poll::Pending => Poll::Pending,
        }
    }
}
