//! What becomes of parcels when the RM tells much, and says little.

use super::*;
use crate::{
    channels::{self, About},
    memory::shared::{
        Access, Claim, Identity, ParcelState, SharedBuffer, Source, Territory, fake::FakeMapper,
    },
    shell::tests::rig::Rig,
};
use gunyah::{
    fake::{Reaction, Tasks},
    rm::memory::MemHandle,
};
use gunyah_abi::CapabilityId;
use std::sync::Arc;

const PEER: u16 = 0x85;
const EXITED: &[u8] = &[PEER as u8, 0, 0, 0, 9, 0, 0, 0];

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

/// A system with these parcels of the peer.
fn rig(handles: &[u32]) -> Rig {
    let mut rig = Rig::new();
    let maps =
        Arc::new(FakeMapper::default()).maps(Territory::new(&[], 0x8000_0000..0x8004_0000, [], []));
    let identity = Identity { own: Some(0x80), owner: Some(3) };
    let parcels = Parcels::new(rig.client, leak(move || maps), identity);
    for &handle in handles {
        let start = 0x9000_0000 + u64::from(handle) * 0x1000;
        let region = maps.map(start..start + 0x1000, Access::ReadWrite, Claim::Parcel).unwrap();
        let source = Source::Tree(Some(MemHandle(handle)));
        parcels.found(&SharedBuffer::new(source, Some(handle), Some(PEER), vec![region]));
    }
    rig.system.parcels = Some(parcels);
    rig
}

fn states(rig: &Rig) -> Vec<(u32, ParcelState)> {
    let list = rig.system.parcels.as_ref().unwrap().list();
    list.iter().map(|parcel| (parcel.handle.0, parcel.state)).collect()
}

/// Has RM tell the following while the memory is followed, and the channels as well if they are to
/// be; then lets time pass until nobody waits.
fn told(rig: &mut Rig, with_channels: bool, notifications: &[(MessageId, Vec<u8>)]) {
    let Rig { setup, client, system, .. } = rig;
    let client = *client;
    let mut tasks = Tasks::new();
    tasks.spawn(async { panic!("{}", client.run().await) });
    tasks.spawn(super::follow(system));
    if with_channels {
        tasks.spawn(async { channels::follow(system, client, &system.events, || {}).await });
    }
    setup.settle(client, &mut tasks);
    for (id, content) in notifications {
        setup.rm.notify(*id, content);
        setup.settle(client, &mut tasks);
    }
    while setup.timer.advance_to_next() {
        setup.settle(client, &mut tasks);
    }
}

fn recall(handle: u8) -> (MessageId, Vec<u8>) {
    (MessageId::MEM_RECALL, vec![handle, 0, 0, 0, 0, 0, 0, 0])
}

#[test]
fn statuses_of_other_vms_push_no_recall_out() {
    let mut rig = rig(&[5, 6]);
    rig.setup.rm.react(MessageId::MEM_RELEASE, Reaction::Silence);
    let mut all = vec![recall(5), recall(6)];
    let status = |vmid| (MessageId::VM_STATUS, vec![vmid, 1, 0, 0, 4, 0, 0, 0]);
    all.extend((0..100).map(status));
    told(&mut rig, false, &all);
    assert_eq!(states(&rig), [(5, ParcelState::Stuck)]);
}

#[test]
fn what_was_told_before_the_first_task_ran_is_heard() {
    let mut rig = rig(&[5]);
    let (id, content) = recall(5);
    rig.setup.rm.notify(id, &content);
    rig.setup.rm.step();
    told(&mut rig, false, &[]);
    assert_eq!(states(&rig), []);
}

#[test]
fn who_follows_the_channels_has_the_parcels_of_a_vm_released_that_ended() {
    let mut rig = rig(&[5]);
    let end = [(MessageId::VM_STATUS, EXITED.to_vec())];
    told(&mut rig, false, &end);
    assert_eq!(states(&rig), [(5, ParcelState::Mapped)]);
    let theirs = About::tree(Some(9), Some(PEER), "/theirs");
    rig.system.channels.add_source(theirs, CapabilityId(900)).unwrap();
    let before = rig.system.channels.resources();
    told(&mut rig, true, &[]);
    assert_eq!((states(&rig), rig.system.channels.resources()), (vec![], before - 1));
}

#[test]
fn an_end_does_not_wait_for_what_is_asked() {
    let mut rig = rig(&[]);
    let theirs = About::tree(Some(9), Some(PEER), "/theirs");
    rig.system.channels.add_source(theirs, CapabilityId(900)).unwrap();
    let before = rig.system.channels.resources();
    let Rig { setup, client, system, .. } = &mut rig;
    let client = *client;
    let mut tasks = Tasks::new();
    tasks.spawn(async { panic!("{}", client.run().await) });
    tasks.spawn(async { channels::follow(system, client, &system.events, || {}).await });
    setup.settle(client, &mut tasks);
    (0..50).for_each(|_| setup.rm.react(MessageId::VM_GET_HYP_RESOURCES, Reaction::Silence));
    let runs = |vmid| [vmid, 0, 0, 0, 3, 4, 0, 0];
    for status in [&runs(0x86), &runs(0x87), &runs(0x88), EXITED] {
        setup.rm.notify(MessageId::VM_STATUS, status);
        setup.settle(client, &mut tasks);
    }
    while system.channels.resources() == before {
        assert!(setup.timer.advance_to_next());
        setup.settle(client, &mut tasks);
    }
    let requests = setup.rm.requests();
    let asked = requests.iter().filter(|request| request.id == MessageId::VM_GET_HYP_RESOURCES);
    let asked: Vec<_> = asked.filter_map(|request| request.content.first()).collect();
    assert!(asked.contains(&&0x86) && !asked.contains(&&0x88), "{asked:x?}");
}
