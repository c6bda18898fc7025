//! The registry against a fake hypervisor, a fake board, and RM's lists.

pub(crate) mod board;
mod boot;
mod follow;
mod late;

use super::*;
use board::FakeBoard;
use gunyah::fake::{FakeHypervisor, FakeTimer, FakeVm, Tasks};

/// A guest, its peer, and the guest's registry.
pub struct Rig {
    pub hypervisor: FakeHypervisor,
    pub guest: FakeVm,
    pub peer: FakeVm,
    pub board: Rc<FakeBoard>,
    pub channels: Channels<FakeVm, FakeTimer>,
}

impl Rig {
    pub fn new() -> Self {
        let hypervisor = FakeHypervisor::new();
        let (guest, peer) = (hypervisor.vm(), hypervisor.vm());
        let board = Rc::new(FakeBoard::default());
        let directory = Box::leak(Box::new(Directory::new(None)));
        let channels =
            Channels::new(guest.clone(), FakeTimer::default(), Box::new(board.clone()), directory);
        Self { hypervisor, guest, peer, board, channels }
    }

    /// Runs all tasks, new ones as well, and delivers interrupts until nothing happens.
    pub fn settle(&self, tasks: &mut Tasks<'static>) {
        loop {
            for (_, task) in self.board.take_tasks() {
                tasks.spawn(task);
            }
            tasks.run_until_idle();
            if !self.board.deliver(&self.hypervisor) && !self.board.has_tasks() {
                return;
            }
        }
    }
}

fn edge(intid: u32) -> Interrupt {
    Interrupt { intid, trigger: Trigger::Edge }
}

#[test]
fn a_capability_is_one_channel() {
    let rig = Rig::new();
    let ends = rig.hypervisor.doorbell(&rig.peer, &rig.guest);
    let bell = |label, intid| {
        let about = About::tree(Some(label), None, "/bell");
        rig.channels.add_bell(about, ends.receiver, edge(intid))
    };
    bell(1, 960).unwrap();
    let error = bell(2, 961).err().unwrap().to_string();
    assert!(error.contains("is given twice: it is bell 1 (/bell) already"), "{error}");
    let config = QueueConfig { capability: CapabilityId(55), max_message_size: 240, depth: 8 };
    let end = End { config, intid: 962 };
    let about = About::tree(Some(2), None, "/queue");
    let error = rig.channels.add_queue(about, Some(end), Some(end)).err().unwrap().to_string();
    assert!(error.contains("its other end"), "{error}");
    rig.channels.set_foreign(CapabilityId(77));
    let error = rig.channels.add_source(About::tree(None, None, ""), CapabilityId(77));
    assert!(error.err().unwrap().to_string().contains("Resource Manager's"));
    assert_eq!(rig.board.enabled(), [960]);
}

#[test]
fn what_cannot_be_leaves_nothing_behind() {
    let rig = Rig::new();
    let end = |capability, intid| {
        let capability = CapabilityId(capability);
        End { config: QueueConfig { capability, max_message_size: 240, depth: 8 }, intid }
    };
    let queue = |tx, rx| rig.channels.add_queue(About::tree(Some(2), None, "/q"), tx, rx);
    queue(None, Some(end(1, 960))).unwrap();
    let error = queue(Some(end(2, 961)), Some(end(3, 960))).err().unwrap().to_string();
    assert_eq!(error, "INTID 960 is taken by msgq rx 2");
    assert_eq!(rig.board.enabled(), [960]);
    assert_eq!(rig.channels.resources(), 1);
    let mut large = end(4, 962);
    large.config.depth = 256;
    assert!(queue(Some(large), None).is_err());
    assert_eq!(rig.board.enabled(), [960]);
}

#[test]
fn there_is_a_limit() {
    let rig = Rig::new();
    let add = |n: usize| {
        rig.channels.add_source(About::tree(None, None, ""), CapabilityId(1000 + n as u64))
    };
    assert!((0..MOST_RESOURCES).all(|n| add(n).is_ok()));
    assert_eq!(add(MOST_RESOURCES).err().unwrap().to_string(), "there are 256 resources already");
    let first = rig.channels.all().remove(0);
    rig.channels.close(&first, "test");
    assert!(add(MOST_RESOURCES).is_ok());
}

#[test]
fn closing_ends_the_task_and_frees_everything() {
    let rig = Rig::new();
    let mut tasks = Tasks::new();
    let ends = rig.hypervisor.doorbell(&rig.peer, &rig.guest);
    rig.board.wire(960, ends.virq);
    let about = About::tree(Some(1), Some(0x80), "/bell");
    let bell = rig.channels.add_bell(about, ends.receiver, edge(960)).unwrap();
    rig.settle(&mut tasks);
    let driver = Arc::downgrade(&bell.receiver);
    let service = Rc::downgrade(&bell);
    drop(bell);
    assert_eq!(rig.channels.close_peer(0x81, "test"), 0);
    assert_eq!(rig.channels.close_peer(0x80, "test"), 1);
    assert!(rig.board.enabled().is_empty());
    assert!(service.upgrade().is_some());
    rig.settle(&mut tasks);
    assert!(tasks.is_done(0));
    assert!(service.upgrade().is_none());
    assert!(driver.upgrade().is_none());
}

#[test]
fn a_channel_is_lent_and_given_back() {
    let rig = Rig::new();
    let mut tasks = Tasks::new();
    let ends = rig.hypervisor.doorbell(&rig.peer, &rig.guest);
    rig.board.wire(960, ends.virq);
    let about = About::tree(Some(1), None, "/bell");
    let bell = rig.channels.add_bell(about, ends.receiver, edge(960)).unwrap();
    rig.settle(&mut tasks);
    let ring = |tasks: &mut Tasks<'static>| {
        rig.peer.doorbell_send(ends.source, 1).unwrap();
        rig.settle(tasks);
        bell.flags().map(|(_, count)| count).sum::<u64>()
    };
    assert_eq!(ring(&mut tasks), 1);
    assert!(bell.about.gate.claim("ring"));
    rig.settle(&mut tasks);
    assert_eq!(ring(&mut tasks), 1);
    assert_eq!(bell.receiver.try_take(), Ok(Some(1)));
    assert_eq!(ring(&mut tasks), 1);
    bell.about.gate.release();
    rig.settle(&mut tasks);
    // What came before it was given back is served as well.
    assert_eq!(bell.flags().map(|(_, count)| count).sum::<u64>(), 2);
    assert_eq!(ring(&mut tasks), 3);
}
