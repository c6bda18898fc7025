//! Messages to packets towards one VM, as RM does it.
//!
//! One message is in transit at a time. Behind it wait one reply, which the next reply replaces, and the notifications in
//! a FIFO that drops its oldest. A waiting reply goes first, so it overtakes the notifications. [`Behaviour`] has the
//! numbers, and can put all that waits into one order.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use gunyah_abi::rm::{
    MAX_PACKET_CONTENT, MessageId, PacketHeader, PacketType, RmError, extra_fragments,
};
use zerocopy::IntoBytes;

use super::behaviour::Behaviour;
use super::fault::Fault;
use crate::object::message_queue::{MessageQueue, QueueError};
use crate::seam::VirtualInterrupts;

/// Times that a message is in memory while it is made.
const COPIES: usize = 4;

/// A message on its way to a VM.
#[derive(Debug)]
pub(super) struct Outgoing {
    id: MessageId,
    /// Place among all messages to this VM.
    number: u64,
    /// Bytes of memory it takes.
    bytes: usize,
    packets: VecDeque<Vec<u8>>,
}

/// What waits to be sent to one VM.
#[derive(Debug, Default)]
pub(super) struct Transmitter {
    made: u64,
    in_transit: Option<Outgoing>,
    replies: VecDeque<Outgoing>,
    notifications: VecDeque<Outgoing>,
    notification_bytes: usize,
}

impl Transmitter {
    /// Queues a reply; one that waits already may be lost by that.
    pub(super) fn reply(&mut self, mut reply: Outgoing, behaviour: &Behaviour) {
        reply.number = self.next_number();
        self.replies.push_back(reply);
        if self.replies.len() > usize::from(behaviour.replies.max(1))
            && let Some(lost) = self.replies.pop_front()
        {
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
        mut notification: Outgoing,
        behaviour: &Behaviour,
    ) -> Result<(), RmError> {
        let in_transit = self.in_transit.as_ref().map_or(0, |message| message.bytes);
        let waiting = self.notification_bytes + in_transit;
        if waiting + COPIES * notification.bytes > behaviour.memory as usize {
            return Err(RmError::Nomem);
        }
        notification.number = self.next_number();
        // The one in transit does not count, and what could go at once was sent before.
        if self.in_transit.is_none() && self.replies.is_empty() && self.notifications.is_empty() {
            self.in_transit = Some(notification);
            return Ok(());
        }
        if self.notifications.len() >= usize::from(behaviour.notifications.max(1)) {
            self.next_notification();
            log::debug!("rm: the oldest notification is lost");
        }
        self.notification_bytes += notification.bytes;
        self.notifications.push_back(notification);
        Ok(())
    }

    fn next_number(&mut self) -> u64 {
        self.made += 1;
        self.made
    }

    /// Messages that wait, the one in transit included.
    pub(super) fn backlog(&self) -> usize {
        usize::from(self.in_transit.is_some()) + self.replies.len() + self.notifications.len()
    }

    /// Sends packets until the queue is full or nothing waits. What the queue can never take is dropped.
    pub(super) fn run(
        &mut self,
        queue: &mut MessageQueue,
        in_order: bool,
        interrupts: &mut dyn VirtualInterrupts,
    ) {
        while let Some(mut message) = self.next_message(in_order) {
            while let Some(packet) = message.packets.front() {
                match queue.send_bytes(packet, interrupts) {
                    Err(QueueError::Full) => {
                        self.in_transit = Some(message);
                        return;
                    }
                    Err(error) => {
                        let length = packet.len();
                        log::warn!("rm: packet of {length} bytes dropped: {error:?}");
                    }
                    Ok(_) => {}
                }
                message.packets.pop_front();
            }
        }
    }

    fn next_message(&mut self, in_order: bool) -> Option<Outgoing> {
        if let Some(message) = self.in_transit.take() {
            return Some(message);
        }
        let number = |queue: &VecDeque<Outgoing>| queue.front().map(|message| message.number);
        match (number(&self.replies), number(&self.notifications)) {
            (Some(reply), Some(notification)) if in_order && notification < reply => {
                self.next_notification()
            }
            (Some(_), _) => self.replies.pop_front(),
            (None, _) => self.next_notification(),
        }
    }

    fn next_notification(&mut self) -> Option<Outgoing> {
        let notification = self.notifications.pop_front()?;
        self.notification_bytes -= notification.bytes;
        Some(notification)
    }
}

impl Outgoing {
    /// A message, spoilt by `fault` if there is one; `None` if it is longer than any can be.
    pub(super) fn new(
        kind: PacketType,
        sequence: u16,
        id: MessageId,
        content: &[u8],
        fault: Option<Fault>,
    ) -> Option<Self> {
        let extra = extra_fragments(content.len())?;
        let rest = core::iter::repeat(PacketType::Continuation);
        let kinds = core::iter::once(kind).chain(rest);
        let mut parts: Vec<&[u8]> = content.chunks(MAX_PACKET_CONTENT).collect();
        if parts.is_empty() {
            parts.push(&[]);
        }
        let packet = |(kind, part): (PacketType, &[u8])| {
            let header = PacketHeader::new(kind, extra, sequence, id);
            [header.as_bytes(), part].concat()
        };
        let mut packets: Vec<Vec<u8>> = kinds.zip(parts).map(packet).collect();
        if let Some(fault) = fault {
            fault.spoil(&mut packets);
        }
        Some(Self { id, number: 0, bytes: content.len(), packets: packets.into() })
    }

    /// One packet, whatever is in it.
    pub(super) fn raw(packet: Vec<u8>) -> Self {
        let bytes = packet.len();
        Self { id: MessageId(0), number: 0, bytes, packets: [packet].into() }
    }
}
