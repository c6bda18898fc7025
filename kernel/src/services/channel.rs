//! A channel with services: takes requests, answers them, bounds the peer.
//!
//! One task serves a channel. A reader takes each message; up to [`MAX_OUTSTANDING`] requests are
//! answered at a time, each in a slot with a worker of its own, so replies come in any order and a
//! slow one holds up no other. What more comes is answered at once, with an error. The reader never
//! waits for a worker, only for room on the way back: a peer that does not take its replies is not
//! heard until it does, which is its own affair.
//!
//! Messages that are no requests are counted; too many in a row close the channel.

mod error;
mod identity;
mod slot;

pub use error::{ChannelError, Defect};
pub use identity::{Identity, Medium};
pub(super) use slot::Slot;

use error::MAX_DEFECTS;
use slot::Step;

use super::{
    directory::{self, Handler, Offer},
    reply::Reply,
    service::Refusal,
    transport::{Transport, TransportError},
};
use alloc::{boxed::Box, rc::Rc, vec, vec::Vec};
use billy_protocol::{
    EncodeError, ErrorCode, ErrorReply, Frame, HEADER_SIZE, Kind, MAX_OUTSTANDING, decode,
    service::DIRECTORY,
};
use core::{
    cell::{Cell, RefCell},
    convert::Infallible,
    future::poll_fn,
    pin::pin,
    task::{Context, Poll, Waker},
};

/// Messages taken before other tasks get their turn.
const BURST: u32 = 8;
/// Bytes of the smallest message that an error reply fits in.
const SMALLEST: usize = HEADER_SIZE + 3;
/// Bytes of the largest error reply.
const ERROR_REPLY: usize = 96;

/// A channel that offers services. Made by [`super::Directory::open`].
pub struct Channel {
    identity: Identity,
    offers: Vec<Rc<Offer>>,
    requests: Cell<u64>,
    errors: Cell<u64>,
    outstanding: Cell<usize>,
    ending: Cell<bool>,
    /// The reader has taken a message, so it may be worth asking again.
    progress: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Channel {
    pub(super) fn new(identity: Identity, offers: Vec<Rc<Offer>>) -> Self {
        Self {
            identity,
            offers,
            requests: Cell::new(0),
            errors: Cell::new(0),
            outstanding: Cell::new(0),
            ending: Cell::new(false),
            progress: Cell::new(false),
            waker: RefCell::new(None),
        }
    }

    /// Which channel, and who is at its other end.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The services it offers.
    pub fn offers(&self) -> &[Rc<Offer>] {
        &self.offers
    }

    /// Requests that came.
    pub fn requests(&self) -> u64 {
        self.requests.get()
    }

    /// Error replies, and messages that were no requests.
    pub fn errors(&self) -> u64 {
        self.errors.get()
    }

    /// Requests being served.
    pub fn outstanding(&self) -> usize {
        self.outstanding.get()
    }

    /// Ends the channel in order: new requests are refused, outstanding ones are answered, then
    /// [`Channel::serve`] ends. A peer that takes no replies keeps it from ending.
    pub fn end(&self) {
        self.ending.set(true);
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Whether the channel is to end.
    pub fn is_ending(&self) -> bool {
        self.ending.get()
    }

    /// Serves the peer. Dropped, it drops what is outstanding.
    ///
    /// # Errors
    ///
    /// Why it is served no longer; there is no other end.
    pub async fn serve<T: Transport>(&self, transport: &T) -> Result<(), ChannelError> {
        let limits = transport.limits();
        let size = limits.send.min(limits.receive);
        if size < SMALLEST {
            return Err(ChannelError::Narrow { size });
        }
        let slots: [Slot; MAX_OUTSTANDING] = core::array::from_fn(|_| Slot::new(limits.send));
        let [first, second, third, fourth] = &slots;
        let mut reader = pin!(self.read(transport, &slots, limits.receive));
        let mut workers = [
            (first, pin!(self.work(first, transport))),
            (second, pin!(self.work(second, transport))),
            (third, pin!(self.work(third, transport))),
            (fourth, pin!(self.work(fourth, transport))),
        ];
        poll_fn(|cx| {
            self.remember(cx);
            for _ in 0..BURST {
                self.progress.set(false);
                if let Poll::Ready(Err(error)) = reader.as_mut().poll(cx) {
                    return Poll::Ready(Err(error));
                }
                for (slot, worker) in &mut workers {
                    if slot.is_taken()
                        && let Poll::Ready(Err(error)) = worker.as_mut().poll(cx)
                    {
                        return Poll::Ready(Err(error.into()));
                    }
                }
                if self.ending.get() && self.outstanding.get() == 0 {
                    return Poll::Ready(Err(ChannelError::Ended));
                }
                if !self.progress.get() {
                    return Poll::Pending;
                }
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    }

    fn remember(&self, cx: &Context<'_>) {
        let known = &mut *self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            *known = Some(cx.waker().clone());
        }
    }

    /// Takes messages; lets the workers have a turn after each.
    async fn read<T: Transport>(
        &self,
        transport: &T,
        slots: &[Slot],
        largest: usize,
    ) -> Result<Infallible, ChannelError> {
        let mut buffer = vec![0; largest].into_boxed_slice();
        let mut defects = 0;
        loop {
            let size = transport.receive(&mut buffer).await?;
            let message = buffer.get(..size).unwrap_or(&buffer);
            let refused = match Frame::parse(message) {
                Ok(Frame { kind: Kind::Request, service, request, .. }) if size > largest => {
                    count_defect(&mut defects, Defect::TooLarge { size, max: largest })?;
                    let refusal =
                        Refusal::new(ErrorCode::TooLarge, "for a message of this channel");
                    Some((service, request, Refusal { field: "payload", ..refusal }))
                }
                Ok(Frame { kind: Kind::Request, service, request, .. }) => {
                    defects = 0;
                    bump(&self.requests);
                    let admitted = self.admit(slots, service, request, &mut buffer, size);
                    admitted.err().map(|refusal| (service, request, refusal))
                }
                Ok(Frame { kind: Kind::Cancel, service, request, payload }) => {
                    defects = 0;
                    match slots.iter().find(|slot| slot.is_for(service, request)) {
                        _ if !payload.is_empty() => {
                            let (code, field) = (ErrorCode::Malformed, "payload");
                            Some((service, request, Refusal { code, field, detail: "none here" }))
                        }
                        Some(slot) => {
                            slot.cancel();
                            None
                        }
                        // Its reply is on the way.
                        None => None,
                    }
                }
                // An answer to an answer would have no end.
                Ok(Frame { kind, .. }) => {
                    bump(&self.errors);
                    count_defect(&mut defects, Defect::Answer(kind))?;
                    None
                }
                Err(error) => {
                    count_defect(&mut defects, Defect::Frame(error))?;
                    if error.reply_to().is_none() {
                        bump(&self.errors);
                    }
                    error.reply_to().map(|(service, request)| {
                        let (code, field) = (ErrorCode::Malformed, error.field());
                        (service, request, Refusal { code, field, detail: "no such value" })
                    })
                }
            };
            if let Some((service, request, refusal)) = refused {
                self.refuse(transport, service, request, refusal).await?;
            }
            self.progress.set(true);
            pause().await;
        }
    }

    /// Gives a request to a free slot.
    fn admit(
        &self,
        slots: &[Slot],
        service: u16,
        request: u32,
        message: &mut Box<[u8]>,
        size: usize,
    ) -> Result<(), Refusal> {
        if self.ending.get() {
            return Err(Refusal::new(ErrorCode::Ending, ""));
        }
        let offer = self.offers.iter().position(|offer| offer.number == service);
        if offer.is_none() && service != DIRECTORY {
            let (code, field) = (ErrorCode::UnknownService, "service");
            return Err(Refusal { code, field, detail: "none has this number" });
        }
        let mut free = None;
        for slot in slots {
            if !slot.is_taken() {
                free = free.or(Some(slot));
            } else if slot.request() == request {
                let (code, field) = (ErrorCode::RequestInUse, "request");
                return Err(Refusal { code, field, detail: "still outstanding" });
            }
        }
        let Some(free) = free else {
            return Err(Refusal::new(ErrorCode::Busy, "4 at most"));
        };
        free.take(service, request, offer, message, size);
        Ok(())
    }

    /// Answers the requests that are given to a slot. One future does it all: what is nested costs
    /// some instructions at each level, for each request.
    async fn work<T: Transport>(
        &self,
        slot: &Slot,
        transport: &T,
    ) -> Result<Infallible, TransportError> {
        loop {
            slot.taken().await;
            let _served = Served::new(self, slot);
            let message = slot.take_message();
            let mut handler = Some(self.handler(slot, message.payload()));
            let mut answered = false;
            while let (false, Some(running)) = (answered, &mut handler) {
                match poll_fn(|cx| slot.poll(running.as_mut(), cx)).await {
                    Step::Part => {}
                    // What it holds is freed after the reply was sent.
                    Step::End(Ok(_)) => answered = true,
                    Step::End(Err(refusal)) => {
                        handler = None;
                        self.put_refusal(slot, &refusal);
                    }
                }
                let outgoing = slot.take_outgoing();
                transport.send(outgoing.bytes()).await?;
                slot.put_outgoing(outgoing);
            }
            drop(handler);
            slot.put_message(message);
        }
    }

    /// Has an error reply sent, in place of whatever the service has put there.
    #[cold]
    fn put_refusal(&self, slot: &Slot, refusal: &Refusal) {
        bump(&self.errors);
        if let Some(offer) = self.offer(slot) {
            bump(&offer.counts.errors);
        }
        // The smallest error reply always fits.
        let _ = slot.put(Kind::Error, |frame, buffer| encode_refusal(frame, refusal, buffer));
    }

    fn offer(&self, slot: &Slot) -> Option<&Rc<Offer>> {
        slot.offer().and_then(|index| self.offers.get(index))
    }

    fn handler<'a>(&'a self, slot: &'a Slot, payload: &'a [u8]) -> Handler<'a> {
        let reply = Reply::new(self, slot);
        match self.offer(slot) {
            Some(offer) => offer.service.call(payload, reply),
            None => Box::pin(async move {
                decode::<billy_protocol::service::directory::Request>(payload)?;
                directory::list(&self.offers, reply).await
            }),
        }
    }

    /// Sends an error reply to a message that has no slot.
    async fn refuse<T: Transport>(
        &self,
        transport: &T,
        service: u16,
        request: u32,
        refusal: Refusal,
    ) -> Result<(), TransportError> {
        bump(&self.errors);
        let mut buffer = [0; ERROR_REPLY];
        let limit = transport.limits().send.min(buffer.len());
        let room = buffer.get_mut(..limit).unwrap_or_default();
        let frame = Frame { kind: Kind::Error, service, request, payload: &[] };
        let size = encode_refusal(frame, &refusal, room).ok();
        match size.and_then(|size| room.get(..size)) {
            Some(message) => transport.send(message).await,
            None => Ok(()),
        }
    }
}

/// Puts an error reply together: with all its words if they fit, else with its code.
fn encode_refusal(
    frame: Frame<'_>,
    refusal: &Refusal,
    buffer: &mut [u8],
) -> Result<usize, EncodeError> {
    let Refusal { code, field, detail } = *refusal;
    let mut size = Err(EncodeError::Room);
    for (field, detail) in [(field, detail), (field, ""), ("", "")] {
        size = frame.encode(&ErrorReply { code, field, detail }, buffer);
        if size.is_ok() {
            break;
        }
    }
    size
}

/// Counts messages in a row that are no requests.
fn count_defect(defects: &mut u32, defect: Defect) -> Result<(), ChannelError> {
    *defects += 1;
    if *defects < MAX_DEFECTS { Ok(()) } else { Err(ChannelError::Defects(defect)) }
}

/// A request that is outstanding; dropped, its slot is free again.
struct Served<'a> {
    channel: &'a Channel,
    slot: &'a Slot,
}

impl<'a> Served<'a> {
    fn new(channel: &'a Channel, slot: &'a Slot) -> Self {
        channel.outstanding.set(channel.outstanding.get() + 1);
        if let Some(offer) = channel.offer(slot) {
            bump(&offer.counts.requests);
            offer.counts.outstanding.set(offer.counts.outstanding.get() + 1);
        }
        Self { channel, slot }
    }
}

impl Drop for Served<'_> {
    fn drop(&mut self) {
        let Self { channel, slot } = self;
        channel.outstanding.set(channel.outstanding.get().saturating_sub(1));
        if let Some(offer) = channel.offer(slot) {
            let outstanding = &offer.counts.outstanding;
            outstanding.set(outstanding.get().saturating_sub(1));
        }
        slot.release();
    }
}

fn bump(count: &Cell<u64>) {
    count.set(count.get().wrapping_add(1));
}

/// Lets the channel's task go on with something else; it comes back by itself.
async fn pause() {
    let mut paused = false;
    poll_fn(
        |_| if core::mem::replace(&mut paused, true) { Poll::Ready(()) } else { Poll::Pending },
    )
    .await;
}

#[cfg(test)]
mod tests;
