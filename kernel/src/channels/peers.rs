//! Other VMs, as far as the Resource Manager tells how they are.

use alloc::vec::Vec;
use core::cell::RefCell;
use gunyah::rm::VmStatus;
use gunyah_abi::rm::VmState;

/// The most VMs of which note is taken.
pub const MOST_PEERS: usize = 64;

/// A VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its VMID.
    pub vmid: u16,
    /// How it is.
    pub status: VmStatus,
    /// How often that was told.
    pub told: u64,
}

/// What a status means for the channels to a VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// It runs, and may have something new.
    Runs,
    /// It ended, and did not have before.
    Ended,
    /// Nothing.
    Nothing,
}

/// The VMs that were told of.
#[derive(Default)]
pub struct Peers(RefCell<Vec<Peer>>);

/// Whether a VM in this state uses its channels no more.
pub fn has_ended(state: VmState) -> bool {
    matches!(
        state,
        VmState::None | VmState::InitFailed | VmState::Exited | VmState::Resetting | VmState::Reset
    )
}

impl Peers {
    /// The VMs, in the order in which they were told of first.
    pub fn list(&self) -> Vec<Peer> {
        self.0.borrow().clone()
    }

    /// Takes note of how a VM is.
    pub fn note(&self, vmid: u16, status: VmStatus) -> News {
        let mut peers = self.0.borrow_mut();
        let mut before = None;
        if let Some(peer) = peers.iter_mut().find(|peer| peer.vmid == vmid) {
            before = Some(peer.status.vm);
            (peer.status, peer.told) = (status, peer.told + 1);
        } else if peers.len() < MOST_PEERS {
            peers.push(Peer { vmid, status, told: 1 });
        }
        if has_ended(status.vm) {
            let news = !before.is_some_and(has_ended);
            return if news { News::Ended } else { News::Nothing };
        }
        if status.vm == VmState::Running { News::Runs } else { News::Nothing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gunyah_abi::rm::OsState;

    fn status(vm: VmState) -> VmStatus {
        VmStatus { vm, os: OsState::None, application: 0 }
    }

    #[test]
    fn an_end_is_news_once() {
        let peers = Peers::default();
        assert_eq!(peers.note(0x80, status(VmState::Ready)), News::Nothing);
        assert_eq!(peers.note(0x80, status(VmState::Running)), News::Runs);
        assert_eq!(peers.note(0x80, status(VmState::Exited)), News::Ended);
        assert_eq!(peers.note(0x80, status(VmState::Resetting)), News::Nothing);
        assert_eq!(peers.note(0x80, status(VmState::Reset)), News::Nothing);
        assert_eq!(peers.note(0x80, status(VmState::Running)), News::Runs);
        assert_eq!(peers.note(0x81, status(VmState::Exited)), News::Ended);
        let list: Vec<_> = peers.list().iter().map(|peer| (peer.vmid, peer.told)).collect();
        assert_eq!(list, [(0x80, 6), (0x81, 1)]);
    }

    #[test]
    fn there_is_a_limit() {
        let peers = Peers::default();
        for vmid in 0..1000 {
            peers.note(vmid, status(VmState::Running));
        }
        assert_eq!(peers.list().len(), MOST_PEERS);
    }
}
