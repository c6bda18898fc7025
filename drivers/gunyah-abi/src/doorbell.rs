//! Doorbells: what the object does.
//!
//! A doorbell holds 64 flags, an enable mask (all ones at reset), an ack mask (0 at reset) and one vIRQ to its receiver.
//!
//! * `send(new)` answers the old flags and sets `flags |= new`. If an enabled flag is set the vIRQ is asserted, then
//!   `flags &= !ack`. If none is, the vIRQ still gets an *edge*: running code fires even for `send(0)`, a plain kick.
//! * `receive(clear)` answers the old flags, unmasked, and clears the given ones; `clear` = 0 is `ARGUMENT_INVALID`.
//! * `mask(enable, ack)` stores both, asserting or deasserting as the result demands. `reset` clears everything.
//! * Sender and receiver share the flags, so sends merge: an old value that holds one's flag already says the receiver has
//!   not looked yet.
//!
//! The vIRQ may be used as an edge (receive until 0) or as a level: then flags must be received **before** the end of
//! interrupt, else it fires again at once. A sender usually has only the right to send.

/// Clears every flag in `doorbell_receive`; enables every flag in `doorbell_mask`.
pub const ALL_FLAGS: u64 = u64::MAX;
