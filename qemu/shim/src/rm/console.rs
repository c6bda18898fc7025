//! Consoles: who has one, who has opened it, who hears what is written.

use alloc::vec::Vec;

use gunyah_abi::rm::notification::ConsoleChars;
use gunyah_abi::rm::{MessageId, RmError, SELF_VMID};
use zerocopy::IntoBytes;

use super::{Owner, ResourceManager};
use crate::object::Objects;
use crate::seam::VirtualInterrupts;
use crate::vm::{Vm, VmIndex};

/// Which sides of a console are open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ConsoleState {
    /// The VM itself.
    pub(super) self_open: bool,
    /// The VM's owner.
    pub(super) owner_open: bool,
}

/// A side of a console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The VM whose console it is.
    Own,
    /// Its owner.
    Owner,
}

/// Whether the other side hears a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listening {
    /// It has the console open.
    Yes,
    /// It has not; what is written is dropped.
    No,
}

impl ConsoleState {
    /// Checks that `writer` may write.
    pub(super) fn check(self, writer: Side) -> Result<Listening, RmError> {
        let (own, other) = match writer {
            Side::Own => (self.self_open, self.owner_open),
            Side::Owner => (self.owner_open, self.self_open),
        };
        match (own, other) {
            (false, _) => Err(RmError::Denied),
            (true, true) => Ok(Listening::Yes),
            (true, false) => Ok(Listening::No),
        }
    }

    fn set(&mut self, side: Side, open: bool) {
        match side {
            Side::Own => self.self_open = open,
            Side::Owner => self.owner_open = open,
        }
    }
}

impl ResourceManager {
    /// The peer, as owner, opens or closes the VM's console.
    ///
    /// # Errors
    ///
    /// `ARGUMENT_INVALID` if the VM has no console.
    pub fn owner_open(&mut self, vm: VmIndex, open: bool) -> Result<(), RmError> {
        let link = self.link_of(vm).ok_or(RmError::ArgumentInvalid)?;
        let console = self.links[link].console.as_mut();
        console.ok_or(RmError::ArgumentInvalid)?.owner_open = open;
        Ok(())
    }

    /// The peer, as owner, writes to the VM's console. More than [`Behaviour::longest_write`](super::Behaviour::longest_write) bytes are dropped in silence.
    ///
    /// # Errors
    ///
    /// `ARGUMENT_INVALID` if the VM has no console, `DENIED` if the owner has not opened it, `NOMEM` if too much waits
    /// for the VM already.
    pub fn owner_write(
        &mut self,
        vm: VmIndex,
        bytes: &[u8],
        objects: &mut Objects,
        interrupts: &mut dyn VirtualInterrupts,
    ) -> Result<(), RmError> {
        let link = self.link_of(vm).ok_or(RmError::ArgumentInvalid)?;
        if bytes.len() > usize::from(self.behaviour.longest_write) {
            return Ok(());
        }
        let console = self.links[link].console.as_ref();
        if console.ok_or(RmError::ArgumentInvalid)?.check(Side::Owner)? == Listening::No {
            return Ok(());
        }
        match self.notify(link, MessageId::CONSOLE_CHARS, chars(SELF_VMID, bytes)) {
            Err(RmError::Nomem) if self.behaviour.silent_without_memory => return Ok(()),
            result => result?,
        }
        self.transmit(link, objects, interrupts);
        Ok(())
    }

    /// Whether the VM has its console open.
    #[must_use]
    pub fn is_console_open(&self, vm: VmIndex) -> bool {
        let console = self.link_of(vm).and_then(|link| self.links[link].console);
        console.is_some_and(|console| console.self_open)
    }
}

/// Content of a `CONSOLE_CHARS` notification.
pub(super) fn chars(from: u16, bytes: &[u8]) -> Vec<u8> {
    let header = ConsoleChars { from: from.into(), length: (bytes.len() as u16).into() };
    [header.as_bytes(), bytes].concat()
}

/// The console that `target` names to a caller, and the side that the caller is on.
///
/// Only the target "self" is the own side: a VM that gives its own VMID is taken for somebody else.
fn find(
    rm: &ResourceManager,
    caller: usize,
    target: u16,
    vms: &[Vm],
) -> Result<(usize, Side), RmError> {
    let vm_of = |link: usize| vms.get(rm.links[link].vm.0);
    if target == SELF_VMID {
        return match rm.links[caller].console {
            Some(_) => Ok((caller, Side::Own)),
            None => Err(RmError::ArgumentInvalid),
        };
    }
    let link = (0..rm.links.len())
        .find(|link| vm_of(*link).is_some_and(|vm| vm.vmid == target))
        .ok_or(RmError::ArgumentInvalid)?;
    if rm.links[link].console.is_none() {
        return Err(RmError::ArgumentInvalid);
    }
    let owner = vm_of(link).map(|vm| vm.owner);
    if owner.is_none() || owner != vm_of(caller).map(|vm| vm.vmid) {
        return Err(RmError::Denied);
    }
    Ok((link, Side::Owner))
}

/// `CONSOLE_OPEN` and `CONSOLE_CLOSE`.
pub(super) fn set_open(
    rm: &mut ResourceManager,
    caller: usize,
    target: u16,
    open: bool,
    vms: &[Vm],
) -> Result<(), RmError> {
    let (link, side) = find(rm, caller, target, vms)?;
    if let Some(console) = &mut rm.links[link].console {
        console.set(side, open);
    }
    Ok(())
}

/// `CONSOLE_FLUSH`: the checks of a write, and nothing else.
pub(super) fn flush(
    rm: &ResourceManager,
    caller: usize,
    target: u16,
    vms: &[Vm],
) -> Result<(), RmError> {
    let (link, side) = find(rm, caller, target, vms)?;
    let console = rm.links[link].console.ok_or(RmError::ArgumentInvalid)?;
    console.check(side).map(|_| ())
}

/// `CONSOLE_WRITE`.
pub(super) fn write(
    rm: &mut ResourceManager,
    caller: usize,
    target: u16,
    bytes: &[u8],
    vms: &[Vm],
    owner: &mut dyn Owner,
) -> Result<(), RmError> {
    let (link, side) = find(rm, caller, target, vms)?;
    let console = rm.links[link].console.ok_or(RmError::ArgumentInvalid)?;
    if console.check(side)? == Listening::No {
        log::debug!("rm: {} console bytes dropped: nobody listens", bytes.len());
        return Ok(());
    }
    if side == Side::Owner {
        return rm.notify(link, MessageId::CONSOLE_CHARS, chars(SELF_VMID, bytes));
    }
    let index = rm.links[link].vm;
    let vm = vms.get(index.0).ok_or(RmError::ArgumentInvalid)?;
    let owning = rm.links.iter().position(|link| {
        let found = vms.get(link.vm.0);
        found.is_some_and(|found| found.vmid == vm.owner)
    });
    match owning {
        Some(owning) => rm.notify(owning, MessageId::CONSOLE_CHARS, chars(vm.vmid, bytes)),
        None => {
            owner.console_chars(index, bytes);
            Ok(())
        }
    }
}
