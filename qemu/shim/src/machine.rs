//! The emulated machine: VMs, objects, Resource Manager and peers.
//!
//! The run loop owns one [`Machine`] and calls it at every exit of a vCPU:
//!
//! ```text
//! machine.start(world)                         once, before all else
//! machine.pump(world)                          before the first entry, at WFI, at IRQ, after Action::Yield
//! machine.hvc(caller, immediate, regs, world)  at HVC  ┐ x0..x17 in and out,
//! machine.smc(caller, regs, world)             at SMC  ┘ the answer is an Action
//! machine.mmio(caller, ipa, stored, world)     at a load or store that stage 2 refused
//! machine.is_source_pending(virq)              from the virtual GIC, for level interrupts at EOI
//! machine.deadline()                           before the machine itself sleeps
//! machine.end(vm, end, world)                  when a VM ends: start it again, or the run's outcome
//! machine.restart(vm, world)                   when it starts again
//! ```

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use gunyah_abi::hypercall::{NOT_RECOGNISED, SmcccCall};
use gunyah_abi::psci::RESET2_VENDOR_TYPE;
use gunyah_abi::rm::{VmState, exit_code};

use crate::fault::{HypercallFaults, InterruptFaults};
use crate::firmware::{self, FirmwareCall};
use crate::hypercall::{self, Action, Call, Context, Registers};
use crate::machine_file::Options;
use crate::object::Objects;
use crate::peer::{self, Peer, Surroundings};
use crate::random::Random;
use crate::rm::{Owner, ResourceManager};
use crate::rtc::Rtc;
use crate::seam::{Console, Virq, World};
use crate::uart::Uart;
use crate::vm::{Vm, VmEnd, VmIndex};

mod assemble;
mod frames;
mod mmio;

pub use assemble::MachineError;

/// The emulated machine.
#[derive(Debug)]
pub struct Machine {
    vms: Vec<Vm>,
    pub(crate) objects: Objects,
    pub(crate) rm: ResourceManager,
    pub(crate) peers: Vec<Peer>,
    uarts: Vec<Uart>,
    rtcs: Vec<Rtc>,
    options: Options,
    trace_flags: u64,
    random: Random,
    interrupt_faults: InterruptFaults,
    hypercall_faults: HypercallFaults,
}

/// The vCPU that makes a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its VM.
    pub vm: VmIndex,
    /// Its number in that VM.
    pub vcpu: usize,
}

/// What came of a [`Machine::pump`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A VM asked the Resource Manager for its end; see [`Machine::end`].
    Ended(VmIndex, VmEnd),
    /// A peer's script ends the run.
    Finished(Outcome),
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Success,
    /// The guest or a script reported a failure.
    Failure(String),
}

impl Outcome {
    /// Exit status of the run: 0 or 5.
    #[must_use]
    pub fn exit_status(&self) -> u32 {
        match self {
            Self::Success => 0,
            Self::Failure(_) => 5,
        }
    }
}

/// What follows the end of a VM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AfterEnd {
    /// Start it again: load its memory anew, then [`Machine::restart`].
    Restart,
    /// The run is over.
    Finished(Outcome),
}

/// Brings what a VM prints to its peer.
struct PeerConsoles<'a> {
    peers: &'a mut [Peer],
    console: &'a mut dyn Console,
}

impl Owner for PeerConsoles<'_> {
    fn console_chars(&mut self, vm: VmIndex, bytes: &[u8]) {
        if let Some(peer) = self.peers.get_mut(vm.0) {
            peer.console_chars(bytes, self.console);
        }
    }
}

impl Machine {
    /// The options of the machine file.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The VMs, in the order of the machine file.
    #[must_use]
    pub fn vms(&self) -> &[Vm] {
        &self.vms
    }

    /// Carries out `hvc #immediate`: changes x0..x7 of `registers`, leaves the others.
    pub fn hvc(
        &mut self,
        caller: Caller,
        immediate: u16,
        registers: &mut Registers,
        world: &mut World<'_>,
    ) -> Action {
        if immediate == 0 {
            return self.smc(caller, registers, world);
        }
        match Call::native(immediate, registers) {
            Some(call) => self.hypercall(caller, &call, registers, world),
            None => refuse(registers),
        }
    }

    /// Carries out `smc`, with any immediate, or `hvc #0`: changes x0..x7 of `registers` at most.
    pub fn smc(
        &mut self,
        caller: Caller,
        registers: &mut Registers,
        world: &mut World<'_>,
    ) -> Action {
        let function = registers[0] as u32;
        if let Some(SmcccCall::Hypercall(number)) = SmcccCall::decode(function) {
            let call = Call::smccc(number, registers);
            return self.hypercall(caller, &call, registers, world);
        }
        let Some(vm) = self.vms.get_mut(caller.vm.0) else {
            return refuse(registers);
        };
        let call = FirmwareCall { function, arguments: [registers[1], registers[2], registers[3]] };
        let (reply, action) =
            firmware::answer(&call, vm, caller.vcpu, &self.options, &mut self.random);
        log::trace!("{call} = {:#x}", reply[0]);
        registers[..reply.len()].copy_from_slice(&reply);
        action
    }

    fn hypercall(
        &mut self,
        caller: Caller,
        call: &Call,
        registers: &mut Registers,
        world: &mut World<'_>,
    ) -> Action {
        let Some(vm) = self.vms.get_mut(caller.vm.0) else {
            return refuse(registers);
        };
        if let Some(answer) = self.hypercall_faults.take(call.hypercall) {
            registers[..8].copy_from_slice(answer.words());
            return Action::Resume;
        }
        let mut context = Context {
            objects: &mut self.objects,
            vm,
            vcpu: caller.vcpu,
            options: &self.options,
            trace_flags: &mut self.trace_flags,
            random: &mut self.random,
            now: world.clock.now(),
            memory: world.memory,
            interrupts: &mut self.interrupt_faults.wrap(world.interrupts),
        };
        let (answer, action) = hypercall::dispatch(call, &mut context);
        registers[..8].copy_from_slice(answer.words());
        action
    }

    /// Gives the VMs the shared memory that their trees name.
    ///
    /// # Errors
    ///
    /// It cannot be mapped.
    pub fn start(&mut self, world: &mut World<'_>) -> Result<(), MachineError> {
        for (index, vm) in self.vms.iter().enumerate() {
            let started = self.rm.start(VmIndex(index), world.stage2);
            started.map_err(|_| MachineError::Shared { vm: vm.name.clone() })?;
        }
        Ok(())
    }

    /// Lets the Resource Manager and the peers do what they can: a bounded amount of work.
    ///
    /// Raises interrupts of waiting guests, so look for pending ones afterwards.
    pub fn pump(&mut self, world: &mut World<'_>) -> Option<Event> {
        self.interrupt_faults.raise_again(world.interrupts);
        if let Some(event) = self.run_rm(world) {
            return Some(event);
        }
        let (peers, mut surroundings) = self.peers_and_surroundings(world);
        for peer in peers {
            if let Some(verdict) = peer.run(&mut surroundings) {
                return Some(Event::Finished(outcome(verdict)));
            }
        }
        self.run_rm(world)
    }

    /// The peers, and what they act on.
    fn peers_and_surroundings<'a>(
        &'a mut self,
        world: &'a mut World<'_>,
    ) -> (&'a mut [Peer], Surroundings<'a>) {
        let surroundings = Surroundings {
            stage2: world.stage2,
            vms: &mut self.vms,
            random: &mut self.random,
            objects: &mut self.objects,
            rm: &mut self.rm,
            uarts: &mut self.uarts,
            interrupts: self.interrupt_faults.wrap(world.interrupts),
            hypercall_faults: &mut self.hypercall_faults,
            console: world.console,
            now: world.clock.now(),
        };
        (&mut self.peers, surroundings)
    }

    fn run_rm(&mut self, world: &mut World<'_>) -> Option<Event> {
        let mut consoles = PeerConsoles { peers: &mut self.peers, console: world.console };
        let interrupts = &mut self.interrupt_faults.wrap(world.interrupts);
        let ends =
            self.rm.run(&mut self.objects, &self.vms, &mut consoles, interrupts, world.stage2);
        let (vm, end) = ends.into_iter().next()?;
        Some(Event::Ended(vm, end))
    }

    /// Whether an object holds the source bound to `virq` pending; for INTIDs that the guest configured as level.
    #[must_use]
    pub fn is_source_pending(&self, virq: Virq) -> bool {
        self.objects.is_source_pending(virq)
            || self.uarts.iter().any(|uart| uart.is_source_pending(virq))
    }

    /// Nanoseconds since the start at which to pump even if nothing happens; `None` if nobody waits for time.
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        self.peers.iter().filter_map(Peer::deadline).min()
    }

    /// Takes note that a VM ended, and tells what follows.
    pub fn end(&mut self, vm: VmIndex, end: VmEnd, world: &mut World<'_>) -> AfterEnd {
        log::info!("VM {}: {end}", vm.0);
        if let Some(vm) = self.vms.get_mut(vm.0) {
            vm.state = VmState::Exited;
        }
        let (peers, mut surroundings) = self.peers_and_surroundings(world);
        let peer = peers.get_mut(vm.0);
        let verdict = peer.and_then(|peer| peer.guest_ended(end, &mut surroundings));
        if let Some(verdict) = verdict {
            return AfterEnd::Finished(outcome(verdict));
        }
        match self.reported(vm, end) {
            None if !self.options.no_reboot => AfterEnd::Restart,
            Some(Outcome::Failure(reason)) => AfterEnd::Finished(Outcome::Failure(reason)),
            _ => AfterEnd::Finished(self.script_outcome()),
        }
    }

    /// What the guest reported by its end; `None` if it wants to start again.
    fn reported(&self, vm: VmIndex, end: VmEnd) -> Option<Outcome> {
        let failure = |reason: String| Some(Outcome::Failure(reason));
        let crash = self.rm.crash_message(vm);
        if !crash.is_empty() && !matches!(end, VmEnd::Reset2 { .. }) {
            let crash = String::from_utf8_lossy(crash);
            return failure(format!("{end} after the crash message \"{crash}\""));
        }
        match end {
            VmEnd::Off => Some(Outcome::Success),
            VmEnd::Reset2 { reset_type, .. } if reset_type & RESET2_VENDOR_TYPE != 0 => {
                failure(end.to_string())
            }
            VmEnd::Exit { code, .. } if code != exit_code::NORMAL => failure(end.to_string()),
            VmEnd::Exit { flags, .. } if flags & 1 == 0 => Some(Outcome::Success),
            VmEnd::Reset | VmEnd::Reset2 { .. } | VmEnd::Exit { .. } => None,
        }
    }

    /// A script that has not come to its end is a failure.
    fn script_outcome(&self) -> Outcome {
        match self.peers.iter().find_map(Peer::unfinished) {
            Some(step) => Outcome::Failure(format!("the guest ended before {step}")),
            None => Outcome::Success,
        }
    }

    /// Makes everything of a VM as at its start, except its peer's script.
    pub fn restart(&mut self, vm: VmIndex, world: &mut World<'_>) {
        if let Some(peer) = self.peers.get_mut(vm.0) {
            peer.guest_is_reset();
        }
        self.rm.restart(vm, world.stage2);
        if let Some(vm) = self.vms.get_mut(vm.0) {
            self.objects.restart(&vm.capabilities);
            vm.restart();
        }
        for uart in self.uarts.iter_mut().filter(|uart| uart.vm() == vm) {
            uart.restart();
        }
        for rtc in self.rtcs.iter_mut().filter(|rtc| rtc.vm() == vm) {
            rtc.restart();
        }
        if let Some(peer) = self.peers.get_mut(vm.0) {
            peer.guest_starts(&mut self.rm);
        }
    }
}

fn outcome(verdict: peer::Verdict) -> Outcome {
    match verdict {
        peer::Verdict::Stop => Outcome::Success,
        peer::Verdict::Failure(failure) => Outcome::Failure(failure.to_string()),
    }
}

fn refuse(registers: &mut Registers) -> Action {
    registers[..8].fill(0);
    registers[0] = NOT_RECOGNISED;
    Action::Resume
}

#[cfg(test)]
mod tests;
