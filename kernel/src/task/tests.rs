//! The executor alone, and under interrupts that come at every possible point.

mod interrupted;

use super::*;
use core::{
    cell::{Cell, RefCell},
    future::{pending, poll_fn},
    task::{Poll, Waker},
};
use std::rc::Rc;

struct NoCpu;

impl Cpu for NoCpu {
    fn wait_for_interrupt(&self) {
        panic!("nothing will interrupt");
    }
}

fn executor() -> (Executor<NoCpu>, &'static RunQueue) {
    let queue: &'static RunQueue = Box::leak(Box::default());
    (Executor::new(NoCpu, queue), queue)
}

fn run(executor: &Executor<NoCpu>) {
    while executor.poll_next() {}
}

/// Polls for ever, showing its waker.
fn show_waker(to: &Rc<RefCell<Option<Waker>>>) -> impl Future<Output = ()> + use<> {
    let to = Rc::clone(to);
    poll_fn(move |context| {
        to.replace(Some(context.waker().clone()));
        Poll::Pending
    })
}

#[test]
fn tasks_run_first_in_first_out() {
    let (executor, _) = executor();
    let order = Rc::new(RefCell::new(Vec::new()));
    for name in ["a", "b", "c"] {
        let order = Rc::clone(&order);
        executor.spawn(name, async move {
            for turn in 0..2 {
                order.borrow_mut().push((turn, name));
                yield_now().await;
            }
        });
    }
    run(&executor);
    let expected = [(0, "a"), (0, "b"), (0, "c"), (1, "a"), (1, "b"), (1, "c")];
    assert_eq!(*order.borrow(), expected);
    assert_eq!(executor.spawner().tasks().count(), 0);
}

#[test]
fn polls_and_wakes_are_counted_and_a_task_is_queued_once() {
    let (executor, queue) = executor();
    let waker = Rc::default();
    executor.spawn("a", show_waker(&waker));
    executor.spawn("b", pending());
    let info = |name| executor.spawner().tasks().find(|task| task.name == name).unwrap();
    let expected = |name, state, polls, wakes| TaskInfo { name, state, polls, wakes };
    assert_eq!(info("a"), expected("a", TaskState::Ready, 0, 0));
    run(&executor);
    assert_eq!(info("a"), expected("a", TaskState::Waiting, 1, 0));

    let waker = waker.take().unwrap();
    waker.wake_by_ref();
    waker.wake_by_ref();
    waker.wake();
    assert_eq!(queue.ready().len(), 1);
    assert_eq!(info("a"), expected("a", TaskState::Ready, 1, 3));
    run(&executor);
    assert_eq!(info("a"), expected("a", TaskState::Waiting, 2, 3));
    assert_eq!(info("b"), expected("b", TaskState::Waiting, 1, 0));
}

#[test]
fn the_running_task_is_known() {
    let (executor, queue) = executor();
    let spawner = executor.spawner();
    let seen = Rc::new(Cell::new(None));
    let result = Rc::clone(&seen);
    assert_eq!(queue.current(), None);
    executor.spawn("shell", async move {
        let state = spawner.tasks().next().map(|task| task.state);
        result.set(Some((queue.current(), state)));
    });
    run(&executor);
    assert_eq!(seen.get(), Some((Some("shell"), Some(TaskState::Running))));
    assert_eq!(queue.current(), None);
}

#[test]
fn a_task_that_ended_ignores_its_wakers_and_leaves_its_slot() {
    let (executor, queue) = executor();
    let waker: Rc<RefCell<Option<Waker>>> = Rc::default();
    let shown = Rc::clone(&waker);
    executor.spawn(
        "ends",
        poll_fn(move |context| {
            shown.replace(Some(context.waker().clone()));
            Poll::Ready(())
        }),
    );
    run(&executor);
    executor.spawn("next", pending());
    run(&executor);
    waker.take().unwrap().wake();
    assert!(queue.is_empty());
    let tasks: Vec<_> = executor.spawner().tasks().collect();
    assert_eq!(tasks.len(), 1);
    assert_eq!((tasks[0].name, tasks[0].polls), ("next", 1));
}

#[test]
fn a_task_woken_while_it_ends_does_not_run_its_successor() {
    let (executor, queue) = executor();
    let spawner = executor.spawner();
    executor.spawn(
        "ends",
        poll_fn(|context| {
            context.waker().wake_by_ref();
            Poll::Ready(())
        }),
    );
    assert!(executor.poll_next());
    assert_eq!(queue.ready(), [0]);
    spawner.spawn("next", pending());
    run(&executor);
    let next: Vec<_> = spawner.tasks().collect();
    assert_eq!((next[0].name, next[0].polls), ("next", 1));
    spawner.spawn("third", pending());
    run(&executor);
    assert_eq!(executor.spawner().tasks().count(), 2);
    assert_eq!(spawner.tasks().next().map(|task| task.name), Some("third"));
}

#[test]
fn a_destructor_may_spawn() {
    struct SpawnOnDrop(Spawner, Rc<Cell<bool>>);
    impl Drop for SpawnOnDrop {
        fn drop(&mut self) {
            let ran = Rc::clone(&self.1);
            self.0.spawn("heir", async move { ran.set(true) });
        }
    }
    let (executor, _) = executor();
    let ran = Rc::new(Cell::new(false));
    let guard = SpawnOnDrop(executor.spawner(), Rc::clone(&ran));
    executor.spawn("parent", async move {
        let _guard = guard;
        yield_now().await;
    });
    run(&executor);
    assert!(ran.get());
}

#[test]
fn waking_all_tasks_does_not_grow_the_queue() {
    let (executor, queue) = executor();
    let wakers: Vec<_> = (0..100).map(|_| Rc::default()).collect();
    for waker in &wakers {
        executor.spawn("many", show_waker(waker));
    }
    run(&executor);
    let capacity = queue.capacity();
    for waker in &wakers {
        waker.borrow().as_ref().unwrap().wake_by_ref();
    }
    assert_eq!(queue.ready().len(), 100);
    assert_eq!(queue.capacity(), capacity);
}
