//! What the peer does unasked: it answers doorbells and messages, once each.

use alloc::vec::Vec;

use billy_protocol::{Frame, Kind};

use super::{ANSWER_PREFIX, KEPT_MESSAGES, Peer, Surroundings};

/// Whether a message is an answer by itself, which gets none.
fn is_answer(message: &[u8]) -> bool {
    let kind = Frame::parse(message).map(|frame| frame.kind);
    message.starts_with(ANSWER_PREFIX) || matches!(kind, Ok(Kind::Reply | Kind::Error | Kind::Part))
}

impl Peer {
    /// Receives the guest's doorbells; answers each with the flags as received, but those of a ring.
    pub(super) fn answer_bells(&mut self, surroundings: &mut Surroundings<'_>) {
        for bells in &mut self.bells {
            let Some(index) = bells.rung_by_guest else {
                continue;
            };
            let doorbell = surroundings.objects.doorbell(index);
            let sends = doorbell.sends();
            if sends == bells.sends_seen {
                continue;
            }
            self.bells_heard += sends - bells.sends_seen;
            bells.heard += sends - bells.sends_seen;
            bells.sends_seen = sends;
            let flags = doorbell.receive(u64::MAX);
            log::debug!("peer: doorbell {} rung with {flags:#x}", bells.label);
            let mut rings = self.rings.iter_mut().filter(|ring| ring.source_label == bells.label);
            if let Some(ring) = rings.next() {
                ring.rung = true;
                continue;
            }
            if let Some(index) = bells.rung_by_peer.filter(|_| !self.silent) {
                let doorbell = surroundings.objects.doorbell(index);
                doorbell.send(flags, &mut surroundings.interrupts);
            }
        }
    }

    /// Receives the guest's messages; sends each back with a prefix. No message is taken while an answer waits for room.
    pub(super) fn answer_messages(&mut self, surroundings: &mut Surroundings<'_>) {
        for index in 0..self.queues.len() {
            while self.send_answer(index, surroundings) && !self.queues[index].held {
                let queues = &self.queues[index];
                let (label, queue) = (queues.label, queues.from_guest);
                let queue = surroundings.objects.queue(queue);
                let Some(message) = queue.receive_bytes(&mut surroundings.interrupts) else {
                    break;
                };
                if !self.silent && !is_answer(&message) {
                    let answer = [ANSWER_PREFIX, &message].concat();
                    self.queues[index].unsent_answer = Some(answer);
                }
                self.keep(label, message);
            }
        }
    }

    /// Whether no answer waits any more on that queue.
    fn send_answer(&mut self, index: usize, surroundings: &mut Surroundings<'_>) -> bool {
        let queues = &mut self.queues[index];
        let Some(answer) = &queues.unsent_answer else {
            return true;
        };
        let queue = surroundings.objects.queue(queues.to_guest);
        if queue.is_full() {
            return false;
        }
        let length = answer.len().min(usize::from(queue.max_size()));
        let sent = queue.send_bytes(&answer[..length], &mut surroundings.interrupts);
        log::trace!("peer: answer of {length} bytes: {sent:?}");
        queues.unsent_answer = None;
        true
    }

    /// Counts a received message; keeps it if the script looks at messages, at the cost of the oldest one.
    pub(super) fn keep(&mut self, label: u32, message: Vec<u8>) {
        self.messages_heard += 1;
        if !self.keeps_messages {
            return;
        }
        if self.messages.len() == KEPT_MESSAGES {
            self.messages.pop_front();
        }
        self.messages.push_back((label, message));
    }

    /// Takes the oldest kept message of a label that is meant.
    pub(super) fn take_matching(
        &mut self,
        label: u32,
        is_meant: impl Fn(&[u8]) -> bool,
    ) -> Option<Vec<u8>> {
        let matches =
            |(found, message): &(u32, Vec<u8>)| *found == label && is_meant(message.as_slice());
        let place = self.messages.iter().position(matches)?;
        self.messages.remove(place).map(|(_, message)| message)
    }

    /// Takes the oldest kept message of a label.
    pub(super) fn take_message(&mut self, label: u32) -> Option<Vec<u8>> {
        self.take_matching(label, |_| true)
    }
}
