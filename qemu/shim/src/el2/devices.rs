//! What surrounds the guest: interrupt controllers, serial line, time.

use super::{clock::Clock, gic, memory::CurrentRegime, stage2::AddressSpace, uart::SerialLine};
use billy_shim::{
    machine::Machine,
    machine_file::VmConfig,
    seam::{self, Virq, VirtualInterrupts, World},
    vgic::{Config, Vgic},
    vm::VmIndex,
};

/// How long the guest runs before others get their turn, in nanoseconds, even if it never waits.
const TIME_SLICE: u64 = 5_000_000;

/// Everything but the guest itself.
pub struct Devices {
    /// The guest's interrupt controller.
    pub vgic: Vgic,
    /// What the guest physical addresses reach.
    pub space: AddressSpace,
    /// The serial line.
    pub serial: SerialLine,
    /// Time.
    pub clock: Clock,
    /// The vCPU that runs.
    vcpu: usize,
    list: [u64; 16],
    list_registers: usize,
    slice_runs: bool,
}

/// The guest's interrupt controller, as hypervisor objects see it.
struct Sources<'a>(&'a mut Vgic);

impl VirtualInterrupts for Sources<'_> {
    fn assert(&mut self, virq: Virq) {
        report(self.0.assert(virq.intid));
    }

    fn assert_edge(&mut self, virq: Virq) {
        report(self.0.assert_edge(virq.intid));
    }

    fn clear(&mut self, virq: Virq) {
        report(self.0.set_level(virq.intid, false));
    }
}

fn report(result: Result<(), billy_shim::vgic::VgicError>) {
    if let Err(error) = result {
        log::warn!("{error}");
    }
}

impl Devices {
    /// Brings the hardware up.
    pub fn new(vm: &VmConfig, space: AddressSpace) -> Self {
        gic::init();
        let list_registers = gic::list_register_count();
        let config = match vm.gic {
            None => Config::gunyah(usize::from(vm.vcpus), list_registers),
            Some(frames) => Config {
                vcpus: usize::from(frames.count),
                list_registers,
                gicd_base: frames.distributor,
                gicr_base: frames.redistributors,
            },
        };
        Self {
            vgic: Vgic::new(config),
            space,
            serial: SerialLine::new(),
            clock: Clock::new(),
            vcpu: vm.boot_vcpu.into(),
            list: [0; 16],
            list_registers,
            slice_runs: false,
        }
    }

    /// Sees to it that the guest is interrupted at the end of its time slice.
    pub fn start_time_slice(&mut self) {
        if !self.slice_runs {
            self.slice_runs = true;
            self.clock.set_alarm(Some(seam::Clock::now(&self.clock) + TIME_SLICE));
        }
    }

    /// Has the shim woken at `deadline`, if there is one, while the guest waits.
    pub fn set_deadline(&mut self, deadline: Option<u64>) {
        self.slice_runs = false;
        self.clock.set_alarm(deadline);
    }

    /// Puts everything that the guest sees into its reset state.
    pub fn reset(&mut self) {
        self.vgic.reset();
        gic::reset_virtual_interface(self.list_registers);
        self.release();
        Clock::reset_virtual_counter();
    }

    /// Calls `action` with the edges that the machine reaches the world by.
    pub fn with_world<R>(&mut self, action: impl FnOnce(&mut World<'_>) -> R) -> R {
        action(&mut World {
            memory: &mut CurrentRegime,
            interrupts: &mut Sources(&mut self.vgic),
            stage2: &mut self.space,
            console: &mut self.serial,
            clock: &self.clock,
        })
    }

    /// Hands pending virtual interrupts to the hardware, before the guest runs.
    pub fn enter(&mut self, machine: &Machine) {
        let list = &mut self.list[..self.list_registers];
        let control = self.vgic.before_entry(self.vcpu, list, |intid| {
            Some(machine.is_source_pending(Virq { vm: VmIndex(0), intid }))
        });
        gic::write_list(list);
        gic::set_hypervisor_control(control);
    }

    /// Takes back what became of them, after the guest ran.
    pub fn leave(&mut self) {
        let list = &mut self.list[..self.list_registers];
        gic::read_list(list);
        self.vgic.after_exit(self.vcpu, list, gic::take_hypervisor_control());
        self.release();
    }

    fn release(&mut self) {
        while let Some(physical) = self.vgic.take_release(self.vcpu) {
            gic::deactivate_number(physical);
        }
    }

    /// Handles the physical interrupts that are pending. Returns whether there were any.
    pub fn take_interrupts(&mut self) -> bool {
        let mut any = false;
        while let Some(intid) = gic::acknowledge() {
            any = true;
            match intid {
                gic::VIRTUAL_TIMER | gic::PHYSICAL_TIMER => {
                    // Stays active until the guest deactivates it through its list register.
                    let number = u32::from(intid);
                    report(self.vgic.assert_hw(self.vcpu, number, number));
                    continue;
                }
                gic::UART => self.serial.on_interrupt(),
                gic::SHIM_TIMER => self.set_deadline(None),
                gic::MAINTENANCE => {}
                other => log::warn!("unexpected physical INTID {}", u32::from(other)),
            }
            gic::deactivate(intid);
        }
        any
    }

    /// Logs which interrupts end the guest's `wfi`.
    pub fn trace_pending(&self, count: u64) {
        let pending = self.vgic.snapshot(self.vcpu).filter(|i| i.enabled && i.pending && !i.active);
        for interrupt in pending {
            log::info!(target: "exit", "{count} wake {}", interrupt.intid);
        }
    }

    /// Whether the guest has an interrupt that ends its `wfi`.
    pub fn guest_is_woken(&self) -> bool {
        self.vgic.has_pending(self.vcpu)
    }
}
