//! Waiting for a moment.

use super::{Counter, Instant, Timers, queue::Key};
use core::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

/// The future of [`Timers::sleep`]. Dropping it cancels the timer.
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep<'t, C> {
    timers: &'t Timers<C>,
    deadline: Instant,
    key: Option<Key>,
}

impl<'t, C> Sleep<'t, C> {
    pub(super) const fn new(timers: &'t Timers<C>, deadline: Instant) -> Self {
        Self { timers, deadline, key: None }
    }

    /// The moment it waits for.
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }

    #[inline]
    fn cancel(&mut self) {
        if let Some(key) = self.key.take() {
            self.timers.remove(key);
        }
    }
}

impl<C: Counter> Future for Sleep<'_, C> {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let pending = match &self.key {
            Some(key) => self.timers.renew(key, context.waker()),
            None if self.timers.now() >= self.deadline => false,
            None => {
                self.key = Some(self.timers.insert(self.deadline, context.waker()));
                true
            }
        };
        if pending {
            return Poll::Pending;
        }
        self.cancel();
        Poll::Ready(())
    }
}

impl<C> Drop for Sleep<'_, C> {
    #[inline]
    fn drop(&mut self) {
        self.cancel();
    }
}

impl<C> fmt::Debug for Sleep<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

/// What was waited for did not happen in time.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("timed out")]
pub struct Elapsed;
