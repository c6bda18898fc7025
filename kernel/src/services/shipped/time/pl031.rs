//! The PL031, a real-time clock: one register that counts seconds.

use super::WallClock;
use core::ptr::NonNull;
use safe_mmio::{UniqueMmioPointer, field_shared, fields::ReadPure};

/// What is read of its registers (Arm DDI 0224, section 3.2).
#[repr(C)]
pub struct Registers {
    /// `RTCDR`, offset 0: seconds since 1 January 1970, UTC, as firmware has set it.
    data: ReadPure<u32>,
}

/// The clock.
pub struct Pl031(UniqueMmioPointer<'static, Registers>);

impl Pl031 {
    /// The clock with its registers at `base`; None if that is null.
    ///
    /// # Safety
    ///
    /// For as long as the kernel runs, the registers of a PL031 are mapped there as device memory,
    /// and nobody else uses them.
    pub unsafe fn new(base: usize) -> Option<Self> {
        let registers = NonNull::new(core::ptr::with_exposed_provenance_mut(base))?;
        // SAFETY: the caller's promise; the one register used is only ever read.
        Some(Self(unsafe { UniqueMmioPointer::new(registers) }))
    }
}

impl WallClock for Pl031 {
    fn seconds(&self) -> u64 {
        field_shared!(self.0, data).read().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_register_is_the_time() {
        let registers: &'static [u32; 8] = Box::leak(Box::new([0xffff_fffe, 1, 2, 3, 4, 5, 6, 7]));
        // SAFETY: memory that is there for ever, which reads as the registers would.
        let clock = unsafe { Pl031::new(registers.as_ptr().expose_provenance()) }.unwrap();
        assert_eq!(clock.seconds(), 0xffff_fffe);
        // SAFETY: nothing is made of a null pointer.
        assert!(unsafe { Pl031::new(0) }.is_none());
    }
}
