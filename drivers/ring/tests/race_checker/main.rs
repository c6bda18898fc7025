//! The two ends of a direction as two threads, in every order there can be.
//!
//! The core of the ring is compiled here once more, with the atomics of the race checker `loom`; and a third time
//! without its fence, to show that the checker would find it missing.
//!
//! A few seconds of checking. With more time, `LOOM_MAX_PREEMPTIONS=4 cargo test -p shared-ring --test race_checker`.

#![allow(clippy::duplicate_mod, reason = "compiled with and without the fence")]

mod fenced;
mod unfenced;

use loom::model::Builder;

/// Runs `scenario` in every order with at most `preemptions` switches away from a thread that
/// could go on.
fn check(preemptions: usize, scenario: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound.get_or_insert(preemptions);
    builder.max_branches = 10_000;
    builder.check(scenario);
}

#[test]
fn messages_arrive_whole_and_nobody_sleeps_for_ever() {
    check(3, fenced::scenarios::messages);
}

#[test]
fn bytes_arrive_in_order() {
    check(2, fenced::scenarios::bytes);
}

#[test]
fn bytes_passed_on_come_back_and_nobody_sleeps_for_ever() {
    check(2, fenced::scenarios::passed_on);
}

#[test]
fn whoever_comes_first_both_find_each_other() {
    check(2, fenced::scenarios::handshake);
}

#[test]
fn a_restart_of_the_producer_is_told_once_and_nothing_old_comes_after_it() {
    check(2, fenced::scenarios::producer_restarts);
}

#[test]
fn a_restart_of_the_consumer_is_told_once_and_nothing_old_comes_after_it() {
    check(3, fenced::scenarios::consumer_restarts);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_fence_a_wake_up_is_lost() {
    check(3, unfenced::scenarios::messages);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_fence_what_is_passed_on_is_not_told() {
    check(2, unfenced::scenarios::passed_on);
}
