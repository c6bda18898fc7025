//! A machine whose interrupts come at every possible point, run after run.
//!
//! The executor runs for real on a fake CPU. Wherever an interrupt could come between two steps,
//! the machine chooses: none, or one of those still to come. A depth-first search repeats the run
//! until every sequence of choices has been taken.

use super::{Cpu, RunQueue, executor::Executor};
use crate::time::{Timers, fake::FakeCounter};
use core::cell::{Cell, RefCell};
use std::rc::Rc;

/// More steps than any scenario takes until nothing can happen any more.
const STEPS: usize = 10_000;

thread_local! {
    static MACHINE: RefCell<Option<Rc<Machine>>> = const { RefCell::new(None) };
}

/// Lets the machine of this thread, if there is one, take interrupts here.
pub(crate) fn interrupt_point() {
    let machine = MACHINE.with_borrow(Clone::clone);
    if let Some(machine) = machine {
        machine.interrupt_point();
    }
}

/// Runs `section` without interrupts.
pub(crate) fn masked<R>(section: impl FnOnce() -> R) -> R {
    let machine = MACHINE.with_borrow(Clone::clone);
    match machine {
        Some(machine) => machine.without_interrupts(section),
        None => section(),
    }
}

/// A source of interrupts.
struct Device {
    /// Interrupts still to come.
    remaining: Cell<usize>,
    handler: Box<dyn Fn()>,
}

/// The fake CPU, its devices, and the choices of this run.
pub(super) struct Machine {
    queue: &'static RunQueue,
    timers: &'static Timers<FakeCounter>,
    devices: RefCell<Vec<Rc<Device>>>,
    uninterrupted: Cell<usize>,
    finished: Cell<bool>,
    failure: RefCell<Option<String>>,
    choices: RefCell<Choices>,
}

impl Machine {
    /// Adds a device that interrupts `times` times; returns its number.
    pub(super) fn device(&self, times: usize, handler: impl Fn() + 'static) -> usize {
        let device = Device { remaining: Cell::new(times), handler: Box::new(handler) };
        self.devices.borrow_mut().push(Rc::new(device));
        self.devices.borrow().len() - 1
    }

    pub(super) fn timers(&self) -> &'static Timers<FakeCounter> {
        self.timers
    }

    /// Those that can interrupt now; the timer is the one behind the last device.
    fn candidates(&self) -> Vec<usize> {
        let devices = self.devices.borrow();
        let armed = self.timers.counter().alarm.get().is_some();
        let timer = armed.then_some(devices.len());
        (0..devices.len())
            .filter(|&number| devices[number].remaining.get() > 0)
            .chain(timer)
            .collect()
    }

    fn interrupt_point(&self) {
        while self.uninterrupted.get() == 0 {
            let candidates = self.candidates();
            match self.choose(candidates.len() + 1) {
                0 => return,
                chosen => self.interrupt(candidates[chosen - 1]),
            }
        }
    }

    fn interrupt(&self, number: usize) {
        let device = self.devices.borrow().get(number).cloned();
        self.without_interrupts(|| match device {
            Some(device) => {
                device.remaining.set(device.remaining.get() - 1);
                (device.handler)();
            }
            None => {
                let counter = self.timers.counter();
                if let Some(alarm) = counter.alarm.get() {
                    counter.now.set(counter.now.get().max(alarm.ticks()));
                }
                self.timers.on_interrupt();
            }
        });
    }

    fn without_interrupts<R>(&self, section: impl FnOnce() -> R) -> R {
        self.uninterrupted.set(self.uninterrupted.get() + 1);
        let result = section();
        self.uninterrupted.set(self.uninterrupted.get() - 1);
        result
    }

    fn choose(&self, count: usize) -> usize {
        self.choices.borrow_mut().choose(count)
    }

    fn fail(&self, failure: String) {
        self.failure.borrow_mut().get_or_insert(failure);
        self.finished.set(true);
    }
}

impl Cpu for Rc<Machine> {
    fn wait_for_interrupt(&self) {
        self.interrupt_point();
        let ready = self.queue.ready();
        if !ready.is_empty() {
            self.fail(format!("asleep while slots {ready:?} are ready"));
            return;
        }
        let candidates = self.candidates();
        if candidates.is_empty() {
            self.finished.set(true);
            return;
        }
        self.interrupt(candidates[self.choose(candidates.len())]);
    }
}

/// The choices taken so far, each with how many there were.
#[derive(Default)]
struct Choices {
    taken: Vec<(usize, usize)>,
    position: usize,
}

impl Choices {
    fn choose(&mut self, count: usize) -> usize {
        if count == 1 {
            return 0;
        }
        if self.position == self.taken.len() {
            self.taken.push((0, count));
        }
        let (chosen, known) = self.taken[self.position];
        assert_eq!(known, count, "a run is not repeatable");
        self.position += 1;
        chosen
    }

    /// Moves on to the next sequence. False if this was the last.
    fn advance(&mut self) -> bool {
        self.position = 0;
        while let Some((chosen, count)) = self.taken.pop() {
            if chosen + 1 < count {
                self.taken.push((chosen + 1, count));
                return true;
            }
        }
        false
    }
}

/// What a scenario expects at its end, once no interrupt is left and all tasks wait.
pub(super) type Check = Box<dyn Fn() -> Result<(), String>>;

/// How an executor waits for its next interrupt; the machine is its CPU.
pub(super) type Step = fn(&Executor<Rc<Machine>>, &Rc<Machine>, &'static RunQueue);

/// Runs a scenario with every sequence of interrupts. Returns how many there are, or the first
/// failure.
pub(super) fn explore(
    step: Step,
    scenario: impl Fn(&Executor<Rc<Machine>>, &Rc<Machine>) -> Check,
) -> Result<usize, String> {
    let queue: &'static RunQueue = Box::leak(Box::default());
    let timers: &'static _ = Box::leak(Box::new(Timers::new(FakeCounter::default())));
    let mut choices = Choices::default();
    for runs in 1.. {
        timers.counter().now.set(0);
        let machine = Rc::new(Machine {
            queue,
            timers,
            devices: RefCell::default(),
            uninterrupted: Cell::new(0),
            finished: Cell::new(false),
            failure: RefCell::default(),
            choices: RefCell::new(choices),
        });
        let executor = Executor::new(Rc::clone(&machine), queue);
        let check = scenario(&executor, &machine);
        MACHINE.set(Some(Rc::clone(&machine)));
        for number in 0.. {
            if machine.finished.get() {
                break;
            }
            if number == STEPS {
                machine.fail("never quiet".into());
            }
            step(&executor, &machine, queue);
        }
        MACHINE.set(None);
        if let Some(failure) = machine.failure.take() {
            return Err(failure);
        }
        check()?;
        drop((check, executor));
        assert_eq!(timers.pending(), 0, "a deadline outlived its task");
        choices = machine.choices.take();
        if !choices.advance() {
            return Ok(runs);
        }
    }
    unreachable!("the search is finite")
}
