//! What the client counts.

use crate::rm::packet::DropCounts;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What the client has seen since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientStatistics {
    /// Requests sent.
    pub requests: u64,
    /// Replies delivered to their requests.
    pub replies: u64,
    /// Requests that got no reply in time.
    pub timeouts: u64,
    /// Replies nobody waits for any more, or ever did.
    pub late_replies: u64,
    /// Replies with another sequence number or id than the one awaited.
    pub mismatched_replies: u64,
    /// Notifications a handler took.
    pub notifications: u64,
    /// Notifications no handler wanted.
    pub unclaimed_notifications: u64,
    /// Notifications whose content made no sense to their handler.
    pub malformed_notifications: u64,
    /// Requests RM sent to us; it never does.
    pub requests_received: u64,
    /// Waits of the console because RM was out of memory or busy, or its queue refused.
    pub nomem_waits: u64,
    /// Waits that ended without an interrupt, by looking: replies and room that no interrupt announced.
    pub lost_interrupts: u64,
    /// Bytes of console output that RM did not answer for.
    pub unanswered_output: u64,
    /// Packets dropped.
    pub drops: DropCounts,
}

/// The same while it is counted; drops are counted by the reassembler.
#[derive(Debug, Default)]
pub struct Counters {
    pub requests: AtomicU64,
    pub replies: AtomicU64,
    pub timeouts: AtomicU64,
    pub late_replies: AtomicU64,
    pub mismatched_replies: AtomicU64,
    pub notifications: AtomicU64,
    pub unclaimed_notifications: AtomicU64,
    pub malformed_notifications: AtomicU64,
    pub requests_received: AtomicU64,
    pub nomem_waits: AtomicU64,
    pub lost_interrupts: AtomicU64,
    pub unanswered_output: AtomicU64,
    /// Of those bytes, the ones that nobody was told of.
    pub untold_output: AtomicU64,
    /// Console writes in a row without an answer.
    pub unanswered_writes: AtomicU64,
}

impl Counters {
    pub fn snapshot(&self, drops: DropCounts) -> ClientStatistics {
        ClientStatistics {
            requests: self.requests.load(Relaxed),
            replies: self.replies.load(Relaxed),
            timeouts: self.timeouts.load(Relaxed),
            late_replies: self.late_replies.load(Relaxed),
            mismatched_replies: self.mismatched_replies.load(Relaxed),
            notifications: self.notifications.load(Relaxed),
            unclaimed_notifications: self.unclaimed_notifications.load(Relaxed),
            requests_received: self.requests_received.load(Relaxed),
            malformed_notifications: self.malformed_notifications.load(Relaxed),
            nomem_waits: self.nomem_waits.load(Relaxed),
            lost_interrupts: self.lost_interrupts.load(Relaxed),
            unanswered_output: self.unanswered_output.load(Relaxed),
            drops,
        }
    }
}
