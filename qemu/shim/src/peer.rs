//! The VM at the other end: console owner, doorbell partner, queue partner.
//!
//! Left alone, the peer connects the guest's console with the serial line, answers each doorbell once with the flags as
//! received, and each message once with the prefix `re:`. It starts nothing by itself; a script makes it ring, send, type
//! and misbehave ([`script`] is the language; `play`, `memory`,
//! `channel`, `ring`, `frame` and `misbehave` play it).

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use gunyah_abi::rm::PRIMARY_VMID;

use crate::fault::{Faulty, HypercallFaults};
use crate::object::{DoorbellIndex, Objects, QueueIndex};
use crate::random::Random;
use crate::rm::{MemoryAction, ResourceManager};
use crate::seam::{Console, Stage2};
use crate::uart::Uart;
use crate::vm::{Vm, VmEnd, VmIndex};

mod channel;
mod frame;
mod memory;
mod misbehave;
mod partner;
mod play;
mod player;
mod ring;
pub mod script;
mod transcript;

pub use play::ScriptFailure;
use player::Player;
use ring::{Buffer, RingEnd};
use script::Script;
use transcript::Transcript;

/// Bytes that the peer types in one console message; RM takes more, but then it fragments.
const CHUNK: usize = 228;

/// Messages that may wait in RM for the guest while the peer still types.
const TYPE_AHEAD: usize = 4;

/// Received messages kept for the script to look at.
const KEPT_MESSAGES: usize = 2048;

/// What begins a message that is itself an answer.
const ANSWER_PREFIX: &[u8] = b"re:";

/// The two doorbells of one label, named from the guest's side.
#[derive(Debug, Default)]
struct Bells {
    label: u32,
    rung_by_guest: Option<DoorbellIndex>,
    rung_by_peer: Option<DoorbellIndex>,
    sends_seen: u64,
    /// Rings that no step has counted by their label.
    heard: u64,
}

/// The two queues of one label, named from the guest's side.
#[derive(Debug)]
struct Queues {
    label: u32,
    from_guest: QueueIndex,
    to_guest: QueueIndex,
    unsent_answer: Option<Vec<u8>>,
    /// Whether the guest's messages are left where they are.
    held: bool,
}

/// The peer of one guest.
#[derive(Debug)]
pub struct Peer {
    vm: VmIndex,
    bells: Vec<Bells>,
    queues: Vec<Queues>,
    buffers: Vec<Buffer>,
    rings: Vec<RingEnd>,
    silent: bool,
    opens_console: bool,
    typed: VecDeque<u8>,
    transcript: Transcript,
    bells_heard: u64,
    messages_heard: u64,
    keeps_messages: bool,
    messages: VecDeque<(u32, Vec<u8>)>,
    pub(crate) memory_events: VecDeque<(u32, MemoryAction)>,
    end: Option<VmEnd>,
    player: Player,
    /// What the script has begun beside.
    beside: Vec<Player>,
}

/// What the peer works with while it runs.
pub struct Surroundings<'a> {
    /// Stage 2 of the VMs.
    pub stage2: &'a mut dyn Stage2,
    /// The VMs, for what they hold.
    pub vms: &'a mut [Vm],
    /// Random numbers.
    pub random: &'a mut Random,
    /// The machine's objects.
    pub objects: &'a mut Objects,
    /// The Resource Manager, whose client the peer is as console owner.
    pub rm: &'a mut ResourceManager,
    /// The UARTs of all guests.
    pub uarts: &'a mut [Uart],
    /// The virtual GICs.
    pub interrupts: Faulty<'a>,
    /// Errors that hypercalls are to answer.
    pub hypercall_faults: &'a mut HypercallFaults,
    /// The serial line.
    pub console: &'a mut dyn Console,
    /// Nanoseconds since the machine started.
    pub now: u64,
}

/// What the script asks of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// `stop`: the run ends well here.
    Stop,
    /// A step failed.
    Failure(ScriptFailure),
}

impl Surroundings<'_> {
    /// VMID of the VM's owner.
    fn owner(&self, vm: VmIndex) -> u16 {
        self.vms.get(vm.0).map_or(PRIMARY_VMID, |vm| vm.owner)
    }
}

impl Peer {
    /// The peer of `vm`, with nothing to share yet; `owner` if it is the VM's owner too.
    #[must_use]
    pub fn new(vm: VmIndex, script: Script, owner: bool) -> Self {
        Self {
            vm,
            bells: Vec::new(),
            queues: Vec::new(),
            buffers: Vec::new(),
            rings: Vec::new(),
            silent: false,
            opens_console: owner && script.opens_console(),
            typed: VecDeque::new(),
            transcript: Transcript::default(),
            bells_heard: 0,
            messages_heard: 0,
            keeps_messages: script.looks_at_messages(),
            messages: VecDeque::new(),
            memory_events: VecDeque::new(),
            end: None,
            player: Player::new(script),
            beside: Vec::new(),
        }
    }

    /// Shares a doorbell that the guest receives.
    pub fn add_doorbell(&mut self, label: u32, doorbell: DoorbellIndex) {
        let free = |bells: &Bells| bells.rung_by_peer.is_none();
        self.bells_for(label, free).rung_by_peer = Some(doorbell);
    }

    /// Shares a doorbell that the guest rings.
    pub fn add_source(&mut self, label: u32, doorbell: DoorbellIndex) {
        let free = |bells: &Bells| bells.rung_by_guest.is_none();
        let bells = self.bells_for(label, free);
        bells.rung_by_guest = Some(doorbell);
        bells.sends_seen = 0;
    }

    fn bells_for(&mut self, label: u32, free: impl Fn(&Bells) -> bool) -> &mut Bells {
        let found = self.bells.iter().position(|b| b.label == label && free(b));
        let index = found.unwrap_or_else(|| {
            self.bells.push(Bells { label, ..Bells::default() });
            self.bells.len() - 1
        });
        &mut self.bells[index]
    }

    /// Shares a queue pair.
    pub fn add_queues(&mut self, label: u32, from_guest: QueueIndex, to_guest: QueueIndex) {
        self.queues.push(Queues { label, from_guest, to_guest, unsent_answer: None, held: false });
    }

    /// The guest is about to be reset, and with it what is shared: goes from all rings.
    pub fn guest_is_reset(&mut self) {
        self.rings.clear();
    }

    /// The guest is about to start, or to start again: opens its console unless the script does that.
    pub fn guest_starts(&mut self, rm: &mut ResourceManager) {
        for queues in &mut self.queues {
            queues.unsent_answer = None;
        }
        self.end = None;
        if self.opens_console
            && let Err(error) = rm.owner_open(self.vm, true)
        {
            log::debug!("peer: RM refused CONSOLE_OPEN: {error}");
        }
    }

    /// The guest's console printed `bytes`.
    pub fn console_chars(&mut self, bytes: &[u8], console: &mut dyn Console) {
        console.write(bytes);
        self.transcript.extend(bytes);
    }

    /// Does all that can be done now: answers, plays the script, types.
    pub fn run(&mut self, surroundings: &mut Surroundings<'_>) -> Option<Verdict> {
        self.answer_bells(surroundings);
        self.answer_messages(surroundings);
        self.hear_of_memory(surroundings);
        self.serve_rings(surroundings);
        let verdict = play::play(self, surroundings);
        self.type_ahead(surroundings);
        verdict
    }

    /// The guest ended: plays on, in case the script waits for that.
    pub fn guest_ended(
        &mut self,
        end: VmEnd,
        surroundings: &mut Surroundings<'_>,
    ) -> Option<Verdict> {
        self.end = Some(end);
        self.hear_of_memory(surroundings);
        play::play(self, surroundings)
    }

    /// The step that the script has not finished, displayed, if any.
    #[must_use]
    pub fn unfinished(&self) -> Option<String> {
        self.player.unfinished().or_else(|| self.beside.iter().find_map(Player::unfinished))
    }

    /// Nanoseconds since the start of the machine at which there is something to do even if nothing happens.
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        if self.rings.iter().any(RingEnd::is_due) {
            return Some(0);
        }
        let players = self.beside.iter().chain([&self.player]);
        players.filter_map(Player::deadline).min()
    }

    /// Types what the script or the serial line has, as long as the guest keeps up.
    fn type_ahead(&mut self, surroundings: &mut Surroundings<'_>) {
        let mut chunk = [0; CHUNK];
        if !surroundings.rm.is_console_open(self.vm) {
            self.type_on_uart(&mut chunk, surroundings);
            return;
        }
        while surroundings.rm.is_console_open(self.vm)
            && surroundings.rm.backlog(self.vm) < TYPE_AHEAD
        {
            let bytes = self.next_typed(&mut chunk, surroundings.console);
            if bytes.is_empty() {
                return;
            }
            self.write_console(bytes, surroundings);
        }
    }

    /// Types on the first UART that the guest has made ready, what its FIFO holds.
    fn type_on_uart(&mut self, chunk: &mut [u8], surroundings: &mut Surroundings<'_>) {
        let Surroundings { uarts, objects, interrupts, console, .. } = surroundings;
        let mut uarts = uarts.iter_mut().filter(|uart| uart.vm() == self.vm);
        let Some(uart) = uarts.find(|uart| uart.room() > 0) else { return };
        let room = uart.room().min(chunk.len());
        let bytes = self.next_typed(&mut chunk[..room], *console);
        if !bytes.is_empty() {
            uart.receive(bytes, objects, interrupts);
        }
    }

    /// Takes what is to be typed next, at most what `chunk` holds.
    fn next_typed<'c>(&mut self, chunk: &'c mut [u8], console: &mut dyn Console) -> &'c [u8] {
        let count = if self.typed.is_empty() {
            console.read(chunk)
        } else {
            let count = self.typed.len().min(chunk.len());
            let typed = self.typed.drain(..count);
            chunk.iter_mut().zip(typed).for_each(|(to, from)| *to = from);
            count
        };
        &chunk[..count]
    }

    fn write_console(&mut self, bytes: &[u8], surroundings: &mut Surroundings<'_>) {
        let Surroundings { rm, objects, interrupts, .. } = surroundings;
        if let Err(error) = rm.owner_write(self.vm, bytes, objects, interrupts) {
            log::debug!("peer: RM refused CONSOLE_WRITE: {error}");
        }
    }
}

#[cfg(test)]
mod tests;
