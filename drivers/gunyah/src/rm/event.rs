//! Notifications as typed events, for as many subscribers as want them.
//!
//! A subscriber makes an [`Events`] and hands it to [`ResourceManager::subscribe`](super::ResourceManager::subscribe); each gets
//! every event. An event is RM's word at the time it was sent: replies overtake notifications, so by the time an event is read a
//! request may have told newer things.

mod queue;

pub use queue::{Events, Received};

use super::memory::{AclEntry, AttrEntry, MemHandle, MemoryRights, MemoryType, Transaction};
use super::requests::VmStatus;
use alloc::vec::Vec;
use gunyah_abi::rm::memory::CreateFlags;
use gunyah_abi::rm::notification::{
    self, IrqHandle, IrqLent, MemRecall, MemShared, VmExited, VmShutdown,
};
use gunyah_abi::rm::{ExitType, MessageId};
use zerocopy::{FromBytes, Immutable, KnownLayout};

/// Something RM tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A peer's state changed (`VM_STATUS`).
    VmStatus {
        /// Whose.
        vmid: u16,
        /// How it is.
        status: VmStatus,
    },
    /// A VM that the receiver owns ended (`VM_EXITED`).
    VmExited {
        /// Who ended.
        vmid: u16,
        /// How.
        exit: ExitType,
        /// Bit 0: restart wanted; bit 15: the PSCI call was a 64-bit one.
        flags: u16,
        /// Exit code, one of [`gunyah_abi::rm::exit_code`].
        code: u16,
        /// Type and cookie of PSCI `SYSTEM_RESET2`.
        reset: Option<(u32, u64)>,
    },
    /// The owner asks the receiver to shut down (`VM_SHUTDOWN`).
    Shutdown {
        /// Why, by the owner's choice.
        reason: u32,
    },
    /// A parcel may be accepted (`MEM_SHARED`).
    MemShared(SharedMemory),
    /// A VM released a parcel that the receiver owns (`MEM_RELEASED`).
    MemReleased {
        /// Which parcel.
        handle: MemHandle,
        /// Who.
        vmid: u16,
        /// The owner's tag.
        tag: u32,
    },
    /// A VM accepted a parcel that the receiver owns (`MEM_ACCEPTED`).
    MemAccepted {
        /// Which parcel.
        handle: MemHandle,
        /// Who.
        vmid: u16,
        /// The owner's tag.
        tag: u32,
    },
    /// The owner wants a parcel back (`MEM_RECALL`).
    MemRecall {
        /// Which parcel.
        handle: MemHandle,
        /// The owner's tag.
        tag: u32,
    },
    /// An interrupt is lent to the receiver (`VM_IRQ_LENT`).
    IrqLent {
        /// Who lends it.
        owner: u16,
        /// RM's handle.
        handle: u32,
        /// By the owner's choice.
        label: u32,
    },
    /// An interrupt that the receiver lent was released (`VM_IRQ_RELEASED`).
    IrqReleased {
        /// RM's handle.
        handle: u32,
    },
    /// An interrupt that the receiver lent was accepted (`VM_IRQ_ACCEPTED`).
    IrqAccepted {
        /// RM's handle.
        handle: u32,
    },
}

/// A parcel as it is announced. All of it is the owner's word until the parcel is accepted on condition of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedMemory {
    /// Which parcel.
    pub handle: MemHandle,
    /// Kind of memory.
    pub kind: MemoryType,
    /// What the owner does.
    pub transaction: Transaction,
    /// [`CreateFlags::SANITIZE`]: the memory was filled with zeros.
    pub flags: CreateFlags,
    /// Whose memory it is.
    pub owner: u16,
    /// What it is for, by the owner's choice.
    pub label: u32,
    /// Goes back to the owner with `MEM_NOTIFY`.
    pub tag: u32,
    /// Who may do what; at most 512 entries.
    pub access: Vec<AclEntry>,
    /// Sizes of its ranges in bytes, as the owner has them; at most 512.
    pub sizes: Vec<u64>,
    /// How who must map it; at most 512 entries.
    pub attributes: Vec<AttrEntry>,
}

impl SharedMemory {
    /// Bytes in all; `None` if that is more than 2⁶⁴.
    pub fn total_size(&self) -> Option<u64> {
        self.sizes.iter().try_fold(0_u64, |total, size| total.checked_add(*size))
    }

    /// What a VM may do with it; nothing if it is not in the access list.
    pub fn rights_of(&self, vmid: u16) -> MemoryRights {
        let entry = self.access.iter().find(|entry| entry.vmid.get() == vmid);
        entry.map_or(MemoryRights::empty(), AclEntry::rights)
    }
}

/// Why a notification is no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoEvent {
    /// It is another kind of notification.
    Other,
    /// Its content is shorter than its form demands, or has longer lists than RM makes.
    Malformed,
    /// There is no memory to keep it.
    NoMemory,
}

fn fixed<R: FromBytes + KnownLayout + Immutable>(content: &[u8]) -> Result<&R, NoEvent> {
    R::ref_from_prefix(content).map(|(fixed, _)| fixed).map_err(|_| NoEvent::Malformed)
}

/// Keeps a list, without panic when memory is short.
fn kept<W, E>(list: &[W], entry: impl Fn(&W) -> E) -> Result<Vec<E>, NoEvent> {
    let mut kept = Vec::new();
    kept.try_reserve_exact(list.len()).map_err(|_| NoEvent::NoMemory)?;
    kept.extend(list.iter().map(entry));
    Ok(kept)
}

impl Event {
    /// The notifications that are events: all but the console's.
    pub const ALL: &'static [MessageId] = &[
        MessageId::VM_STATUS,
        MessageId::VM_EXITED,
        MessageId::VM_SHUTDOWN,
        MessageId::MEM_SHARED,
        MessageId::MEM_RELEASED,
        MessageId::MEM_ACCEPTED,
        MessageId::MEM_RECALL,
        MessageId::VM_IRQ_LENT,
        MessageId::VM_IRQ_RELEASED,
        MessageId::VM_IRQ_ACCEPTED,
    ];

    /// Reads a notification. Bytes after what its form demands are left out: newer RM may have more to say.
    ///
    /// # Errors
    ///
    /// Why it is no event.
    pub fn parse(id: MessageId, content: &[u8]) -> Result<Self, NoEvent> {
        Ok(match id {
            MessageId::VM_STATUS => {
                let told: &notification::VmStatus = fixed(content)?;
                let status = VmStatus {
                    vm: told.vm_state(),
                    os: told.os_state(),
                    application: told.app_status.get(),
                };
                Self::VmStatus { vmid: told.vmid.get(), status }
            }
            MessageId::VM_EXITED => {
                let (exited, reset) = VmExited::parse(content).ok_or(NoEvent::Malformed)?;
                Self::VmExited {
                    vmid: exited.vmid.get(),
                    exit: exited.exit_type(),
                    flags: exited.flags.get(),
                    code: exited.code.get(),
                    reset: reset.map(|reset| (reset.kind.get(), reset.cookie())),
                }
            }
            MessageId::VM_SHUTDOWN => {
                Self::Shutdown { reason: fixed::<VmShutdown>(content)?.reason.get() }
            }
            MessageId::MEM_SHARED => Self::MemShared(shared(content)?),
            MessageId::MEM_RELEASED | MessageId::MEM_ACCEPTED => {
                let told: &notification::MemHandle = fixed(content)?;
                let (handle, vmid) = (MemHandle(told.handle.get()), told.vmid.get());
                let tag = told.tag.get();
                match id {
                    MessageId::MEM_RELEASED => Self::MemReleased { handle, vmid, tag },
                    _ => Self::MemAccepted { handle, vmid, tag },
                }
            }
            MessageId::MEM_RECALL => {
                let told: &MemRecall = fixed(content)?;
                Self::MemRecall { handle: MemHandle(told.handle.get()), tag: told.tag.get() }
            }
            MessageId::VM_IRQ_LENT => {
                let lent: &IrqLent = fixed(content)?;
                let (owner, label) = (lent.owner.get(), lent.label.get());
                Self::IrqLent { owner, handle: lent.handle.get(), label }
            }
            MessageId::VM_IRQ_RELEASED => {
                Self::IrqReleased { handle: fixed::<IrqHandle>(content)?.handle.get() }
            }
            MessageId::VM_IRQ_ACCEPTED => {
                Self::IrqAccepted { handle: fixed::<IrqHandle>(content)?.handle.get() }
            }
            _ => return Err(NoEvent::Other),
        })
    }
}

fn shared(content: &[u8]) -> Result<SharedMemory, NoEvent> {
    let (told, lists) = MemShared::parse(content).map_err(|_| NoEvent::Malformed)?;
    Ok(SharedMemory {
        handle: MemHandle(told.handle.get()),
        kind: told.memory_type(),
        transaction: told.transaction(),
        flags: CreateFlags::from_bits_retain(told.flags),
        owner: told.owner.get(),
        label: told.label.get(),
        tag: told.tag.get(),
        access: kept(lists.access, |entry| *entry)?,
        sizes: kept(lists.sizes, |size| size.get())?,
        attributes: kept(lists.attributes, |entry| *entry)?,
    })
}
