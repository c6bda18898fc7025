//! The entropy service: random bytes, no faster than their sources give them.
//!
//! Firmware is asked first (TRNG, Arm DEN0098), where there is one. Both are asked at most
//! [`CALLS`] times in [`WINDOW`], whoever asks here; requests wait their turn meanwhile, and no
//! other service with them.

use crate::services::{Answer, Refusal, Reply, Service};
use billy_protocol::{
    ErrorCode,
    service::{
        self,
        entropy::{MAX_BYTES, Reply as Bytes, Request, Source},
    },
};
use core::{cell::Cell, time::Duration};
use gunyah::rm::Timer;

/// Calls in a [`WINDOW`]: what the hypervisor's generator allows.
pub const CALLS: u32 = 4;
/// The time that [`CALLS`] are counted in.
pub const WINDOW: Duration = Duration::from_millis(34);
/// How often a generator that has nothing now is asked again.
const ATTEMPTS: u32 = 8;
/// Bytes that one call brings at most.
pub const BLOCK: usize = 16;

/// Why a call brought no bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoBytes {
    /// There are none now; there may be later.
    Now,
    /// There never are any.
    Ever,
}

/// Where random bytes come from.
pub trait RandomSource {
    /// Asks firmware: `TRNG_RND64`, function 0xC4000053.
    ///
    /// # Errors
    ///
    /// [`NoBytes`].
    fn trng(&self) -> Result<[u8; BLOCK], NoBytes>;

    /// Asks the hypervisor: `prng_get_entropy`, hypercall 0x57.
    ///
    /// # Errors
    ///
    /// [`NoBytes`].
    fn hypervisor(&self) -> Result<[u8; BLOCK], NoBytes>;

    /// Time since some moment.
    fn now(&self) -> Duration;
}

/// Gives random bytes.
pub struct Entropy<S, C> {
    source: S,
    clock: C,
    /// When the window began, and how many calls were made in it.
    window: Cell<(Duration, u32)>,
    has_trng: Cell<bool>,
}

impl<S: RandomSource, C: Timer> Entropy<S, C> {
    /// A service that asks `source` and waits by `clock`.
    pub const fn new(source: S, clock: C) -> Self {
        let window = Cell::new((Duration::ZERO, 0));
        Self { source, clock, window, has_trng: Cell::new(true) }
    }

    /// Waits until a call may be made.
    async fn turn(&self) {
        loop {
            let (start, calls) = self.window.get();
            let now = self.source.now();
            let end = start.saturating_add(WINDOW);
            if calls == 0 || now >= end {
                return self.window.set((now, 1));
            }
            if calls < CALLS {
                return self.window.set((start, calls + 1));
            }
            self.clock.sleep(end.saturating_sub(now)).await;
        }
    }

    async fn block(&self) -> Result<([u8; BLOCK], Source), Refusal> {
        for _ in 0..ATTEMPTS {
            self.turn().await;
            if self.has_trng.get() {
                match self.source.trng() {
                    Ok(bytes) => return Ok((bytes, Source::Trng)),
                    Err(NoBytes::Now) => {}
                    Err(NoBytes::Ever) => self.has_trng.set(false),
                }
            }
            match self.source.hypervisor() {
                Ok(bytes) => return Ok((bytes, Source::Hypervisor)),
                Err(NoBytes::Now) => self.clock.sleep(WINDOW).await,
                Err(NoBytes::Ever) if self.has_trng.get() => self.clock.sleep(WINDOW).await,
                Err(NoBytes::Ever) => {
                    return Err(Refusal::new(ErrorCode::Unavailable, "no generator"));
                }
            }
        }
        Err(Refusal::new(ErrorCode::Failed, "no entropy for too long"))
    }
}

impl<S: RandomSource, C: Timer> Service for Entropy<S, C> {
    type Request<'a> = Request;

    fn number(&self) -> u16 {
        service::ENTROPY
    }

    fn name(&self) -> &'static str {
        "entropy"
    }

    async fn serve(&self, request: Request, reply: Reply<'_>) -> Answer {
        if !(1..=MAX_BYTES).contains(&request.bytes) {
            return Err(Refusal::out_of_range("bytes", "1 to 64"));
        }
        let mut buffer = [0; MAX_BYTES as usize];
        let data = buffer.get_mut(..usize::from(request.bytes)).unwrap_or_default();
        let mut source = Source::Trng;
        for chunk in data.chunks_mut(BLOCK) {
            let (block, from) = self.block().await?;
            // The weaker of the two is told.
            if from == Source::Hypervisor {
                source = from;
            }
            chunk.iter_mut().zip(block).for_each(|(to, from)| *to = from);
        }
        reply.send(&Bytes { source, data }).await
    }
}

#[cfg(test)]
mod tests;
