//! A few tasks, polled only when woken: a lost wake-up never ends.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::task::Wake;
use alloc::vec::Vec;
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use core::task::{Context, Waker};

#[derive(Default)]
struct Woken {
    flag: AtomicBool,
    wakes: AtomicU64,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.flag.store(true, SeqCst);
        self.wakes.fetch_add(1, SeqCst);
    }
}

struct Task<'a> {
    future: Pin<Box<dyn Future<Output = ()> + 'a>>,
    woken: Arc<Woken>,
    polls: u64,
    done: bool,
}

/// Tasks of a test.
#[derive(Default)]
pub struct Tasks<'a> {
    tasks: Vec<Task<'a>>,
}

impl<'a> Tasks<'a> {
    /// Makes none.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a task and returns its number.
    pub fn spawn(&mut self, future: impl Future<Output = ()> + 'a) -> usize {
        let woken = Arc::new(Woken::default());
        woken.flag.store(true, SeqCst);
        self.tasks.push(Task { future: Box::pin(future), woken, polls: 0, done: false });
        self.tasks.len() - 1
    }

    /// Polls woken tasks until none is.
    pub fn run_until_idle(&mut self) {
        loop {
            let ran = self.tasks.iter_mut().filter_map(Task::run).count();
            if ran == 0 {
                return;
            }
        }
    }

    /// Polls one task if it was woken.
    pub fn run_one(&mut self, task: usize) {
        if let Some(task) = self.tasks.get_mut(task) {
            task.run();
        }
    }

    /// Whether a task has ended.
    pub fn is_done(&self, task: usize) -> bool {
        self.tasks.get(task).is_none_or(|task| task.done)
    }

    /// Drops a task where it stands.
    pub fn cancel(&mut self, task: usize) {
        if let Some(task) = self.tasks.get_mut(task) {
            task.future = Box::pin(core::future::pending());
            task.done = true;
        }
    }

    /// How often a task was polled.
    pub fn polls(&self, task: usize) -> u64 {
        self.tasks.get(task).map_or(0, |task| task.polls)
    }
}

impl Task<'_> {
    /// Polls the task if it was woken.
    fn run(&mut self) -> Option<()> {
        if self.done || !self.woken.flag.swap(false, SeqCst) {
            return None;
        }
        self.polls += 1;
        let waker = Waker::from(Arc::clone(&self.woken));
        let mut cx = Context::from_waker(&waker);
        self.done = self.future.as_mut().poll(&mut cx).is_ready();
        Some(())
    }
}
