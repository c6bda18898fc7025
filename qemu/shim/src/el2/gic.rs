//! The physical GIC: QEMU's interrupts, and the virtual CPU interface.
//!
//! A physical interrupt is acknowledged and its priority dropped at once (`EOImode` 1). Those of
//! the shim are deactivated when they were handled, the guest's timer by the guest itself,
//! through the hardware link in its list register.

use arm_gic::{
    IntId, InterruptGroup, Trigger,
    gicv3::{
        GicCpuInterface, GicV3, Group,
        registers::{Gicd, GicrSgi},
    },
};
use core::{arch::asm, ptr::NonNull};
use safe_mmio::UniqueMmioPointer;

/// Distributor of QEMU's `virt` machine.
const DISTRIBUTOR: usize = 0x0800_0000;
/// First redistributor of QEMU's `virt` machine.
const REDISTRIBUTOR: usize = 0x080a_0000;

/// The guest's virtual timer (INTID 27).
pub const VIRTUAL_TIMER: IntId = IntId::ppi(11);
/// The guest's physical timer (INTID 30).
pub const PHYSICAL_TIMER: IntId = IntId::ppi(14);
/// GIC maintenance (INTID 25).
pub const MAINTENANCE: IntId = IntId::ppi(9);
/// The shim's own timer, the EL2 physical timer (INTID 26).
pub const SHIM_TIMER: IntId = IntId::ppi(10);
/// The serial line (INTID 33).
pub const UART: IntId = IntId::spi(1);

/// Brings the GIC up for the shim's interrupts and the guest's timers.
pub fn init() {
    GicCpuInterface::enable_system_register_el2(true);
    // SAFETY: QEMU's virt machine has its distributor there, mapped as device memory by the entry
    // code, and this is the only driver instance.
    let distributor = unsafe {
        UniqueMmioPointer::new(NonNull::new(DISTRIBUTOR as *mut Gicd).expect("not null"))
    };
    let redistributors = NonNull::new(REDISTRIBUTOR as *mut GicrSgi).expect("not null");
    // SAFETY: likewise for the redistributor of the one CPU.
    let mut gic = unsafe { GicV3::new(distributor, redistributors, 1) }.expect("QEMU has a GICv3");
    gic.setup(0);
    for (intid, trigger) in [
        (VIRTUAL_TIMER, Trigger::Level),
        (PHYSICAL_TIMER, Trigger::Level),
        (MAINTENANCE, Trigger::Level),
        (SHIM_TIMER, Trigger::Level),
        (UART, Trigger::Level),
    ] {
        let cpu = intid.is_private().then_some(0);
        gic.set_group(intid, cpu, Group::Group1NS).expect("a valid INTID");
        gic.set_interrupt_priority(intid, cpu, 0x80).expect("a valid INTID");
        if !intid.is_private() {
            gic.set_trigger(intid, cpu, trigger).expect("a valid INTID");
        }
        gic.enable_interrupt(intid, cpu, true).expect("a valid INTID");
    }
    GicCpuInterface::set_priority_mask(0xff);
    GicCpuInterface::enable_group1(true);
    // SAFETY: ICC_CTLR_EL1.EOImode = 1; the virtual CPU interface in its reset state.
    unsafe {
        asm!(
            "msr icc_ctlr_el1, {eoi_mode}",
            "msr ich_vmcr_el2, xzr",
            "isb",
            eoi_mode = in(reg) 2_u64,
            options(nomem, nostack, preserves_flags)
        );
    }
}

/// Acknowledges the next pending physical interrupt and drops its priority.
pub fn acknowledge() -> Option<IntId> {
    let intid = GicCpuInterface::get_and_acknowledge_interrupt(InterruptGroup::Group1)?;
    GicCpuInterface::end_interrupt(intid, InterruptGroup::Group1);
    Some(intid)
}

/// Deactivates a physical interrupt, so that it can be taken again.
pub fn deactivate(intid: IntId) {
    deactivate_number(u32::from(intid));
}

/// Deactivates the physical interrupt with this INTID.
pub fn deactivate_number(intid: u32) {
    // SAFETY: ICC_DIR_EL1 of an interrupt that was acknowledged before.
    unsafe {
        asm!(
            "msr icc_dir_el1, {}",
            in(reg) u64::from(intid),
            options(nomem, nostack, preserves_flags)
        );
    }
}

/// How many list registers there are.
pub fn list_register_count() -> usize {
    let vtr: u64;
    // SAFETY: a read without side effects.
    unsafe { asm!("mrs {}, ich_vtr_el2", out(reg) vtr, options(nomem, nostack, preserves_flags)) };
    (vtr & 0x1f) as usize + 1
}

macro_rules! list_registers {
    ($($n:literal $name:literal),*) => {
        /// Reads the list registers into `image`.
        pub fn read_list(image: &mut [u64]) {
            for (n, value) in image.iter_mut().enumerate() {
                // SAFETY: the image is as long as there are list registers.
                unsafe {
                    match n {
                        $($n => asm!(
                            concat!("mrs {}, ", $name), out(reg) *value,
                            options(nomem, nostack, preserves_flags)
                        ),)*
                        _ => {}
                    }
                }
            }
        }

        /// Writes the list registers from `image`.
        pub fn write_list(image: &[u64]) {
            for (n, value) in image.iter().enumerate() {
                // SAFETY: the image is as long as there are list registers; what they hold
                // concerns the guest only.
                unsafe {
                    match n {
                        $($n => asm!(
                            concat!("msr ", $name, ", {}"), in(reg) *value,
                            options(nomem, nostack, preserves_flags)
                        ),)*
                        _ => {}
                    }
                }
            }
        }
    };
}

list_registers!(
    0 "ich_lr0_el2", 1 "ich_lr1_el2", 2 "ich_lr2_el2", 3 "ich_lr3_el2",
    4 "ich_lr4_el2", 5 "ich_lr5_el2", 6 "ich_lr6_el2", 7 "ich_lr7_el2",
    8 "ich_lr8_el2", 9 "ich_lr9_el2", 10 "ich_lr10_el2", 11 "ich_lr11_el2",
    12 "ich_lr12_el2", 13 "ich_lr13_el2", 14 "ich_lr14_el2", 15 "ich_lr15_el2"
);

/// Sets `ICH_HCR_EL2`, which turns the virtual CPU interface on, as the vGIC wants it.
pub fn set_hypervisor_control(value: u64) {
    // SAFETY: enables of the virtual CPU interface and its maintenance interrupt.
    unsafe {
        asm!("msr ich_hcr_el2, {}", "isb", in(reg) value, options(nomem, nostack, preserves_flags));
    }
}

/// Reads `ICH_HCR_EL2` and clears it, so that no maintenance interrupt comes while the guest is
/// out.
pub fn take_hypervisor_control() -> u64 {
    let value;
    // SAFETY: as above.
    unsafe {
        asm!(
            "mrs {}, ich_hcr_el2", "msr ich_hcr_el2, xzr", "isb", out(reg) value,
            options(nomem, nostack, preserves_flags)
        );
    }
    value
}

/// Puts the virtual CPU interface into its reset state.
pub fn reset_virtual_interface(lists: usize) {
    write_list(&[0; 16][..lists.min(16)]);
    // SAFETY: registers of the virtual CPU interface; the guest is not running.
    unsafe {
        asm!(
            "msr ich_vmcr_el2, xzr",
            "msr ich_ap1r0_el2, xzr",
            "msr ich_ap0r0_el2, xzr",
            "isb",
            options(nomem, nostack, preserves_flags)
        );
    }
}
