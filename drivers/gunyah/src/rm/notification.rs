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

/// Gets notifications as they arrive.
///
/// The handler runs while RM's queue is being drained: it must return soon, and cannot make a request. It copies what it
/// needs into a bounded store and wakes a task.
pub trait NotificationHandler: Send + Sync {
    /// Takes the notification if it is one the handler knows, and tells whether it was.
    fn notify(&self, notification: &Notification<'_>) -> bool;
}
