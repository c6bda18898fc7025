//! The tasks an executor owns, by slot number.

use super::{header::Header, queue::RunQueue};
use alloc::{boxed::Box, rc::Rc, sync::Arc, vec::Vec};
use core::{
    cell::{Cell, RefCell},
    pin::Pin,
    task::{Context, Poll, Waker},
};

/// A task, as its executor sees it.
pub(super) struct Task {
    pub(super) header: Arc<Header>,
    waker: Waker,
    polls: Cell<u64>,
    future: RefCell<Pin<Box<dyn Future<Output = ()>>>>,
}

/// All tasks, and which slots are free.
#[derive(Default)]
pub(crate) struct Slots {
    slots: Vec<Option<Rc<Task>>>,
    free: Vec<u32>,
    names: Vec<&'static &'static str>,
}

/// What a task is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TaskState {
    /// It is being polled.
    Running,
    /// It was woken and waits for its turn.
    Ready,
    /// It waits to be woken.
    Waiting,
}

/// A task as the shell shows it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TaskInfo {
    /// The name given when it was spawned.
    pub name: &'static str,
    /// What it is doing.
    pub state: TaskState,
    /// How often it was polled.
    pub polls: u64,
    /// How often it was woken, wakes while it was already ready included.
    pub wakes: u64,
}

impl Task {
    /// Polls the task, which must not be running already.
    #[inline(always)]
    pub(super) fn poll(&self) -> Poll<()> {
        self.polls.set(self.polls.get().wrapping_add(1));
        self.future.borrow_mut().as_mut().poll(&mut Context::from_waker(&self.waker))
    }
}

impl Slots {
    /// Puts a new task into a free slot and on the run queue.
    pub(super) fn insert(
        &mut self,
        name: &'static str,
        queue: &'static RunQueue,
        future: Pin<Box<dyn Future<Output = ()>>>,
    ) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            queue.reserve(self.slots.len());
            self.slots.len() as u32 - 1
        });
        let header = Arc::new(Header::new(self.intern(name), slot, queue));
        self.slots[slot as usize] = Some(Rc::new(Task {
            waker: Waker::from(Arc::clone(&header)),
            header: Arc::clone(&header),
            polls: Cell::new(0),
            future: RefCell::new(future),
        }));
        queue.push(&header);
    }

    /// The task in a slot.
    #[inline(always)]
    pub(super) fn get(&self, slot: u32) -> Option<&Rc<Task>> {
        self.slots.get(slot as usize)?.as_ref()
    }

    /// Forgets a task that ended; returned for the caller to drop outside of any borrow.
    ///
    /// Wakers may still refer to it; they find it queued for ever. If it is queued indeed, its
    /// slot becomes free when it comes off the queue.
    pub(super) fn remove(&mut self, slot: u32, queue: &RunQueue) -> Option<Rc<Task>> {
        let task = self.slots.get_mut(slot as usize)?.take()?;
        if !queue.retire(&task.header) {
            self.free.push(slot);
        }
        Some(task)
    }

    /// Frees a slot that came off the queue after its task ended.
    pub(super) fn free(&mut self, slot: u32) {
        self.free.push(slot);
    }

    /// How many slots there are, used or free.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Describes the task in a slot.
    pub(super) fn info(&self, slot: usize) -> Option<TaskInfo> {
        let Task { header, polls, future, .. } = self.slots.get(slot)?.as_deref()?;
        let state = if future.try_borrow().is_err() {
            TaskState::Running
        } else if header.is_queued() {
            TaskState::Ready
        } else {
            TaskState::Waiting
        };
        Some(TaskInfo { name: header.name, state, polls: polls.get(), wakes: header.wakes() })
    }

    /// Gives the name an address that one pointer can hold, once for each name there is.
    fn intern(&mut self, name: &'static str) -> &'static &'static str {
        if let Some(known) = self.names.iter().find(|known| **known == &name) {
            return known;
        }
        let leaked: &'static &'static str = Box::leak(Box::new(name));
        self.names.push(leaked);
        leaked
    }
}
