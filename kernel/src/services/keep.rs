//! Keeps a service going when the hypervisor refuses it for a while.

use core::fmt::Display;
use core::time::Duration;
use gunyah::rm::Timer;

/// Failures in a row, with nothing done between them, after which a service ends.
const FAILURES: u32 = 16;
/// The first pause; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Runs a service, and runs it again after a pause when it fails. `done` counts what it did.
///
/// Returns the failure that is final by itself, or comes after too many others in a row.
pub async fn keep<F, E>(
    clock: &impl Timer,
    name: &str,
    mut serve: impl FnMut() -> F,
    is_final: impl Fn(&E) -> bool,
    done: impl Fn() -> u64,
) -> E
where
    F: Future<Output = Result<(), E>>,
    E: Display,
{
    let (mut failures, mut pause, mut before) = (0, FIRST_PAUSE, done());
    loop {
        let Err(error) = serve().await else { continue };
        if done() != before {
            (failures, pause, before) = (0, FIRST_PAUSE, done());
        }
        failures += 1;
        if is_final(&error) || failures == FAILURES {
            return error;
        }
        log::warn!(target: "service", "{name}: {error}; goes on in {} ms", pause.as_millis() as u64);
        clock.sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;
    use gunyah::fake::{FakeTimer, Tasks};

    /// How often a service runs that fails always, does something at some runs, and may fail for good.
    fn runs(works_at: &[u32], final_at: u32) -> u32 {
        let (clock, count, done) = (FakeTimer::default(), Cell::new(0), Cell::new(0));
        let mut tasks = Tasks::new();
        let task = tasks.spawn(async {
            let serve = async || {
                count.set(count.get() + 1);
                if works_at.contains(&count.get()) {
                    done.set(done.get() + 1);
                }
                Err(count.get())
            };
            keep(&clock, "test", serve, |run| *run == final_at, || done.get()).await;
        });
        tasks.run_until_idle();
        while !tasks.is_done(task) {
            assert!(clock.advance_to_next());
            tasks.run_until_idle();
        }
        count.get()
    }

    #[test]
    fn a_service_ends_after_failures_without_anything_done() {
        assert_eq!(runs(&[], 0), 16);
        assert_eq!(runs(&[10], 0), 25);
        assert_eq!(runs(&[10, 20], 0), 35);
    }

    #[test]
    fn a_final_failure_ends_it_at_once() {
        assert_eq!(runs(&[1, 2, 3], 3), 3);
        assert_eq!(runs(&[], 1), 1);
    }
}
