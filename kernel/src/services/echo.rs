//! The echo service: sends each message of a queue back as it came.
//!
//! A message that begins with `re:` is an answer and is never echoed, so that this service and a
//! peer that answers with that prefix never send each other anything without end. Two echo
//! services that face each other are found out by what they do: the same messages come again and
//! again, and after [`LIMIT`] of them one is dropped. What does not fit into a full queue waits;
//! nothing else is lost.

mod repeats;

use crate::channels::Queue;
use alloc::string::ToString;
use gunyah::{
    hypercalls::Hypercalls,
    queue::{MessageReceiver, QueueError},
};
use gunyah_abi::message_queue::MAX_MESSAGE_SIZE;
use repeats::Repeats;

pub use repeats::LIMIT;

/// What marks a message as an answer.
pub const ANSWER_PREFIX: &[u8] = b"re:";
/// How much of an answer the log shows.
const SHOWN: usize = 60;

/// Echoes until the queue breaks or the hypervisor refuses it. What comes where nothing can be sent is only counted.
///
/// # Errors
///
/// Why it ended.
pub async fn echo<H: Hypercalls>(
    queue: &Queue<H>,
    receiver: &MessageReceiver<H>,
) -> Result<(), QueueError> {
    let mut buffer = [0; MAX_MESSAGE_SIZE as usize];
    let mut repeats = Repeats::default();
    loop {
        let size = receiver.receive(&mut buffer).await?;
        queue.about.life.sign();
        let Some(sender) = &queue.sender else { continue };
        let _working = queue.about.work();
        let message = &buffer[..size];
        if message.starts_with(ANSWER_PREFIX) {
            queue.answers.set(queue.answers.get() + 1);
            let shown = &message[..size.min(SHOWN)];
            log::info!(target: "msgq", "answer: \"{}\" ({size} bytes)", shown.escape_ascii());
            continue;
        }
        if repeats.is_enough(message) {
            if repeats.is_first() {
                log::warn!(
                    target: "msgq",
                    "{}: the same came {LIMIT} times in a row and is echoed no more: does an echo face this one?",
                    queue.about.to_string().trim_start()
                );
            }
            continue;
        }
        match sender.send(message, true).await {
            Ok(()) => queue.echoed.set(queue.echoed.get() + 1),
            // The two directions may have different limits: too large to be sent back.
            Err(error @ QueueError::MessageSize { .. }) => {
                log::warn!(target: "msgq", "cannot echo: {error}");
            }
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests;
