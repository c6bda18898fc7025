//! Messages to packets towards one VM, as RM does it.
//!
//! One message is in transit at a time. Behind it wait one reply, which the next reply replaces, and the notifications in
//! a FIFO that drops its oldest. A waiting reply goes first, so it overtakes the notifications.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use gunyah_abi::rm::{
    MAX_PACKET_CONTENT, MessageId, PacketHeader, PacketType, RmError, extra_fragments,
};
use zerocopy::IntoBytes;

use crate::object::message_queue::MessageQueue;
use crate::seam::VirtualInterrupts;

/// Notifications that may wait for a VM.
const NOTIFICATIONS: usize = 256;

/// Bytes of notifications that may wait for a VM: about what RM's heap holds.
const NOTIFICATION_BYTES: usize = 96_000;

#[derive(Debug)]
struct Outgoing {
    kind: PacketType,
    sequence: u16,
    id: MessageId,
    extra_fragments: u8,
    content: Vec<u8>,
    packets_sent: u8,
}

/// What waits to be sent to one VM.
#[derive(Debug, Default)]
pub(super) struct Transmitter {
    in_transit: Option<Outgoing>,
    reply: Option<Outgoing>,
    notifications: VecDeque<Outgoing>,
    notification_bytes: usize,
}

impl Transmitter {
    /// Queues a reply; one that waits already is lost.
    pub(super) fn reply(&mut self, sequence: u16, id: MessageId, content: Vec<u8>) {
        let Some(reply) = Outgoing::new(PacketType::Reply, sequence, id, content) else {
            log::warn!("rm: the reply to {id} is too long and dropped");
            return;
        };
        if let Some(lost) = self.reply.replace(reply) {
            log::debug!("rm: the reply to {} is lost", lost.id);
        }
    }

    /// Queues a notification, at the cost of the oldest one.
    ///
    /// # Errors
    ///
    /// `NOMEM` if too many bytes wait.
    pub(super) fn notify(
        &mut self,
        sequence: u16,
        id: MessageId,
        content: Vec<u8>,
    ) -> Result<(), RmError> {
        if self.notification_bytes + content.len() > NOTIFICATION_BYTES {
            return Err(RmError::Nomem);
        }
        let notification = Outgoing::new(PacketType::Notification, sequence, id, content);
        let notification = notification.ok_or(RmError::MsgInvalid)?;
        // The one in transit does not count, and what could go at once was sent before.
        if self.in_transit.is_none() && self.reply.is_none() && self.notifications.is_empty() {
            self.in_transit = Some(notification);
            return Ok(());
        }
        if self.notifications.len() == NOTIFICATIONS {
            self.next_notification();
            log::debug!("rm: the oldest notification is lost");
        }
        self.notification_bytes += notification.content.len();
        self.notifications.push_back(notification);
        Ok(())
    }

    /// Messages that wait, the one in transit included.
    pub(super) fn backlog(&self) -> usize {
        usize::from(self.in_transit.is_some())
            + usize::from(self.reply.is_some())
            + self.notifications.len()
    }

    /// Sends packets until the queue is full or nothing waits.
    pub(super) fn run(&mut self, queue: &mut MessageQueue, interrupts: &mut dyn VirtualInterrupts) {
        while let Some(mut message) = self.next_message() {
            while let Some(packet) = message.packet() {
                if queue.send_bytes(&packet, interrupts).is_err() {
                    self.in_transit = Some(message);
                    return;
                }
                message.packets_sent += 1;
            }
        }
    }

    fn next_message(&mut self) -> Option<Outgoing> {
        let waiting = self.in_transit.take().or_else(|| self.reply.take());
        waiting.or_else(|| self.next_notification())
    }

    fn next_notification(&mut self) -> Option<Outgoing> {
        let notification = self.notifications.pop_front()?;
        self.notification_bytes -= notification.content.len();
        Some(notification)
    }
}

impl Outgoing {
    fn new(kind: PacketType, sequence: u16, id: MessageId, content: Vec<u8>) -> Option<Self> {
        Some(Self {
            kind,
            sequence,
            id,
            extra_fragments: extra_fragments(content.len())?,
            content,
            packets_sent: 0,
        })
    }

    /// The next packet; `None` if all are sent.
    fn packet(&self) -> Option<Vec<u8>> {
        if self.packets_sent > self.extra_fragments {
            return None;
        }
        let kind = match self.packets_sent {
            0 => self.kind,
            _ => PacketType::Continuation,
        };
        let header = PacketHeader::new(kind, self.extra_fragments, self.sequence, self.id);
        let sent = usize::from(self.packets_sent) * MAX_PACKET_CONTENT;
        let rest = self.content.get(sent..).unwrap_or_default();
        let content = &rest[..rest.len().min(MAX_PACKET_CONTENT)];
        Some([header.as_bytes(), content].concat())
    }
}
