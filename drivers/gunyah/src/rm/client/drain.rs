//! Draining the receive queue: replies to requests, notifications to handlers.

use super::exchange::Delivery;
use super::{Receive, ResourceManager, Timer};
use crate::counter::count;
use crate::hypercalls::Hypercalls;
use crate::queue::QueueError;
use crate::rm::notification::{Claim, Notification};
use crate::rm::packet::Message;
use core::future::poll_fn;
use core::pin::pin;
use core::task::Poll;
use core::time::Duration;
use gunyah_abi::rm::payload::ReplyHeader;
use gunyah_abi::rm::{HEADER_SIZE, PacketType};
use zerocopy::{FromBytes, IntoBytes};

/// Packets drained before other tasks get a chance.
const DRAIN_BUDGET: usize = 64;

/// Refusals in a row after which the queue is given up.
const REFUSALS: u32 = 20;

/// Time between two attempts at a queue that the hypervisor refuses.
const REFUSAL_WAIT: Duration = Duration::from_millis(100);

/// Takes what a reply has after its error word; fails with the number of bytes it needs.
pub(super) type Take<'a> = dyn FnMut(&[u8]) -> Result<(), usize> + 'a;

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drained {
    /// Nothing is left.
    All,
    /// There may be more, left so that others get a chance.
    Enough,
    /// The reply came and was taken, if it was usable; there may be more.
    Answered(Result<(), Unusable>),
}

/// Why a reply was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// RM refused, with this error word.
    Refused(u32),
    /// So many bytes of content, where so many are needed.
    Short(usize, usize),
}

impl<H: Hypercalls, T: Timer> ResourceManager<H, T> {
    /// Drains the receive queue whenever something comes, and watches over requests, for ever; to be awaited by one task.
    ///
    /// Returns only when the queue fails for good, with the reason. A queue that the hypervisor refuses is asked again some
    /// times, at long intervals.
    pub async fn run(&self) -> QueueError {
        let mut watch = pin!(self.watch_requests());
        let mut drain = pin!(self.drain_until_failure());
        poll_fn(|cx| match (drain.as_mut().poll(cx), watch.as_mut().poll(cx)) {
            (Poll::Ready(error), _) => Poll::Ready(error),
            (Poll::Pending, Poll::Pending) => Poll::Pending,
            (Poll::Pending, Poll::Ready(never)) => match never {},
        })
        .await
    }

    async fn drain_until_failure(&self) -> QueueError {
        let mut refusals = 0;
        loop {
            self.receiver.ready().await;
            match self.drain() {
                Ok(false) => refusals = 0,
                Ok(true) => yield_once().await,
                Err(QueueError::Refused { .. }) if refusals < REFUSALS => {
                    refusals += 1;
                    self.timer.sleep(REFUSAL_WAIT).await;
                }
                Err(error) => return error,
            }
        }
    }

    /// Takes what is in the receive queue now and delivers it. Returns whether there is more, which is left so that others
    /// get a chance.
    ///
    /// # Errors
    ///
    /// What the queue said, unless it is merely empty.
    pub fn drain(&self) -> Result<bool, QueueError> {
        self.drain_for(None).map(|drained| drained != Drained::All)
    }

    /// Drains the queue on behalf of a request until its reply comes, which does not go through the exchange then.
    pub(super) fn drain_for(&self, mut own: Option<&mut Take<'_>>) -> Result<Drained, QueueError> {
        let Some(mut receive) = self.receive.try_lock() else {
            // Somebody else is draining; they, or the next wait, take what came.
            self.receiver.recheck();
            return Ok(Drained::Enough);
        };
        let Receive { buffer, reassembler } = &mut *receive;
        for _ in 0..DRAIN_BUDGET {
            let size = match self.receiver.receive_now(buffer.as_mut_bytes()) {
                Ok(size) => size,
                Err(QueueError::Empty { .. }) => return Ok(Drained::All),
                Err(error) => return Err(error),
            };
            let header = u64::from_le(buffer[0]);
            let packet = buffer.as_bytes().get(..size).unwrap_or_default();
            if let Some(take) = &mut own
                && let Some(content) = packet.get(HEADER_SIZE..)
                && self.exchange.awaits_packet(header)
            {
                // Most replies are one packet, known by its first bytes, and need no reassembler.
                reassembler.interrupt();
                return Ok(self.answered(content, take));
            }
            match (reassembler.push(packet), &mut own) {
                (Some(message), Some(take)) if self.is_reply(&message) => {
                    return Ok(self.answered(message.content, take));
                }
                (Some(message), _) => self.deliver(&message),
                (None, _) => {}
            }
            if !self.receiver.is_ready() {
                return Ok(Drained::All);
            }
        }
        Ok(Drained::Enough)
    }

    /// Whether this is the awaited reply.
    fn is_reply(&self, message: &Message<'_>) -> bool {
        message.kind == PacketType::Reply && self.exchange.awaits(message.sequence, message.id)
    }

    #[inline(always)]
    fn answered(&self, content: &[u8], take: &mut Take<'_>) -> Drained {
        self.exchange.end();
        count(&self.counters.replies, 1);
        Drained::Answered(take_reply(content, take))
    }

    fn deliver(&self, message: &Message<'_>) {
        let counter = match message.kind {
            PacketType::Reply => {
                match self.exchange.deliver(message.sequence, message.id, message.content) {
                    Delivery::Delivered => {
                        self.receiver.wake_urgent();
                        &self.counters.replies
                    }
                    Delivery::Mismatched => &self.counters.mismatched_replies,
                    Delivery::Late => &self.counters.late_replies,
                }
            }
            PacketType::Notification => return self.deliver_notification(message),
            PacketType::Request | PacketType::Continuation => &self.counters.requests_received,
        };
        count(counter, 1);
    }

    fn deliver_notification(&self, message: &Message<'_>) {
        let notification = Notification { id: message.id, content: message.content };
        let mut claim = Claim::No;
        for handler in self.handlers.lock().iter() {
            claim = claim.max(handler.notify(&notification));
            if claim == Claim::Taken {
                break;
            }
        }
        let counter = match claim {
            Claim::Noted | Claim::Taken => &self.counters.notifications,
            Claim::Malformed => &self.counters.malformed_notifications,
            Claim::No => &self.counters.unclaimed_notifications,
        };
        count(counter, 1);
    }
}

/// Takes a reply, whose first word is an error.
#[inline(always)]
pub(super) fn take_reply(content: &[u8], take: &mut Take<'_>) -> Result<(), Unusable> {
    let short = |needed| Unusable::Short(content.len(), needed);
    let Ok((header, data)) = ReplyHeader::ref_from_prefix(content) else {
        return Err(short(size_of::<ReplyHeader>()));
    };
    match header.error.get() {
        0 => take(data).map_err(|needed| short(size_of::<ReplyHeader>() + needed)),
        code => Err(Unusable::Refused(code)),
    }
}

/// Lets other tasks run once.
async fn yield_once() {
    let mut yielded = false;
    poll_fn(|cx| {
        if core::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use crate::fake::{RmSetup, Tasks};

    #[test]
    fn another_drainer_wakes_the_request_without_a_virq() {
        let mut setup = RmSetup::new();
        let client = setup.client().unwrap();
        let mut tasks = Tasks::new();
        let asked = tasks.spawn(async { assert_eq!(client.vmid().await, Ok(0x80)) });
        tasks.run_until_idle();
        setup.rm.step();
        client.receiver.recheck();
        assert_eq!(client.drain(), Ok(false));
        tasks.run_until_idle();
        assert!(tasks.is_done(asked));
    }
}
