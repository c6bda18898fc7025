//! A bounded queue of events for one subscriber.

use super::{Event, NoEvent};
use crate::rm::notification::{Claim, Notification, NotificationHandler};
use core::future::poll_fn;
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::{Context, Poll, Waker};
use gunyah_abi::rm::MessageId;
use heapless::deque::{Deque, DequeView};
use spin::mutex::SpinMutex;

/// What a subscriber gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// The next event.
    Event(Event),
    /// So many events were lost that came before the next one. What they told has to be asked for.
    Missed(u64),
}

/// How many events came; it puts those of different queues in order.
static ARRIVED: AtomicU64 = AtomicU64::new(0);

struct Queue<const N: usize> {
    /// With the number of each.
    events: Deque<(u64, Event), N>,
    losses: Losses,
    waker: Option<Waker>,
}

#[derive(Default)]
struct Losses {
    /// Events lost that nobody was told of.
    missed: u64,
    /// All that were lost.
    all: u64,
}

/// Events for one subscriber, `N` at most; of more the oldest are lost, and counted. It allocates only for the lists of
/// announced parcels, 8 KiB each at most, and an event is lost where there is no memory for them.
///
/// Of several `VM_STATUS` of a VM that wait in the queue and tell the same state of the VM, only the newest is kept, so that no
/// peer can push other events out by announcing itself.
pub struct Events<const N: usize> {
    interest: &'static [MessageId],
    queue: SpinMutex<Queue<N>>,
}

impl<const N: usize> Default for Events<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Events<N> {
    /// Makes a queue for all events.
    pub const fn new() -> Self {
        Self::only(Event::ALL)
    }

    /// Makes a queue for some of [`Event::ALL`].
    pub const fn only(interest: &'static [MessageId]) -> Self {
        let losses = Losses { missed: 0, all: 0 };
        let queue = Queue { events: Deque::new(), losses, waker: None };
        Self { interest, queue: SpinMutex::new(queue) }
    }

    /// Waits for the next event, or for the news that some were lost before it. For one task.
    pub async fn next(&self) -> Received {
        self.next_numbered().await.1
    }

    /// As [`Self::next`], with the event's number: one that came later has a higher one, whichever queue it is in.
    pub async fn next_numbered(&self) -> (u64, Received) {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Takes what is there without waiting.
    pub fn try_next(&self) -> Option<Received> {
        self.try_next_numbered().map(|(_, received)| received)
    }

    /// As [`Self::try_next`], with the event's number.
    pub fn try_next_numbered(&self) -> Option<(u64, Received)> {
        self.queue.lock().take()
    }

    /// The number of the newest event, of whichever queue.
    pub fn newest() -> u64 {
        ARRIVED.load(Ordering::Relaxed)
    }

    /// Events lost since the queue was made.
    pub fn lost(&self) -> u64 {
        self.queue.lock().losses.all
    }

    fn poll_next(&self, cx: &mut Context<'_>) -> Poll<(u64, Received)> {
        let mut queue = self.queue.lock();
        if let Some(received) = queue.take() {
            return Poll::Ready(received);
        }
        match &mut queue.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl<const N: usize> Queue<N> {
    fn take(&mut self) -> Option<(u64, Received)> {
        match core::mem::take(&mut self.losses.missed) {
            0 => self.events.pop_front().map(|(number, event)| (number, Received::Event(event))),
            missed => Some((Events::<N>::newest(), Received::Missed(missed))),
        }
    }
}

impl Losses {
    fn count(&mut self) {
        self.missed = self.missed.saturating_add(1);
        self.all = self.all.saturating_add(1);
    }
}

/// Puts an event into a queue of whatever size; `None` is one there is no memory for.
fn put(event: Option<Event>, events: &mut DequeView<(u64, Event)>, losses: &mut Losses) {
    let Some(event) = event else { return losses.count() };
    if let Event::VmStatus { vmid, status } = &event {
        let waiting = events.iter_mut().rev().find_map(|waiting| match waiting {
            (_, Event::VmStatus { vmid: of, status }) if of == vmid => Some(status),
            _ => None,
        });
        if let Some(waiting) = waiting.filter(|waiting| waiting.vm == status.vm) {
            *waiting = *status;
            return;
        }
    }
    if events.is_full() {
        events.pop_front();
        losses.count();
    }
    let number = ARRIVED.fetch_add(1, Ordering::Relaxed) + 1;
    if events.push_back((number, event)).is_err() {
        losses.count();
    }
}

impl<const N: usize> NotificationHandler for Events<N> {
    fn notify(&self, notification: &Notification<'_>) -> Claim {
        if !self.interest.contains(&notification.id) {
            return Claim::No;
        }
        let event = match Event::parse(notification.id, notification.content) {
            Ok(event) => Some(event),
            Err(NoEvent::NoMemory) => None,
            Err(NoEvent::Malformed) => return Claim::Malformed,
            Err(NoEvent::Other) => return Claim::No,
        };
        let waker = {
            let Queue { events, losses, waker } = &mut *self.queue.lock();
            put(event, events, losses);
            waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Claim::Noted
    }
}
