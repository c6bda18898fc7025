//! Conversions at the edges, and the timers against a plain list of deadlines.

use super::{fake::FakeCounter, *};
use alloc::{sync::Arc, task::Wake};
use core::{
    pin::{Pin, pin},
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll, Waker},
    time::Duration,
};
use proptest::prelude::*;

#[derive(Default)]
struct CountingWaker(AtomicUsize);

impl CountingWaker {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn counting_waker() -> (Arc<CountingWaker>, Waker) {
    let count = Arc::<CountingWaker>::default();
    (Arc::clone(&count), Waker::from(count))
}

fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

fn hertz(hertz: u32) -> Frequency {
    Frequency::from_hertz(hertz).unwrap()
}

#[test]
fn conversions_are_exact_or_round_to_the_safe_side() {
    for (frequency, duration, ticks) in [
        (62_500_000, Duration::from_secs(1), 62_500_000),
        (62_500_000, Duration::from_nanos(16), 1),
        (62_500_000, Duration::from_nanos(17), 2),
        (19_200_000, Duration::from_millis(1), 19_200),
        (19_200_000, Duration::from_nanos(1), 1),
        (1_000_000_000, Duration::new(3, 7), 3_000_000_007),
        (1, Duration::from_nanos(1), 1),
        (u32::MAX, Duration::new(0, 999_999_999), 4_294_967_291),
        (62_500_000, Duration::ZERO, 0),
        (1, Duration::MAX, u64::MAX),
        (u32::MAX, Duration::MAX, u64::MAX),
    ] {
        assert_eq!(hertz(frequency).ticks(duration), ticks, "{duration:?} at {frequency} Hz");
    }
    for (frequency, ticks, duration) in [
        (62_500_000, 1, Duration::from_nanos(16)),
        (19_200_000, 1, Duration::from_nanos(52)),
        (1_000_000_000, u64::MAX, Duration::from_nanos(u64::MAX)),
        (1, u64::MAX, Duration::from_secs(u64::MAX)),
        (u32::MAX, u64::MAX, Duration::from_secs(4_294_967_297)),
        (u32::MAX, 4_294_967_294, Duration::from_nanos(999_999_999)),
    ] {
        assert_eq!(hertz(frequency).duration(ticks), duration, "{ticks} ticks at {frequency} Hz");
    }
}

#[test]
fn a_missing_cntfrq_is_replaced() {
    let fallback = hertz(19_200_000);
    assert_eq!(Frequency::from_cntfrq(62_500_000, fallback), hertz(62_500_000));
    assert_eq!(Frequency::from_cntfrq(0, fallback), fallback);
    assert_eq!(Frequency::from_cntfrq(0xFFFF_FFFF_0000_0000, fallback), fallback);
    assert_eq!(Frequency::from_hertz(0), None);
}

proptest! {
    #[test]
    fn waiting_is_never_too_short(frequency in 1u32.., nanos in any::<u64>()) {
        let (frequency, duration) = (hertz(frequency), Duration::from_nanos(nanos));
        let ticks = frequency.ticks(duration);
        let exact = u128::from(nanos) * u128::from(frequency.hertz());
        prop_assert_eq!(u128::from(ticks), exact.div_ceil(1_000_000_000).min(u128::from(u64::MAX)));
    }
}

#[test]
fn the_alarm_is_set_only_for_an_earlier_deadline() {
    let timers = Timers::new(FakeCounter::default());
    let (_, waker) = counting_waker();
    let counter = timers.counter();
    let alarm = || counter.alarm.get().map(Instant::ticks);
    let mut late = timers.sleep(Duration::from_nanos(100));
    assert!(poll(&mut late, &waker).is_pending());
    let mut later = timers.sleep(Duration::from_nanos(200));
    assert!(poll(&mut later, &waker).is_pending());
    assert_eq!((alarm(), counter.alarms_set.get()), (Some(100), 1));
    let mut early = timers.sleep(Duration::from_nanos(50));
    assert!(poll(&mut early, &waker).is_pending());
    assert_eq!((alarm(), counter.alarms_set.get()), (Some(50), 2));
    drop((early, late));
    assert_eq!((alarm(), counter.alarms_set.get(), timers.pending()), (Some(50), 2, 1));
    counter.now.set(50);
    assert_eq!(timers.on_interrupt(), Some(Instant::from_ticks(200)));
    assert_eq!((alarm(), counter.alarms_set.get()), (Some(200), 3));
    assert_eq!(timers.on_interrupt(), Some(Instant::from_ticks(200)));
    assert_eq!(counter.alarms_set.get(), 3, "a spurious interrupt sets nothing");
    drop(later);
    counter.now.set(200);
    assert_eq!(timers.on_interrupt(), None);
    assert_eq!(alarm(), None);
}

#[test]
fn an_expired_deadline_needs_no_alarm() {
    let timers = Timers::new(FakeCounter::default());
    let (_, waker) = counting_waker();
    assert!(poll(&mut timers.sleep(Duration::ZERO), &waker).is_ready());
    assert_eq!(timers.counter().alarms_set.get(), 0);
    let mut forever = timers.sleep(Duration::MAX);
    assert!(poll(&mut forever, &waker).is_pending());
    assert_eq!(forever.deadline().ticks(), u64::MAX);
}

#[test]
fn the_waker_polled_with_last_is_woken() {
    let timers = Timers::new(FakeCounter::default());
    let (first, first_waker) = counting_waker();
    let (second, second_waker) = counting_waker();
    let mut sleep = timers.sleep(Duration::from_nanos(1));
    assert!(poll(&mut sleep, &first_waker).is_pending());
    assert!(poll(&mut sleep, &second_waker).is_pending());
    assert_eq!(Arc::strong_count(&first), 2, "the queue keeps a waker it no longer needs");
    timers.counter().now.set(1);
    assert!(timers.counter().asserted());
    timers.on_interrupt();
    assert_eq!((first.count(), second.count()), (0, 1));
    assert!(poll(&mut sleep, &second_waker).is_ready());
}

#[test]
fn a_timeout_ends_early_or_late() {
    let timers = Timers::new(FakeCounter::default());
    let (count, waker) = counting_waker();
    let context = &mut Context::from_waker(&waker);
    let mut answered = pin!(timers.timeout(Duration::from_nanos(5), async { 7 }));
    assert_eq!(answered.as_mut().poll(context), Poll::Ready(Ok(7)));
    assert_eq!(timers.counter().alarms_set.get(), 0);

    let mut silent = pin!(timers.timeout(Duration::from_nanos(5), core::future::pending::<u8>()));
    assert!(silent.as_mut().poll(context).is_pending());
    timers.counter().now.set(5);
    timers.on_interrupt();
    assert_eq!(count.count(), 1);
    assert_eq!(silent.as_mut().poll(context), Poll::Ready(Err(Elapsed)));
    assert_eq!(timers.pending(), 0);
    assert_eq!(Elapsed.to_string(), "timed out");
}

#[derive(Clone, Debug)]
enum Action {
    Sleep(u64),
    Cancel(prop::sample::Index),
    Poll(prop::sample::Index),
    Advance(u64),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        (0u64..50).prop_map(Action::Sleep),
        any::<prop::sample::Index>().prop_map(Action::Cancel),
        any::<prop::sample::Index>().prop_map(Action::Poll),
        (0u64..20).prop_map(Action::Advance),
    ]
}

struct Sleeper<'t> {
    sleep: Sleep<'t, FakeCounter>,
    deadline: u64,
    wakes: Arc<CountingWaker>,
}

proptest! {
    /// The model: a sleeper was woken once the clock has passed its deadline, and not before.
    #[test]
    fn timers_wake_as_a_list_of_deadlines_would(
        actions in prop::collection::vec(action(), 1..200)
    ) {
        let timers = Timers::new(FakeCounter::default());
        let counter = timers.counter();
        let mut sleepers: Vec<Sleeper<'_>> = Vec::new();
        let mut cancelled = Vec::new();
        let mut most = 0;
        for action in actions {
            match action {
                Action::Sleep(nanos) => {
                    let mut sleep = timers.sleep(Duration::from_nanos(nanos));
                    let deadline = counter.now.get() + nanos;
                    let (wakes, waker) = counting_waker();
                    prop_assert_eq!(poll(&mut sleep, &waker).is_ready(), nanos == 0);
                    if nanos > 0 {
                        sleepers.push(Sleeper { sleep, deadline, wakes });
                    }
                }
                Action::Cancel(index) if !sleepers.is_empty() => {
                    let sleeper = sleepers.swap_remove(index.index(sleepers.len()));
                    drop(sleeper.sleep);
                    cancelled.push((sleeper.wakes.count(), sleeper.wakes));
                }
                Action::Poll(index) if !sleepers.is_empty() => {
                    let index = index.index(sleepers.len());
                    let sleeper = &mut sleepers[index];
                    let waker = Waker::from(Arc::clone(&sleeper.wakes));
                    let passed = sleeper.deadline <= counter.now.get();
                    prop_assert_eq!(poll(&mut sleeper.sleep, &waker).is_ready(), passed);
                    if passed {
                        sleepers.swap_remove(index);
                    }
                }
                Action::Advance(nanos) => {
                    counter.now.set(counter.now.get() + nanos);
                    while counter.asserted() {
                        timers.on_interrupt();
                    }
                }
                Action::Cancel(_) | Action::Poll(_) => {}
            }
            let now = counter.now.get();
            for sleeper in &sleepers {
                prop_assert_eq!(sleeper.wakes.count(), usize::from(sleeper.deadline <= now));
            }
            let pending = sleepers.iter().filter(|sleeper| sleeper.deadline > now);
            prop_assert_eq!(timers.pending(), pending.clone().count());
            if let Some(earliest) = pending.map(|sleeper| sleeper.deadline).min() {
                prop_assert!(counter.alarm.get().is_some_and(|alarm| alarm.ticks() <= earliest));
            }
            most = most.max(sleepers.len());
            prop_assert!(timers.places() <= most, "places are not used again");
            for (count, wakes) in &cancelled {
                prop_assert_eq!(wakes.count(), *count, "woken after it was cancelled");
            }
        }
    }
}

#[test]
fn deadlines_of_the_same_moment_wake_in_the_order_of_sleeping() {
    struct Order(usize, Arc<std::sync::Mutex<Vec<usize>>>);
    impl Wake for Order {
        fn wake(self: Arc<Self>) {
            self.1.lock().unwrap().push(self.0);
        }
    }
    let timers = Timers::new(FakeCounter::default());
    let order = Arc::default();
    let mut sleeps = Vec::new();
    for (number, nanos) in [30, 10, 20, 10, 30, 20].into_iter().enumerate() {
        let waker = Waker::from(Arc::new(Order(number, Arc::clone(&order))));
        let mut sleep = timers.sleep(Duration::from_nanos(nanos));
        assert!(poll(&mut sleep, &waker).is_pending());
        sleeps.push(sleep);
    }
    timers.counter().now.set(30);
    timers.on_interrupt();
    assert_eq!(*order.lock().unwrap(), [1, 3, 2, 5, 0, 4]);
}
