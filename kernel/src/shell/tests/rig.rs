//! A whole system around a fake hypervisor and RM, a person at its shell.

use crate::{
    channels::{About, Channels, End, Peers, tests::board::FakeBoard},
    crash::provocation::Provocation,
    dt::{self, Form, Interrupt, MemoryAt, Trigger},
    ending::Ending,
    interrupts::Usage,
    log::LogRing,
    memory::{Kind, Region, heap::HeapUsage},
    rings::Rings,
    services::Directory,
    shell::{
        commands::{self, Next},
        page::Page,
    },
    system::{Machine, System, Task},
    task::{TaskInfo, TaskState},
};
use core::cell::RefCell;
use core::convert::Infallible;
use core::future::poll_fn;
use core::task::{Poll, Waker};
use core::time::Duration;
use embedded_io_async::{ErrorType, Read, Write};
use gunyah::{
    fake::{DoorbellEnds, FakeTimer, FakeVm, QueueEnds, RmSetup, Tasks},
    hypercalls::discovery::{Conduit, Identity},
    queue::QueueConfig,
    rm::ResourceManager,
};
use gunyah_abi::identity::{Build, HypIdentify};
use std::{collections::VecDeque, rc::Rc};

#[repr(align(8))]
struct Aligned<T: ?Sized>(T);

const MERGED: &Aligned<[u8]> =
    &Aligned(*include_bytes!("../../../dt/tests/trees/merged-linear.dtb"));

/// Where output goes and input comes from; reading pends when there is no more.
#[derive(Default)]
pub struct Terminal {
    pub input: VecDeque<u8>,
    pub output: Vec<u8>,
    pub writes: usize,
    /// How much of the output was there when it was last flushed.
    pub flushed: usize,
}

impl ErrorType for Terminal {
    type Error = Infallible;
}

impl Write for Terminal {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        self.output.extend_from_slice(bytes);
        self.writes += 1;
        Ok(bytes.len())
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        self.flushed = self.output.len();
        Ok(())
    }
}

impl Read for Terminal {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        if self.input.is_empty() {
            core::future::pending::<()>().await;
        }
        let count = buffer.len().min(self.input.len());
        buffer.iter_mut().zip(self.input.drain(..count)).for_each(|(to, from)| *to = from);
        Ok(count)
    }
}

/// A machine that stands still, but for the tasks it is given.
pub struct Still {
    pub log: &'static LogRing,
    started: RefCell<Vec<Task>>,
    waker: RefCell<Option<Waker>>,
}

impl Still {
    fn new() -> Self {
        let (started, waker) = (RefCell::default(), RefCell::default());
        Self { log: leak(LogRing::new()), started, waker }
    }

    /// Runs the tasks it is given, for ever.
    async fn run_tasks(&self) {
        let mut tasks = Vec::new();
        poll_fn(|cx| {
            self.waker.replace(Some(cx.waker().clone()));
            tasks.append(&mut self.started.borrow_mut());
            tasks.retain_mut(|task| task.as_mut().poll(cx).is_pending());
            Poll::Pending
        })
        .await
    }
}

impl Machine for Still {
    fn uptime(&self) -> Duration {
        Duration::from_millis(3_723_004)
    }

    fn heap(&self) -> HeapUsage {
        HeapUsage { used: 1000, reserved: 1024, total: 4096 }
    }

    fn interrupts(&self) -> Vec<Usage> {
        let interrupt = |intid, trigger| Interrupt { intid, trigger };
        vec![
            Usage { interrupt: interrupt(27, Trigger::Level), name: "timer", count: 5 },
            Usage { interrupt: interrupt(961, Trigger::Edge), name: "rm rx", count: 1234 },
        ]
    }

    fn stray_interrupts(&self) -> (u64, u64) {
        (2, 3)
    }

    fn tasks(&self) -> Vec<TaskInfo> {
        vec![TaskInfo { name: "shell", state: TaskState::Running, polls: 17, wakes: 4 }]
    }

    fn log(&self) -> &'static LogRing {
        self.log
    }

    fn crash(&self, how: Provocation) -> ! {
        panic!("asked to crash: {how:?}")
    }

    fn changed_fp_registers(&self) -> usize {
        1
    }

    fn input_dropped(&self) -> u64 {
        42
    }

    fn spawn(&self, _: &'static str, task: Task) {
        self.started.borrow_mut().push(task);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// The system, its peer, and what is behind them.
pub struct Rig {
    pub setup: RmSetup,
    pub client: &'static ResourceManager<FakeVm, FakeTimer>,
    pub peer: FakeVm,
    pub to_guest: DoorbellEnds,
    pub to_peer: DoorbellEnds,
    pub queue_to_peer: QueueEnds,
    pub queue_to_guest: QueueEnds,
    pub system: System<FakeVm, FakeTimer>,
    pub board: Rc<FakeBoard>,
    pub machine: Still,
    pub terminal: Terminal,
}

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

impl Rig {
    /// A VM with everything: one doorbell each way with label 3, one queue pair with label 2.
    pub fn new() -> Self {
        let setup = RmSetup::new();
        let hypervisor = setup.guest.hypervisor().clone();
        let (guest, peer) = (setup.guest.clone(), hypervisor.vm());
        let client = leak(setup.client().unwrap());
        let to_guest = hypervisor.doorbell(&peer, &guest);
        let to_peer = hypervisor.doorbell(&guest, &peer);
        let queue_to_guest = hypervisor.queue(&peer, &guest, 8, 240);
        let queue_to_peer = hypervisor.queue(&guest, &peer, 8, 240);
        let config = |capability| QueueConfig { capability, max_message_size: 240, depth: 8 };
        let board = Rc::new(FakeBoard::default());
        for (intid, virq) in
            [(970, to_guest.virq), (971, queue_to_peer.tx_virq), (972, queue_to_guest.rx_virq)]
        {
            board.wire(intid, virq);
        }
        let directory: &'static Directory = leak(Directory::new(None));
        let channels =
            Channels::new(guest, setup.timer.clone(), Box::new(board.clone()), directory);
        let about = |label, path| About::tree(Some(label), None, path);
        let edge = Interrupt { intid: 970, trigger: Trigger::Edge };
        let source = channels.add_source(about(3, "/source"), to_peer.source).unwrap();
        let bell = channels.add_bell(about(3, "/bell"), to_guest.receiver, edge).unwrap();
        bell.answer_on(source);
        let end = |capability, intid| Some(End { config: config(capability), intid });
        let (tx, rx) = (end(queue_to_peer.tx, 971), end(queue_to_guest.rx, 972));
        channels.add_queue(about(2, "/queue"), tx, rx).unwrap();
        let events = crate::channels::events();
        client.subscribe(events.clone());
        let tree = MemoryAt { address: 0x8000_0000, bytes: &MERGED.0 };
        let system = System {
            platform: dt::load(&tree, None).unwrap().platform,
            tree: &MERGED.0,
            form: Form::Merged,
            identity: Identity {
                build: Some(Build::OpenSource),
                identify: HypIdentify::QEMU,
                conduit: Conduit::Native,
            },
            memory: vec![Region { range: 0x8000_0000..0x8001_0000, kind: Kind::Code }],
            channels,
            rings: Rings::new(Some(0x80)),
            parcels: None,
            directory,
            peers: Peers::default(),
            ending: Ending::default(),
            events,
            manager: Some(client),
        };
        let machine = Still::new();
        let terminal = Terminal::default();
        Self {
            setup,
            client,
            peer,
            to_guest,
            to_peer,
            queue_to_peer,
            queue_to_guest,
            system,
            board,
            machine,
            terminal,
        }
    }

    /// The same VM, given nothing by its hypervisor.
    pub fn bare() -> Self {
        let mut rig = Self::new();
        for channel in rig.system.channels.all() {
            rig.system.channels.close(&channel, "test");
        }
        rig.system.manager = None;
        rig
    }

    /// Runs a command; what it printed, with plain line ends, and what comes next.
    pub fn run(&mut self, line: &str) -> (String, Next) {
        let next = RefCell::new(None);
        let mut page = Page::new();
        let Self { setup, client, system, machine, terminal, .. } = self;
        terminal.output.clear();
        let mut tasks = Tasks::new();
        tasks.spawn(async { panic!("{}", client.run().await) });
        tasks.spawn(machine.run_tasks());
        let command = tasks.spawn(async {
            let run = commands::execute(line, &mut page, terminal, system, machine).await;
            page.write_to(terminal).await.unwrap();
            *next.borrow_mut() = Some(run.unwrap());
        });
        setup.settle(client, &mut tasks);
        while !tasks.is_done(command) {
            assert!(setup.timer.advance_to_next(), "{line} does not end");
            setup.settle(client, &mut tasks);
        }
        drop(tasks);
        let output = String::from_utf8(self.terminal.output.clone()).unwrap();
        assert!(!output.replace("\r\n", "").contains(['\r', '\n']), "{output:?}");
        (output.replace("\r\n", "\n"), next.into_inner().unwrap())
    }

    /// What a command prints.
    pub fn output(&mut self, line: &str) -> String {
        let (output, next) = self.run(line);
        assert_eq!(next, Next::Prompt, "{line}");
        output
    }
}
