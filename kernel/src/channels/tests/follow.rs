//! What the Resource Manager tells, and what becomes of the channels.

use crate::{
    channels::{About, follow},
    shell::tests::rig::Rig,
};
use core::cell::Cell;
use gunyah::fake::Tasks;
use gunyah_abi::rm::MessageId;

/// Has RM tell the following, one after the other; how often channels changed.
fn told(rig: &mut Rig, notifications: &[(MessageId, &[u8])]) -> u32 {
    let changes = Cell::new(0);
    let Rig { setup, client, system, .. } = rig;
    let mut tasks = Tasks::new();
    tasks.spawn(async { panic!("{}", client.run().await) });
    let changed = || changes.set(changes.get() + 1);
    tasks.spawn(async { follow(system, client, &system.events, changed).await });
    setup.settle(client, &mut tasks);
    changes.set(0);
    for (id, content) in notifications {
        setup.rm.notify(*id, content);
        setup.settle(client, &mut tasks);
    }
    drop(tasks);
    changes.get()
}

const EXITED: &[u8] = &[0x80, 0, 0, 0, 9, 0, 0, 0];
const RUNNING: &[u8] = &[0x80, 0, 0, 0, 3, 4, 0, 0];

#[test]
fn a_peer_that_ends_closes_its_channels() {
    let mut rig = Rig::new();
    let theirs = About::tree(Some(9), Some(0x80), "/theirs");
    rig.system.channels.add_source(theirs, gunyah_abi::CapabilityId(900)).unwrap();
    let before = rig.system.channels.resources();
    let twice = [(MessageId::VM_STATUS, EXITED), (MessageId::VM_STATUS, EXITED)];
    assert_eq!(told(&mut rig, &twice), 1);
    assert_eq!(rig.system.channels.resources(), before - 1);
    assert_eq!(rig.system.peers.list()[0].vmid, 0x80);
}

#[test]
fn a_peer_that_runs_is_asked_for() {
    let mut rig = Rig::new();
    told(&mut rig, &[(MessageId::VM_STATUS, RUNNING)]);
    let asked: Vec<_> = rig.setup.rm.requests().iter().map(|request| request.id).collect();
    let count = asked.iter().filter(|id| **id == MessageId::VM_GET_HYP_RESOURCES).count();
    // The owner at first, then the peer.
    assert_eq!(count, 2, "{asked:?}");
}

#[test]
fn the_shell_shows_how_a_peer_was_told_to_be() {
    let mut rig = Rig::new();
    for (label, path) in [(9, "/nine"), (10, "/ten")] {
        let about = About::tree(Some(label), Some(0x85), path);
        let capability = gunyah_abi::CapabilityId(900 + u64::from(label));
        rig.system.channels.add_source(about, capability).unwrap();
    }
    let status: &[u8] = &[0x85, 0, 0, 0, 3, 4, 0x2a, 1];
    told(&mut rig, &[(MessageId::VM_STATUS, status); 3]);
    let shown = rig.output("peers");
    let line = "VMID 0x85: VM RUNNING (3), OS RUN (4), application 0x12a, told 3 times, channels 2";
    assert!(shown.lines().any(|shown| shown == line), "{shown}");
}

#[test]
fn missed_events_have_everything_asked_again() {
    let mut rig = Rig::new();
    // They come while nobody follows.
    let Rig { setup, client, .. } = &mut rig;
    let mut tasks = Tasks::new();
    tasks.spawn(async { panic!("{}", client.run().await) });
    setup.settle(client, &mut tasks);
    for vmid in 0..100 {
        setup.rm.notify(MessageId::VM_STATUS, &[vmid, 1, 0, 0, 4, 0, 0, 0]);
        setup.settle(client, &mut tasks);
    }
    drop(tasks);
    assert_eq!(rig.system.events.lost(), 68);
    let before = rig.setup.rm.requests().len();
    told(&mut rig, &[]);
    let asked: Vec<_> = rig.setup.rm.requests()[before..].iter().map(|r| r.id).collect();
    assert!(asked.contains(&MessageId::VM_GET_PEERS), "{asked:?}");
    assert!(asked.contains(&MessageId::VM_GET_STATE), "{asked:?}");
    assert_eq!(rig.system.peers.list().len(), 32 + 1);
}
