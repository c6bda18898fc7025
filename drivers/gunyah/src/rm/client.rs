//! The client: one outstanding request, a receive queue always drained.
//!
//! RM keeps one pending reply per VM, so requests take turns. Replies and notifications come through one queue. The task whose
//! request is outstanding drains it, and is the one the RX vIRQ wakes; otherwise [`ResourceManager::run`] does. Whoever
//! drains hands the reply to the request and notifications to their handlers, never waiting for either. A reply is matched
//! by sequence number and message id. [`ResourceManager::run`] also watches over requests: that they look for what no interrupt
//! announced, and end when RM keeps silent.
//!
//! Locks: `turn` is held by the task whose request is outstanding. `receive` is only ever tried, never waited for; `transmit` belongs to
//! whoever has the turn; the reply's content is locked for a copy. Interrupt handlers take none of them.

mod drain;
mod exchange;
mod request;
mod statistics;
mod watch;

pub use statistics::ClientStatistics;

use super::error::{RequestError, RequestName};
use super::notification::NotificationHandler;
use super::packet::{DropCounts, PacketBuffer, Reassembler};
use crate::hypercalls::Hypercalls;
use crate::queue::{MessageReceiver, MessageSender};
use crate::turn::Turn;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::poll_fn;
use core::pin::pin;
use core::sync::atomic::{AtomicU16, Ordering::Relaxed};
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use exchange::Exchange;
use gunyah_abi::message_queue::MAX_MESSAGE_SIZE;
use request::Request;
use spin::mutex::SpinMutex;
use statistics::Counters;
use watch::Watch;

/// How long RM gets to answer. It is a fault if it does not, so this is generous.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a request looks for its reply though no interrupt came, before it gives up.
const LOOKS: u32 = 5;

/// Words that hold the largest message a queue can have.
const RECEIVE_WORDS: usize = (MAX_MESSAGE_SIZE as usize).div_ceil(size_of::<u64>());

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
    /// Room for the largest message of any queue; in words, so that a packet's header is one.
    buffer: Box<[u64; RECEIVE_WORDS]>,
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
    watch: Watch,
    handlers: SpinMutex<Vec<Arc<dyn NotificationHandler>>>,
    counters: Counters,
}

impl<H: Hypercalls, T: Timer> ResourceManager<H, T> {
    /// Makes the client of a queue pair. The vIRQs' handlers call [`MessageSender::on_interrupt`] and
    /// [`MessageReceiver::on_interrupt`] of [`Self::sender`] and [`Self::receiver`]; a task awaits [`Self::run`].
    pub fn new(sender: MessageSender<H>, receiver: MessageReceiver<H>, timer: T) -> Self {
        Self {
            sender,
            receiver,
            timer,
            timeout: DEFAULT_TIMEOUT,
            look_after: DEFAULT_TIMEOUT / LOOKS,
            turn: Turn::default(),
            sequence: AtomicU16::new(0),
            receive: SpinMutex::new(Receive {
                buffer: Box::new([0; RECEIVE_WORDS]),
                reassembler: Reassembler::new(),
            }),
            transmit: SpinMutex::new(PacketBuffer::new()),
            exchange: Exchange::new(),
            watch: Watch::new(),
            handlers: SpinMutex::new(Vec::new()),
            counters: Counters::default(),
        }
    }

    /// Sets how long RM gets to answer: so long at least, and up to a fifth more.
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
    /// Every variant of [`RequestError`] but `Busy`, `Receive` and `ReplyInvalid`.
    pub fn request<'a, R>(
        &'a self,
        name: RequestName,
        fixed: &'a [u8],
        variable: &'a [u8],
        parse: impl Fn(&[u8]) -> Result<R, usize>,
    ) -> impl Future<Output = Result<R, RequestError>> {
        let mut request = Request::new(self, name, fixed, variable);
        poll_fn(move |cx| {
            let request = match &mut request {
                Ok(request) => request,
                Err(error) => return Poll::Ready(Err(*error)),
            };
            let mut taken = None;
            let mut take = |data: &[u8]| parse(data).map(|value| taken = Some(value));
            match request.poll(cx, &mut take) {
                Poll::Ready(Ok(())) => taken.map_or(Poll::Pending, |value| Poll::Ready(Ok(value))),
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Pending => Poll::Pending,
            }
        })
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
        let mut seen = None;
        let mut patience = pin!(self.timer.sleep(self.timeout));
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
            // The watch over requests belongs to a task, which does not run now.
            let request = self.exchange.under_way();
            if request != seen {
                seen = request;
                patience.set(self.timer.sleep(self.timeout));
            } else if patience.as_mut().poll(&mut cx).is_ready() {
                self.exchange.ask_for_looks(LOOKS);
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
