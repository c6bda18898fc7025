//! Taking turns: an async mutex, cheap while nobody else wants it.
//!
//! A waiting task is remembered until its turn comes; two waiting tasks do not wake each other meanwhile, as they would
//! with a mutex that keeps only one waker.

use alloc::vec::Vec;
use core::future::poll_fn;
use core::sync::atomic::{AtomicBool, Ordering::SeqCst};
use core::task::{Context, Poll, Waker};
use spin::mutex::SpinMutex;

/// Lets one task at a time through. Not for interrupt handlers.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    taken: AtomicBool,
    waiting: AtomicBool,
    wakers: SpinMutex<Vec<Waker>>,
}

/// The turn; dropping it passes it on.
#[derive(Debug)]
pub(crate) struct TurnGuard<'a>(&'a Turn);

impl Turn {
    /// Waits for the turn.
    pub async fn take(&self) -> TurnGuard<'_> {
        poll_fn(|cx| self.poll_take(cx)).await
    }

    /// Takes the turn if it is free.
    #[inline]
    pub fn try_take(&self) -> Option<TurnGuard<'_>> {
        // Not `then_some`: a guard made and dropped would let go of somebody else's turn.
        (!self.taken.swap(true, SeqCst)).then(|| TurnGuard(self))
    }

    /// Whether somebody has the turn.
    pub fn is_taken(&self) -> bool {
        self.taken.load(SeqCst)
    }

    #[inline]
    pub fn poll_take(&self, cx: &mut Context<'_>) -> Poll<TurnGuard<'_>> {
        if let Some(guard) = self.try_take() {
            return Poll::Ready(guard);
        }
        let mut wakers = self.wakers.lock();
        if !wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            wakers.push(cx.waker().clone());
        }
        self.waiting.store(true, SeqCst);
        drop(wakers);
        // The holder may have let go before it could see this waker.
        self.try_take().map_or(Poll::Pending, Poll::Ready)
    }

    #[cold]
    fn wake_all(&self) {
        if self.waiting.swap(false, SeqCst) {
            let wakers = core::mem::take(&mut *self.wakers.lock());
            wakers.into_iter().for_each(Waker::wake);
        }
    }
}

impl Drop for TurnGuard<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.0.taken.store(false, SeqCst);
        // All are woken: a task that was dropped while it waited must not swallow the turn.
        if self.0.waiting.load(SeqCst) {
            self.0.wake_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::boxed::Box;
    use alloc::sync::Arc;
    use alloc::task::Wake;
    use core::pin::Pin;
    use core::sync::atomic::AtomicUsize;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    struct Task<'a> {
        wakes: Arc<Wakes>,
        future: Pin<Box<dyn Future<Output = TurnGuard<'a>> + 'a>>,
    }

    impl<'a> Task<'a> {
        fn new(turn: &'a Turn) -> Self {
            Self { wakes: Arc::default(), future: Box::pin(turn.take()) }
        }

        fn poll(&mut self) -> Poll<TurnGuard<'a>> {
            let waker = Waker::from(Arc::clone(&self.wakes));
            self.future.as_mut().poll(&mut Context::from_waker(&waker))
        }

        fn wakes(&self) -> usize {
            self.wakes.0.load(SeqCst)
        }
    }

    #[test]
    fn waiting_tasks_do_not_wake_each_other() {
        let turn = Turn::default();
        let held = turn.try_take().unwrap();
        assert!(turn.try_take().is_none());
        let (mut a, mut b) = (Task::new(&turn), Task::new(&turn));
        for _ in 0..10 {
            assert!(a.poll().is_pending());
            assert!(b.poll().is_pending());
        }
        assert_eq!((a.wakes(), b.wakes()), (0, 0));
        drop(held);
        assert_eq!((a.wakes(), b.wakes()), (1, 1));
        assert!(a.poll().is_ready());
    }

    #[test]
    fn a_task_that_gave_up_swallows_no_turn() {
        let turn = Turn::default();
        let held = turn.try_take().unwrap();
        let (mut a, mut b) = (Task::new(&turn), Task::new(&turn));
        assert!(a.poll().is_pending());
        assert!(b.poll().is_pending());
        drop(a);
        drop(held);
        assert_eq!(b.wakes(), 1);
        let Poll::Ready(guard) = b.poll() else { panic!("the turn is free") };
        assert!(turn.is_taken());
        drop(guard);
        assert!(!turn.is_taken());
    }
}
