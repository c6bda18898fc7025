//! A model of the GIC's virtual CPU interface, for guests' interrupt flows.

use std::collections::BTreeSet;

use crate::vgic::{
    Config, Vgic,
    list::{End, HCR_EOI_COUNT_SHIFT, HCR_LRENPIE, HCR_NPIE, ListRegister},
};

pub const GICD: u64 = 0x3FFF_0000;

/// Offsets in GICD and, at the SGI frame, in GICR.
pub const IGROUPR: u64 = 0x080;
pub const ISENABLER: u64 = 0x100;
pub const ICENABLER: u64 = 0x180;
pub const ISPENDR: u64 = 0x200;
pub const ICPENDR: u64 = 0x280;
pub const ISACTIVER: u64 = 0x300;
pub const ICACTIVER: u64 = 0x380;
pub const IPRIORITYR: u64 = 0x400;
pub const ICFGR: u64 = 0xC00;
pub const IROUTER: u64 = 0x6000;
pub const SGI_FRAME: u64 = 0x1_0000;

/// One vCPU's list registers and running priorities.
pub struct Interface {
    pub lrs: Vec<u64>,
    pub hcr: u64,
    /// Active interrupts, most urgent last, as (INTID, priority).
    pub running: Vec<(u32, u8)>,
}

/// A VM: its virtual GIC, the CPU interfaces, and the lines of level-sensitive sources.
pub struct Vm {
    pub vgic: Vgic,
    pub cpus: Vec<Interface>,
    /// INTIDs whose source still wants attention, for the pending check.
    pub wanting: BTreeSet<u32>,
    /// Physical INTIDs the hardware deactivated, or the hypervisor on request.
    pub deactivated: Vec<u32>,
    pub maintenances: usize,
}

impl Vm {
    /// A VM whose vCPUs are awake, with group 1 on and every interrupt in it.
    pub fn new(vcpus: usize, list_registers: usize) -> Self {
        let mut vm = Self::cold(vcpus, list_registers);
        vm.write(0x0000, 0x2);
        for word in 1..32 {
            vm.write(IGROUPR + 4 * word, 0xFFFF_FFFF);
        }
        for vcpu in 0..vcpus {
            vm.write_private(vcpu, 0x14, 0);
            vm.write_private(vcpu, SGI_FRAME + IGROUPR, 0xFFFF_FFFF);
        }
        vm
    }

    /// A VM right after reset.
    pub fn cold(vcpus: usize, list_registers: usize) -> Self {
        let mut vm = Self {
            vgic: Vgic::new(Config::gunyah(vcpus, list_registers)),
            cpus: Vec::new(),
            wanting: BTreeSet::new(),
            deactivated: Vec::new(),
            maintenances: 0,
        };
        for _ in 0..vcpus {
            vm.cpus.push(Interface { lrs: vec![0; list_registers], hcr: 0, running: Vec::new() });
        }
        for vcpu in 0..vcpus {
            vm.enter(vcpu);
        }
        vm
    }

    pub fn enter(&mut self, vcpu: usize) {
        let cpu = &mut self.cpus[vcpu];
        let wanting = &self.wanting;
        cpu.hcr =
            self.vgic.before_entry(vcpu, &mut cpu.lrs, |intid| Some(wanting.contains(&intid)));
        for other in 0..self.cpus.len() {
            for lr in self.valid(other) {
                let copies = (0..self.cpus.len())
                    .filter(|cpu| lr.intid() >= 32 || *cpu == other)
                    .flat_map(|cpu| self.valid(cpu))
                    .filter(|copy| copy.intid() == lr.intid());
                assert_eq!(copies.count(), 1, "INTID {} is listed twice", lr.intid());
                let linked = matches!(lr.end(), End::Physical(_));
                assert!(
                    !(linked && lr.is_active() && lr.is_pending()),
                    "HW with pending and active"
                );
            }
        }
    }

    pub fn exit(&mut self, vcpu: usize) {
        let cpu = &mut self.cpus[vcpu];
        self.vgic.after_exit(vcpu, &cpu.lrs, cpu.hcr);
        cpu.lrs.fill(0);
        cpu.hcr = 0;
    }

    /// Stops all vCPUs, lets the hypervisor do something, and lets them go on.
    pub fn during_exit<T>(&mut self, action: impl FnOnce(&mut Self) -> T) -> T {
        for vcpu in 0..self.cpus.len() {
            self.exit(vcpu);
        }
        let result = action(self);
        for vcpu in 0..self.cpus.len() {
            while let Some(physical) = self.vgic.take_release(vcpu) {
                self.deactivated.push(physical);
            }
            self.enter(vcpu);
        }
        result
    }

    pub fn write(&mut self, offset: u64, value: u32) {
        self.during_exit(|vm| vm.vgic.mmio_write(GICD + offset, 4, value.into()).unwrap());
    }

    pub fn read(&mut self, offset: u64) -> u32 {
        self.during_exit(|vm| vm.vgic.mmio_read(GICD + offset, 4).unwrap()) as u32
    }

    pub fn write_private(&mut self, vcpu: usize, offset: u64, value: u32) {
        let base = self.vgic.config().gicr_base + vcpu as u64 * 0x2_0000;
        self.during_exit(|vm| vm.vgic.mmio_write(base + offset, 4, value.into()).unwrap());
    }

    pub fn read_private(&mut self, vcpu: usize, offset: u64) -> u32 {
        let base = self.vgic.config().gicr_base + vcpu as u64 * 0x2_0000;
        self.during_exit(|vm| vm.vgic.mmio_read(base + offset, 4).unwrap()) as u32
    }

    /// Writes the bit of an SPI in an array of one bit an interrupt.
    pub fn write_bit(&mut self, array: u64, intid: u32) {
        self.write(array + u64::from(intid / 32 * 4), 1 << (intid % 32));
    }

    pub fn bit(&mut self, array: u64, intid: u32) -> bool {
        self.read(array + u64::from(intid / 32 * 4)) >> (intid % 32) & 1 != 0
    }

    pub fn set_edge(&mut self, intid: u32, edge: bool) {
        let offset = ICFGR + u64::from(intid / 16 * 4);
        let bit = 2 << (intid % 16 * 2);
        let old = self.read(offset);
        self.write(offset, if edge { old | bit } else { old & !bit });
    }

    pub fn set_priority(&mut self, intid: u32, priority: u8) {
        let ipa = GICD + IPRIORITYR + u64::from(intid);
        self.during_exit(|vm| vm.vgic.mmio_write(ipa, 1, priority.into()).unwrap());
    }

    /// Configures and enables an SPI.
    pub fn set_up(&mut self, intid: u32, edge: bool, priority: u8) {
        self.set_edge(intid, edge);
        self.set_priority(intid, priority);
        self.write_bit(ISENABLER, intid);
    }

    pub fn assert(&mut self, intid: u32) {
        self.during_exit(|vm| vm.vgic.assert(intid).unwrap());
    }

    fn valid(&self, vcpu: usize) -> Vec<ListRegister> {
        let lrs = self.cpus[vcpu].lrs.iter();
        lrs.map(|lr| ListRegister(*lr)).filter(|lr| lr.is_valid()).collect()
    }

    /// What the list registers hold, as (INTID, pending, active).
    pub fn listed(&self, vcpu: usize) -> Vec<(u32, bool, bool)> {
        let valid = self.valid(vcpu).into_iter();
        valid.map(|lr| (lr.intid(), lr.is_pending(), lr.is_active())).collect()
    }

    /// The guest reads ICC_IAR1_EL1: takes the most urgent pending interrupt that may preempt.
    pub fn ack(&mut self, vcpu: usize) -> Option<u32> {
        let cpu = &mut self.cpus[vcpu];
        let ceiling = cpu.running.last().map_or(0x100, |(_, priority)| u32::from(*priority));
        let pending = cpu.lrs.iter_mut().filter(|value| {
            let lr = ListRegister(**value);
            lr.is_pending() && !lr.is_active() && lr.is_group1()
        });
        let chosen = pending.min_by_key(|value| ListRegister(**value).priority())?;
        let lr = ListRegister(*chosen);
        if u32::from(lr.priority()) >= ceiling {
            return None;
        }
        *chosen = *chosen & !(1 << 62) | 1 << 63;
        cpu.running.push((lr.intid(), lr.priority()));
        self.settle(vcpu);
        Some(lr.intid())
    }

    /// The guest writes ICC_EOIR1_EL1 for what it took last (priority drop and deactivation in one).
    pub fn eoi(&mut self, vcpu: usize) -> Option<u32> {
        let cpu = &mut self.cpus[vcpu];
        let (intid, _) = cpu.running.pop()?;
        let held = cpu.lrs.iter_mut().find(|value| {
            let lr = ListRegister(**value);
            lr.is_active() && lr.intid() == intid
        });
        if let Some(value) = held {
            *value &= !(1 << 63);
            if let End::Physical(physical) = ListRegister(*value).end() {
                self.deactivated.push(physical.into());
            }
        } else {
            cpu.hcr += 1 << HCR_EOI_COUNT_SHIFT;
        }
        self.settle(vcpu);
        Some(intid)
    }

    /// Takes, ends and returns everything the vCPU would be interrupted by, in order.
    pub fn drain(&mut self, vcpu: usize) -> Vec<u32> {
        let mut taken = Vec::new();
        while let Some(intid) = self.ack(vcpu) {
            taken.push(intid);
            self.wanting.remove(&intid);
            self.eoi(vcpu);
            assert!(taken.len() < 5000, "interrupt storm: {:?}", &taken[..20]);
        }
        taken
    }

    /// Takes maintenance interrupts until there is none.
    fn settle(&mut self, vcpu: usize) {
        for _ in 0..20 {
            if !self.maintenance(vcpu) {
                return;
            }
            self.maintenances += 1;
            self.exit(vcpu);
            while let Some(physical) = self.vgic.take_release(vcpu) {
                self.deactivated.push(physical);
            }
            self.enter(vcpu);
        }
        panic!("maintenance storm");
    }

    fn maintenance(&self, vcpu: usize) -> bool {
        let cpu = &self.cpus[vcpu];
        let lrs = || cpu.lrs.iter().map(|lr| ListRegister(*lr));
        let ended = lrs().any(|lr| !lr.is_valid() && lr.end() == End::Maintenance);
        let none_pending = !lrs().any(|lr| lr.is_pending() && !lr.is_active());
        let unlisted = cpu.hcr >> HCR_EOI_COUNT_SHIFT != 0;
        ended
            || (cpu.hcr & HCR_NPIE != 0 && none_pending)
            || (cpu.hcr & HCR_LRENPIE != 0 && unlisted)
    }
}
