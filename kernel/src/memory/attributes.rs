//! The descriptor bits of what is mapped: who may read, write and execute it.

use super::Kind;
use crate::memory::shared::Access;
use aarch64_paging::descriptor::El1Attributes;

/// Of memory that other VMs share: normal write-back, never executable.
pub fn shared(access: Access) -> El1Attributes {
    match access {
        Access::Read => attributes(Kind::Constant),
        Access::ReadWrite => attributes(Kind::Data),
    }
}

/// Of a range of the plan. Attribute index 0 is Device-nGnRE and 1 normal write-back, as the boot
/// code set `MAIR_EL1`.
pub fn attributes(kind: Kind) -> El1Attributes {
    let common = El1Attributes::VALID | El1Attributes::ACCESSED | El1Attributes::UXN;
    let normal = common | El1Attributes::ATTRIBUTE_INDEX_1 | El1Attributes::INNER_SHAREABLE;
    match kind {
        Kind::Code => normal | El1Attributes::READ_ONLY,
        Kind::Constant => normal | El1Attributes::READ_ONLY | El1Attributes::PXN,
        Kind::Data | Kind::Heap => normal | El1Attributes::PXN,
        Kind::Device => common | El1Attributes::ATTRIBUTE_INDEX_0 | El1Attributes::PXN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bits of a stage-1 descriptor (Arm ARM D8.3): valid, AP[2], SH[1:0], AF, PXN, UXN.
    const VALID: usize = 1;
    const READ_ONLY: usize = 1 << 7;
    const INNER_SHAREABLE: usize = 3 << 8;
    const ACCESSED: usize = 1 << 10;
    const PXN: usize = 1 << 53;
    const UXN: usize = 1 << 54;

    /// AttrIndx[2:0].
    const fn index(number: usize) -> usize {
        number << 2
    }

    const NORMAL: usize = VALID | ACCESSED | INNER_SHAREABLE | index(1);

    #[test]
    fn only_code_is_executable_and_it_is_read_only() {
        for (kind, bits) in [
            (Kind::Code, NORMAL | READ_ONLY | UXN),
            (Kind::Constant, NORMAL | READ_ONLY | PXN | UXN),
            (Kind::Data, NORMAL | PXN | UXN),
            (Kind::Heap, NORMAL | PXN | UXN),
            (Kind::Device, VALID | ACCESSED | index(0) | PXN | UXN),
        ] {
            assert_eq!(attributes(kind).bits(), bits, "{kind:?}");
        }
    }

    #[test]
    fn shared_memory_is_never_executable() {
        assert_eq!(shared(Access::Read).bits(), NORMAL | READ_ONLY | PXN | UXN);
        assert_eq!(shared(Access::ReadWrite).bits(), NORMAL | PXN | UXN);
    }
}
