//! The loop that polls ready tasks and sleeps when there are none.

use super::{Cpu, TaskInfo, queue::RunQueue, section, slots::Slots};
use alloc::{boxed::Box, rc::Rc};
use core::{cell::RefCell, fmt, pin::Pin};

/// Runs the tasks of one CPU.
pub struct Executor<C> {
    spawner: Spawner,
    cpu: C,
}

impl<C: Cpu> Executor<C> {
    /// Makes an executor without tasks. `queue` must serve no other executor.
    pub fn new(cpu: C, queue: &'static RunQueue) -> Self {
        Self { spawner: Spawner { slots: Rc::default(), queue }, cpu }
    }

    /// A handle to spawn and list tasks with, for tasks to keep.
    pub fn spawner(&self) -> Spawner {
        self.spawner.clone()
    }

    /// Starts a task; see [`Spawner::spawn`].
    pub fn spawn(&self, name: &'static str, future: impl Future<Output = ()> + 'static) {
        self.spawner.spawn(name, future);
    }

    /// Polls tasks as they become ready and sleeps in between, for ever.
    pub fn run(&self) -> ! {
        loop {
            self.step();
        }
    }

    /// Polls the task that has been ready for longest, or sleeps until an interrupt if none is.
    #[inline]
    pub fn step(&self) {
        self.poll_or(|| self.cpu.wait_for_interrupt());
    }

    /// Polls the task that has been ready for longest. False if none is ready.
    #[cfg(test)]
    pub fn poll_next(&self) -> bool {
        self.poll_or(|| {})
    }

    /// Polls the task that has been ready for longest. If none is, calls `idle` before interrupts
    /// are let in, and looks once more; returns false if there is still none.
    #[inline(always)]
    fn poll_or(&self, idle: impl FnOnce()) -> bool {
        let Spawner { slots, queue } = &self.spawner;
        let popped = section::with(|token| {
            let slot = queue.pop(token).or_else(|| {
                idle();
                queue.pop(token)
            })?;
            let task = slots.borrow().get(slot).cloned();
            if let Some(task) = &task {
                task.header.set_queued(false, token);
            }
            Some((slot, task))
        });
        let Some((slot, task)) = popped else { return false };
        let Some(task) = task else {
            slots.borrow_mut().free(slot);
            return true;
        };
        queue.set_current(Some(task.header.name));
        let poll = task.poll();
        queue.set_current(None);
        if poll.is_ready() {
            // The future's destructor may spawn, so no borrow may be held when it runs.
            let ended = slots.borrow_mut().remove(slot, queue);
            drop(ended);
        }
        true
    }
}

impl<C> fmt::Debug for Executor<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor").field("spawner", &self.spawner).finish_non_exhaustive()
    }
}

/// A handle to an executor's tasks, for use by those tasks. It stays on their CPU.
#[derive(Clone)]
pub struct Spawner {
    slots: Rc<RefCell<Slots>>,
    queue: &'static RunQueue,
}

impl Spawner {
    /// Starts a task: `future` is polled after the tasks that are ready now.
    ///
    /// The task ends when the future does. A panic in it is a panic of the kernel. Allocates: the
    /// future, its header, and room on the run queue, so that waking it never does.
    pub fn spawn(&self, name: &'static str, future: impl Future<Output = ()> + 'static) {
        self.spawn_boxed(name, Box::pin(future));
    }

    /// As [`Self::spawn`], for a future that is on the heap already.
    pub fn spawn_boxed(&self, name: &'static str, future: Pin<Box<dyn Future<Output = ()>>>) {
        self.slots.borrow_mut().insert(name, self.queue, future);
    }

    /// Where the tasks are, for a debugger; they stay there as long as the executor.
    #[cfg(target_os = "none")]
    pub(crate) fn slots(&self) -> *const RefCell<Slots> {
        Rc::as_ptr(&self.slots)
    }

    /// Lists the tasks there are, in the order of their slots.
    pub fn tasks(&self) -> impl Iterator<Item = TaskInfo> + '_ {
        let len = self.slots.borrow().len();
        (0..len).filter_map(|slot| self.slots.borrow().info(slot))
    }
}

impl fmt::Debug for Spawner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.tasks()).finish()
    }
}
