//! The echo service: sends each message of a queue back as it came.
//!
//! A message that begins with `re:` is an answer and is never echoed, so that this service and a
//! peer that answers with that prefix never send each other anything without end. What does not
//! fit into a full queue waits; nothing is lost.

use alloc::string::String;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use gunyah::{
    hypercalls::Hypercalls,
    queue::{MessageReceiver, MessageSender, QueueError},
};
use gunyah_abi::message_queue::MAX_MESSAGE_SIZE;

/// What marks a message as an answer.
pub const ANSWER_PREFIX: &[u8] = b"re:";
/// How much of an answer the log shows.
const SHOWN: usize = 60;

/// A pair of message queues to one peer, and the service behind it.
pub struct EchoService<H> {
    /// Its label, if the tree gives one.
    pub label: Option<u32>,
    /// Where the tree names it.
    pub path: String,
    /// To the peer.
    pub sender: MessageSender<H>,
    /// From the peer.
    pub receiver: MessageReceiver<H>,
    echoed: AtomicU64,
    answers: AtomicU64,
}

impl<H: Hypercalls> EchoService<H> {
    /// A service on the two queues of a pair.
    pub fn new(
        label: Option<u32>,
        path: String,
        sender: MessageSender<H>,
        receiver: MessageReceiver<H>,
    ) -> Self {
        let (echoed, answers) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { label, path, sender, receiver, echoed, answers }
    }

    /// Serves until the queue breaks or the hypervisor refuses it.
    ///
    /// # Errors
    ///
    /// Why it ended.
    pub async fn serve(&self) -> Result<(), QueueError> {
        let mut buffer = [0; MAX_MESSAGE_SIZE as usize];
        loop {
            let size = self.receiver.receive(&mut buffer).await?;
            let message = &buffer[..size];
            if message.starts_with(ANSWER_PREFIX) {
                self.answers.fetch_add(1, Relaxed);
                let shown = &message[..size.min(SHOWN)];
                log::info!(target: "msgq", "answer: \"{}\" ({size} bytes)", shown.escape_ascii());
                continue;
            }
            match self.sender.send(message, true).await {
                Ok(()) => {
                    self.echoed.fetch_add(1, Relaxed);
                }
                // The two directions may have different limits: too large to be sent back.
                Err(error @ QueueError::MessageSize { .. }) => {
                    log::warn!(target: "msgq", "cannot echo: {error}");
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// How many messages were sent back.
    pub fn echoed(&self) -> u64 {
        self.echoed.load(Relaxed)
    }

    /// How many answers came.
    pub fn answers(&self) -> u64 {
        self.answers.load(Relaxed)
    }
}

#[cfg(test)]
mod tests;
