//! Hypercalls: both calling forms, checks common to all, dispatch by number.
//!
//! A call goes through three steps, in the hypervisor's order: the form decides number and arguments; the native form
//! checks the reserved argument; the number decides the handler, which looks up the capability. Nothing here knows
//! registers beyond x0..x17 or how they got there.

use core::fmt;

use gunyah_abi::hypercall::{
    ALL_ONES, Hypercall, NATIVE_IMMEDIATE_BASE, NATIVE_IMMEDIATE_LAST, NOT_RECOGNISED,
};
use gunyah_abi::{CapabilityId, Error};

use crate::machine_file::Options;
use crate::object::Objects;
use crate::object::capability::{LookupError, ObjectType, Rights};
use crate::random::Random;
use crate::seam::{GuestMemory, VirtualInterrupts};
use crate::vm::{Vm, VmEnd};

mod doorbell;
mod message_queue;
mod other;
mod system;

/// Registers x0..x17 of the calling vCPU: the ones a call may change.
pub type Registers = [u64; 18];

/// What the run loop does after a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Action {
    /// Go on with the vCPU.
    Resume,
    /// Let the other agents run, then go on with the vCPU.
    Yield,
    /// Wait for an interrupt, as after `wfi`.
    Wait,
    /// Start another vCPU at EL1 with the MMU off and interrupts masked; go on with this one.
    StartVcpu {
        /// Number of the vCPU in its VM.
        vcpu: usize,
        /// IPA of its first instruction.
        entry: u64,
        /// Its x0.
        context: u64,
    },
    /// The calling vCPU is off until another one starts it.
    VcpuOff,
    /// The calling VM ends.
    End(VmEnd),
}

/// The form of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `hvc #(0x6000 + n)`, arguments from x0.
    Native,
    /// `hvc #0` or any `smc`, function id in x0, arguments from x1.
    Smccc,
}

/// A hypercall, whatever its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Which.
    pub hypercall: Hypercall,
    /// How it was made.
    pub form: Form,
    /// Arguments in native numbering.
    pub arguments: [u64; 8],
}

impl Call {
    /// The call of `hvc #immediate`; `None` if the immediate is none of Gunyah's.
    #[must_use]
    pub fn native(immediate: u16, registers: &Registers) -> Option<Self> {
        if !(NATIVE_IMMEDIATE_BASE..=NATIVE_IMMEDIATE_LAST).contains(&immediate) {
            return None;
        }
        Some(Self {
            hypercall: Hypercall::from(immediate - NATIVE_IMMEDIATE_BASE),
            form: Form::Native,
            arguments: arguments_from(&registers[..8]),
        })
    }

    /// The call of SMCCC hypercall `number`.
    #[must_use]
    pub fn smccc(number: u16, registers: &Registers) -> Self {
        Self {
            hypercall: Hypercall::from(number),
            form: Form::Smccc,
            arguments: arguments_from(&registers[1..8]),
        }
    }

    /// Number of the reserved argument and the value it must have; arguments before it are the call's own.
    fn reserved(&self) -> Option<(usize, u64)> {
        Some(match self.hypercall {
            Hypercall::DoorbellReset
            | Hypercall::MsgqueueFlush
            | Hypercall::VpmGroupGetState
            | Hypercall::PrngGetEntropy => (1, 0),
            Hypercall::DoorbellSend
            | Hypercall::DoorbellReceive
            | Hypercall::SchedulerYield
            | Hypercall::TraceUpdateClassFlags => (2, 0),
            Hypercall::DoorbellMask | Hypercall::MsgqueueReceive => (3, 0),
            Hypercall::MsgqueueSend | Hypercall::VcpuRun | Hypercall::VcpuRunCheck => (4, 0),
            Hypercall::MsgqueueConfigureSend | Hypercall::MsgqueueConfigureReceive => (3, ALL_ONES),
            Hypercall::HypIdentify
            | Hypercall::VcpuPoweron
            | Hypercall::VcpuPoweroff
            | Hypercall::Unknown(_) => return None,
        })
    }

    fn violates_reserved(&self) -> bool {
        self.reserved().is_some_and(|(register, value)| self.arguments[register] != value)
    }
}

fn arguments_from(registers: &[u64]) -> [u64; 8] {
    let mut arguments = [0; 8];
    arguments[..registers.len()].copy_from_slice(registers);
    arguments
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = match (self.hypercall, self.reserved()) {
            (_, Some((register, _))) => register,
            (Hypercall::HypIdentify, _) => 0,
            (Hypercall::VcpuPoweroff, _) => 2,
            _ => 4,
        };
        match self.hypercall.name() {
            Some(name) => f.write_str(name)?,
            None => write!(f, "hypercall {:#x}", self.hypercall.code())?,
        }
        for (index, argument) in self.arguments.iter().take(count).enumerate() {
            write!(f, "{}{argument:#x}", if index == 0 { "(" } else { ", " })?;
        }
        f.write_str(if count == 0 { "" } else { ")" })?;
        f.write_str(match self.form {
            Form::Native => "",
            Form::Smccc => " by SMCCC",
        })
    }
}

/// What a hypercall answers: x0..x7, unused ones 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer([u64; 8]);

impl Answer {
    /// No such call.
    pub const NOT_RECOGNISED: Self = Self([NOT_RECOGNISED, 0, 0, 0, 0, 0, 0, 0]);

    /// Success, with results from x1.
    #[must_use]
    pub fn ok(results: &[u64]) -> Self {
        let mut words = [0; 8];
        for (word, result) in words[1..].iter_mut().zip(results) {
            *word = *result;
        }
        Self(words)
    }

    /// A refusal; all results are 0.
    #[must_use]
    pub fn error(error: Error) -> Self {
        let mut words = [0; 8];
        words[0] = error.code().cast_unsigned();
        Self(words)
    }

    /// x0..x7.
    #[must_use]
    pub fn words(&self) -> &[u64; 8] {
        &self.0
    }
}

impl From<Result<Answer, Error>> for Answer {
    fn from(result: Result<Answer, Error>) -> Self {
        result.unwrap_or_else(Self::error)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Error::check(self.0[0]) {
            Ok(()) => f.write_str("OK")?,
            Err(Error::Unknown(word)) => write!(f, "{word:#x}")?,
            Err(error) => write!(f, "{error}")?,
        }
        let used = self.0.iter().rposition(|word| *word != 0).unwrap_or(0);
        self.0[1..=used.max(1)].iter().try_for_each(|word| write!(f, " {word:#x}"))
    }
}

/// All that a handler may touch.
pub struct Context<'a> {
    /// The machine's objects.
    pub objects: &'a mut Objects,
    /// The calling VM.
    pub vm: &'a mut Vm,
    /// Number of the calling vCPU.
    pub vcpu: usize,
    /// The machine's options.
    pub options: &'a Options,
    /// Trace class flags, one word for the machine.
    pub trace_flags: &'a mut u64,
    /// Random numbers for guests.
    pub random: &'a mut Random,
    /// Nanoseconds since the machine started.
    pub now: u64,
    /// The caller's memory.
    pub memory: &'a mut dyn GuestMemory,
    /// The virtual GICs.
    pub interrupts: &'a mut dyn VirtualInterrupts,
}

impl Context<'_> {
    fn find(
        &self,
        id: u64,
        wanted: ObjectType,
        rights: Rights,
    ) -> Result<crate::object::capability::Object, Error> {
        let found = self.vm.capabilities.find(id, wanted, rights);
        found.map_err(|error| {
            log::debug!("capability {}: {error:?}", CapabilityId(id));
            error.into()
        })
    }
}

impl From<LookupError> for Error {
    fn from(error: LookupError) -> Self {
        match error {
            LookupError::Undecodable => Self::ArgumentInvalid,
            LookupError::Null => Self::CspaceCapNull,
            LookupError::Revoked => Self::CspaceCapRevoked,
            LookupError::WrongType => Self::CspaceWrongObjectType,
            LookupError::InsufficientRights => Self::CspaceInsufficientRights,
        }
    }
}

/// Carries a call out.
pub fn dispatch(call: &Call, context: &mut Context<'_>) -> (Answer, Action) {
    if call.violates_reserved() {
        log::debug!("{call}: a reserved argument is set");
        if call.form == Form::Native {
            return (Answer::error(Error::ArgumentInvalid), Action::Resume);
        }
    }
    let [a0, a1, a2, a3, ..] = call.arguments;
    let mut action = Action::Resume;
    let result = match call.hypercall {
        Hypercall::HypIdentify => Ok(system::identify(context)),
        Hypercall::DoorbellSend => doorbell::send(context, a0, a1),
        Hypercall::DoorbellReceive => doorbell::receive(context, a0, a1),
        Hypercall::DoorbellReset => doorbell::reset(context, a0),
        Hypercall::DoorbellMask => doorbell::mask(context, a0, a1, a2),
        Hypercall::MsgqueueSend => message_queue::send(context, a0, a1, a2, a3),
        Hypercall::MsgqueueReceive => message_queue::receive(context, a0, a1, a2),
        Hypercall::MsgqueueFlush => message_queue::flush(context, a0),
        Hypercall::MsgqueueConfigureSend => message_queue::configure_send(context, a0, a1, a2),
        Hypercall::MsgqueueConfigureReceive => {
            message_queue::configure_receive(context, a0, a1, a2)
        }
        Hypercall::SchedulerYield => {
            action = Action::Yield;
            system::scheduler_yield(context, a0, a1)
        }
        Hypercall::TraceUpdateClassFlags => Ok(system::trace_update(context, a0, a1)),
        Hypercall::PrngGetEntropy => system::prng(context, a0),
        other => other::refuse(context, other, &call.arguments),
    };
    let answer = Answer::from(result);
    log::trace!("{call} = {answer}");
    (answer, action)
}

#[cfg(test)]
mod tests;
