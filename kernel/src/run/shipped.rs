//! The services that are shipped, made of this machine.

use super::KernelTimer;
use crate::{
    dt::Platform,
    hardware::TIMERS,
    interrupts::{Usage, gic},
    services::{
        AnyService, Directory,
        shipped::{
            Activity, Echo, Entropy, LogReader, Pl031, RandomSource, Stats, Time,
            entropy::{BLOCK, NoBytes},
        },
    },
    start::{BILLY_LOG, Hypervisor},
    task::{Spawner, TaskInfo},
};
use alloc::{boxed::Box, vec::Vec};
use core::{cell::Cell, time::Duration};
use gunyah::hypercalls::Hypercalls;
use gunyah_abi::{
    Error,
    psci::trng::{NO_ENTROPY, RND64, SUCCESS, VERSION, VERSION_1_0},
};

/// Adds the shipped services to the directory.
pub fn add(
    directory: &'static Directory,
    platform: &Platform,
    hypervisor: Hypervisor,
    spawner: Spawner,
) {
    let clock = platform.clock.and_then(|registers| {
        // SAFETY: the device tree names these registers, and they were mapped as it says; nobody
        // else looks at them.
        unsafe { Pl031::new(registers.start as usize) }
    });
    let generators = Generators { hypervisor, has_trng: Cell::new(None) };
    let services: [Box<dyn AnyService>; 5] = [
        Box::new(Echo),
        Box::new(Time { uptime: || TIMERS.uptime(), wall_clock: clock }),
        Box::new(Entropy::new(generators, KernelTimer)),
        Box::new(Stats { activity: Running(spawner), directory }),
        Box::new(LogReader::new(&BILLY_LOG)),
    ];
    for service in services {
        let service = Box::leak(service);
        if !directory.add(service) {
            log::error!(target: "services", "number {} is taken", service.number());
        }
    }
}

/// What runs on this machine.
struct Running(Spawner);

impl Activity for Running {
    fn tasks(&self) -> Vec<TaskInfo> {
        self.0.tasks().collect()
    }

    fn interrupts(&self) -> Vec<Usage> {
        gic::usage()
    }
}

/// Where this machine has random bytes from.
struct Generators {
    hypervisor: Hypervisor,
    has_trng: Cell<Option<bool>>,
}

impl RandomSource for Generators {
    fn trng(&self) -> Result<[u8; BLOCK], NoBytes> {
        let call = |function, argument| {
            let mut arguments = [0; 17];
            let [x1, ..] = &mut arguments;
            *x1 = argument;
            // The low word of x0 is the status, signed.
            let [x0, x1, x2, x3, ..] = smccc::hvc64(function, arguments);
            (x0 as u32 as i32, [x1, x2, x3])
        };
        let has_trng = self.has_trng.get().unwrap_or_else(|| {
            let (version, _) = call(VERSION, 0);
            version >= VERSION_1_0 as i32
        });
        self.has_trng.set(Some(has_trng));
        if !has_trng {
            return Err(NoBytes::Ever);
        }
        match call(RND64, 8 * BLOCK as u64) {
            (SUCCESS, [_, high, low]) => {
                let mut bytes = [0; BLOCK];
                let words = [high, low].map(u64::to_le_bytes);
                bytes.iter_mut().zip(words.iter().flatten()).for_each(|(to, from)| *to = *from);
                Ok(bytes)
            }
            (NO_ENTROPY, _) => Err(NoBytes::Now),
            _ => Err(NoBytes::Ever),
        }
    }

    fn hypervisor(&self) -> Result<[u8; BLOCK], NoBytes> {
        let mut bytes = [0; BLOCK];
        match self.hypervisor.prng_get_entropy(&mut bytes) {
            Ok(()) => Ok(bytes),
            Err(Error::Busy | Error::Retry) => Err(NoBytes::Now),
            Err(_) => Err(NoBytes::Ever),
        }
    }

    fn now(&self) -> Duration {
        TIMERS.uptime()
    }
}
