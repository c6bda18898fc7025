//! The guest's memory, seen through the guest's own translation.
//!
//! Hypercalls carry virtual addresses. Each page of a buffer is translated by the hardware through
//! both stages (`AT S12E1R`, `AT S12E1W`), so a buffer can only be memory that the guest itself
//! may read or write at EL1, and that stage 2 gives it.

use billy_shim::seam::{GuestFault, GuestMemory};
use core::arch::asm;

const PAGE: u64 = 4096;

/// Translates with the EL1 registers that are live in the hardware: those of the current vCPU.
pub struct CurrentRegime;

/// Translates `va` for a read or a write at EL1 into a physical address.
fn translate(va: u64, write: bool) -> Result<u64, GuestFault> {
    let par: u64;
    // SAFETY: address translation changes nothing but PAR_EL1, which is given back its value.
    unsafe {
        if write {
            asm!(
                "mrs {saved}, par_el1", "at s12e1w, {va}", "isb",
                "mrs {par}, par_el1", "msr par_el1, {saved}",
                saved = out(reg) _, va = in(reg) va, par = out(reg) par,
                options(nostack, preserves_flags)
            );
        } else {
            asm!(
                "mrs {saved}, par_el1", "at s12e1r, {va}", "isb",
                "mrs {par}, par_el1", "msr par_el1, {saved}",
                saved = out(reg) _, va = in(reg) va, par = out(reg) par,
                options(nostack, preserves_flags)
            );
        }
    }
    if par & 1 != 0 {
        return Err(GuestFault { address: va });
    }
    Ok(par & 0x000f_ffff_ffff_f000 | va & (PAGE - 1))
}

/// Splits `length` bytes at `va` into pieces that lie in one page each: offset, address, length.
fn pieces(va: u64, length: usize) -> impl Iterator<Item = (usize, u64, usize)> {
    let mut done = 0;
    core::iter::from_fn(move || {
        let rest = length - done;
        if rest == 0 {
            return None;
        }
        let address = va.wrapping_add(done as u64);
        let in_page = (PAGE - address % PAGE) as usize;
        let piece = (done, address, rest.min(in_page));
        done += piece.2;
        Some(piece)
    })
}

impl GuestMemory for CurrentRegime {
    fn read(&mut self, va: u64, buffer: &mut [u8]) -> Result<(), GuestFault> {
        for (offset, address, length) in pieces(va, buffer.len()) {
            let physical = translate(address, false)?;
            // SAFETY: both stages allow the guest this page, so it is RAM of the VM or a page that is
            // shared with it: identity mapped, and nothing of the shim has a reference to it.
            unsafe {
                core::ptr::copy_nonoverlapping(
                    physical as *const u8,
                    buffer[offset..].as_mut_ptr(),
                    length,
                );
            }
        }
        Ok(())
    }

    fn write(&mut self, va: u64, bytes: &[u8]) -> Result<(), GuestFault> {
        for (offset, address, length) in pieces(va, bytes.len()) {
            let physical = translate(address, true)?;
            // SAFETY: as for reading; the guest may write this page.
            unsafe {
                core::ptr::copy_nonoverlapping(
                    bytes[offset..].as_ptr(),
                    physical as *mut u8,
                    length,
                );
            }
        }
        Ok(())
    }
}
