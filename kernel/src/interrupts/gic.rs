//! The GICv3: programming what the device tree names, and dispatch.
//!
//! Only interrupts in use are programmed: each access to the distributor traps and costs the
//! hypervisor some two thousand instructions. Acknowledge and end of interrupt are system
//! registers that do not trap.
//!
//! All are in group 1: Gunyah's virtual GIC has one security state (`GICD_CTLR.DS`), in which
//! group 0 would be FIQs. Whether an interrupt is edge or level is set before it is enabled, since
//! a Gunyah queue interrupt left at its reset value, level, fires without end.

use super::{
    Handler, Outcome, STORM, Table, Taken, Usage,
    affinity::{self, Affinity, Redistributor},
};
use crate::{
    dt::{Gic, Interrupt, Trigger},
    run::RUN_QUEUE,
    trace::BILLY_TRACE,
};
use alloc::vec::Vec;
use arm_gic::{
    IntId, InterruptGroup,
    gicv3::{
        GicCpuInterface, GicError, GicV3, Group,
        registers::{Gicd, GicdCtlr, GicrSgi},
    },
};
use core::{
    arch::asm,
    cell::RefCell,
    ptr::NonNull,
    sync::atomic::{AtomicU64, Ordering},
};
use critical_section::{CriticalSection, Mutex};
use safe_mmio::{UniqueMmioPointer, field_shared};
use thiserror::Error;

/// One priority for all: there is no preemption.
const PRIORITY: u8 = 0x80;

/// The interrupt controller refused something.
#[derive(Clone, Copy, Debug, Error)]
pub enum Error {
    /// The frames are not those of a GICv3.
    #[error("no GICv3 where the device tree says: {0}")]
    NotAGic(GicError),
    /// None of the redistributors is that of this CPU.
    #[error("no redistributor where the device tree says is for this CPU, affinity {0}")]
    NoRedistributor(Affinity),
    /// An interrupt could not be programmed.
    #[error("INTID {0} refused: {1}")]
    Interrupt(u32, GicError),
    /// No INTID of a GICv3 without extended ranges.
    #[error("there is no INTID {0}")]
    NoSuchInterrupt(u32),
    /// An interrupt that somebody has already.
    #[error(transparent)]
    Taken(#[from] Taken),
    /// The controller is not initialised.
    #[error("the GIC is not initialised")]
    NotReady,
}

static GIC: Mutex<RefCell<Option<GicV3<'static>>>> = Mutex::new(RefCell::new(None));
static TABLE: Mutex<RefCell<Table>> = Mutex::new(RefCell::new(Table::new()));
static SPURIOUS: AtomicU64 = AtomicU64::new(0);
static UNEXPECTED: AtomicU64 = AtomicU64::new(0);

/// Brings up the distributor and this CPU's part of the GIC; nothing is enabled yet.
///
/// # Errors
///
/// [`Error::NotAGic`], [`Error::NoRedistributor`].
///
/// # Safety
///
/// `gic` gives the frames of a GIC, mapped as device memory, and this is called once.
pub unsafe fn init(gic: &Gic) -> Result<(), Error> {
    let cpu = this_cpu();
    let read = |start: u64| {
        // SAFETY: the caller's promise; nothing else refers to the frames yet.
        let frames = unsafe { UniqueMmioPointer::new(NonNull::new(start as *mut GicrSgi)?) };
        let typer = field_shared!(field_shared!(frames, gicr), typer).read();
        Some(Redistributor {
            cpu: Affinity::of_mpidr(typer.core_mpidr()),
            is_last: typer.last_redistributor(),
            has_virtual_lpis: typer.virtual_lpis_supported(),
        })
    };
    let redistributor =
        affinity::redistributor(gic, cpu, read).ok_or(Error::NoRedistributor(cpu))?;
    let (Some(distributor), Some(redistributor)) = (
        NonNull::new(gic.distributor.start as *mut Gicd),
        NonNull::new(redistributor as *mut GicrSgi),
    ) else {
        return Err(Error::NotReady);
    };
    // SAFETY: the caller's promise.
    let distributor = unsafe { UniqueMmioPointer::new(distributor) };
    // SAFETY: likewise; to arm-gic this CPU, the only one that runs, is number 0.
    let mut gic = unsafe { GicV3::new(distributor, redistributor, 1) }.map_err(Error::NotAGic)?;
    gic.init_cpu(0);
    // With one security state affinity routing is bit 4 and group 1 bit 1.
    gic.gicd_set_control(GicdCtlr::ARE_S | GicdCtlr::EnableGrp1NS);
    GicCpuInterface::set_priority_mask(0xff);
    GicCpuInterface::enable_group1(true);
    critical_section::with(|cs| GIC.borrow_ref_mut(cs).replace(gic));
    Ok(())
}

/// Returns the affinity of this CPU.
pub fn this_cpu() -> Affinity {
    let mpidr: u64;
    // SAFETY: reads MPIDR_EL1, without side effects.
    unsafe { asm!("mrs {}, mpidr_el1", out(reg) mpidr, options(nomem, nostack, preserves_flags)) };
    Affinity::of_mpidr(mpidr)
}

/// Has `handler` called for `interrupt` from now on. It runs with interrupts masked, and must not
/// enable or disable any.
///
/// # Errors
///
/// The INTID has a handler already, or the GIC knows no such INTID.
pub fn enable(interrupt: Interrupt, name: &'static str, handler: Handler) -> Result<(), Error> {
    critical_section::with(|cs| {
        let mut gic = GIC.borrow_ref_mut(cs);
        let gic = gic.as_mut().ok_or(Error::NotReady)?;
        let mut table = TABLE.borrow_ref_mut(cs);
        table.add(interrupt, name, handler)?;
        program(gic, interrupt).inspect_err(|_| drop(table.remove(interrupt.intid)))
    })
}

/// Has nothing called for an interrupt any more, and drops its handler. One that was on its way
/// may still come, and is counted as unexpected.
///
/// # Errors
///
/// The GIC knows no such INTID.
pub fn disable(intid: u32) -> Result<(), Error> {
    let handler = critical_section::with(|cs| {
        turn_off(intid, cs)?;
        Ok::<_, Error>(TABLE.borrow_ref_mut(cs).remove(intid))
    })?;
    // Outside of the critical section, since it may own much.
    drop(handler);
    Ok(())
}

fn turn_off(intid: u32, cs: CriticalSection<'_>) -> Result<(), Error> {
    let id = int_id(intid)?;
    let mut gic = GIC.borrow_ref_mut(cs);
    let gic = gic.as_mut().ok_or(Error::NotReady)?;
    let cpu = id.is_private().then_some(0);
    gic.enable_interrupt(id, cpu, false).map_err(|error| Error::Interrupt(intid, error))
}

fn program(gic: &mut GicV3<'_>, interrupt: Interrupt) -> Result<(), Error> {
    let Interrupt { intid, trigger } = interrupt;
    let id = int_id(intid)?;
    let trigger = match trigger {
        Trigger::Edge => arm_gic::Trigger::Edge,
        Trigger::Level => arm_gic::Trigger::Level,
    };
    let cpu = id.is_private().then_some(0);
    let mut set = || {
        gic.set_trigger(id, cpu, trigger)?;
        gic.set_group(id, cpu, Group::Group1NS)?;
        gic.set_interrupt_priority(id, cpu, PRIORITY)?;
        if !id.is_private() {
            // The architecture leaves the reset value of the route open: to this CPU.
            gic.distributor().set_routing(id, Some(this_cpu().route()))?;
        }
        gic.enable_interrupt(id, cpu, true)
    };
    set().map_err(|error| Error::Interrupt(intid, error))
}

fn int_id(intid: u32) -> Result<IntId, Error> {
    match intid {
        0..16 => Ok(IntId::sgi(intid)),
        16..32 => Ok(IntId::ppi(intid - 16)),
        32..1020 => Ok(IntId::spi(intid - 32)),
        _ => Err(Error::NoSuchInterrupt(intid)),
    }
}

/// Handles an interrupt that was signalled.
///
/// # Safety
///
/// Interrupts are masked: this is the interrupt vector, or whoever masked them.
pub unsafe fn dispatch() {
    // SAFETY: the caller's promise.
    if !unsafe { dispatch_pending() } {
        SPURIOUS.fetch_add(1, Ordering::Relaxed);
    }
}

/// Handles the interrupt that is pending, if there is one; returns whether there was.
///
/// # Safety
///
/// Interrupts are masked.
#[inline(always)]
pub unsafe fn dispatch_pending() -> bool {
    let Some(intid) = GicCpuInterface::get_and_acknowledge_interrupt(InterruptGroup::Group1) else {
        return false;
    };
    let number = u32::from(intid);
    BILLY_TRACE.interrupt(number);
    // SAFETY: interrupts are masked, by the caller's promise.
    let masked = unsafe { CriticalSection::new() };
    match TABLE.borrow_ref(masked).handle(number, || RUN_QUEUE.polls()) {
        Outcome::Handled => {}
        Outcome::Unexpected => unexpected(number),
        Outcome::Storm(usage) => stop_storm(usage, masked),
    }
    // SAFETY: writes ICC_EOIR1_EL1, once for each acknowledged interrupt; all are in group 1.
    unsafe { asm!("msr s3_0_c12_c12_1, {:x}", in(reg) u64::from(number), options(nostack)) };
    true
}

#[cold]
fn unexpected(intid: u32) {
    if UNEXPECTED.fetch_add(1, Ordering::Relaxed) == 0 {
        log::warn!(target: "irq", "unexpected INTID {intid}; further ones are only counted");
    }
}

/// Disables an interrupt that keeps all tasks from running. Its handler stays, and is never called.
#[cold]
fn stop_storm(usage: Usage, masked: CriticalSection<'_>) {
    let Usage { interrupt: Interrupt { intid, .. }, name, .. } = usage;
    let outcome = turn_off(intid, masked);
    log::error!(
        target: "irq",
        "INTID {intid} ({name}) came {STORM} times while no task ran: {}",
        if outcome.is_ok() { "disabled" } else { "cannot be disabled" }
    );
}

/// Sends software-generated interrupt `intid` (0 to 15) to this CPU.
pub fn interrupt_this_cpu(intid: u32) {
    let sgi = this_cpu().sgi(intid);
    // SAFETY: writes ICC_SGI1R_EL1: raises an interrupt of group 1, which has a handler or is counted.
    unsafe { asm!("msr s3_0_c12_c11_5, {}", "isb", in(reg) sgi, options(nostack)) };
}

/// Whether an interrupt is being handled, on whichever stack. Takes no lock.
pub fn is_handling() -> bool {
    const IDLE: u64 = 0xff;
    let set_up = critical_section::with(|cs| match GIC.borrow(cs).try_borrow() {
        Ok(gic) => gic.is_some(),
        Err(_) => false,
    });
    // Before that its registers may not be there to be read.
    set_up && {
        let running: u64;
        // SAFETY: reads ICC_RPR_EL1, the running priority, without side effects.
        unsafe { asm!("mrs {}, s3_0_c12_c11_3", out(reg) running, options(nomem, nostack)) };
        running & IDLE != IDLE
    }
}

/// Ends the interrupt `intid` if one is being handled: for the panic path, where a handler never
/// returns, and would keep all further interrupts, and with them the end of a wait, away.
pub fn end_last(intid: Option<u32>) {
    if let Some(intid) = intid.filter(|_| is_handling())
        && let Ok(id) = int_id(intid)
    {
        GicCpuInterface::end_interrupt(id, InterruptGroup::Group1);
    }
}

/// Takes what is pending and does nothing about it, for the panic path; a source that never rests
/// is left alone after a few times.
pub fn discard_pending() {
    const LIMIT: usize = 8;
    for _ in 0..LIMIT {
        let Some(id) = GicCpuInterface::get_and_acknowledge_interrupt(InterruptGroup::Group1)
        else {
            return;
        };
        GicCpuInterface::end_interrupt(id, InterruptGroup::Group1);
    }
}

/// All interrupts in use, by INTID.
pub fn usage() -> Vec<Usage> {
    let mut usage: Vec<_> = critical_section::with(|cs| TABLE.borrow_ref(cs).usage().collect());
    crate::sorted::sort_by_key(&mut usage, |usage| usage.interrupt.intid);
    usage
}

/// How many acknowledges found nothing, and how many interrupts had no handler.
pub fn stray() -> (u64, u64) {
    (SPURIOUS.load(Ordering::Relaxed), UNEXPECTED.load(Ordering::Relaxed))
}
