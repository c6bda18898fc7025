//! Where a VM's interrupt controller may be.

use alloc::vec::Vec;
use core::ops::Range;

use super::MachineError;
use crate::machine_file::{GicFrames, VmConfig};
use crate::vgic::Config;
use crate::vgic::affinity::MAX_VCPUS;
use crate::vgic::distributor::DISTRIBUTOR_SIZE;
use crate::vgic::redistributor::REDISTRIBUTOR_SIZE;

/// Frames begin at multiples of 64 KiB.
const ALIGNMENT: u64 = 0x1_0000;

/// Checks that the frames are where frames can be: one for each vCPU, apart from each other and from memory.
pub(super) fn check(config: &VmConfig) -> Result<(), MachineError> {
    let Some(frames) = config.gic else {
        return Ok(());
    };
    let refuse = || MachineError::Gic {
        vm: config.name.clone(),
        distributor: frames.distributor,
        redistributors: frames.redistributors,
        count: frames.count,
    };
    let memory = range(config.ram_base, config.ram_size).ok_or_else(refuse)?;
    let (distributor, redistributors) = ranges(&frames).ok_or_else(refuse)?;
    let apart = |a: &Range<u64>, b: &Range<u64>| a.end <= b.start || b.end <= a.start;
    let good = (config.vcpus..=MAX_VCPUS as u16).contains(&frames.count)
        && frames.distributor % ALIGNMENT == 0
        && frames.redistributors % ALIGNMENT == 0
        && apart(&distributor, &redistributors)
        && apart(&distributor, &memory)
        && apart(&redistributors, &memory);
    if good { Ok(()) } else { Err(refuse()) }
}

/// What a VM has at which guest physical addresses: RAM, interrupt controller, UARTs.
pub(super) fn taken(config: &VmConfig) -> Vec<Range<u64>> {
    let default = Config::gunyah(usize::from(config.vcpus), 1);
    let frames = config.gic.unwrap_or(GicFrames {
        distributor: default.gicd_base,
        redistributors: default.gicr_base,
        count: config.vcpus,
    });
    let uarts = config.uarts.iter().map(|uart| range(uart.base, uart.size));
    let mut taken: Vec<_> =
        uarts.chain([range(config.ram_base, config.ram_size)]).flatten().collect();
    if let Some((distributor, redistributors)) = ranges(&frames) {
        taken.extend([distributor, redistributors]);
    }
    taken
}

fn ranges(frames: &GicFrames) -> Option<(Range<u64>, Range<u64>)> {
    let size = u64::from(frames.count) * REDISTRIBUTOR_SIZE;
    Some((range(frames.distributor, DISTRIBUTOR_SIZE)?, range(frames.redistributors, size)?))
}

pub(super) fn range(start: u64, size: u64) -> Option<Range<u64>> {
    Some(start..start.checked_add(size)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(distributor: u64, redistributors: u64, count: u16) -> Result<(), MachineError> {
        let gic = Some(GicFrames { distributor, redistributors, count });
        let (ram_base, ram_size) = (0x4000_0000, 0x4000_0000);
        check(&VmConfig { ram_base, ram_size, vcpus: 2, gic, ..VmConfig::default() })
    }

    #[test]
    fn frames_of_real_machines() {
        assert_eq!(checked(0x800_0000, 0x80a_0000, 8), Ok(()));
        assert_eq!(checked(0x3fff_0000, 0x3ffb_0000, 2), Ok(()));
        assert_eq!(checked(0x8000_0000, 0x8001_0000, 128), Ok(()));
    }

    #[test]
    fn frames_that_cannot_be() {
        for (distributor, redistributors, count) in [
            (0x3fff_0000, 0x3ffb_0000, 1),
            (0x3fff_0000, 0x3000_0000, 129),
            (0x3fff_0000, 0x3ffb_0000, 3),
            (0x3fff_0000, 0x3ffb_1000, 2),
            (0x3fff_1000, 0x3ff0_0000, 2),
            (0x7fff_0000, 0x3ffb_0000, 2),
            (0x3ffb_0000, 0x3ffe_0000, 2),
            (u64::MAX - 0xffff, u64::MAX - 0xffff, 2),
        ] {
            let error = checked(distributor, redistributors, count).unwrap_err().to_string();
            assert!(error.contains(&alloc::format!("{distributor:#x}")), "{error}");
        }
    }
}
