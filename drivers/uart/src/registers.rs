//! The registers of a UART: the seam between the drivers and the hardware.

use core::ptr::NonNull;
use safe_mmio::{UniqueMmioPointer, fields::ReadWrite};

/// Registers by their number: the n-th register of a 16550, the byte offset of a PL011's.
///
/// Every access is done as it is called, one by one, from tasks and interrupt handlers alike.
pub trait Registers {
    /// Loads a register.
    fn read(&self, number: usize) -> u32;

    /// Stores into a register; bits beyond its width are cut off.
    fn write(&self, number: usize, value: u32);
}

impl<R: Registers> Registers for &R {
    fn read(&self, number: usize) -> u32 {
        (*self).read(number)
    }

    fn write(&self, number: usize, value: u32) {
        (*self).write(number, value);
    }
}

/// How many bytes one register access moves (`reg-io-width`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Width {
    /// A byte: `ldrb`, `strb`.
    #[default]
    One,
    /// Two bytes: `ldrh`, `strh`.
    Two,
    /// Four bytes: `ldr`, `str`.
    Four,
}

impl Width {
    /// The width of `bytes` bytes: 1, 2 or 4.
    pub const fn of(bytes: u32) -> Option<Self> {
        match bytes {
            1 => Some(Self::One),
            2 => Some(Self::Two),
            4 => Some(Self::Four),
            _ => None,
        }
    }
}

/// Registers in memory.
#[derive(Debug)]
pub struct Mmio {
    base: NonNull<u8>,
    shift: u32,
    width: Width,
}

impl Mmio {
    /// The registers at `base`, `1 << shift` bytes apart (`reg-shift`); `None` if `base` is null or
    /// the shift larger than 3.
    ///
    /// The registers of a PL011 are numbered by their offset: their shift is 0.
    ///
    /// # Safety
    ///
    /// For as long as the value exists, there are the registers of a UART, mapped as device memory,
    /// with their usual number and with accesses of `width` at these distances inside the mapping;
    /// nobody else relies on their state.
    pub const unsafe fn new(base: usize, shift: u32, width: Width) -> Option<Self> {
        if shift > 3 {
            return None;
        }
        match NonNull::new(core::ptr::with_exposed_provenance_mut(base)) {
            Some(base) => Some(Self { base, shift, width }),
            None => None,
        }
    }

    fn register<T>(&self, number: usize) -> UniqueMmioPointer<'_, ReadWrite<T>> {
        // SAFETY: the drivers name registers that the UART has, which lie inside the mapping by the
        // promise given to `new`. An access is one instruction, so that overlapping uses by a task
        // and an interrupt handler are as good as one after the other.
        unsafe { UniqueMmioPointer::new(self.base.byte_add(number << self.shift).cast()) }
    }
}

// SAFETY: see `register`; the pointer is no more than an address.
unsafe impl Send for Mmio {}
// SAFETY: likewise.
unsafe impl Sync for Mmio {}

impl Registers for Mmio {
    fn read(&self, number: usize) -> u32 {
        match self.width {
            Width::One => self.register::<u8>(number).read().into(),
            Width::Two => self.register::<u16>(number).read().into(),
            Width::Four => self.register::<u32>(number).read(),
        }
    }

    fn write(&self, number: usize, value: u32) {
        match self.width {
            Width::One => self.register::<u8>(number).write(value as u8),
            Width::Two => self.register::<u16>(number).write(value as u16),
            Width::Four => self.register::<u32>(number).write(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shift_and_width_choose_the_bytes() {
        for (shift, width, touched) in [
            (0, Width::One, 5..6),
            (1, Width::Two, 10..12),
            (2, Width::One, 20..21),
            (2, Width::Four, 20..24),
            (3, Width::Four, 40..44),
        ] {
            let mut block = [0x1111_1111_1111_1111_u64; 8];
            let base = block.as_mut_ptr().expose_provenance();
            // SAFETY: eight registers of at most eight bytes.
            let registers = unsafe { Mmio::new(base, shift, width) }.unwrap();
            registers.write(5, 0xffff_ffff);
            let value = registers.read(5);
            let bytes: Vec<u8> = block.iter().flat_map(|word| word.to_le_bytes()).collect();
            for (place, byte) in bytes.iter().enumerate() {
                let expected = if touched.contains(&place) { 0xff } else { 0x11 };
                assert_eq!(*byte, expected, "byte {place} with shift {shift}, {width:?}");
            }
            assert_eq!(value, u32::MAX >> (32 - 8 * touched.len()));
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        // SAFETY: nothing is accessed.
        unsafe {
            assert!(Mmio::new(0, 0, Width::One).is_none());
            assert!(Mmio::new(0x3f8, 4, Width::One).is_none());
            assert!(Mmio::new(0x3f8, 0, Width::One).is_some());
        }
        assert_eq!(
            [1, 2, 3, 4, 8].map(Width::of).map(|w| w.is_some()),
            [true, true, false, true, false]
        );
    }
}
