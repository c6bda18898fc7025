//! What a ring is made of: leased pages, and the bell at the other side.

use super::channel::Counts;
use crate::memory::shared::{Access, Lease};
use alloc::{rc::Rc, sync::Arc};
use core::{
    cell::Cell,
    ptr::NonNull,
    sync::atomic::{AtomicBool, AtomicU64, Ordering, compiler_fence},
};
use gunyah::{
    doorbell::{DoorbellError, DoorbellSource},
    hypercalls::Hypercalls,
};
use shared_ring::{Bell, MINIMUM_SIZE, Memory};
use thiserror::Error;

/// The flag that this side rings with.
const LOOK: u64 = 1;

/// Why shared memory cannot hold a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unfit {
    /// It is in pieces.
    #[error("the shared memory is in {0} pieces")]
    Pieces(usize),
    /// It is too small.
    #[error("the shared memory has {0} bytes, a ring takes {MINIMUM_SIZE}")]
    Small(usize),
    /// This VM may not write it.
    #[error("the shared memory is read-only")]
    ReadOnly,
}

/// Leased pages, for as long as any copy of this lives.
#[derive(Clone)]
pub(super) struct RingMemory {
    lease: Rc<Lease>,
    words: NonNull<[AtomicU64]>,
    gone: Arc<AtomicBool>,
}

impl RingMemory {
    /// Takes pages for a ring.
    pub fn new(lease: Lease) -> Result<Self, Unfit> {
        let [region] = lease.regions() else { return Err(Unfit::Pieces(lease.regions().len())) };
        if region.access() == Access::Read {
            return Err(Unfit::ReadOnly);
        }
        if region.size() < MINIMUM_SIZE {
            return Err(Unfit::Small(region.size()));
        }
        let words = NonNull::slice_from_raw_parts(region.as_ptr().cast(), region.size() / 8);
        let gone = region.gone().clone();
        Ok(Self { lease: Rc::new(lease), words, gone })
    }

    /// What is leased.
    pub fn lease(&self) -> &Lease {
        &self.lease
    }
}

impl Memory for RingMemory {
    fn words(&self) -> &[AtomicU64] {
        // SAFETY: whole pages that stay mapped for reading and writing for as long as the lease
        // lives; this VM accesses them by these atomics only.
        unsafe { self.words.as_ref() }
    }

    #[inline]
    fn is_gone(&self) -> bool {
        // The abort of an access before this sets it.
        compiler_fence(Ordering::SeqCst);
        self.gone.load(Ordering::Relaxed)
    }
}

/// The doorbell of the other side.
pub(super) struct Ringer<'a, H> {
    pub source: &'a DoorbellSource<H>,
    pub counts: &'a Counts,
    /// Set when the hypervisor put a ring of the bell off: it is to be rung again.
    pub owes: &'a Cell<bool>,
}

impl<H> Clone for Ringer<'_, H> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<H> Copy for Ringer<'_, H> {}

impl<H> Ringer<'_, H> {
    #[cold]
    #[inline(never)]
    fn refused(&self, error: DoorbellError) {
        let failed = self.counts.unheard.get();
        self.counts.unheard.set(failed + 1);
        self.owes.set(error.may_pass());
        if failed == 0 {
            log::warn!(target: "ring", "the peer cannot be told: {error}");
        }
    }
}

impl<H: Hypercalls> Bell for Ringer<'_, H> {
    #[inline(always)]
    fn ring(&self) {
        match self.source.ring(LOOK) {
            Ok(_) => self.counts.rung.set(self.counts.rung.get() + 1),
            Err(error) => self.refused(error),
        }
    }
}
