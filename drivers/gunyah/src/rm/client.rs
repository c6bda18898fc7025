//! The client: one outstanding request, and a receive queue that is always drained.
//!
//! RM keeps one pending reply per VM, so requests take turns. Replies and notifications come through one queue. The task whose
//! request is outstanding drains it, and is the one the RX vIRQ wakes; otherwise [`ResourceManager::run`] does. Whoever
//! drains hands the reply to the request and notifications to their handlers, never waiting for either. A reply is matched
//! by sequence number and message id.
//!
//! Locks: `turn` is held by the task whose request is outstanding. `receive` is only ever tried, never waited for; `transmit` belongs to
//! whoever has the turn; the reply's content is locked for a copy. Interrupt handlers take none of them.

mod drain;
mod exchange;
mod statistics;

pub use statistics::ClientStatistics;

use super::error::{RequestError, RequestName};
use super::notification::NotificationHandler;
use super::packet::{DropCounts, Fragmenter, PacketBuffer, Reassembler};
use crate::hypercalls::Hypercalls;
use crate::queue::{MessageReceiver, MessageSender, QueueError};
use crate::turn::Turn;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::future::poll_fn;
use core::pin::pin;
use core::sync::atomic::{AtomicU16, Ordering::Relaxed};
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use exchange::Exchange;
use gunyah_abi::rm::payload::ReplyHeader;
use gunyah_abi::rm::{PacketType, RmError};
use spin::mutex::SpinMutex;
use statistics::Counters;
use zerocopy::FromBytes;

/// How long RM gets to answer. It is a fault if it does not, so this is generous.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a request looks for its reply though no interrupt came, the last time when its time is up.
const LOOKS: u32 = 5;

/// Console writes in a row without an answer after which the console is given up.
const UNANSWERED_WRITES: u64 = 4;

/// The caller's clock.
pub trait Timer {
    /// Completes after `duration`.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()>;
}

impl<T: Timer> Timer for &T {
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> {
        (**self).sleep(duration)
    }
}

/// The receiving side, for one drainer at a time.
struct Receive {
    buffer: Box<[u8]>,
    reassembler: Reassembler,
}

/// A client of the Resource Manager.
pub struct ResourceManager<H, T> {
    sender: MessageSender<H>,
    receiver: MessageReceiver<H>,
    timer: T,
    timeout: Duration,
    look_after: Duration,
    turn: Turn,
    sequence: AtomicU16,
    receive: SpinMutex<Receive>,
    /// Where packets are made; kept, since clearing it for each would cost more than filling it.
    transmit: SpinMutex<PacketBuffer>,
    exchange: Exchange,
    handlers: SpinMutex<Vec<Arc<dyn NotificationHandler>>>,
    counters: Counters,
}

/// Hands the receive queue back to the task in [`ResourceManager::run`] when a request ends, also by being dropped.
struct Draining<'a, H: Hypercalls>(&'a MessageReceiver<H>);

impl<H: Hypercalls> Drop for Draining<'_, H> {
    fn drop(&mut self) {
        self.0.end_urgent();
    }
}

impl<H: Hypercalls, T: Timer> ResourceManager<H, T> {
    /// Makes the client of a queue pair. The vIRQs' handlers call [`MessageSender::on_interrupt`] and
    /// [`MessageReceiver::on_interrupt`] of [`Self::sender`] and [`Self::receiver`]; a task awaits [`Self::run`].
    pub fn new(sender: MessageSender<H>, receiver: MessageReceiver<H>, timer: T) -> Self {
        let buffer = vec![0; receiver.max_message_size()].into_boxed_slice();
        Self {
            sender,
            receiver,
            timer,
            timeout: DEFAULT_TIMEOUT,
            look_after: DEFAULT_TIMEOUT / LOOKS,
            turn: Turn::default(),
            sequence: AtomicU16::new(0),
            receive: SpinMutex::new(Receive { buffer, reassembler: Reassembler::new() }),
            transmit: SpinMutex::new(PacketBuffer::new()),
            exchange: Exchange::new(),
            handlers: SpinMutex::new(Vec::new()),
            counters: Counters::default(),
        }
    }

    /// Sets how long RM gets to answer.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self.look_after = timeout / LOOKS;
        self
    }

    /// The queue to RM, whose `on_interrupt` belongs into the TX vIRQ's handler.
    pub fn sender(&self) -> &MessageSender<H> {
        &self.sender
    }

    /// The queue from RM, whose `on_interrupt` belongs into the RX vIRQ's handler.
    pub fn receiver(&self) -> &MessageReceiver<H> {
        &self.receiver
    }

    /// The clock.
    pub fn timer(&self) -> &T {
        &self.timer
    }

    /// Adds a handler for notifications. All are asked, in order, unless one says that nobody else can want the notification.
    pub fn subscribe(&self, handler: Arc<dyn NotificationHandler>) {
        self.handlers.lock().push(handler);
    }

    /// Takes a handler out again.
    pub fn unsubscribe<N: ?Sized>(&self, handler: &Arc<N>) {
        let handler = Arc::as_ptr(handler);
        self.handlers.lock().retain(|kept| !core::ptr::addr_eq(Arc::as_ptr(kept), handler));
    }

    /// Makes a request and waits for its reply. `fixed` and `variable` together are the content; `parse` gets the reply's
    /// content after the error word, and fails with the number of bytes it needs.
    ///
    /// # Errors
    ///
    /// Every variant of [`RequestError`] but `Busy` and `Receive`.
    pub async fn request<R>(
        &self,
        request: RequestName,
        fixed: &[u8],
        variable: &[u8],
        parse: impl Fn(&[u8]) -> Result<R, usize>,
    ) -> Result<R, RequestError> {
        let _turn = self.turn.take().await;
        let sequence = self.sequence.fetch_add(1, Relaxed).wrapping_add(1);
        let kind = PacketType::Request;
        let Some(mut fragments) = Fragmenter::new(kind, sequence, request.id, fixed, variable)
        else {
            let length = fixed.len().saturating_add(variable.len());
            return Err(RequestError::TooLong { request, length });
        };
        let _awaiting = self.exchange.begin(sequence, request.id);
        let _draining = Draining(&self.receiver);
        self.counters.requests.fetch_add(1, Relaxed);

        let mut next_look = pin!(self.timer.sleep(self.look_after));
        let mut looks = 0;
        poll_fn(|cx| {
            loop {
                if let Poll::Ready(Err(error)) = self.poll_fragments(cx, &mut fragments) {
                    return Poll::Ready(Err(RequestError::Queue { request, error }));
                }
                if let Poll::Ready(result) = self.poll_reply(cx, sequence, request, &parse) {
                    return Poll::Ready(result);
                }
                if next_look.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                looks += 1;
                if let Some(result) = self.look(cx, &mut fragments, sequence, request, &parse) {
                    return Poll::Ready(result);
                }
                if looks == LOOKS {
                    self.counters.timeouts.fetch_add(1, Relaxed);
                    let after = self.timeout;
                    return Poll::Ready(Err(RequestError::Timeout { request, after }));
                }
                next_look.set(self.timer.sleep(self.look_after));
            }
        })
        .await
    }

    /// Asks both queues though no interrupt came: it may have been lost. Returns the request's result, if that was so.
    #[cold]
    fn look<R>(
        &self,
        cx: &mut Context<'_>,
        fragments: &mut Fragmenter<'_>,
        sequence: u16,
        request: RequestName,
        parse: impl Fn(&[u8]) -> Result<R, usize>,
    ) -> Option<Result<R, RequestError>> {
        self.receiver.recheck();
        self.sender.recheck();
        let was_finished = fragments.is_finished();
        let sent = self.poll_fragments(cx, fragments);
        let reply = self.poll_reply(cx, sequence, request, parse);
        if reply.is_ready() || (!was_finished && fragments.is_finished()) {
            self.counters.lost_interrupts.fetch_add(1, Relaxed);
        }
        match (reply, sent) {
            (Poll::Ready(result), _) => Some(result),
            (_, Poll::Ready(Err(error))) => Some(Err(RequestError::Queue { request, error })),
            _ => None,
        }
    }

    /// Sends what is left of a request. A packet that does not fit is made again when there is room.
    #[inline]
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
    #[inline]
    fn poll_reply<R>(
        &self,
        cx: &mut Context<'_>,
        sequence: u16,
        request: RequestName,
        parse: impl Fn(&[u8]) -> Result<R, usize>,
    ) -> Poll<Result<R, RequestError>> {
        loop {
            if self.exchange.arrived() {
                let result = read_reply(request, &self.exchange.content(), &parse);
                return Poll::Ready(result);
            }
            if self.receiver.poll_urgent(cx).is_pending() {
                // Another drainer may have delivered the reply before the waker was there.
                if self.exchange.arrived() {
                    continue;
                }
                return Poll::Pending;
            }
            let mut reply = None;
            let drained = self.drain_for(Some((sequence, request.id)), |content| {
                reply = Some(read_reply(request, content, &parse));
            });
            if let Some(result) = reply {
                return Poll::Ready(result);
            }
            match drained {
                Ok(false) => {}
                Ok(true) => {
                    // There is more than one drain takes: others get a chance first.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Err(error) => {
                    return Poll::Ready(Err(RequestError::Queue { request, error }));
                }
            }
        }
    }

    /// Completes a future that makes requests, or reads the console, outside tasks: drains the queue itself and calls `idle` whenever
    /// there is nothing to do.
    ///
    /// Call it with interrupts masked; `idle` then waits (WFI), lets the pending interrupts be handled, and masks them again.
    /// Both queues are asked once more after each `idle`, so it works without handlers for them too.
    ///
    /// # Errors
    ///
    /// [`RequestError::Busy`] while a task has a request outstanding, [`RequestError::Receive`] if the queue fails.
    pub fn block_on<F: Future>(
        &self,
        future: F,
        mut idle: impl FnMut(),
    ) -> Result<F::Output, RequestError> {
        if self.is_busy() {
            return Err(RequestError::Busy);
        }
        let mut future = pin!(future);
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            let more = self.drain().map_err(RequestError::Receive)?;
            if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                return Ok(output);
            }
            if !more {
                idle();
                self.sender.recheck();
                self.receiver.recheck();
            }
        }
    }

    /// Whether a request is outstanding.
    pub fn is_busy(&self) -> bool {
        self.turn.is_taken()
    }

    pub(super) fn count_nomem_wait(&self) {
        self.counters.nomem_waits.fetch_add(1, Relaxed);
    }

    /// Takes note that RM did not answer for so many bytes of console output.
    ///
    /// # Errors
    ///
    /// `error` itself, if that happens time after time.
    pub(super) fn doubt_console_output(
        &self,
        bytes: usize,
        error: RequestError,
    ) -> Result<(), RequestError> {
        self.counters.unanswered_output.fetch_add(bytes as u64, Relaxed);
        self.counters.untold_output.fetch_add(bytes as u64, Relaxed);
        match self.counters.unanswered_writes.fetch_add(1, Relaxed) {
            0..UNANSWERED_WRITES => Ok(()),
            _ => Err(error),
        }
    }

    /// Bytes of console output that may be lost and that nobody was told of.
    pub(super) fn console_doubts(&self) -> u64 {
        self.counters.untold_output.load(Relaxed)
    }

    /// Takes note that somebody was told of so many.
    pub(super) fn console_doubts_are_told(&self, bytes: u64) {
        self.counters.untold_output.fetch_sub(bytes, Relaxed);
        self.console_is_heard();
    }

    /// Takes note that RM answered a console write.
    pub(super) fn console_is_heard(&self) {
        self.counters.unanswered_writes.store(0, Relaxed);
    }

    /// What happened so far.
    pub fn statistics(&self) -> ClientStatistics {
        let drops = match self.receive.try_lock() {
            Some(receive) => receive.reassembler.drops(),
            None => DropCounts::default(),
        };
        self.counters.snapshot(drops)
    }
}

/// Takes a reply apart.
#[inline]
fn read_reply<R>(
    request: RequestName,
    content: &[u8],
    parse: impl Fn(&[u8]) -> Result<R, usize>,
) -> Result<R, RequestError> {
    let length = content.len();
    let too_short = |needed| RequestError::ReplyTooShort { request, length, needed };
    let Ok((header, data)) = ReplyHeader::ref_from_prefix(content) else {
        return Err(too_short(size_of::<ReplyHeader>()));
    };
    match RmError::check(header.error.get()) {
        Ok(()) => parse(data).map_err(|needed| too_short(size_of::<ReplyHeader>() + needed)),
        Err(error) => Err(RequestError::Refused { request, error }),
    }
}
