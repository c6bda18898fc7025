//! Which buffer becomes a ring with which doorbells.

use super::*;
use crate::{
    channels::{About, Channel, Use, tests::Rig},
    dt::{Interrupt, Trigger},
    memory::shared::{Access, Claim, SharedBuffer, Source, Territory, fake::FakeMapper},
    rings::Unfit,
};
use gunyah::fake::Tasks;

const OWN: u16 = 0x80;
const PEER: u16 = 69;

struct Sharing {
    rig: Rig,
    rings: Rings,
    tables: Arc<FakeMapper>,
    maps: &'static crate::memory::shared::SharedMaps,
    tasks: Tasks<'static>,
    places: u64,
}

impl Sharing {
    fn new() -> Self {
        let tables = Arc::new(FakeMapper::default());
        let maps = tables.maps(Territory::new(&[], 0x8000_0000..0x8004_0000, [], []));
        let rings = Rings::new(Some(OWN));
        Self { rig: Rig::new(), rings, tables, maps, tasks: Tasks::new(), places: 0 }
    }

    fn buffer(&mut self, label: u32, peer: Option<u16>, bells: Bells) -> Arc<SharedBuffer> {
        self.buffer_of(1, label, peer, bells)
    }

    fn buffer_of(
        &mut self,
        pieces: usize,
        label: u32,
        peer: Option<u16>,
        bells: Bells,
    ) -> Arc<SharedBuffer> {
        let mut map = || {
            let start = 0x9000_0000 + self.places * 0x10_0000;
            self.places += 1;
            self.maps.map(start..start + 0x2000, Access::ReadWrite, Claim::Parcel).unwrap()
        };
        let regions = (0..pieces).map(|_| map()).collect();
        let buffer = SharedBuffer::new(Source::Tree(None), Some(label), peer, regions);
        self.rings.add(&buffer, bells);
        self.pair();
        buffer
    }

    fn pair(&mut self) {
        self.rings.pair(&self.rig.channels);
        self.rig.settle(&mut self.tasks);
    }

    /// A doorbell each way; returns the capabilities.
    fn bells(&mut self, label: u32, peer: u16, intid: u32) -> Bells {
        let (guest, other) = (self.rig.guest.clone(), self.rig.peer.clone());
        let about = || About::tree(Some(label), Some(peer), "");
        let to_guest = self.rig.hypervisor.doorbell(&other, &guest);
        let to_peer = self.rig.hypervisor.doorbell(&guest, &other);
        self.rig.board.wire(intid, to_guest.virq);
        let interrupt = Interrupt { intid, trigger: Trigger::Edge };
        self.rig.channels.add_bell(about(), to_guest.receiver, interrupt).unwrap();
        self.rig.channels.add_source(about(), to_peer.source).unwrap();
        self.pair();
        Bells { receiver: Some(to_guest.receiver), source: Some(to_peer.source) }
    }

    fn states(&self) -> Vec<(Option<u32>, RingState)> {
        self.rings.all().iter().map(|ring| (ring.label, ring.state())).collect()
    }

    fn uses(&self) -> Vec<Use> {
        self.rig.channels.all().iter().map(|channel| channel.about().gate.now()).collect()
    }
}

#[test]
fn label_and_peer_bring_buffer_and_doorbells_together_whichever_comes_first() {
    let mut sharing = Sharing::new();
    sharing.bells(7, PEER, 960);
    sharing.buffer(7, Some(PEER), Bells::default());
    sharing.buffer(8, Some(PEER), Bells::default());
    assert_eq!(sharing.states(), [(Some(7), RingState::Waiting)]);
    sharing.bells(8, 70, 961);
    assert_eq!(sharing.states().len(), 1, "another peer's doorbells");
    sharing.bells(8, PEER, 962);
    assert_eq!(sharing.states().len(), 2);
    let claimed = sharing.uses().into_iter().filter(|now| *now == Use::Claimed(CLAIM)).count();
    assert_eq!(claimed, 4);
    // Asked again, nothing more happens.
    sharing.pair();
    assert_eq!(sharing.states().len(), 2);
}

#[test]
fn what_the_tree_names_counts_and_not_the_label() {
    let mut sharing = Sharing::new();
    let named = sharing.bells(1, PEER, 960);
    sharing.bells(7, PEER, 961);
    sharing.buffer(7, None, named);
    assert_eq!(sharing.rings.all()[0].peer, PEER, "the doorbell tells who the peer is");
    let other = Use::Service;
    assert_eq!(sharing.uses(), [Use::Claimed(CLAIM), Use::Claimed(CLAIM), other, other]);
}

#[test]
fn doorbells_that_go_end_the_ring_and_others_begin_it_anew() {
    let mut sharing = Sharing::new();
    sharing.bells(7, PEER, 960);
    let buffer = sharing.buffer(7, Some(PEER), Bells::default());
    assert!(buffer.is_leased());
    assert_eq!(sharing.rig.channels.close_peer(PEER, "it ended"), 2);
    sharing.pair();
    assert_eq!(sharing.states(), [(Some(7), RingState::Closed(RingEnd::Ended))]);
    assert!(!buffer.is_leased());
    sharing.bells(7, PEER, 960);
    assert_eq!(sharing.states(), [(Some(7), RingState::Waiting)]);
}

#[test]
fn a_buffer_that_is_recalled_gives_its_doorbells_back() {
    let mut sharing = Sharing::new();
    sharing.bells(7, PEER, 960);
    let buffer = sharing.buffer(7, Some(PEER), Bells::default());
    sharing.rings.remove(&buffer);
    let task = sharing.tasks.spawn(async move { buffer.recall().await });
    sharing.pair();
    assert!(sharing.tasks.is_done(task));
    assert_eq!((sharing.states(), sharing.tables.mapped()), (vec![], vec![]));
    assert!(sharing.uses().iter().all(|now| *now == Use::Service));
    // Half of a pair can be busy.
    let source = sharing.rig.channels.sources()[0].clone();
    assert!(Channel::Source(source.clone()).about().gate.claim("test"));
    sharing.buffer(7, Some(PEER), Bells::default());
    assert_eq!(sharing.states(), []);
    source.about.gate.release();
    sharing.pair();
    assert_eq!(sharing.states().len(), 1);
}

#[test]
fn without_this_vms_vmid_there_is_no_side_to_be() {
    let mut sharing = Sharing::new();
    sharing.rings = Rings::default();
    sharing.bells(7, PEER, 960);
    sharing.buffer(7, Some(PEER), Bells::default());
    assert_eq!(sharing.states(), []);
    sharing.rings.set_own_vmid(OWN);
    sharing.pair();
    assert_eq!(sharing.states().len(), 1);
}

#[test]
fn a_buffer_in_pieces_is_no_ring_and_others_are() {
    let mut sharing = Sharing::new();
    let named = sharing.bells(7, PEER, 960);
    let buffer = sharing.buffer_of(2, 7, Some(PEER), named);
    let end = RingEnd::Unfit(Unfit::Pieces(2));
    assert_eq!(sharing.states(), [(Some(7), RingState::Closed(end))]);
    assert_eq!(end.to_string(), "the shared memory is in 2 pieces");
    assert!(!buffer.is_leased());
    assert!(sharing.uses().iter().all(|now| *now == Use::Service));
    sharing.bells(8, PEER, 961);
    sharing.buffer(8, Some(PEER), Bells::default());
    assert_eq!(sharing.states()[1], (Some(8), RingState::Waiting));
}
