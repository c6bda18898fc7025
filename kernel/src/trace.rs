//! The trace ring: the last interrupts, hypercalls, wakes and polls.
//!
//! Recording takes some fifteen instructions and no lock, so it is done in interrupt handlers and
//! on every hypercall; the crash report and a debugger read it. A place in the ring is taken by
//! one atomic addition, or with interrupts masked, so a handler that interrupts a recording records
//! behind it. A recording that a crash cut short shows in part what was in its place before.
//!
//! What lives here: events as numbers. What does not: who is interested in them.

mod event;
mod hypercalls;
#[cfg(test)]
mod tests;

pub use event::{Event, What};
pub use hypercalls::Traced;

use core::{
    fmt, ptr,
    sync::atomic::{AtomicPtr, AtomicU64, Ordering::Relaxed},
};
use event::Kind;
use gunyah_abi::Error;

/// How many events are kept.
pub const EVENTS: usize = 64;

/// The kernel's trace; a debugger finds it by this name, a hypervisor by its magic number.
#[unsafe(no_mangle)]
pub static BILLY_TRACE: TraceRing = TraceRing::new();

/// The last [`EVENTS`] events.
///
/// In a memory dump it starts at the bytes `BILLYTRC`, then, as little-endian 64-bit words, the
/// number of places, of events ever recorded, and a reserved word; then the places, of four words
/// each: counter (`CNTVCT_EL0`), what (bits 0–31 value, 32–39 hypercall number, 40–47 kind),
/// capability, and address of the task's name (of its address and length).
#[repr(C)]
pub struct TraceRing {
    magic: AtomicU64,
    places: AtomicU64,
    recorded: AtomicU64,
    reserved: AtomicU64,
    ring: [Place; EVENTS],
}

/// An event in memory. A word that its kind does not use keeps what it was.
#[repr(C)]
struct Place {
    time: AtomicU64,
    what: AtomicU64,
    capability: AtomicU64,
    task: AtomicPtr<&'static str>,
}

const _: () = {
    assert!(size_of::<Place>() == 32);
    assert!(core::mem::offset_of!(TraceRing, ring) == 32);
    assert!(EVENTS.is_power_of_two());
};

impl Place {
    const fn new() -> Self {
        Self {
            time: AtomicU64::new(0),
            what: AtomicU64::new(0),
            capability: AtomicU64::new(0),
            task: AtomicPtr::new(ptr::null_mut()),
        }
    }

    fn event(&self) -> Event {
        let task: *const &'static str = self.task.load(Relaxed);
        // SAFETY: `task` is only ever null or a `&'static &'static str`.
        let task = unsafe { task.as_ref() }.copied();
        Event {
            ticks: self.time.load(Relaxed),
            what: What::decode(self.what.load(Relaxed), self.capability.load(Relaxed), task),
        }
    }
}

impl TraceRing {
    /// Makes an empty ring.
    pub const fn new() -> Self {
        Self {
            magic: AtomicU64::new(0),
            places: AtomicU64::new(0),
            recorded: AtomicU64::new(0),
            reserved: AtomicU64::new(0),
            ring: [const { Place::new() }; EVENTS],
        }
    }

    /// Writes the magic number. All zero before, so that the ring costs the image no space.
    pub fn start(&self) {
        self.places.store(EVENTS as u64, Relaxed);
        self.magic.store(u64::from_le_bytes(*b"BILLYTRC"), Relaxed);
    }

    /// Takes the next place.
    #[inline(always)]
    fn take(&self, kind: Kind, number: u16, value: u32) -> &Place {
        self.fill(self.recorded.fetch_add(1, Relaxed), kind, number, value)
    }

    /// Takes the next place, while no interrupt can come in between: in fewer instructions.
    #[inline(always)]
    fn take_masked(&self, kind: Kind, value: u32) -> &Place {
        let taken = self.recorded.load(Relaxed);
        self.recorded.store(taken.wrapping_add(1), Relaxed);
        self.fill(taken, kind, 0, value)
    }

    #[inline(always)]
    fn fill(&self, taken: u64, kind: Kind, number: u16, value: u32) -> &Place {
        let place = &self.ring[taken as usize % EVENTS];
        place.time.store(ticks(), Relaxed);
        place.what.store(kind.pack(number, value), Relaxed);
        place
    }

    /// An interrupt was acknowledged. Called with interrupts masked.
    #[inline(always)]
    pub fn interrupt(&self, intid: u32) {
        self.take_masked(Kind::Interrupt, intid);
    }

    /// A hypercall succeeded; of `value`, its first result, 32 bits are kept.
    #[inline(always)]
    pub fn hypercall(&self, number: u16, capability: u64, value: u64) {
        let place = self.take(Kind::Hypercall, number, value as u32);
        place.capability.store(capability, Relaxed);
    }

    /// A hypercall failed. Not inlined: there is a call of this for each hypercall there is.
    #[inline(never)]
    pub fn refused(&self, number: u16, capability: u64, error: Error) {
        let place = self.take(Kind::Refused, number, error.code() as u32);
        place.capability.store(capability, Relaxed);
    }

    /// A task was woken. Called with interrupts masked.
    #[inline(always)]
    pub fn woken(&self, task: &'static &'static str) {
        self.take_masked(Kind::Woken, 0).task.store(ptr::from_ref(task).cast_mut(), Relaxed);
    }

    /// Events ever recorded.
    pub fn recorded(&self) -> u64 {
        self.recorded.load(Relaxed)
    }

    /// The last `count` events at most, oldest first.
    pub fn last(&self, count: usize) -> impl Iterator<Item = Event> + '_ {
        let end = self.recorded();
        let count = (count.min(EVENTS) as u64).min(end);
        (end - count..end).map(|n| self.ring[n as usize % EVENTS].event())
    }
}

impl Default for TraceRing {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TraceRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceRing").field("recorded", &self.recorded()).finish_non_exhaustive()
    }
}

/// The virtual counter, read without a barrier: a few cycles early does no harm here.
#[cfg(target_os = "none")]
#[inline(always)]
fn ticks() -> u64 {
    let ticks: u64;
    // SAFETY: a read without side effects.
    unsafe { core::arch::asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nostack, nomem)) };
    ticks
}

/// Tests on the host have no counter that they could predict.
#[cfg(not(target_os = "none"))]
fn ticks() -> u64 {
    0
}
