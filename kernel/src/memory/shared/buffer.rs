//! Shared memory on offer: used by one at a time, and called back.

use super::SharedRegion;
use alloc::{sync::Arc, vec::Vec};
use core::{
    cell::RefCell,
    fmt,
    future::poll_fn,
    mem,
    ops::Range,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll},
};
use critical_section::Mutex;
use embassy_sync::waitqueue::AtomicWaker;
use gunyah::rm::memory::MemHandle;

/// Where shared memory comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The device tree; the Resource Manager accepted the parcel, if it is one, before boot.
    Tree(Option<MemHandle>),
    /// A parcel that was accepted while this VM ran.
    Parcel(MemHandle),
}

impl Source {
    /// The parcel that it is.
    pub fn handle(&self) -> Option<MemHandle> {
        match *self {
            Self::Tree(handle) => handle,
            Self::Parcel(handle) => Some(handle),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tree(_) => f.pad("tree"),
            Self::Parcel(_) => f.pad("parcel"),
        }
    }
}

/// Shared memory that somebody may use.
pub struct SharedBuffer {
    /// Where it comes from.
    pub source: Source,
    /// What it is for: doorbells with this label belong to it.
    pub label: Option<u32>,
    /// Who shares it.
    pub peer: Option<u16>,
    /// Where it is, in whole pages, at least one range.
    pub ranges: Vec<Range<u64>>,
    slot: Mutex<RefCell<Slot>>,
    /// Whoever uses it was told to stop.
    recalled: AtomicBool,
    user: AtomicWaker,
    owner: AtomicWaker,
}

/// Where the mapped pages are.
enum Slot {
    /// Here, for whoever wants to use them.
    Free(Vec<SharedRegion>),
    /// With somebody who uses them.
    Leased,
    /// Nowhere: unmapped, and never to be used again.
    Ended,
}

impl SharedBuffer {
    /// Offers what is mapped.
    pub fn new(
        source: Source,
        label: Option<u32>,
        peer: Option<u16>,
        regions: Vec<SharedRegion>,
    ) -> Arc<Self> {
        Arc::new(Self {
            source,
            label,
            peer,
            ranges: regions.iter().map(|region| region.range().clone()).collect(),
            slot: Mutex::new(RefCell::new(Slot::Free(regions))),
            recalled: AtomicBool::new(false),
            user: AtomicWaker::new(),
            owner: AtomicWaker::new(),
        })
    }

    /// Bytes in all.
    pub fn size(&self) -> u64 {
        self.ranges.iter().map(|range| range.end - range.start).sum()
    }

    /// Takes the memory for use; `None` while somebody else has it, or when it was recalled.
    pub fn lease(self: &Arc<Self>) -> Option<Lease> {
        self.with(|slot| match mem::replace(slot, Slot::Leased) {
            Slot::Free(regions) => Some(Lease { buffer: self.clone(), regions }),
            other => {
                *slot = other;
                None
            }
        })
    }

    /// Tells whether somebody uses the memory.
    pub fn is_leased(&self) -> bool {
        self.with(|slot| matches!(slot, Slot::Leased))
    }

    /// Tells whoever uses the memory to stop, waits until that happened, and unmaps it.
    pub async fn recall(&self) {
        poll_fn(|cx| self.poll_recall(cx)).await;
    }

    fn poll_recall(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.owner.register(cx.waker());
        let (ended, regions) = self.with(|slot| match mem::replace(slot, Slot::Leased) {
            Slot::Free(regions) => {
                *slot = Slot::Ended;
                (true, regions)
            }
            Slot::Ended => {
                *slot = Slot::Ended;
                (true, Vec::new())
            }
            Slot::Leased => (false, Vec::new()),
        });
        // Outside of the critical section: unmapping takes a while.
        drop(regions);
        if ended {
            return Poll::Ready(());
        }
        self.recalled.store(true, Ordering::Release);
        self.user.wake();
        Poll::Pending
    }

    fn with<R>(&self, f: impl FnOnce(&mut Slot) -> R) -> R {
        critical_section::with(|cs| f(&mut self.slot.borrow_ref_mut(cs)))
    }
}

/// Shared memory in use. It goes back when this is dropped.
pub struct Lease {
    buffer: Arc<SharedBuffer>,
    regions: Vec<SharedRegion>,
}

impl Lease {
    /// What is leased.
    pub fn buffer(&self) -> &Arc<SharedBuffer> {
        &self.buffer
    }

    /// Its pages, one region for each of its ranges.
    pub fn regions(&self) -> &[SharedRegion] {
        &self.regions
    }

    /// Tells whether the memory is wanted back.
    #[inline]
    pub fn is_recalled(&self) -> bool {
        self.buffer.recalled.load(Ordering::Acquire)
    }

    /// Waits until the memory is wanted back. One task at a time waits.
    pub async fn recalled(&self) {
        poll_fn(|cx| {
            self.buffer.user.register(cx.waker());
            match self.is_recalled() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let regions = mem::take(&mut self.regions);
        self.buffer.with(|slot| *slot = Slot::Free(regions));
        self.buffer.owner.wake();
    }
}
