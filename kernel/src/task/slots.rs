//! The tasks an executor owns, by slot number.

use super::{header::Header, queue::RunQueue, section::Flag};
use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::{
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
    task::Waker,
};

/// A task's future and the waker it is polled with; out of its slot while it is polled.
pub(super) struct Work {
    pub(super) future: Pin<Box<dyn Future<Output = ()>>>,
    pub(super) waker: Waker,
}

#[derive(Default)]
struct Slot {
    header: Option<Arc<Header>>,
    work: Option<Work>,
}

/// All tasks, and which slots are free.
#[derive(Default)]
pub(super) struct Slots {
    slots: Vec<Slot>,
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

impl Slots {
    /// Puts a new task into a free slot.
    pub(super) fn insert(
        &mut self,
        name: &'static str,
        queue: &'static RunQueue,
        future: Pin<Box<dyn Future<Output = ()>>>,
    ) -> Arc<Header> {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            queue.reserve(self.slots.len());
            self.slots.len() as u32 - 1
        });
        let header = Arc::new(Header {
            name: self.intern(name),
            slot,
            queued: Flag::new(),
            polls: AtomicU64::new(0),
            wakes: AtomicU64::new(0),
            queue,
        });
        let work = Work { future, waker: Waker::from(Arc::clone(&header)) };
        self.slots[slot as usize] = Slot { header: Some(Arc::clone(&header)), work: Some(work) };
        header
    }

    /// Takes a task out to be polled. From here on a wake queues it again.
    ///
    /// None when the task ended while it was still queued; then its slot becomes free.
    #[inline]
    pub(super) fn begin_poll(&mut self, slot: u32) -> Option<Work> {
        let entry = self.slots.get_mut(slot as usize)?;
        let Some(header) = &entry.header else {
            self.free.push(slot);
            return None;
        };
        header.queued.clear();
        header.count_poll();
        header.queue.set_current(Some(header.name));
        entry.work.take()
    }

    /// Puts a task back that waits for something.
    #[inline]
    pub(super) fn end_poll(&mut self, slot: u32, work: Work) {
        self.slots[slot as usize].work = Some(work);
    }

    /// Forgets a task that ended. Wakers may still refer to it; they find it queued for ever.
    pub(super) fn remove(&mut self, slot: u32) {
        let Some(header) = self.slots[slot as usize].header.take() else { return };
        let still_queued = header.queued.set();
        if !still_queued {
            self.free.push(slot);
        }
    }

    /// How many slots there are, used or free.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Describes the task in a slot.
    pub(super) fn info(&self, slot: usize) -> Option<TaskInfo> {
        let Slot { header, work } = self.slots.get(slot)?;
        let header = header.as_ref()?;
        let state = if work.is_none() {
            TaskState::Running
        } else if header.queued.is_set() {
            TaskState::Ready
        } else {
            TaskState::Waiting
        };
        Some(TaskInfo {
            name: header.name,
            state,
            polls: header.polls.load(Ordering::Relaxed),
            wakes: header.wakes.load(Ordering::Relaxed),
        })
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
