//! Draining the receive queue: replies to their request, notifications to their handlers.

use super::exchange::Delivery;
use super::{Receive, ResourceManager, Timer};
use crate::hypercalls::Hypercalls;
use crate::queue::QueueError;
use crate::rm::notification::{Claim, Notification};
use crate::rm::packet::Message;
use core::future::poll_fn;
use core::sync::atomic::Ordering::Relaxed;
use core::task::Poll;
use core::time::Duration;
use gunyah_abi::rm::{MessageId, PacketType};

/// Packets drained before other tasks get a chance.
const DRAIN_BUDGET: usize = 64;

/// Refusals in a row after which the queue is given up.
const REFUSALS: u32 = 20;

/// Time between two attempts at a queue that the hypervisor refuses.
const REFUSAL_WAIT: Duration = Duration::from_millis(100);

impl<H: Hypercalls, T: Timer> ResourceManager<H, T> {
    /// Drains the receive queue whenever something comes, for ever; to be awaited by one task.
    ///
    /// Returns only when the queue fails for good, with the reason. A queue that the hypervisor refuses is asked again some
    /// times, at long intervals.
    pub async fn run(&self) -> QueueError {
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
        self.drain_for(None, |_| {})
    }

    /// Drains the queue. The reply that `own` names, sequence number and id, goes to `take` and not to the exchange.
    #[inline]
    pub(super) fn drain_for(
        &self,
        mut own: Option<(u16, MessageId)>,
        mut take: impl FnMut(&[u8]),
    ) -> Result<bool, QueueError> {
        let Some(mut receive) = self.receive.try_lock() else {
            // Somebody else is draining; they, or the next wait, take what came.
            self.receiver.recheck();
            return Ok(true);
        };
        let Receive { buffer, reassembler } = &mut *receive;
        for _ in 0..DRAIN_BUDGET {
            match self.receiver.try_receive(buffer) {
                Ok(size) => {
                    let packet = buffer.get(..size).unwrap_or_default();
                    if let Some(message) = reassembler.push(packet) {
                        if message.kind == PacketType::Reply
                            && own == Some((message.sequence, message.id))
                        {
                            take(message.content);
                            own = None;
                            self.exchange.end();
                            self.counters.replies.fetch_add(1, Relaxed);
                        } else {
                            self.deliver(&message);
                        }
                    }
                }
                Err(QueueError::Empty { .. }) => return Ok(false),
                Err(error) => return Err(error),
            }
            if !self.receiver.is_ready() {
                return Ok(false);
            }
        }
        Ok(true)
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
        counter.fetch_add(1, Relaxed);
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
        counter.fetch_add(1, Relaxed);
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
