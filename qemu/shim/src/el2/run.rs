//! The run loop: run the guest until it stops, see why, do what follows.

use super::{
    counter,
    devices::Devices,
    gic,
    memory::CurrentRegime,
    stage2::AddressSpace,
    start::{GuestRam, StartError},
    vcpu::{self, Vcpu},
};
use billy_shim::{
    exit::{Access, Exit, ICC_SGI1R_EL1, SystemRegisterAccess},
    guest_log,
    hypercall::{Action, Registers},
    machine::{AfterEnd, Caller, Event, Machine, Outcome},
    machine_file::{MachineFile, VmConfig},
    vgic::{affinity, sgi::SgiRegister},
    vm::{VmEnd, VmIndex},
};
use core::arch::asm;

/// Stage 2 on; physical interrupts to EL2, virtual ones to EL1; WFI and SMC trap; EL1 is AArch64.
const HCR: u64 = 1 | 1 << 1 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 13 | 1 << 19 | 1 << 31;
/// What a Gunyah guest sees as its CPU's part number, and beside its affinity.
const VPIDR: u64 = 0xf0480;
const VMPIDR: u64 = 0x8000_0000;

/// Syndromes of exceptions given to the guest (Arm ARM D24.2.39).
const UNDEFINED: u64 = 1 << 25;
const DATA_EXTERNAL_ABORT: u64 = 0x25 << 26 | 1 << 25 | 0x10;
const INSTRUCTION_EXTERNAL_ABORT: u64 = 0x21 << 26 | 1 << 25 | 0x10;
const WRITE: u64 = 1 << 6;

/// A machine under way.
pub struct Run {
    machine: Machine,
    config: VmConfig,
    /// The VM that runs, and its vCPU.
    caller: Caller,
    ram: GuestRam,
    devices: Devices,
    vcpu: Vcpu,
}

impl Run {
    /// Makes the machine and loads its VM.
    pub fn new(file: &MachineFile) -> Result<Self, StartError> {
        log::set_max_level(file.options.log);
        let [config] = file.vms.as_slice() else {
            let vcpus = file.vms.first().map_or(0, |vm| vm.vcpus);
            return Err(StartError::TooMany { vms: file.vms.len(), vcpus });
        };
        // Those before the one that runs stay off.
        if config.vcpus != config.boot_vcpu.saturating_add(1) {
            return Err(StartError::TooMany { vms: 1, vcpus: config.vcpus });
        }
        let machine = Machine::new(file)?;
        let ram = GuestRam::new(config)?;
        let mut space = AddressSpace::new();
        space
            .map_memory(ram.ipa, ram.physical, ram.size)
            .map_err(|_| StartError::Memory { base: ram.ipa, size: ram.size })?;
        let caller = Caller { vm: VmIndex(0), vcpu: config.boot_vcpu.into() };
        confine_guest(affinity::mpidr(caller.vcpu));
        space.activate();
        let devices = Devices::new(config, space);
        let vcpu = Vcpu::new(config.entry, config.tree);
        let config = config.clone();
        let mut run = Self { machine, config, caller, ram, devices, vcpu };
        let machine = &mut run.machine;
        run.devices.with_world(|world| machine.start(world))?;
        run.load()?;
        Ok(run)
    }

    /// Puts the VM into its state at start.
    fn load(&mut self) -> Result<(), StartError> {
        // SAFETY: the VM does not run.
        unsafe { self.ram.load(&self.config.loads)? };
        self.vcpu = Vcpu::new(self.config.entry, self.config.tree);
        self.vcpu.reset_system_registers();
        self.devices.reset();
        if self.machine.options().trace_exits {
            counter::start();
        }
        log::info!(
            "VM {:#x} '{}' starts at {:#x}, device tree at {:#x}",
            self.config.vmid,
            self.config.name,
            self.config.entry,
            self.config.tree
        );
        Ok(())
    }

    /// Runs until the machine has an outcome.
    pub fn run_to_end(mut self) -> Result<Outcome, StartError> {
        let mut event = self.pump();
        loop {
            if let Some(event) = event.take() {
                match self.after(event)? {
                    Some(outcome) => return Ok(outcome),
                    None => continue,
                }
            }
            self.devices.start_time_slice();
            self.devices.enter(&self.machine);
            let exit = self.vcpu.run();
            self.devices.leave();
            if self.machine.options().trace_exits {
                self.trace(&exit);
            }
            event = self.handle(exit);
        }
    }

    /// Logs an exit with the instructions that the guest has executed until then.
    fn trace(&self, exit: &Exit) {
        let count = counter::instructions();
        let [x0, x1, x2, x3, ..] = self.vcpu.registers.x;
        let event = counter::Event::new(exit, [x0, x1, x2, x3], &mut CurrentRegime);
        log::info!(target: "exit", "{count} {event}");
    }

    fn handle(&mut self, exit: Exit) -> Option<Event> {
        let caller = self.caller;
        match exit {
            Exit::Hvc(immediate) => self
                .call(|machine, registers, world| machine.hvc(caller, immediate, registers, world)),
            Exit::Smc(_) => {
                self.vcpu.skip_instruction();
                self.call(|machine, registers, world| machine.smc(caller, registers, world))
            }
            Exit::Wait => {
                self.vcpu.skip_instruction();
                self.wait()
            }
            Exit::Interrupt => {
                self.devices.take_interrupts();
                self.pump()
            }
            Exit::Mmio(access) => {
                self.mmio(access);
                None
            }
            Exit::DataAbort { ipa } => {
                self.abort(DATA_EXTERNAL_ABORT, ipa);
                None
            }
            Exit::InstructionAbort { ipa } => {
                self.abort(INSTRUCTION_EXTERNAL_ABORT, ipa);
                None
            }
            Exit::SystemRegister(access) => {
                self.system_register(access);
                None
            }
            Exit::Unexpected { esr: u64::MAX } => panic!("SError or FIQ while the guest ran"),
            Exit::Unexpected { esr } => {
                log::debug!("trapped instruction, syndrome {esr:#x}: undefined for the guest");
                self.vcpu.inject(UNDEFINED, 0);
                None
            }
        }
    }

    /// Makes a call of the guest, and does what it asks for.
    fn call(
        &mut self,
        call: impl FnOnce(&mut Machine, &mut Registers, &mut billy_shim::seam::World<'_>) -> Action,
    ) -> Option<Event> {
        let (machine, vcpu) = (&mut self.machine, &mut self.vcpu);
        let mut registers: Registers = core::array::from_fn(|n| vcpu.registers.x[n]);
        let action = self.devices.with_world(|world| call(machine, &mut registers, world));
        vcpu.registers.x[..registers.len()].copy_from_slice(&registers);
        match action {
            Action::Resume => None,
            Action::Yield => self.pump(),
            Action::Wait => self.wait(),
            Action::End(end) => Some(Event::Ended(self.caller.vm, end)),
            // With one vCPU there is no other to start, and the last one is not let go.
            Action::StartVcpu { vcpu, .. } => {
                log::error!("vCPU {vcpu} cannot be started: one runs");
                None
            }
            Action::VcpuOff => self.wait(),
        }
    }

    /// Waits until there is an interrupt for the guest. Others get their work done meanwhile.
    fn wait(&mut self) -> Option<Event> {
        loop {
            self.devices.take_interrupts();
            if let Some(event) = self.pump() {
                return Some(event);
            }
            if self.devices.guest_is_woken() {
                if self.machine.options().trace_exits {
                    self.devices.trace_pending(counter::instructions());
                }
                return None;
            }
            self.devices.set_deadline(self.machine.deadline());
            // SAFETY: waits; a pending interrupt ends the wait, masked as it is at EL2.
            unsafe { asm!("dsb sy", "wfi", options(nostack)) };
        }
    }

    fn pump(&mut self) -> Option<Event> {
        let machine = &mut self.machine;
        self.devices.with_world(|world| machine.pump(world))
    }

    fn mmio(&mut self, access: Access) {
        let Access { ipa, register, write, .. } = access;
        let stored = write.then(|| self.vcpu.operand(register));
        match self.emulate(&access, stored) {
            Some(_) if write => self.vcpu.skip_instruction(),
            Some(loaded) => {
                self.vcpu.set_operand(register, access.extend(loaded));
                self.vcpu.skip_instruction();
            }
            None => self.abort(DATA_EXTERNAL_ABORT | if write { WRITE } else { 0 }, ipa),
        }
    }

    /// Carries out an access to a device; `None` if there is none.
    fn emulate(&mut self, access: &Access, stored: Option<u64>) -> Option<u64> {
        let Access { ipa, size, .. } = *access;
        let vgic = &mut self.devices.vgic;
        if vgic.frame(ipa).is_some() {
            return match stored {
                Some(value) => vgic.mmio_write(ipa, size, value).map(|()| 0),
                None => vgic.mmio_read(ipa, size),
            };
        }
        let (machine, caller) = (&mut self.machine, self.caller);
        self.devices.with_world(|world| machine.mmio(caller, ipa, stored, world))
    }

    fn system_register(&mut self, access: SystemRegisterAccess) {
        if access.register == ICC_SGI1R_EL1 && !access.read {
            let value = self.vcpu.operand(access.general);
            self.devices.vgic.send_sgi(self.caller.vcpu, SgiRegister::Sgi1r, value);
            self.vcpu.skip_instruction();
        } else {
            log::debug!("system register {:?} is undefined for the guest", access.register);
            self.vcpu.inject(UNDEFINED, 0);
        }
    }

    fn abort(&mut self, syndrome: u64, ipa: u64) {
        log::debug!("the guest touched IPA {ipa:#x}, where there is nothing");
        self.vcpu.inject(syndrome, vcpu::fault_address());
    }

    fn after(&mut self, event: Event) -> Result<Option<Outcome>, StartError> {
        let (vm, end): (VmIndex, VmEnd) = match event {
            Event::Finished(outcome) => return Ok(Some(self.report(outcome))),
            Event::Ended(vm, end) => (vm, end),
        };
        let machine = &mut self.machine;
        match self.devices.with_world(|world| machine.end(vm, end, world)) {
            AfterEnd::Finished(outcome) => Ok(Some(self.report(outcome))),
            AfterEnd::Restart => {
                let machine = &mut self.machine;
                self.devices.with_world(|world| machine.restart(vm, world));
                // SAFETY: the VM does not run.
                unsafe { self.ram.clear() };
                self.load()?;
                Ok(None)
            }
        }
    }

    fn report(&self, outcome: Outcome) -> Outcome {
        if self.machine.options().trace_exits {
            let bytes = self.ram.bytes_in_use();
            log::info!(target: "memory", "{bytes} bytes of guest memory are in use");
        }
        match &outcome {
            Outcome::Success => log::info!("the run ended well"),
            Outcome::Failure(reason) => {
                log::error!("the run failed: {reason}");
                self.report_guest_log();
            }
        }
        outcome
    }

    /// What the guest logged: the only thing it could do if it failed before it had a console.
    fn report_guest_log(&self) {
        let image = usize::try_from(self.config.entry.saturating_sub(self.ram.ipa)).unwrap_or(0);
        match guest_log::find(self.ram.bytes(), image) {
            Some(text) => {
                log::info!("the guest's log:");
                for line in text.lines() {
                    log::info!(target: "guest", "{line}");
                }
            }
            None => log::info!("no log in the guest's memory"),
        }
    }
}

/// Sets the traps that keep the guest in its place.
fn confine_guest(affinity: u64) {
    // SAFETY: EL2 registers that concern EL1 only.
    unsafe {
        asm!(
            "msr hcr_el2, {hcr}",
            "msr vpidr_el2, {vpidr}",
            "msr vmpidr_el2, {vmpidr}",
            "msr cnthctl_el2, {timers}",
            "msr hstr_el2, xzr",
            // All event counters may count at EL1 (MDCR_EL2.HPMN).
            "mrs {scratch}, pmcr_el0",
            "ubfx {scratch}, {scratch}, #11, #5",
            "msr mdcr_el2, {scratch}",
            "isb",
            hcr = in(reg) HCR,
            vpidr = in(reg) VPIDR,
            vmpidr = in(reg) VMPIDR | affinity,
            timers = in(reg) 3_u64,
            scratch = out(reg) _,
            options(nostack)
        );
    }
    gic::reset_virtual_interface(gic::list_register_count());
}
