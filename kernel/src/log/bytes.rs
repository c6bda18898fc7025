//! Byte counts for people.

use core::fmt;

/// Displays a number of bytes with one decimal in the largest fitting unit: `1.2 KiB`.
///
/// A whole number of units shows without decimal: `16 KiB` is exactly that, `16.0 KiB` about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bytes(pub usize);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(&str, u32); 6] =
            [("EiB", 60), ("PiB", 50), ("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
        let bytes = self.0 as u64;
        for (unit, shift) in UNITS {
            let size = 1u64 << shift;
            // What rounds up to a whole unit is shown in that unit: 1023.96 KiB is 1.0 MiB.
            if bytes < size - size / 20480 {
                continue;
            }
            let rest = bytes % size;
            if rest == 0 {
                return write!(f, "{} {unit}", bytes >> shift);
            }
            let tenths = (bytes >> shift) * 10 + ((rest * 10 + size / 2) >> shift);
            return write!(f, "{}.{} {unit}", tenths / 10, tenths % 10);
        }
        write!(f, "{bytes} B")
    }
}
