//! One request: its turn, its packets, its reply.

use super::drain::{Drained, Take, Unusable, take_reply};
use super::{LOOKS, ResourceManager, Timer};
use crate::counter::count;
use crate::hypercalls::Hypercalls;
use crate::queue::QueueError;
use crate::rm::error::{RequestError, RequestName};
use crate::rm::packet::Fragmenter;
use crate::turn::TurnGuard;
use core::sync::atomic::Ordering::Relaxed;
use core::task::{Context, Poll};
use gunyah_abi::rm::{PacketType, RmError};

/// A request, whatever its reply will be read as: so there is one copy of the code below for all requests there are.
pub(super) struct Request<'a, H: Hypercalls, T: Timer> {
    client: &'a ResourceManager<H, T>,
    name: RequestName,
    fragments: Fragmenter<'a>,
    /// How often the reply was looked for.
    looks: u32,
    /// There once the request is under way.
    turn: Option<TurnGuard<'a>>,
}

/// The request ends, also by being dropped before its reply: the receive queue goes back to the task in
/// [`ResourceManager::run`], the turn to the next request.
impl<H: Hypercalls, T: Timer> Drop for Request<'_, H, T> {
    #[inline]
    fn drop(&mut self) {
        if self.turn.is_some() {
            self.client.exchange.end();
            self.client.receiver.end_urgent();
        }
    }
}

impl<'a, H: Hypercalls, T: Timer> Request<'a, H, T> {
    /// Makes a request that waits for its turn.
    #[inline]
    pub fn new(
        client: &'a ResourceManager<H, T>,
        name: RequestName,
        fixed: &'a [u8],
        variable: &'a [u8],
    ) -> Result<Self, RequestError> {
        match Fragmenter::new(PacketType::Request, 0, name.id, fixed, variable) {
            Some(fragments) => Ok(Self { client, name, fragments, looks: 0, turn: None }),
            None => {
                let length = fixed.len().saturating_add(variable.len());
                Err(RequestError::TooLong { request: name, length })
            }
        }
    }

    /// Does what can be done now. Ready with success when `take` has taken the reply.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        take: &mut Take<'_>,
    ) -> Poll<Result<(), RequestError>> {
        let (client, request) = (self.client, self.name);
        if self.turn.is_none() {
            let Poll::Ready(turn) = client.turn.poll_take(cx) else { return Poll::Pending };
            self.turn = Some(turn);
            let sequence = client.sequence.load(Relaxed).wrapping_add(1);
            client.sequence.store(sequence, Relaxed);
            self.fragments.set_sequence(sequence);
            client.exchange.begin(sequence, request.id);
            client.have_requests_watched();
            count(&client.counters.requests, 1);
        }
        loop {
            match client.poll_exchange(cx, &mut self.fragments, take) {
                Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure.of(request))),
                Poll::Pending if self.looks == client.exchange.looks() => return Poll::Pending,
                Poll::Pending => {}
            }
            self.looks += 1;
            if let Poll::Ready(result) = client.look(cx, &mut self.fragments, take) {
                return Poll::Ready(result.map_err(|failure| failure.of(request)));
            }
            if self.looks == LOOKS {
                count(&client.counters.timeouts, 1);
                return Poll::Ready(Err(RequestError::Timeout { request, after: client.timeout }));
            }
        }
    }
}

/// Why a request failed, without its name.
enum Failure {
    Queue(QueueError),
    Reply(Unusable),
}

impl Failure {
    #[cold]
    fn of(self, request: RequestName) -> RequestError {
        match self {
            Self::Queue(error) => RequestError::Queue { request, error },
            Self::Reply(Unusable::Short(length, needed)) => {
                RequestError::ReplyTooShort { request, length, needed }
            }
            Self::Reply(Unusable::Refused(code)) => {
                let error = RmError::check(code).err().unwrap_or(RmError::Unknown(code));
                RequestError::Refused { request, error }
            }
        }
    }
}

impl<H: Hypercalls, T: Timer> ResourceManager<H, T> {
    /// Sends what is left of a request and takes its reply.
    #[inline]
    fn poll_exchange(
        &self,
        cx: &mut Context<'_>,
        fragments: &mut Fragmenter<'_>,
        take: &mut Take<'_>,
    ) -> Poll<Result<(), Failure>> {
        match self.poll_fragments(cx, fragments) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(Failure::Queue(error))),
            _ => self.poll_reply(cx, take),
        }
    }

    /// Asks both queues though no interrupt came: it may have been lost.
    #[cold]
    fn look(
        &self,
        cx: &mut Context<'_>,
        fragments: &mut Fragmenter<'_>,
        take: &mut Take<'_>,
    ) -> Poll<Result<(), Failure>> {
        self.receiver.recheck();
        self.sender.recheck();
        let was_finished = fragments.is_finished();
        let result = self.poll_exchange(cx, fragments, take);
        let failed_to_send = matches!(result, Poll::Ready(Err(Failure::Queue(_))));
        if (result.is_ready() && !failed_to_send) || (!was_finished && fragments.is_finished()) {
            count(&self.counters.lost_interrupts, 1);
        }
        result
    }

    /// Sends what is left of a request. A packet that does not fit is made again when there is room.
    #[inline(always)]
    fn poll_fragments(
        &self,
        cx: &mut Context<'_>,
        fragments: &mut Fragmenter<'_>,
    ) -> Poll<Result<(), QueueError>> {
        if fragments.is_finished() {
            return Poll::Ready(Ok(()));
        }
        let mut buffer = self.transmit.lock();
        while !fragments.is_finished() {
            match self.sender.send_now(fragments.packet(&mut buffer), false) {
                Ok(()) => fragments.advance(),
                Err(QueueError::Full { .. }) => {
                    if self.sender.poll_ready(cx).is_pending() {
                        return Poll::Pending;
                    }
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Drains the queue in place of [`Self::run`] while a request is outstanding, which saves a task switch and a copy for each
    /// reply. Without a reply the task is registered for the RX vIRQ.
    #[inline(always)]
    fn poll_reply(&self, cx: &mut Context<'_>, take: &mut Take<'_>) -> Poll<Result<(), Failure>> {
        loop {
            if self.receiver.poll_urgent(cx).is_pending() {
                // Another drainer may have delivered the reply before the waker was there.
                if !self.exchange.arrived() {
                    return Poll::Pending;
                }
                let taken = take_reply(&self.exchange.content(), take);
                return Poll::Ready(taken.map_err(Failure::Reply));
            }
            match self.drain_for(Some(take)) {
                Ok(Drained::Answered(taken)) => return Poll::Ready(taken.map_err(Failure::Reply)),
                Ok(Drained::All) => {}
                Ok(Drained::Enough) => {
                    // Others get a chance first.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Err(error) => return Poll::Ready(Err(Failure::Queue(error))),
            }
        }
    }
}
