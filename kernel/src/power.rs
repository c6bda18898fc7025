//! The ways out: PSCI system off, reset, and reset with a vendor code.
//!
//! Calls are those of Arm DEN 0022 (PSCI 1.1), by the conduit that the device tree names. A VM
//! without a virtual power manager has none of them; its end is asked of the Resource Manager.
//! Nothing here returns: who is refused by all waits with interrupts masked.

use crate::last_words;
use core::sync::atomic::{AtomicU8, Ordering};
use gunyah_abi::{psci::RESET2_VENDOR_TYPE, rm::exit_code};
use smccc::psci;

/// How PSCI is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Conduit {
    /// By `hvc #0`; also the guess where nothing is known yet.
    #[default]
    Hvc,
    /// By `smc #0`.
    Smc,
}

/// Ends that are no panic, with the number that SYSTEM_RESET2 carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Failure {
    /// The device tree cannot be used.
    DeviceTree = 1,
    /// Memory cannot be mapped as the tree describes it.
    Memory = 2,
    /// There is no hypervisor, or not one of the kind expected.
    Hypervisor = 3,
    /// The interrupt controller refused something.
    Interrupts = 4,
    /// A message queue cannot be as the device tree describes it.
    Queue = 5,
    /// Entered at EL2, where there is no hypervisor to be a guest of.
    NotAGuest = 6,
    /// A panic that the Resource Manager was not there to end, or did not.
    Panic = 7,
}

static CONDUIT: AtomicU8 = AtomicU8::new(Conduit::Hvc as u8);

/// Uses `conduit` from now on.
pub fn set_conduit(conduit: Conduit) {
    CONDUIT.store(conduit as u8, Ordering::Relaxed);
}

macro_rules! call {
    ($function:ident($($argument:expr),*)) => {
        if CONDUIT.load(Ordering::Relaxed) == Conduit::Smc as u8 {
            psci::$function::<smccc::Smc>($($argument),*)
        } else {
            psci::$function::<smccc::Hvc>($($argument),*)
        }
    };
}

/// Powers off: SYSTEM_OFF.
pub fn off() -> ! {
    let _ = call!(system_off());
    not_ended(exit_code::NORMAL, false)
}

/// Restarts: SYSTEM_RESET.
pub fn reset() -> ! {
    let _ = call!(system_reset());
    not_ended(exit_code::NORMAL, true)
}

/// Ends with a failure that is no panic: SYSTEM_RESET2 with a vendor code; off where that is not
/// implemented.
pub fn fail(failure: Failure) -> ! {
    let _ = call!(system_reset2(RESET2_VENDOR_TYPE | failure as u32, 0));
    let _ = call!(system_off());
    not_ended(exit_code::SOFTWARE_ERROR, false)
}

fn not_ended(code: u8, restart: bool) -> ! {
    last_words::ask_for_end(code, restart);
    halt()
}

/// Waits for ever, with interrupts masked.
pub fn halt() -> ! {
    crate::critical::mask();
    loop {
        crate::critical::wait_for_interrupt();
    }
}
