//! How RM behaves under load, which a machine file can change.

use gunyah_abi::rm::MAX_CONSOLE_WRITE;

/// The limits of RM and what it does at them; the defaults are measured on the real one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behaviour {
    /// `rm-notifications`: how many may wait for a VM. At one more the oldest is lost.
    pub notifications: u16,
    /// `rm-memory`: bytes of notifications that may wait for a VM, the one that is being made counted four times.
    pub memory: u32,
    /// `rm-silent-without-memory`: a request for which memory ends is dropped without a reply, not refused with `NOMEM`.
    /// Which of the two happens depends on the size of what waits.
    pub silent_without_memory: bool,
    /// `rm-longest-write`: bytes of a `CONSOLE_WRITE`. One more, and it is dropped without a reply.
    pub longest_write: u16,
    /// `rm-replies`: how many may wait for a VM. At one more the oldest is lost.
    pub replies: u16,
    /// `rm-in-order`: a reply waits for the notifications made before it, not only for the one that is being sent.
    pub in_order: bool,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            notifications: 256,
            memory: 96_000,
            silent_without_memory: false,
            longest_write: MAX_CONSOLE_WRITE as u16,
            replies: 1,
            in_order: false,
        }
    }
}
