//! Calls by SMCCC that are no hypercalls: discovery, PSCI and random numbers.
//!
//! Over `hvc` and `smc` alike. Paravirtualised time is not there, so it answers -1.

use core::fmt;

use gunyah_abi::hypercall::NOT_RECOGNISED;
use gunyah_abi::identity::{UID_OPEN_SOURCE, function};
use gunyah_abi::psci::{Function, ReturnCode, VERSION_1_1};

use crate::hypercall::Action;
use crate::machine_file::Options;
use crate::random::Random;
use crate::vm::{PowerState, Vm, VmEnd};

mod trng;

/// CPUs that the platform can have; MPIDRs of others map to no core.
pub const PLATFORM_CPUS: u64 = 8;

/// `PSCI_FEATURES` of `CPU_SUSPEND`: extended state id, platform coordinated.
const CPU_SUSPEND_FEATURES: u64 = 2;

/// x0..x3 after the call.
pub type Reply = [u64; 4];

/// A firmware call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirmwareCall {
    /// SMCCC function id.
    pub function: u32,
    /// x1..x3.
    pub arguments: [u64; 3],
}

impl fmt::Display for FirmwareCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.function {
            function::SMCCC_VERSION => Some("SMCCC_VERSION"),
            function::SMCCC_ARCH_FEATURES => Some("SMCCC_ARCH_FEATURES"),
            function::VENDOR_HYP_CALL_UID => Some("VENDOR_HYP_CALL_UID"),
            function::VENDOR_HYP_REVISION => Some("VENDOR_HYP_REVISION"),
            function::STANDARD_HYP_CALL_UID => Some("STANDARD_HYP_CALL_UID"),
            function::STANDARD_HYP_REVISION => Some("STANDARD_HYP_REVISION"),
            other => trng::name(other).or(Function::from(other).name()),
        };
        match name {
            Some(name) => f.write_str(name)?,
            None => write!(f, "SMCCC function {:#010x}", self.function)?,
        }
        let [x1, x2, x3] = self.arguments;
        write!(f, "({x1:#x}, {x2:#x}, {x3:#x})")
    }
}

/// Answers `call`, made by vCPU `vcpu` of `vm`.
pub fn answer(
    call: &FirmwareCall,
    vm: &mut Vm,
    vcpu: usize,
    options: &Options,
    random: &mut Random,
) -> (Reply, Action) {
    let [x1, ..] = call.arguments;
    let random_bits = || trng::answer(call.function, x1, random);
    if let Some(reply) = (!options.no_trng).then(random_bits).flatten() {
        return (reply, Action::Resume);
    }
    let reply = match call.function {
        function::SMCCC_VERSION => one(function::SMCCC_VERSION_1_3.into()),
        function::SMCCC_ARCH_FEATURES => match x1 as u32 {
            function::SMCCC_VERSION | function::SMCCC_ARCH_FEATURES => one(0),
            _ => one(NOT_RECOGNISED),
        },
        function::VENDOR_HYP_CALL_UID | function::STANDARD_HYP_CALL_UID => {
            UID_OPEN_SOURCE.map(u64::from)
        }
        function::VENDOR_HYP_REVISION => one(options.identify[0]),
        function::STANDARD_HYP_REVISION => one(1),
        _ if options.no_psci => one(NOT_RECOGNISED),
        _ => return psci(call, vm, vcpu),
    };
    (reply, Action::Resume)
}

fn one(value: u64) -> Reply {
    [value, 0, 0, 0]
}

fn psci(call: &FirmwareCall, vm: &mut Vm, vcpu: usize) -> (Reply, Action) {
    let [x1, x2, x3] = call.arguments;
    let mut action = Action::Resume;
    let result = match Function::from(call.function) {
        Function::PsciVersion => return (one(VERSION_1_1.into()), action),
        Function::PsciFeatures => return (one(features(x1 as u32)), action),
        Function::CpuSuspend
        | Function::CpuSuspend32
        | Function::CpuDefaultSuspend
        | Function::CpuDefaultSuspend32 => {
            action = Action::Wait;
            Ok(0)
        }
        Function::CpuOff => cpu_off(vm, vcpu).map(|()| {
            action = Action::VcpuOff;
            0
        }),
        Function::CpuOn | Function::CpuOn32 => cpu_on(vm, x1).map(|vcpu| {
            action = Action::StartVcpu { vcpu, entry: x2, context: x3 };
            0
        }),
        Function::AffinityInfo | Function::AffinityInfo32 => affinity_info(vm, x1, x2),
        Function::SystemOff => {
            action = Action::End(VmEnd::Off);
            Ok(0)
        }
        Function::SystemReset => {
            action = Action::End(VmEnd::Reset);
            Ok(0)
        }
        Function::SystemReset2 | Function::SystemReset2_32 => {
            action = Action::End(VmEnd::Reset2 { reset_type: x1 as u32, cookie: x2 });
            Ok(0)
        }
        Function::SetSuspendMode if x1 == 0 => Ok(0),
        Function::SetSuspendMode => Err(ReturnCode::InvalidParameters),
        Function::Unknown(_) => return (one(NOT_RECOGNISED), action),
    };
    let value = result.unwrap_or_else(|code| i64::from(code.code()));
    // An SMC32 call writes 32 bits.
    let value = match call.function >> 30 & 1 {
        0 => u64::from(value as u32),
        _ => value.cast_unsigned(),
    };
    (one(value), action)
}

fn features(asked: u32) -> u64 {
    match Function::from(asked) {
        Function::CpuSuspend | Function::CpuSuspend32 => CPU_SUSPEND_FEATURES,
        Function::Unknown(function::SMCCC_VERSION) => 0,
        Function::Unknown(_) => u64::from(ReturnCode::NotSupported.code() as u32),
        _ => 0,
    }
}

/// The core that an MPIDR names, if the platform can have it.
fn core_index(mpidr: u64) -> Result<usize, ReturnCode> {
    if mpidr < PLATFORM_CPUS { Ok(mpidr as usize) } else { Err(ReturnCode::InvalidParameters) }
}

fn cpu_on(vm: &mut Vm, mpidr: u64) -> Result<usize, ReturnCode> {
    let index = core_index(mpidr)?;
    let vcpu = vm.vcpus.get_mut(index);
    let vcpu = vcpu.ok_or(ReturnCode::InternalFailure)?;
    if vcpu.power == PowerState::On {
        return Err(ReturnCode::AlreadyOn);
    }
    vcpu.power = PowerState::On;
    Ok(index)
}

fn cpu_off(vm: &mut Vm, vcpu: usize) -> Result<(), ReturnCode> {
    let running = |vcpu: &&crate::vm::Vcpu| vcpu.power == PowerState::On;
    if vm.vcpus.iter().filter(running).count() <= 1 {
        return Err(ReturnCode::Denied);
    }
    let vcpu = vm.vcpus.get_mut(vcpu).ok_or(ReturnCode::Denied)?;
    vcpu.power = PowerState::Off;
    Ok(())
}

fn affinity_info(vm: &Vm, mpidr: u64, lowest_level: u64) -> Result<i64, ReturnCode> {
    let vcpu = vm.vcpus.get(core_index(mpidr)?);
    match vcpu.map(|vcpu| vcpu.power) {
        Some(PowerState::On) if lowest_level == 0 => Ok(0),
        Some(PowerState::Off) if lowest_level == 0 => Ok(1),
        _ => Err(ReturnCode::InvalidParameters),
    }
}

#[cfg(test)]
mod tests;
