//! The doorbell service: requests in, answers out, everything counted.
//!
//! Flags 0 to 31 are requests, 32 to 63 answers. Each request is answered by ringing the paired
//! source with the same flag shifted up by 32; answers and plain kicks are only counted, so two
//! such services never ring each other without end.

use alloc::string::String;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use gunyah::{
    doorbell::{Doorbell, DoorbellError, DoorbellSource},
    hypercalls::Hypercalls,
};

/// The flags that ask for an answer.
const REQUESTS: u64 = 0xffff_ffff;
/// From a request flag to its answer.
const ANSWER_SHIFT: u32 = 32;

/// A doorbell that this VM rings.
pub struct BellSource<H> {
    /// Its label, if the tree gives one.
    pub label: Option<u32>,
    /// The doorbell.
    pub source: DoorbellSource<H>,
}

/// A doorbell that this VM receives, and the service behind it.
pub struct BellService<H: 'static> {
    /// Its label, if the tree gives one.
    pub label: Option<u32>,
    /// Where the tree names it.
    pub path: String,
    /// The doorbell.
    pub receiver: Doorbell<H>,
    /// What answers go to; none: requests are only counted.
    pub answers_to: Option<&'static BellSource<H>>,
    flags: [AtomicU64; 64],
    answered: AtomicU64,
}

impl<H: Hypercalls> BellService<H> {
    /// A service on `receiver` that answers on `answers_to`.
    pub fn new(
        label: Option<u32>,
        path: String,
        receiver: Doorbell<H>,
        answers_to: Option<&'static BellSource<H>>,
    ) -> Self {
        let flags = [const { AtomicU64::new(0) }; 64];
        Self { label, path, receiver, answers_to, flags, answered: AtomicU64::new(0) }
    }

    /// Serves until the hypervisor refuses the doorbell.
    ///
    /// # Errors
    ///
    /// What the hypervisor refused; the service has ended then.
    pub async fn serve(&self) -> Result<(), DoorbellError> {
        loop {
            let flags = self.receiver.wait().await?;
            self.handle(flags)?;
        }
    }

    /// Counts what was received and answers the requests among it.
    fn handle(&self, flags: u64) -> Result<(), DoorbellError> {
        let mut rest = flags;
        while rest != 0 {
            let flag = rest.trailing_zeros() as usize;
            if let Some(counter) = self.flags.get(flag) {
                counter.fetch_add(1, Relaxed);
            }
            rest &= rest - 1;
        }
        let requests = flags & REQUESTS;
        if let (true, Some(bell)) = (requests != 0, self.answers_to) {
            bell.source.ring(requests << ANSWER_SHIFT)?;
            self.answered.fetch_add(u64::from(requests.count_ones()), Relaxed);
        }
        Ok(())
    }

    /// How often each flag was received, for flags received at all.
    pub fn flags(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        self.flags
            .iter()
            .map(|count| count.load(Relaxed))
            .enumerate()
            .filter(|(_, count)| *count != 0)
    }

    /// How many request flags were answered.
    pub fn answered(&self) -> u64 {
        self.answered.load(Relaxed)
    }
}

#[cfg(test)]
mod tests;
