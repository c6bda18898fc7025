//! Scenarios for the model: events against polling, ending, spawning, sleeping.

use crate::task::{
    Cpu, RunQueue,
    executor::{Executor, Spawner},
    model::{Check, Machine, Step, explore},
    section::{self, interrupt_point},
    yield_now,
};
use crate::time::Elapsed;
use core::{
    cell::{Cell, RefCell},
    future::poll_fn,
    task::{Poll, Waker},
    time::Duration,
};
use std::rc::Rc;

/// Counts interrupts and wakes who waits for more of them.
#[derive(Default)]
struct Event {
    count: Cell<usize>,
    waker: RefCell<Option<Waker>>,
}

impl Event {
    fn happen(&self) {
        self.count.set(self.count.get() + 1);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Waits until there were more than `seen` events; returns how many.
    async fn more_than(&self, seen: usize) -> usize {
        poll_fn(|context| {
            section::with(|_| self.waker.replace(Some(context.waker().clone())));
            interrupt_point();
            if self.count.get() > seen { Poll::Ready(self.count.get()) } else { Poll::Pending }
        })
        .await
    }
}

/// An event raised by a device's interrupts, and how many of them a task saw.
struct Source {
    event: Rc<Event>,
    seen: Rc<Cell<usize>>,
    times: usize,
}

impl Source {
    fn new(machine: &Machine, times: usize) -> Self {
        let event = Rc::new(Event::default());
        let raised = Rc::clone(&event);
        machine.device(times, move || raised.happen());
        Self { event, seen: Rc::default(), times }
    }

    /// Waits until all events were seen.
    fn all(&self) -> impl Future<Output = ()> + use<> {
        let (event, seen, times) = (Rc::clone(&self.event), Rc::clone(&self.seen), self.times);
        async move {
            while seen.get() < times {
                seen.set(event.more_than(seen.get()).await);
            }
        }
    }

    /// Sees events for ever.
    fn watch(&self) -> impl Future<Output = ()> + use<> {
        let (event, seen) = (Rc::clone(&self.event), Rc::clone(&self.seen));
        async move {
            loop {
                seen.set(event.more_than(seen.get()).await);
            }
        }
    }

    fn check(&self) -> Result<(), String> {
        match (self.seen.get(), self.event.count.get()) {
            (seen, raised) if seen == raised && raised == self.times => Ok(()),
            (seen, raised) => {
                Err(format!("saw {seen} of {raised} events, expected {}", self.times))
            }
        }
    }
}

fn right(executor: &Executor<Rc<Machine>>, _: &Rc<Machine>, _: &'static RunQueue) {
    executor.step();
}

/// Looks, lets interrupts in, then sleeps: a wake-up in between is slept through.
fn unmasks_before_sleep(
    executor: &Executor<Rc<Machine>>,
    machine: &Rc<Machine>,
    queue: &'static RunQueue,
) {
    if !executor.poll_next() && queue.is_empty() {
        machine.wait_for_interrupt();
    }
}

/// Trusts the look before masking.
fn looks_before_masking(
    executor: &Executor<Rc<Machine>>,
    machine: &Rc<Machine>,
    _: &'static RunQueue,
) {
    if !executor.poll_next() {
        section::with(|_| machine.wait_for_interrupt());
    }
}

fn watchers<const N: usize>(
    times: [usize; N],
) -> impl Fn(&Executor<Rc<Machine>>, &Rc<Machine>) -> Check {
    move |executor, machine| {
        let sources = times.map(|times| Source::new(machine, times));
        for source in &sources {
            executor.spawn("watcher", source.watch());
        }
        Box::new(move || sources.iter().try_for_each(Source::check))
    }
}

#[track_caller]
fn assert_holds(at_least: usize, scenario: impl Fn(&Executor<Rc<Machine>>, &Rc<Machine>) -> Check) {
    let runs = explore(right, scenario).unwrap();
    println!("{runs} runs");
    assert!(runs >= at_least, "only {runs} runs: the model misses interrupts");
}

#[test]
fn one_task_sees_every_event() {
    assert_holds(1_000, watchers([4]));
}

#[test]
fn two_tasks_see_their_events() {
    assert_holds(100, watchers([1, 1]));
    assert_holds(1_000, watchers([2, 1]));
    assert_holds(10_000, watchers([2, 2]));
}

#[test]
fn one_interrupt_wakes_two_tasks() {
    assert_holds(100, |executor, machine| {
        let sources = [Source::new(machine, 0), Source::new(machine, 0)];
        let events = [0, 1].map(|index| Rc::clone(&sources[index].event));
        machine.device(3, move || events.iter().for_each(|event| event.happen()));
        for source in &sources {
            executor.spawn("watcher", source.watch());
        }
        Box::new(move || {
            let seen = [sources[0].seen.get(), sources[1].seen.get()];
            if seen == [3, 3] { Ok(()) } else { Err(format!("saw {seen:?}")) }
        })
    });
}

#[test]
fn a_task_spawned_by_an_event_sees_its_own() {
    async fn parent(first: impl Future<Output = ()>, second: Source, spawner: Spawner) {
        first.await;
        spawner.spawn("child", second.all());
        yield_now().await;
    }
    assert_holds(100, |executor, machine| {
        let (first, second) = (Source::new(machine, 1), Source::new(machine, 2));
        let (event, seen) = (Rc::clone(&second.event), Rc::clone(&second.seen));
        let shared = Source { event, seen, times: 2 };
        executor.spawn("parent", parent(first.all(), shared, executor.spawner()));
        let spawner = executor.spawner();
        Box::new(move || {
            if spawner.tasks().next().is_some() {
                return Err("a task did not end".into());
            }
            first.check().and_then(|()| second.check())
        })
    });
}

#[test]
fn sleepers_wake_whatever_else_interrupts() {
    assert_holds(1_000, |executor, machine| {
        let source = Source::new(machine, 2);
        let timers = machine.timers();
        let naps = Rc::new(Cell::new(0));
        let counted = Rc::clone(&naps);
        executor.spawn("watcher", source.watch());
        executor.spawn("sleeper", async move {
            for nanos in [20, 5] {
                let deadline = timers.after(Duration::from_nanos(nanos));
                timers.sleep_until(deadline).await;
                assert!(timers.now() >= deadline, "woken early");
                counted.set(counted.get() + 1);
            }
        });
        Box::new(move || match naps.get() {
            2 => source.check(),
            naps => Err(format!("woke {naps} times of 2")),
        })
    });
}

#[test]
fn an_answer_and_its_timeout_may_race() {
    assert_holds(1_000, |executor, machine| {
        let source = Source::new(machine, 2);
        let timers = machine.timers();
        let (event, seen) = (Rc::clone(&source.event), Rc::clone(&source.seen));
        let late = Rc::new(Cell::new(0));
        let counted = Rc::clone(&late);
        executor.spawn("client", async move {
            while seen.get() < 2 {
                let answer = event.more_than(seen.get());
                match timers.timeout(Duration::from_nanos(10), answer).await {
                    Ok(count) => seen.set(count),
                    Err(Elapsed) => {
                        counted.set(counted.get() + 1);
                        seen.set(event.more_than(seen.get()).await);
                    }
                }
            }
        });
        let spawner = executor.spawner();
        Box::new(move || {
            if late.get() > 2 || spawner.tasks().next().is_some() {
                return Err("the client did not end".into());
            }
            source.check()
        })
    });
}

#[test]
fn the_model_catches_a_wrong_idle() {
    let wrong: [Step; 2] = [unmasks_before_sleep, looks_before_masking];
    for step in wrong {
        let failure = explore(step, watchers([1])).unwrap_err();
        assert!(failure.starts_with("asleep while slots [0] are ready"), "{failure}");
    }
}
