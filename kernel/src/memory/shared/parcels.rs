//! Memory parcels: from the owner's word to mapped memory, and back.
//!
//! What a notification says is an allegation: it is checked before the parcel is accepted, the
//! Resource Manager is asked to accept it only as it was announced, and where it then lies is
//! checked again before anything is mapped. A parcel that fails is released at once, with a log
//! line that names the field. The number of parcels and their bytes are bounded, so nobody can
//! make this VM's memory or page tables grow without end.
//!
//! One task calls [`Parcels`], event after event, so a parcel is never accepted and recalled at
//! the same time. Whoever uses the memory is told to stop, and has stopped, before it is unmapped;
//! it is unmapped before it is released; and only then is the owner told.

mod check;

pub use check::{MAX_PARCELS, ParcelError};

use super::{
    Access, Claim, SharedBuffer, SharedMaps, SharedRegion, Source, territory::MAX_REGIONS,
};
use crate::{channels::MOST_PEERS, watched::Watched};
use alloc::{sync::Arc, vec::Vec};
use check::{accepted_at, announced};
use core::{
    cell::{Cell, RefCell},
    fmt,
    ops::Range,
};
use critical_section::Mutex;
use gunyah::{
    hypercalls::Hypercalls,
    rm::{
        RequestError, ResourceManager, Timer,
        event::SharedMemory,
        memory::{AcceptFlags, AcceptMemory, MemHandle, NotifyFlag},
    },
};
use gunyah_abi::rm::RmError;

/// Whoever makes use of shared memory.
pub trait Users {
    /// Memory to be used by this VM, whose VMID is `own`.
    fn offer(&self, buffer: &Arc<SharedBuffer>, own: u16);
    /// Memory that is wanted back; who leased it is told by the lease as well.
    fn withdraw(&self, buffer: &Arc<SharedBuffer>);
}

/// How far a parcel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParcelState {
    /// The Resource Manager is asked for it.
    Accepting,
    /// Mapped, and on offer.
    Mapped,
    /// Its users are told to stop.
    Recalled,
    /// Unmapped; the Resource Manager is told.
    Releasing,
    /// Unmapped, but the Resource Manager refused to take it back.
    Stuck,
}

impl fmt::Display for ParcelState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Accepting => "accepting",
            Self::Mapped => "mapped",
            Self::Recalled => "recalled",
            Self::Releasing => "releasing",
            Self::Stuck => "stuck",
        })
    }
}

/// A parcel, as far as it got.
#[derive(Clone)]
pub struct Parcel {
    /// Which.
    pub handle: MemHandle,
    /// Whose memory it is, if the device tree tells.
    pub owner: Option<u16>,
    /// What it is for.
    pub label: Option<u32>,
    /// Bytes.
    pub size: u64,
    /// The owner's mark, which goes back to it: the Resource Manager refuses any other. Of a parcel of
    /// the tree only its recall tells it.
    tag: u32,
    /// When it was announced, as the number of that event.
    told: u64,
    /// How far it is.
    pub state: ParcelState,
    /// Where it is, and who uses it; not before it is mapped.
    pub buffer: Option<Arc<SharedBuffer>>,
}

/// The parcels of this VM.
pub struct Parcels<H: 'static, C: 'static> {
    manager: &'static ResourceManager<H, C>,
    maps: &'static dyn Fn() -> &'static SharedMaps,
    identity: Mutex<Cell<Identity>>,
    list: Mutex<RefCell<Vec<Parcel>>>,
    /// Who ended last when, as the number of that event.
    ends: RefCell<Vec<(u16, u64)>>,
    /// Somebody ended since parcels were looked through.
    orphans: Watched<bool>,
}

/// Who this VM is, as far as it is known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Identity {
    /// Its own VMID.
    pub own: Option<u16>,
    /// Its owner's.
    pub owner: Option<u16>,
}

impl<H: Hypercalls, C: Timer> Parcels<H, C> {
    /// Starts without parcels. `maps` is asked for at the first; what the device tree does not tell of
    /// this VM's identity is asked of the Resource Manager then.
    pub fn new(
        manager: &'static ResourceManager<H, C>,
        maps: &'static dyn Fn() -> &'static SharedMaps,
        identity: Identity,
    ) -> Self {
        let identity = Mutex::new(Cell::new(identity));
        let list = Mutex::new(RefCell::new(Vec::new()));
        let (ends, orphans) = (RefCell::default(), Watched::default());
        Self { manager, maps, identity, list, ends, orphans }
    }

    /// The parcels there are.
    pub fn list(&self) -> Vec<Parcel> {
        self.with(|list| list.clone())
    }

    /// Takes note of a buffer that the device tree names and this VM mapped, which may be a parcel.
    pub fn found(&self, buffer: &Arc<SharedBuffer>) {
        let Some(handle) = buffer.source.handle() else { return };
        self.with(|list| {
            list.push(Parcel {
                handle,
                owner: buffer.peer,
                label: buffer.label,
                size: buffer.size(),
                tag: 0,
                told: 0,
                state: ParcelState::Mapped,
                buffer: Some(buffer.clone()),
            });
        });
    }

    /// A parcel was announced (`MEM_SHARED`), by the event numbered `told`: it is checked, accepted,
    /// mapped and put on offer.
    pub async fn shared(&self, memory: &SharedMemory, told: u64, users: &dyn Users) {
        let (handle, owner) = (memory.handle, memory.owner);
        match self.accept(memory, told).await {
            Ok((buffer, own)) => {
                let (label, size) = (memory.label, buffer.size());
                log::info!(target: "mem", "{handle} of VM {owner}, label {label}: {size} bytes at {:#x}", start_of(&buffer));
                self.update(handle, |parcel| {
                    parcel.state = ParcelState::Mapped;
                    parcel.buffer = Some(buffer.clone());
                });
                self.notify(handle, NotifyFlag::Accepted, memory.tag).await;
                users.offer(&buffer, own);
            }
            Err(error) => {
                log::warn!(target: "mem", "{handle} of VM {owner} is not accepted: {error}")
            }
        }
    }

    async fn accept(
        &self,
        memory: &SharedMemory,
        told: u64,
    ) -> Result<(Arc<SharedBuffer>, u16), ParcelError> {
        let handle = memory.handle;
        let own = self.own_vmid().await?;
        if !self.is_peer(memory.owner).await? {
            return Err(ParcelError::Owner(memory.owner));
        }
        if self.ended_since(memory.owner, told) {
            return Err(ParcelError::Ended);
        }
        let (size, access) = announced(memory, own)?;
        self.with(|list| {
            if list.iter().any(|parcel| parcel.handle == handle) {
                return Err(ParcelError::Again);
            }
            let (owner, label) = (Some(memory.owner), Some(memory.label));
            if list.iter().any(|parcel| parcel.owner == owner && parcel.label == label) {
                return Err(ParcelError::Label(memory.label));
            }
            if list.len() >= MAX_PARCELS {
                return Err(ParcelError::TooMany);
            }
            list.try_reserve(1).map_err(|_| ParcelError::TooMany)?;
            let (tag, state) = (memory.tag, ParcelState::Accepting);
            list.push(Parcel { handle, owner, label, size, tag, told, state, buffer: None });
            Ok(())
        })?;
        let mut accept = AcceptMemory::announced(memory);
        accept.flags |= AcceptFlags::MAP_CONTIGUOUS;
        let mapped = match self.manager.accept_memory(&accept).await {
            Ok(ranges) => accepted_at(&ranges, size).and_then(|ranges| self.map(&ranges, access)),
            Err(error) => {
                if error.is_doubtful() {
                    self.release(handle).await;
                } else {
                    self.forget(handle);
                }
                return Err(error.into());
            }
        };
        match mapped {
            Ok(regions) => {
                let (label, owner) = (Some(memory.label), Some(memory.owner));
                Ok((SharedBuffer::new(Source::Parcel(handle), label, owner, regions), own))
            }
            Err(error) => {
                self.release(handle).await;
                Err(error)
            }
        }
    }

    async fn own_vmid(&self) -> Result<u16, ParcelError> {
        let identity = || critical_section::with(|cs| self.identity.borrow(cs).get());
        if let Some(vmid) = identity().own {
            return Ok(vmid);
        }
        let vmid = self.manager.vmid().await?;
        let identity = Identity { own: Some(vmid), ..identity() };
        critical_section::with(|cs| self.identity.borrow(cs).set(identity));
        Ok(vmid)
    }

    /// Whether a VM may share memory with this one: its owner, or a peer.
    async fn is_peer(&self, vmid: u16) -> Result<bool, ParcelError> {
        let identity = critical_section::with(|cs| self.identity.borrow(cs).get());
        Ok(identity.owner == Some(vmid)
            || self.manager.peers().await?.contains(&vmid)
            || identity.owner.is_none() && self.manager.owner().await? == vmid)
    }

    fn map(&self, ranges: &[Range<u64>], access: Access) -> Result<Vec<SharedRegion>, ParcelError> {
        let mut regions = Vec::new();
        regions
            .try_reserve_exact(ranges.len().min(MAX_REGIONS))
            .map_err(|_| ParcelError::TooMany)?;
        for range in ranges {
            // Those mapped so far are unmapped again if one is refused.
            regions.push((self.maps)().map(range.clone(), access, Claim::Parcel)?);
        }
        Ok(regions)
    }

    /// The owner wants a parcel back (`MEM_RECALL`), whose tag this is: its users stop, it is unmapped
    /// and released.
    pub async fn recalled(&self, handle: MemHandle, tag: u32, users: &dyn Users) {
        let parcel = self.with(|list| {
            let parcel = list.iter_mut().find(|parcel| parcel.handle == handle)?;
            parcel.tag = tag;
            Some(parcel.clone())
        });
        match parcel {
            Some(parcel) => self.end(parcel, "recalled", users).await,
            None => log::info!(target: "mem", "{handle} is recalled, and is none of ours"),
        }
    }

    /// Takes note that a VM ended, by the event numbered `told`: what it shared before that is to go,
    /// which [`release_orphans`](Self::release_orphans) sees to.
    pub fn peer_ended(&self, vmid: u16, told: u64) {
        let mut ends = self.ends.borrow_mut();
        match ends.iter_mut().find(|(of, _)| *of == vmid) {
            Some((_, last)) => *last = told,
            None => {
                if ends.len() == MOST_PEERS {
                    ends.remove(0);
                }
                ends.push((vmid, told));
            }
        }
        drop(ends);
        self.orphans.set(true);
    }

    fn ended_since(&self, vmid: u16, told: u64) -> bool {
        self.ends.borrow().iter().any(|&(of, end)| of == vmid && end > told)
    }

    /// Waits until a VM has ended.
    pub async fn orphaned(&self) {
        self.orphans.until(|any| any.then_some(())).await;
    }

    /// What VMs shared that ended since goes as if it were recalled.
    pub async fn release_orphans(&self, users: &dyn Users) {
        self.orphans.set(false);
        loop {
            let is_orphan = |p: &&Parcel| {
                p.state == ParcelState::Mapped
                    && p.owner.is_some_and(|owner| self.ended_since(owner, p.told))
            };
            let parcel = self.with(|list| list.iter().find(is_orphan).cloned());
            let Some(parcel) = parcel else { return };
            self.end(parcel, "its owner ended", users).await;
        }
    }

    async fn end(&self, parcel: Parcel, why: &str, users: &dyn Users) {
        let handle = parcel.handle;
        log::info!(target: "mem", "{handle}: {why}");
        if let Some(buffer) = &parcel.buffer {
            self.update(handle, |parcel| parcel.state = ParcelState::Recalled);
            users.withdraw(buffer);
            buffer.recall().await;
            if let Source::Tree(_) = buffer.source {
                buffer.ranges.iter().for_each(|range| (self.maps)().forget_buffer(range));
            }
        }
        if self.release(handle).await {
            self.notify(handle, NotifyFlag::Released, parcel.tag).await;
            log::info!(target: "mem", "{handle}: unmapped and released");
        }
    }

    /// Gives a parcel back to the Resource Manager; false if that failed.
    async fn release(&self, handle: MemHandle) -> bool {
        self.update(handle, |parcel| {
            parcel.state = ParcelState::Releasing;
            parcel.buffer = None;
        });
        match self.manager.release_memory(handle, false).await {
            Ok(()) => {}
            Err(error) if is_released(&error) => {}
            Err(error) => {
                log::warn!(target: "mem", "{handle} is not released: {error}");
                self.update(handle, |parcel| parcel.state = ParcelState::Stuck);
                return false;
            }
        }
        self.forget(handle);
        true
    }

    /// Tells the owner, who may not care.
    async fn notify(&self, handle: MemHandle, flag: NotifyFlag, tag: u32) {
        if let Err(error) = self.manager.notify_memory(handle, flag, tag).await {
            log::info!(target: "mem", "{handle}: its owner is not told: {error}");
        }
    }

    fn update(&self, handle: MemHandle, change: impl FnOnce(&mut Parcel)) {
        let old = self.with(|list| {
            let parcel = list.iter_mut().find(|parcel| parcel.handle == handle)?;
            let old = parcel.clone();
            change(parcel);
            Some(old)
        });
        // The last reference to a buffer may unmap it, which takes a while.
        drop(old);
    }

    fn forget(&self, handle: MemHandle) {
        self.with(|list| list.retain(|parcel| parcel.handle != handle));
    }

    fn with<R>(&self, f: impl FnOnce(&mut Vec<Parcel>) -> R) -> R {
        critical_section::with(|cs| f(&mut self.list.borrow_ref_mut(cs)))
    }
}

/// Whether the Resource Manager says that the parcel is not ours any more, which is what was wanted.
fn is_released(error: &RequestError) -> bool {
    matches!(error.refusal(), Some(RmError::HandleInvalid | RmError::MemReleased))
}

fn start_of(buffer: &SharedBuffer) -> u64 {
    buffer.ranges.first().map_or(0, |range| range.start)
}

#[cfg(test)]
mod tests;
