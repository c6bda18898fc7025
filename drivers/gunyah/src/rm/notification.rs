//! Notifications and those who want them.

use gunyah_abi::rm::MessageId;

/// A notification, whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notification<'a> {
    /// What it is.
    pub id: MessageId,
    /// Its content; it has no error word.
    pub content: &'a [u8],
}

/// What a handler does with a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Claim {
    /// It is not one that the handler knows.
    No,
    /// The handler has it; others may want it too.
    Noted,
    /// The handler has it, and nobody else can want it: no further handler is asked.
    Taken,
    /// It is one that the handler knows, but its content makes no sense.
    Malformed,
}

/// Gets notifications as they arrive.
///
/// The handler runs while RM's queue is being drained: it must return soon, and cannot make a request. It copies what it
/// needs into a bounded store and wakes a task.
pub trait NotificationHandler: Send + Sync {
    /// Takes the notification if it is one the handler knows, and tells what became of it.
    fn notify(&self, notification: &Notification<'_>) -> Claim;
}
