//! A value that tasks of one CPU can wait for.

use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};

/// A value, and the tasks that wait for it to change.
#[derive(Default)]
pub struct Watched<T> {
    now: Cell<T>,
    waiting: RefCell<Vec<Waker>>,
}

impl<T: Copy> Watched<T> {
    /// Starts with a value.
    pub const fn new(value: T) -> Self {
        Self { now: Cell::new(value), waiting: RefCell::new(Vec::new()) }
    }

    /// The value.
    #[inline]
    pub fn get(&self) -> T {
        self.now.get()
    }

    /// Changes the value and wakes who waits.
    pub fn set(&self, new: T) {
        self.now.set(new);
        self.waiting.take().into_iter().for_each(Waker::wake);
    }

    /// Has the task woken by the next change; one that waits already is not added again.
    #[inline(never)]
    pub fn register(&self, cx: &Context<'_>) {
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
    }

    /// Waits until the value is one that is wanted, and returns what `wanted` makes of it.
    pub async fn until<R>(&self, wanted: impl Fn(T) -> Option<R>) -> R {
        poll_fn(|cx| {
            if let Some(result) = wanted(self.now.get()) {
                return Poll::Ready(result);
            }
            self.register(cx);
            Poll::Pending
        })
        .await
    }

    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.borrow().len()
    }
}
