//! Parcels, the Resource Manager's answers and the page tables being a test's.

use super::{super::fake::FakeMapper, *};
use crate::memory::{
    Kind, Region,
    shared::{Lease, Territory},
};
use gunyah::{
    fake::{FakeTimer, FakeVm, Reaction, RmSetup, Tasks},
    rm::memory::{AclEntry, AttrEntry, MemoryRights, MemoryType, Transaction},
};
use gunyah_abi::rm::MessageId;
use gunyah_abi::rm::memory::CreateFlags;
use std::cell::Cell;

const OWN: u16 = 0x80;
const PEER: u16 = 69;
const HEAP: Range<u64> = 0x8020_0000..0x8200_0000;
const PLACE: u64 = 0x9000_0000;
const TAG: u32 = 0x1234;

#[derive(Default)]
struct FakeUsers {
    offered: RefCell<Vec<Arc<SharedBuffer>>>,
    withdrawn: RefCell<Vec<Option<u32>>>,
}

impl Users for FakeUsers {
    fn offer(&self, buffer: &Arc<SharedBuffer>, own: u16) {
        assert_eq!(own, OWN);
        self.offered.borrow_mut().push(buffer.clone());
    }
    fn withdraw(&self, buffer: &Arc<SharedBuffer>) {
        self.withdrawn.borrow_mut().push(buffer.label);
    }
}

struct Rig {
    setup: RmSetup,
    client: &'static ResourceManager<FakeVm, FakeTimer>,
    tables: Arc<FakeMapper>,
    maps: &'static SharedMaps,
    users: &'static FakeUsers,
    parcels: Parcels<FakeVm, FakeTimer>,
    seen: usize,
}

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

/// An ACCEPT reply that lists these ranges.
fn at(ranges: &[(u64, u64)]) -> Reaction {
    let mut reply = vec![ranges.len() as u8, 0, 0, 0];
    for (base, size) in ranges {
        reply.extend(base.to_le_bytes());
        reply.extend(size.to_le_bytes());
    }
    Reaction::Reply(reply)
}

fn announcement(handle: u32) -> SharedMemory {
    SharedMemory {
        handle: MemHandle(handle),
        kind: MemoryType::Normal,
        transaction: Transaction::Share,
        flags: CreateFlags::empty(),
        owner: PEER,
        label: 7 + handle,
        tag: TAG,
        access: [PEER, OWN].map(|vmid| acl(vmid, MemoryRights::READ | MemoryRights::WRITE)).into(),
        sizes: vec![0x1000, 0x2000],
        attributes: vec![],
    }
}

fn acl(vmid: u16, rights: MemoryRights) -> AclEntry {
    AclEntry { vmid: vmid.into(), rights: rights.bits(), reserved: 0 }
}

fn attribute(vmid: u16, attribute: u16) -> AttrEntry {
    AttrEntry { attribute: attribute.into(), vmid: vmid.into() }
}

impl Rig {
    fn new() -> Self {
        let setup = RmSetup::new();
        let client = leak(setup.client().unwrap());
        let tables = Arc::new(FakeMapper::default());
        let plan = [Region { range: HEAP, kind: Kind::Heap }];
        let image = 0x8000_0000..0x8004_0000;
        let maps = tables.maps(Territory::new(
            &plan,
            image,
            core::iter::once(0x8000_0000..0x8400_0000),
            [],
        ));
        let users = leak(FakeUsers::default());
        let identity = Identity { own: Some(OWN), owner: Some(3) };
        let parcels = Parcels::new(client, leak(move || maps), identity);
        Self { setup, client, tables, maps, users, parcels, seen: 0 }
    }

    /// Runs `action` to its end, beside `others`.
    fn run_beside(
        &mut self,
        action: impl AsyncFnOnce(&Parcels<FakeVm, FakeTimer>, &FakeUsers),
        other: impl Future<Output = ()>,
    ) {
        let mut tasks = Tasks::new();
        let client = self.client;
        tasks.spawn(async move { panic!("{}", client.run().await) });
        let task = tasks.spawn(action(&self.parcels, self.users));
        tasks.spawn(other);
        self.setup.settle(client, &mut tasks);
        while !tasks.is_done(task) {
            assert!(self.setup.timer.advance_to_next(), "it never ends");
            self.setup.settle(client, &mut tasks);
        }
    }

    fn run(&mut self, action: impl AsyncFnOnce(&Parcels<FakeVm, FakeTimer>, &FakeUsers)) {
        self.run_beside(action, async {});
    }

    fn ok(&mut self, id: MessageId) {
        self.setup.rm.react(id, Reaction::Reply(vec![]));
    }

    /// Announces a parcel that ends up at `ranges`.
    fn share(&mut self, memory: &SharedMemory, ranges: &[(u64, u64)]) {
        self.setup.rm.react(MessageId::MEM_ACCEPT, at(ranges));
        self.ok(MessageId::MEM_NOTIFY);
        self.announce(memory);
    }

    /// Announces a parcel; the peer is one.
    fn announce(&mut self, memory: &SharedMemory) {
        let peers = Reaction::Reply(vec![1, 0, 0, 0, PEER as u8, 0, 0, 0]);
        self.setup.rm.react(MessageId::VM_GET_PEERS, peers);
        self.run(async |parcels, users| parcels.shared(memory, 1, users).await);
    }

    /// The ids of what the Resource Manager was asked about memory since the last look.
    fn asked(&mut self) -> Vec<MessageId> {
        let all = self.setup.rm.requests();
        let new = all[self.seen..].iter().map(|request| request.id);
        let new = new.filter(|id| !matches!(*id, MessageId::VM_GET_PEERS)).collect();
        self.seen = all.len();
        new
    }

    fn states(&self) -> Vec<(u32, ParcelState)> {
        self.parcels.list().iter().map(|parcel| (parcel.handle.0, parcel.state)).collect()
    }

    fn recall(&mut self, handle: u32) {
        self.ok(MessageId::MEM_RELEASE);
        self.ok(MessageId::MEM_NOTIFY);
        self.run(async |parcels, users| parcels.recalled(MemHandle(handle), TAG, users).await);
    }

    fn lease(&self) -> Lease {
        self.users.offered.borrow().last().unwrap().lease().unwrap()
    }
}

#[test]
fn a_parcel_is_checked_accepted_mapped_and_offered_and_goes_when_it_is_recalled() {
    let mut rig = Rig::new();
    rig.share(&announcement(0), &[(PLACE, 0x3000)]);
    assert_eq!(rig.asked(), [MessageId::MEM_ACCEPT, MessageId::MEM_NOTIFY]);
    let region = PLACE..PLACE + 0x3000;
    assert_eq!(rig.tables.mapped(), [(region.clone(), Access::ReadWrite)]);
    assert_eq!(rig.states(), [(0, ParcelState::Mapped)]);
    let buffer = rig.users.offered.borrow()[0].clone();
    assert_eq!((buffer.label, buffer.peer, buffer.size()), (Some(7), Some(PEER), 0x3000));
    assert_eq!((buffer.source, &buffer.ranges[..]), (Source::Parcel(MemHandle(0)), &[region][..]));

    rig.recall(0);
    assert_eq!(rig.asked(), [MessageId::MEM_RELEASE, MessageId::MEM_NOTIFY]);
    assert_eq!(*rig.users.withdrawn.borrow(), [Some(7)]);
    assert_eq!((rig.tables.mapped(), rig.states(), rig.maps.mapped_bytes()), (vec![], vec![], 0));
    assert!(buffer.lease().is_none(), "nobody can use what is gone");
    // And once more, at the same place.
    rig.share(&announcement(0), &[(PLACE, 0x1000), (PLACE + 0x1000, 0x2000)]);
    assert_eq!(rig.tables.mapped().len(), 1, "adjacent ranges are one");
}

#[test]
fn a_parcel_in_use_is_unmapped_after_its_user_stopped_and_before_it_is_released() {
    let mut rig = Rig::new();
    rig.share(&announcement(3), &[(PLACE, 0x3000)]);
    rig.asked();
    let lease = rig.lease();
    assert!(rig.users.offered.borrow()[0].lease().is_none(), "one user at a time");
    let tables = rig.tables.clone();
    let stopped = leak(Cell::new(false));
    rig.ok(MessageId::MEM_RELEASE);
    rig.ok(MessageId::MEM_NOTIFY);
    rig.run_beside(
        async |parcels, users| parcels.recalled(MemHandle(3), TAG, users).await,
        async move {
            lease.recalled().await;
            assert_eq!(tables.mapped().len(), 1, "mapped for as long as it is in use");
            stopped.set(true);
        },
    );
    assert!(stopped.get());
    assert_eq!((rig.tables.mapped(), rig.states()), (vec![], vec![]));
    assert_eq!(rig.asked(), [MessageId::MEM_RELEASE, MessageId::MEM_NOTIFY]);
}

#[test]
fn what_is_not_as_it_must_be_is_never_accepted() {
    type Change = fn(&mut SharedMemory);
    let cases: &[(Change, &str)] = &[
        (|m| m.owner = 70, "owner: VM 70 is neither owner nor peer of this VM"),
        (|m| m.kind = MemoryType::Io, "type: IO (1), not NORMAL"),
        (|m| m.transaction = Transaction::Donate, "transaction: DONATE (0), not SHARE"),
        (|m| m.transaction = Transaction::Lend, "transaction: LEND (1), not SHARE"),
        (|m| m.access.truncate(1), "access: VM 128 is given no right to read"),
        (
            |m| m.access[1] = acl(OWN, MemoryRights::WRITE),
            "access: VM 128 is given no right to read",
        ),
        (
            |m| m.attributes = vec![attribute(OWN, 1)],
            "attributes: DEVICE (1), not NORMAL or CACHED",
        ),
        (
            |m| m.attributes = vec![attribute(OWN, 2)],
            "attributes: UNCACHED (2), not NORMAL or CACHED",
        ),
        (|m| m.sizes[1] = 0x2001, "sizes: 0x2001 is no multiple of 4 KiB"),
        (|m| m.sizes.clear(), "sizes: 0x0 bytes in all, not 1 to 0x1000000"),
        (|m| m.sizes[0] = 1 << 24, "sizes: 0x1002000 bytes in all, not 1 to 0x1000000"),
        (
            |m| m.sizes = vec![1 << 63; 2],
            "sizes: 0xffffffffffffffff bytes in all, not 1 to 0x1000000",
        ),
    ];
    for (change, says) in cases {
        let mut memory = announcement(1);
        change(&mut memory);
        if let Err(error) = announced(&memory, OWN) {
            assert_eq!(error.to_string(), *says);
        } else {
            assert_eq!(ParcelError::Owner(70).to_string(), *says);
        }
        let mut rig = Rig::new();
        rig.announce(&memory);
        assert_eq!((rig.asked(), rig.states()), (vec![], vec![]), "{says}");
    }
}

#[test]
fn who_this_vm_and_its_owner_are_is_asked_when_the_tree_does_not_tell() {
    let mut rig = Rig::new();
    let maps = rig.maps;
    let identity = Identity::default();
    rig.parcels = Parcels::new(rig.client, leak(move || maps), identity);
    let vmid = |vmid: u16| Reaction::Reply(vec![vmid as u8, 0, 0, 0]);
    rig.setup.rm.react(MessageId::VM_GET_VMID, vmid(OWN));
    rig.setup.rm.react(MessageId::VM_GET_OWNER, vmid(3));
    let mut owners = announcement(1);
    owners.owner = 3;
    rig.share(&owners, &[(PLACE, 0x3000)]);
    assert_eq!(rig.states(), [(1, ParcelState::Mapped)]);

    rig.setup.rm.react(MessageId::VM_GET_PEERS, Reaction::Refuse(RmError::Busy));
    rig.run(async |parcels, users| parcels.shared(&announcement(2), 1, users).await);
    assert_eq!(rig.states().len(), 1, "whether it is a peer is not known");
}

#[test]
fn rights_and_attributes_of_others_are_theirs() {
    let mut memory = announcement(1);
    memory.attributes = vec![attribute(PEER, 1), attribute(OWN, 3), attribute(OWN, 0)];
    memory.access = vec![acl(PEER, MemoryRights::all()), acl(OWN, MemoryRights::READ)];
    assert_eq!(announced(&memory, OWN), Ok((0x3000, Access::Read)));
    let mut rig = Rig::new();
    rig.share(&memory, &[(PLACE, 0x3000)]);
    assert_eq!(rig.tables.mapped(), [(PLACE..PLACE + 0x3000, Access::Read)]);
}

#[test]
fn what_lies_where_it_must_not_is_released_again() {
    for (ranges, says) in [
        (&[(PLACE, 0x2000)][..], "ranges: 0x2000 bytes, announced were 0x3000"),
        (&[(PLACE, 0x4000)], "ranges: 0x4000 bytes, announced were 0x3000"),
        (
            &[(0x81ff_e000, 0x3000)],
            "ranges: 0x81ffe000..0x82001000 overlaps the heap at 0x80200000..0x82000000",
        ),
        (
            &[(PLACE, 0x2000), (PLACE + 0x1000, 0x1000)],
            "ranges: 0x90001000..0x90002000 overlaps other shared memory at 0x90000000..0x90002000",
        ),
        (&[(1 << 39, 0x3000)], "ranges: 0x8000000000..0x8000003000 lies beyond 39 bits"),
        (&[(0, 0x3000)], "ranges: 0x0..0x3000 has the null page"),
    ] {
        let mut rig = Rig::new();
        rig.ok(MessageId::MEM_RELEASE);
        rig.share(&announcement(1), ranges);
        assert_eq!(rig.asked(), [MessageId::MEM_ACCEPT, MessageId::MEM_RELEASE], "{says}");
        assert_eq!((rig.states(), rig.tables.mapped()), (vec![], vec![]));
        assert_eq!(rig.maps.mapped_bytes(), 0);
        assert!(rig.users.offered.borrow().is_empty());
        let place = |&(base, size): &_| gunyah::rm::memory::MemoryRange { base, size };
        let ranges: Vec<_> = ranges.iter().map(place).collect();
        let error = match accepted_at(&ranges, 0x3000) {
            Ok(ranges) => rig.parcels.map(&ranges, Access::Read).unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(error.to_string(), says);
    }
}

#[test]
fn a_refused_accept_leaves_nothing_and_a_doubtful_one_is_released() {
    let mut rig = Rig::new();
    rig.setup.rm.react(MessageId::MEM_ACCEPT, Reaction::Refuse(RmError::ValidateFailed));
    rig.announce(&announcement(1));
    assert_eq!((rig.asked(), rig.states()), (vec![MessageId::MEM_ACCEPT], vec![]));

    rig.setup.rm.react(MessageId::MEM_ACCEPT, Reaction::Silence);
    rig.setup.rm.react(MessageId::MEM_RELEASE, Reaction::Refuse(RmError::HandleInvalid));
    rig.announce(&announcement(1));
    assert_eq!(rig.asked(), [MessageId::MEM_ACCEPT, MessageId::MEM_RELEASE]);
    assert_eq!(rig.states(), []);
}

#[test]
fn what_cannot_be_released_stays_known_and_unmapped_until_it_can() {
    let mut rig = Rig::new();
    rig.share(&announcement(1), &[(PLACE, 0x3000)]);
    rig.asked();
    rig.setup.rm.react(MessageId::MEM_RELEASE, Reaction::Refuse(RmError::Busy));
    rig.run(async |parcels, users| parcels.recalled(MemHandle(1), TAG, users).await);
    assert_eq!(rig.asked(), [MessageId::MEM_RELEASE]);
    assert_eq!((rig.states(), rig.tables.mapped()), (vec![(1, ParcelState::Stuck)], vec![]));
    rig.recall(1);
    assert_eq!(rig.states(), []);
}

#[test]
fn one_handle_or_one_label_of_an_owner_is_accepted_once() {
    let mut rig = Rig::new();
    rig.share(&announcement(1), &[(PLACE, 0x3000)]);
    rig.asked();
    let mut other = announcement(1);
    other.label = 99;
    rig.announce(&other);
    let mut same_label = announcement(2);
    same_label.label = 8;
    rig.announce(&same_label);
    assert_eq!((rig.asked(), rig.states()), (vec![], vec![(1, ParcelState::Mapped)]));
    same_label.owner = 3;
    rig.share(&same_label, &[(PLACE + 0x10_0000, 0x3000)]);
    assert_eq!(rig.states().len(), 2, "another owner may use the label");
}

#[test]
fn unknown_handles_are_left_alone() {
    let mut rig = Rig::new();
    rig.run(async |parcels, users| parcels.recalled(MemHandle(0), TAG, users).await);
    rig.parcels.peer_ended(PEER, 2);
    rig.run(async |parcels, users| parcels.release_orphans(users).await);
    assert_eq!(rig.asked(), []);
}

#[test]
fn no_more_parcels_than_there_is_room_for() {
    let mut rig = Rig::new();
    for n in 0..40 {
        rig.share(&announcement(n), &[(PLACE + u64::from(n) * 0x3000, 0x3000)]);
    }
    assert_eq!(rig.parcels.list().len(), MAX_PARCELS);
    assert_eq!(rig.tables.mapped().len(), MAX_PARCELS);
    rig.asked();

    let mut rig = Rig::new();
    let mut large = announcement(0);
    large.sizes = vec![1 << 24];
    for n in 0..4_u32 {
        (large.handle, large.label) = (MemHandle(n), n);
        rig.share(&large, &[(PLACE + (u64::from(n) << 24), 1 << 24)]);
    }
    rig.asked();
    rig.ok(MessageId::MEM_RELEASE);
    rig.share(&announcement(9), &[(PLACE - 0x3000, 0x3000)]);
    assert_eq!(rig.asked(), [MessageId::MEM_ACCEPT, MessageId::MEM_RELEASE]);
    assert_eq!(rig.maps.mapped_bytes(), 64 << 20);
}

#[test]
fn a_vm_that_ends_takes_what_it_shared_along() {
    let mut rig = Rig::new();
    rig.share(&announcement(1), &[(PLACE, 0x3000)]);
    let mut owners = announcement(2);
    owners.owner = 3;
    rig.share(&owners, &[(PLACE + 0x3000, 0x3000)]);
    rig.share(&announcement(3), &[(PLACE + 0x6000, 0x3000)]);
    rig.asked();
    rig.setup.rm.react(MessageId::MEM_RELEASE, Reaction::Refuse(RmError::HandleInvalid));
    rig.ok(MessageId::MEM_RELEASE);
    rig.parcels.peer_ended(PEER, 2);
    rig.run(async |parcels, users| parcels.release_orphans(users).await);
    assert_eq!(rig.states(), [(2, ParcelState::Mapped)]);
    assert_eq!(rig.tables.mapped(), [(PLACE + 0x3000..PLACE + 0x6000, Access::ReadWrite)]);
    let released = rig.asked().into_iter().filter(|id| *id == MessageId::MEM_RELEASE).count();
    assert_eq!(released, 2);
}

#[test]
fn what_a_vm_shares_after_its_end_stays_and_what_it_announced_before_is_not_taken() {
    let mut rig = Rig::new();
    rig.parcels.peer_ended(PEER, 2);
    rig.announce(&announcement(1));
    assert_eq!((rig.asked(), rig.states()), (vec![], vec![]));
    rig.parcels.peer_ended(PEER, 0);
    rig.share(&announcement(1), &[(PLACE, 0x3000)]);
    rig.run(async |parcels, users| parcels.release_orphans(users).await);
    assert_eq!(rig.states(), [(1, ParcelState::Mapped)]);
}

#[test]
fn a_buffer_of_the_tree_is_recalled_like_any_other() {
    let mut rig = Rig::new();
    let region = rig.maps.map(0x4000_2000..0x4000_4000, Access::ReadWrite, Claim::Tree).unwrap();
    let source = Source::Tree(Some(MemHandle(5)));
    let buffer = SharedBuffer::new(source, Some(4), Some(PEER), vec![region]);
    rig.parcels.found(&buffer);
    assert_eq!(rig.states(), [(5, ParcelState::Mapped)]);
    rig.recall(5);
    assert_eq!((rig.states(), rig.tables.mapped()), (vec![], vec![]));
    assert_eq!(rig.asked(), [MessageId::MEM_RELEASE, MessageId::MEM_NOTIFY]);
    let told = rig.setup.rm.requests().last().unwrap().content.clone();
    assert_eq!(told, [5, 0, 0, 0, 2, 0, 0, 0, 0x34, 0x12, 0, 0], "with the owner's tag");
}
