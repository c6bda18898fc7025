//! One request: its turn, its packets, its reply.

use super::drain::{Answer, Drained, read_reply};
use super::{LOOKS, ResourceManager, Timer};
use crate::counter::count;
use crate::hypercalls::Hypercalls;
use crate::queue::QueueError;
use crate::rm::error::{RequestError, RequestName};
use crate::rm::packet::Fragmenter;
use crate::turn::TurnGuard;
use core::sync::atomic::Ordering::Relaxed;
use core::task::{Context, Poll};
use gunyah_abi::rm::PacketType;

/// A request, whatever its reply will be read as: so there is one copy of the code below for all requests there are.
pub(super) struct Request<'a, H: Hypercalls, T: Timer> {
    client: &'a ResourceManager<H, T>,
    name: RequestName,
    fixed: &'a [u8],
    variable: &'a [u8],
    under_way: Option<UnderWay<'a>>,
}

/// A request that has its turn.
struct UnderWay<'a> {
    fragments: Fragmenter<'a>,
    /// How often the reply was looked for.
    looks: u32,
    _turn: TurnGuard<'a>,
}

/// The request ends, also by being dropped before its reply: the receive queue goes back to the task in
/// [`ResourceManager::run`], the turn to the next request.
impl<H: Hypercalls, T: Timer> Drop for Request<'_, H, T> {
    #[inline]
    fn drop(&mut self) {
        if self.under_way.is_some() {
            self.client.exchange.end();
            self.client.receiver.end_urgent();
        }
    }
}

impl<'a, H: Hypercalls, T: Timer> Request<'a, H, T> {
    #[inline]
    pub fn new(
        client: &'a ResourceManager<H, T>,
        name: RequestName,
        fixed: &'a [u8],
        variable: &'a [u8],
    ) -> Self {
        Self { client, name, fixed, variable, under_way: None }
    }

    /// Does what can be done now. When the request has its answer, `answer` gets it.
    pub fn poll(&mut self, cx: &mut Context<'_>, answer: &mut Answer<'_>) {
        if self.under_way.is_none() {
            match self.begin(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return answer(Err(error)),
                Poll::Pending => return,
            }
        }
        let (client, name) = (self.client, self.name);
        let Some(under_way) = &mut self.under_way else { return };
        while client.poll_exchange(cx, name, &mut under_way.fragments, answer).is_pending()
            && under_way.looks < client.exchange.looks()
        {
            under_way.looks += 1;
            if client.look(cx, name, &mut under_way.fragments, answer).is_ready() {
                return;
            }
            if under_way.looks == LOOKS {
                count(&client.counters.timeouts, 1);
                return answer(Err(RequestError::Timeout { request: name, after: client.timeout }));
            }
        }
    }

    /// Begins when it is this request's turn.
    #[inline]
    fn begin(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), RequestError>> {
        let Self { client, name: RequestName { id, .. }, fixed, variable, .. } = *self;
        let Poll::Ready(_turn) = client.turn.poll_take(cx) else { return Poll::Pending };
        let sequence = client.sequence.load(Relaxed).wrapping_add(1);
        client.sequence.store(sequence, Relaxed);
        let kind = PacketType::Request;
        let Some(fragments) = Fragmenter::new(kind, sequence, id, fixed, variable) else {
            let length = fixed.len().saturating_add(variable.len());
            return Poll::Ready(Err(RequestError::TooLong { request: self.name, length }));
        };
        client.exchange.begin(sequence, id);
        client.have_requests_watched();
        count(&client.counters.requests, 1);
        self.under_way = Some(UnderWay { fragments, looks: 0, _turn });
        Poll::Ready(Ok(()))
    }
}

impl<H: Hypercalls, T: Timer> ResourceManager<H, T> {
    /// Sends what is left of a request and takes its reply. Ready when `answer` was called.
    #[inline]
    fn poll_exchange(
        &self,
        cx: &mut Context<'_>,
        request: RequestName,
        fragments: &mut Fragmenter<'_>,
        answer: &mut Answer<'_>,
    ) -> Poll<()> {
        if let Poll::Ready(Err(error)) = self.poll_fragments(cx, fragments) {
            answer(Err(RequestError::Queue { request, error }));
            return Poll::Ready(());
        }
        self.poll_reply(cx, request, answer)
    }

    /// Asks both queues though no interrupt came: it may have been lost.
    #[cold]
    fn look(
        &self,
        cx: &mut Context<'_>,
        request: RequestName,
        fragments: &mut Fragmenter<'_>,
        answer: &mut Answer<'_>,
    ) -> Poll<()> {
        self.receiver.recheck();
        self.sender.recheck();
        let was_finished = fragments.is_finished();
        let answered = self.poll_exchange(cx, request, fragments, answer);
        if answered.is_ready() || (!was_finished && fragments.is_finished()) {
            count(&self.counters.lost_interrupts, 1);
        }
        answered
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
            match self.sender.poll_send(cx, fragments.packet(&mut buffer), false) {
                Poll::Ready(Ok(())) => fragments.advance(),
                other => return other,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Drains the queue in place of [`Self::run`] while a request is outstanding, which saves a task switch and a copy for each
    /// reply. Without a reply the task is registered for the RX vIRQ.
    #[inline(always)]
    fn poll_reply(
        &self,
        cx: &mut Context<'_>,
        request: RequestName,
        answer: &mut Answer<'_>,
    ) -> Poll<()> {
        loop {
            if self.receiver.poll_urgent(cx).is_pending() {
                // Another drainer may have delivered the reply before the waker was there.
                if !self.exchange.arrived() {
                    return Poll::Pending;
                }
                answer(read_reply(request, &self.exchange.content()));
                return Poll::Ready(());
            }
            match self.drain_for(Some((request, answer))) {
                Ok(Drained::Answered) => return Poll::Ready(()),
                Ok(Drained::All) => {}
                Ok(Drained::Enough) => {
                    // Others get a chance first.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Err(error) => {
                    answer(Err(RequestError::Queue { request, error }));
                    return Poll::Ready(());
                }
            }
        }
    }
}
