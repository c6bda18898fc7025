//! Which redistributor of the GIC is this CPU's, and how interrupts name a CPU.
//!
//! The boot CPU is the first one that may be used, which need not be number 0 of its VM.

use crate::dt::Gic;
use core::fmt;

/// Bytes of the frames of one redistributor; of one with virtual LPIs, twice as many.
const FRAMES: u64 = 0x2_0000;
/// Redistributors that are looked at in all: more than CPUs in any VM.
const MOST: usize = 1024;

/// The affinity of a CPU: four fields of a byte each, Aff3 the topmost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Affinity(u64);

impl Affinity {
    /// Takes the affinity out of a value of `MPIDR_EL1`.
    pub const fn of_mpidr(mpidr: u64) -> Self {
        Self(mpidr & 0xff_00ff_ffff)
    }

    /// The value of `GICD_IROUTER` that sends an SPI to this CPU.
    pub const fn route(self) -> u64 {
        self.0
    }

    /// The value of `ICC_SGI1R_EL1` that sends the SGI `intid`, 0 to 15, to this CPU.
    pub const fn sgi(self, intid: u32) -> u64 {
        let [aff0, aff1, aff2, _, aff3, ..] = self.0.to_le_bytes();
        let (range, target) = (aff0 >> 4, 1 << (aff0 & 0xf));
        (aff3 as u64) << 48
            | (range as u64) << 44
            | (aff2 as u64) << 32
            | (intid as u64 & 0xf) << 24
            | (aff1 as u64) << 16
            | target
    }
}

impl fmt::Display for Affinity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// What `GICR_TYPER` tells of a redistributor.
#[derive(Clone, Copy, Debug)]
pub struct Redistributor {
    /// Whose it is.
    pub cpu: Affinity,
    /// No other follows in its range.
    pub is_last: bool,
    /// It has the frames for virtual LPIs.
    pub has_virtual_lpis: bool,
}

/// Returns the address of the redistributor of `cpu`. `read` is asked, once each, for those before
/// it and for itself, unless there is only one.
pub fn redistributor(
    gic: &Gic,
    cpu: Affinity,
    mut read: impl FnMut(u64) -> Option<Redistributor>,
) -> Option<u64> {
    // Reading a register costs a trap.
    if let [range] = gic.redistributors.as_slice()
        && range.size < 2 * gic.redistributor_stride.max(FRAMES)
    {
        return Some(range.start);
    }
    let mut left = MOST;
    for range in &gic.redistributors {
        let mut start = range.start;
        while range.end().checked_sub(start)? >= FRAMES {
            left = left.checked_sub(1)?;
            let found = read(start)?;
            if found.cpu == cpu {
                return Some(start);
            }
            if found.is_last {
                break;
            }
            let own = if found.has_virtual_lpis { 2 * FRAMES } else { FRAMES };
            start = start.checked_add(gic.redistributor_stride.max(own))?.min(range.end());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dt::AddressRange;
    use std::collections::BTreeMap;

    /// Redistributors at these addresses, of these affinities; those of which `last` is true end
    /// their range.
    struct Frames(BTreeMap<u64, Redistributor>, Vec<u64>);

    impl Frames {
        fn new(list: &[(u64, u64, bool)]) -> Self {
            let of = |&(start, mpidr, is_last): &(u64, u64, bool)| {
                let cpu = Affinity::of_mpidr(mpidr);
                (start, Redistributor { cpu, is_last, has_virtual_lpis: false })
            };
            Self(list.iter().map(of).collect(), Vec::new())
        }

        fn find(&mut self, gic: &Gic, mpidr: u64) -> Option<u64> {
            self.1.clear();
            redistributor(gic, Affinity::of_mpidr(mpidr), |start| {
                self.1.push(start);
                Some(*self.0.get(&start).unwrap_or_else(|| panic!("nothing at {start:#x}")))
            })
        }
    }

    fn gic(redistributors: &[(u64, u64)], redistributor_stride: u64) -> Gic {
        let range = |&(start, size): &(u64, u64)| AddressRange { start, size };
        Gic {
            distributor: AddressRange { start: 0x3fff_0000, size: 0x1_0000 },
            redistributors: redistributors.iter().map(range).collect(),
            redistributor_stride,
        }
    }

    #[test]
    fn the_frames_are_those_of_this_cpu() {
        let gic = gic(&[(0x3ff9_0000, 0x6_0000)], FRAMES);
        let mut frames = Frames::new(&[
            (0x3ff9_0000, 0, false),
            (0x3ffb_0000, 1, false),
            (0x3ffd_0000, 2, true),
        ]);
        // Bit 31 of MPIDR_EL1 reads 1, bit 30 says that there is one CPU, bit 24 that it is slow.
        assert_eq!(frames.find(&gic, 0x8000_0000), Some(0x3ff9_0000));
        assert_eq!(frames.1, [0x3ff9_0000]);
        assert_eq!(frames.find(&gic, 0xc100_0001), Some(0x3ffb_0000));
        assert_eq!(frames.find(&gic, 0x8000_0002), Some(0x3ffd_0000));
        assert_eq!(frames.1, [0x3ff9_0000, 0x3ffb_0000, 0x3ffd_0000]);
        assert_eq!(frames.find(&gic, 0x8000_0100), None);
        assert_eq!(frames.find(&gic, 0x1_8000_0000), None);
    }

    #[test]
    fn ranges_end_with_the_last_frame_or_their_size() {
        let gic = gic(&[(0x1000_0000, 0xf6_0000), (0x2000_0000, 0x5_0000)], FRAMES);
        let mut frames = Frames::new(&[
            (0x1000_0000, 0, false),
            (0x1002_0000, 1, true),
            (0x2000_0000, 0x100, false),
            (0x2002_0000, 0xab_0012_3456, false),
        ]);
        assert_eq!(frames.find(&gic, 0xab_8012_3456), Some(0x2002_0000));
        assert_eq!(frames.1.len(), 4);
        assert_eq!(frames.find(&gic, 2), None);
    }

    #[test]
    fn frames_can_be_further_apart() {
        let list = [(0x1000_0000, 0, false), (0x1004_0000, 1, true)];
        let mut frames = Frames::new(&list);
        assert_eq!(frames.find(&gic(&[(0x1000_0000, 0x8_0000)], 0x4_0000), 1), Some(0x1004_0000));
        frames.0.values_mut().for_each(|frame| frame.has_virtual_lpis = true);
        assert_eq!(frames.find(&gic(&[(0x1000_0000, 0x8_0000)], FRAMES), 1), Some(0x1004_0000));
    }

    #[test]
    fn the_only_redistributor_is_not_asked() {
        let mut frames = Frames::new(&[]);
        assert_eq!(frames.find(&gic(&[(0x3ffd_0000, FRAMES)], FRAMES), 5), Some(0x3ffd_0000));
        assert_eq!(frames.find(&gic(&[(0x3ffd_0000, 0x4_0000)], 0x4_0000), 5), Some(0x3ffd_0000));
    }

    #[test]
    fn a_range_without_end_is_not_searched_without_end() {
        let mut reads = 0;
        let gic = gic(&[(0, u64::MAX)], FRAMES);
        let found = redistributor(&gic, Affinity::of_mpidr(7), |_| {
            reads += 1;
            Some(Redistributor {
                cpu: Affinity::of_mpidr(0),
                is_last: false,
                has_virtual_lpis: false,
            })
        });
        assert_eq!((found, reads), (None, MOST));
    }

    #[test]
    fn interrupts_name_this_cpu() {
        let cpu = Affinity::of_mpidr(0xab_c0cd_ef12);
        assert_eq!(cpu.route(), 0xab_00cd_ef12);
        assert_eq!(cpu.sgi(8), 0xab_10cd << 32 | 0x08ef_0004);
        assert_eq!(Affinity::of_mpidr(0x8000_0000).sgi(15), 0x0f00_0001);
        assert_eq!(Affinity::of_mpidr(0x8000_0001).sgi(8), 0x0800_0002);
        assert_eq!(cpu.to_string(), "0xab00cdef12");
    }
}
