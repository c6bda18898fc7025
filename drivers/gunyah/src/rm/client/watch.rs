//! Patience with requests: one timer for all of them.
//!
//! It belongs to the task in [`ResourceManager::run`], which the first request after a while wakes. A request that is still
//! under way at two ticks looks for its reply, since an interrupt may have been lost, and gives up after some looks. The
//! timer stops when no request is under way at a tick.

use super::{ResourceManager, Timer};
use crate::hypercalls::Hypercalls;
use crate::waiter::Waiter;
use core::convert::Infallible;
use core::future::poll_fn;
use core::sync::atomic::{AtomicBool, Ordering::SeqCst};
use core::task::{Context, Poll};

/// Whether requests are watched.
pub(super) struct Watch {
    running: AtomicBool,
    waiter: Waiter,
}

impl Watch {
    /// Makes one that has not begun.
    pub const fn new() -> Self {
        Self { running: AtomicBool::new(false), waiter: Waiter::new() }
    }
}

impl<H: Hypercalls, T: Timer> ResourceManager<H, T> {
    /// Has the request that just began watched.
    #[inline]
    pub(super) fn have_requests_watched(&self) {
        if !self.watch.running.load(SeqCst) {
            self.start_watch();
        }
    }

    #[cold]
    fn start_watch(&self) {
        self.watch.running.store(true, SeqCst);
        self.watch.waiter.wake();
    }

    /// Watches over the requests, for ever.
    pub(super) async fn watch_requests(&self) -> Infallible {
        loop {
            let mut seen = poll_fn(|cx| self.poll_request(cx)).await;
            loop {
                self.timer.sleep(self.look_after).await;
                let Some(now) = self.exchange.under_way() else { break };
                if now == seen {
                    self.exchange.ask_for_looks(1);
                    self.receiver.wake_urgent();
                }
                seen = now;
            }
        }
    }

    /// Waits until a request is under way.
    fn poll_request(&self, cx: &mut Context<'_>) -> Poll<u64> {
        self.watch.waiter.register(cx.waker());
        self.watch.running.store(false, SeqCst);
        // One that began before would have taken the watch for running.
        let Some(request) = self.exchange.under_way() else { return Poll::Pending };
        self.watch.running.store(true, SeqCst);
        Poll::Ready(request)
    }
}
