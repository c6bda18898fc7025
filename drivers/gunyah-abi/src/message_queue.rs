//! Message queues: what the object does, and the limits of its settings.
//!
//! A queue holds up to *depth* messages, copies each whole, keeps boundaries and order. It has two vIRQs: TX to the sender,
//! RX to the receiver. With the default thresholds (the only ones RM uses):
//!
//! * `send`: full → `MSGQUEUE_FULL`, nothing else. Otherwise the message is copied in; RX fires if the queue was empty before
//!   (0 → 1), or the push flag is set. The answer says whether the queue is still not full.
//! * `receive`: empty → `MSGQUEUE_EMPTY`. Otherwise the oldest message is copied out; TX fires if the queue was full before.
//!   The answer says whether messages remain.
//! * TX never fires for a sender that has not seen the queue full. Any vIRQ may be spurious.
//! * Both vIRQs are edges and **must be configured as edges before they are enabled**: the interrupt controller resets to
//!   level, and as a level TX is asserted nearly always.
//!
//! So nothing is lost if the receiver, after acknowledging the interrupt, receives until `MSGQUEUE_EMPTY` (it may stop
//! early when told that nothing remains: the next send is an edge again), drains once after enabling the interrupt, and
//! if the sender keeps a refused message and sends it again after TX.
//!
//! Running code differs from its document: a message of size 0 or above the maximum, or from an unreadable address, is
//! **accepted and dropped**; a receive buffer that is too small or unwritable gives **success with size 0 and messages
//! remaining**, for ever. So send only 1..=maximum bytes, receive into at least the maximum, and take success with size 0
//! for a broken queue.
//!
//! `configure_send` and `configure_receive` re-evaluate their vIRQ, so setting the present threshold again recovers an
//! interrupt that might be lost. `flush` drops all messages, fires TX and clears RX.

/// Largest depth a queue can have, in messages; the smallest is 1.
pub const MAX_DEPTH: u16 = 255;

/// Largest maximum message size a queue can have, in bytes; the smallest is 1.
pub const MAX_MESSAGE_SIZE: u16 = 1023;

/// Depth of the queues RM makes unless told otherwise, in messages.
pub const DEFAULT_DEPTH: u16 = 8;

/// Maximum message size of the queues RM makes unless told otherwise, in bytes.
pub const DEFAULT_MESSAGE_SIZE: u16 = 240;
