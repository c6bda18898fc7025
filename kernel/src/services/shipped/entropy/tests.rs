//! The entropy service against generators that run dry.

use super::*;
use crate::services::testing::{Bench, error};
use billy_protocol::decode;
use core::cell::RefCell;
use gunyah::fake::FakeTimer;
use std::rc::Rc;

/// What a call of this number brings.
type Bring = Box<dyn FnMut(u32) -> Result<u8, NoBytes>>;

struct Generators {
    clock: FakeTimer,
    trng: Result<u8, NoBytes>,
    hypervisor: RefCell<Bring>,
    calls: Rc<RefCell<Vec<Duration>>>,
}

impl RandomSource for Generators {
    fn trng(&self) -> Result<[u8; BLOCK], NoBytes> {
        if self.trng.is_ok() {
            self.calls.borrow_mut().push(self.clock.now());
        }
        Ok([self.trng?; BLOCK])
    }

    fn hypervisor(&self) -> Result<[u8; BLOCK], NoBytes> {
        let calls = &mut *self.calls.borrow_mut();
        calls.push(self.clock.now());
        Ok([self.hypervisor.borrow_mut()(calls.len() as u32)?; BLOCK])
    }

    fn now(&self) -> Duration {
        self.clock.now()
    }
}

struct Rig {
    bench: Bench,
    clock: FakeTimer,
    calls: Rc<RefCell<Vec<Duration>>>,
}

fn rig(
    trng: Result<u8, NoBytes>,
    hypervisor: impl FnMut(u32) -> Result<u8, NoBytes> + 'static,
) -> Rig {
    let (clock, calls) = (FakeTimer::default(), Rc::default());
    let source = Generators {
        clock: clock.clone(),
        trng,
        hypervisor: RefCell::new(Box::new(hypervisor)),
        calls: Rc::clone(&calls),
    };
    let service = Box::leak(Box::new(Entropy::new(source, clock.clone())));
    Rig { bench: Bench::with_clock(&[service], clock.clone()), clock, calls }
}

#[test]
fn firmware_is_asked_first() {
    let rig = rig(Ok(7), |_| unreachable!());
    let reply = rig.bench.ask(service::ENTROPY, &Request { bytes: 17 });
    assert_eq!(decode(&reply), Ok(Bytes { source: Source::Trng, data: &[7; 17] }));
}

#[test]
fn without_firmware_the_hypervisor_is_asked() {
    let rig = rig(Err(NoBytes::Ever), |_| Ok(9));
    let reply = rig.bench.ask(service::ENTROPY, &Request { bytes: 1 });
    assert_eq!(decode(&reply), Ok(Bytes { source: Source::Hypervisor, data: &[9] }));
}

#[test]
fn no_more_calls_are_made_than_the_hypervisor_allows() {
    let rig = rig(Err(NoBytes::Ever), |_| Ok(9));
    for _ in 0..5 {
        rig.bench.ask(service::ENTROPY, &Request { bytes: 64 });
    }
    let calls = rig.calls.borrow();
    assert_eq!(calls.len(), 20);
    for window in calls.windows(CALLS as usize + 1) {
        assert!(window[CALLS as usize] - window[0] >= Duration::from_millis(33), "{calls:?}");
    }
    assert_eq!(rig.clock.now(), WINDOW * 4);
}

#[test]
fn a_generator_that_is_busy_is_asked_again() {
    let rig = rig(Err(NoBytes::Now), |call| if call < 4 { Err(NoBytes::Now) } else { Ok(1) });
    let reply = rig.bench.ask(service::ENTROPY, &Request { bytes: 2 });
    assert_eq!(decode(&reply), Ok(Bytes { source: Source::Hypervisor, data: &[1; 2] }));
}

#[test]
fn a_generator_that_stays_busy_is_given_up() {
    let rig = rig(Err(NoBytes::Ever), |_| Err(NoBytes::Now));
    let refused = rig.bench.refused(service::ENTROPY, &[1]);
    assert_eq!(refused, error(ErrorCode::Failed, "", "no entropy for too long"));
    assert_eq!(rig.calls.borrow().len(), 8);
}

#[test]
fn without_any_generator_it_says_so() {
    let rig = rig(Err(NoBytes::Ever), |_| Err(NoBytes::Ever));
    let refused = rig.bench.refused(service::ENTROPY, &[1]);
    assert_eq!(refused, error(ErrorCode::Unavailable, "", "no generator"));
}

#[test]
fn a_number_of_bytes_out_of_range_is_named() {
    let rig = rig(Ok(7), |_| unreachable!());
    for payload in [&[0][..], &[65], &[0xff, 0x7f]] {
        let refused = rig.bench.refused(service::ENTROPY, payload);
        assert_eq!(refused, error(ErrorCode::OutOfRange, "bytes", "1 to 64"));
    }
    assert!(rig.calls.borrow().is_empty());
}
