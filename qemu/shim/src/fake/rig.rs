//! A whole machine around fakes: the test plays the guest by registers.

use alloc::vec::Vec;

use gunyah_abi::rm::{MessageId, PacketHeader, PacketType, RmError};
use zerocopy::IntoBytes;

use super::stage2::Mappings;
use super::{Line, Memory, Signals, Stopped};
use crate::hypercall::{Action, Registers};
use crate::machine::{AfterEnd, Caller, Event, Machine};
use crate::machine_file::{
    DoorbellSource, LabelledQueuePair, MachineFile, QueuePair, ReceivedDoorbell, VmConfig,
};
use crate::seam::World;
use crate::vm::{VmEnd, VmIndex};

/// Where the guest's memory begins.
pub const BASE: u64 = 0x8000_0000;

/// Where the rig puts messages to send.
const OUTBOX: u64 = BASE;

/// Where the rig receives messages.
const INBOX: u64 = BASE + 0x1000;

/// A machine of one VM, with everything on the other side of the seams.
pub struct Rig {
    pub machine: Machine,
    pub memory: Memory,
    pub signals: Signals,
    pub mappings: Mappings,
    pub line: Line,
    pub clock: Stopped,
}

/// The VM of the recorded run: RM caps 0 and 1, doorbell 2, source 3, queue pair 4 and 5.
pub fn config() -> VmConfig {
    let queues = |tx_cap, intid| QueuePair {
        tx_cap,
        rx_cap: tx_cap + 1,
        tx_intid: intid,
        rx_intid: intid + 1,
        depth: 8,
        size: 240,
    };
    VmConfig {
        vmid: 0x80,
        owner: 3,
        name: "probe-svm".into(),
        ram_base: BASE,
        ram_size: 0x10_0000,
        vcpus: 1,
        entry: BASE,
        tree: BASE + 0xf_0000,
        resource_manager: Some(queues(0, 960)),
        doorbells: vec![ReceivedDoorbell { label: 7, peer: 3, cap: 2, intid: 962 }],
        sources: vec![DoorbellSource { label: 7, peer: 3, cap: 3, can_clear: false }],
        queue_pairs: vec![LabelledQueuePair { label: 9, peer: 3, queues: queues(4, 963) }],
        ..VmConfig::default()
    }
}

impl Rig {
    pub fn new(file: &MachineFile) -> Self {
        let mut rig = Self {
            machine: Machine::new(file).expect("a machine"),
            memory: Memory::new(BASE, 0x4000),
            signals: Signals::default(),
            mappings: Mappings::default(),
            line: Line::default(),
            clock: Stopped::default(),
        };
        let (machine, mut world) = rig.world();
        machine.start(&mut world).expect("a machine that starts");
        rig
    }

    /// The recorded VM with this script.
    pub fn scripted(script: &str) -> Self {
        let mut vm = config();
        vm.set_script(script);
        Self::new(&MachineFile::of(vm))
    }

    fn world(&mut self) -> (&mut Machine, World<'_>) {
        let world = World {
            memory: &mut self.memory,
            interrupts: &mut self.signals,
            stage2: &mut self.mappings,
            console: &mut self.line,
            clock: &self.clock,
        };
        (&mut self.machine, world)
    }

    pub fn hvc(&mut self, immediate: u16, registers: &mut Registers) -> Action {
        let (machine, mut world) = self.world();
        machine.hvc(CALLER, immediate, registers, &mut world)
    }

    /// x0.. after a native call.
    pub fn native<const N: usize>(&mut self, number: u16, arguments: &[u64]) -> [u64; N] {
        let mut registers = [0xdead; 18];
        registers[..8].fill(0);
        registers[..arguments.len()].copy_from_slice(arguments);
        let _ = self.hvc(0x6000 + number, &mut registers);
        assert_eq!(registers[8..], [0xdead; 10]);
        registers[..N].try_into().unwrap()
    }

    /// x0.. after an SMCCC call.
    pub fn smccc<const N: usize>(&mut self, function: u32, arguments: &[u64]) -> [u64; N] {
        let mut registers = [0; 18];
        registers[0] = function.into();
        registers[1..=arguments.len()].copy_from_slice(arguments);
        let _ = self.hvc(0, &mut registers);
        registers[..N].try_into().unwrap()
    }

    /// A load, or a store of `stored`, that the guest makes.
    pub fn mmio(&mut self, ipa: u64, stored: Option<u64>) -> Option<u64> {
        let (machine, mut world) = self.world();
        machine.mmio(CALLER, ipa, stored, &mut world)
    }

    pub fn pump(&mut self) -> Option<Event> {
        let (machine, mut world) = self.world();
        machine.pump(&mut world)
    }

    /// Pumps; nothing may end.
    pub fn run(&mut self) {
        assert_eq!(self.pump(), None);
    }

    pub fn end(&mut self, end: VmEnd) -> AfterEnd {
        let (machine, mut world) = self.world();
        machine.end(VmIndex(0), end, &mut world)
    }

    pub fn restart(&mut self) {
        let (machine, mut world) = self.world();
        machine.restart(VmIndex(0), &mut world);
    }

    /// Sends a message on a queue; x0.
    pub fn send(&mut self, cap: u64, message: &[u8]) -> u64 {
        self.memory.bytes[..message.len()].copy_from_slice(message);
        let [x0] = self.native(0x1b, &[cap, message.len() as u64, OUTBOX, 0, 0]);
        x0
    }

    /// Receives a message from a queue; `None` if it is empty.
    pub fn receive(&mut self, cap: u64) -> Option<Vec<u8>> {
        let [x0, size, _] = self.native(0x1c, &[cap, INBOX, 0x400, 0]);
        if x0 == 0x3c {
            return None;
        }
        assert_eq!(x0, 0);
        let start = (INBOX - BASE) as usize;
        Some(self.memory.bytes[start..start + size as usize].to_vec())
    }

    /// Sends a request of one packet to RM.
    pub fn request(&mut self, id: MessageId, sequence: u16, content: &[u8]) {
        let header = PacketHeader::new(PacketType::Request, 0, sequence, id);
        assert_eq!(self.send(0, &[header.as_bytes(), content].concat()), 0);
    }

    /// Sends a request to RM and takes the one packet that comes back.
    pub fn call(&mut self, id: u32, sequence: u16, content: &[u8]) -> Vec<u8> {
        self.request(MessageId(id), sequence, content);
        self.run();
        self.receive(1).expect("a reply")
    }

    /// Receives from RM until there is nothing.
    pub fn drain(&mut self) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        loop {
            match self.receive(1) {
                Some(packet) => packets.push(packet),
                None => return packets,
            }
            self.run();
        }
    }

    /// The owner opens the guest's console.
    pub fn machine_open(&mut self) {
        self.machine.rm.owner_open(VmIndex(0), true).unwrap();
    }

    /// The owner writes to the guest's console.
    pub fn owner_write(&mut self, bytes: &[u8]) -> Result<(), RmError> {
        let Machine { rm, objects, .. } = &mut self.machine;
        rm.owner_write(VmIndex(0), bytes, objects, &mut self.signals)
    }

    /// What RM keeps for the guest.
    pub fn machine_backlog(&self) -> usize {
        self.machine.rm.backlog(VmIndex(0))
    }

    /// The crash message that RM keeps.
    pub fn machine_crash_message(&self) -> &[u8] {
        self.machine.rm.crash_message(VmIndex(0))
    }

    /// Opens the guest's console.
    pub fn open_console(&mut self) {
        let reply = self.call(0x5600_0081, 1, &[0; 4]);
        assert_eq!(reply[8..], [0; 4]);
        self.signals.take();
    }
}

/// The only vCPU.
pub const CALLER: Caller = Caller { vm: VmIndex(0), vcpu: 0 };
