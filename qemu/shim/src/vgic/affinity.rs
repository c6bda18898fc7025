//! vCPU numbers and the affinities by which interrupts name them.
//!
//! Affinities are packed as in GICR_TYPER's upper half: Aff3, Aff2, Aff1, Aff0 from the top byte down.

/// How many vCPUs a VM can have at most.
pub const MAX_VCPUS: usize = 128;

/// vCPUs that share Aff1: as many as the target list of one SGI write can name.
const CLUSTER_SIZE: u32 = 16;

/// IROUTER's affinity bits; bit 31 (any vCPU) is not implemented.
const ROUTER_MASK: u64 = 0xFF_00FF_FFFF;

/// The packed affinity of a vCPU: Aff0 counts to 15, then Aff1 goes on.
pub fn of_vcpu(index: usize) -> u32 {
    let index = (index % MAX_VCPUS) as u32;
    ((index / CLUSTER_SIZE) << 8) | (index % CLUSTER_SIZE)
}

/// The vCPU a packed affinity names, if it is one of the first `vcpus`.
pub fn to_vcpu(affinity: u32, vcpus: usize) -> Option<usize> {
    let [aff0, aff1, aff2, aff3] = affinity.to_le_bytes();
    if aff3 != 0 || aff2 != 0 || u32::from(aff0) >= CLUSTER_SIZE {
        return None;
    }
    let index = usize::from(aff1) * CLUSTER_SIZE as usize + usize::from(aff0);
    (index < vcpus).then_some(index)
}

/// The affinity fields of a vCPU's MPIDR_EL1.
pub fn mpidr(index: usize) -> u64 {
    to_router(of_vcpu(index))
}

/// Unpacks to the layout of MPIDR_EL1 and IROUTER: Aff3 in bits 39:32.
pub(super) fn to_router(affinity: u32) -> u64 {
    u64::from(affinity & 0xFF00_0000) << 8 | u64::from(affinity & 0x00FF_FFFF)
}

/// Packs what was written to IROUTER.
pub(super) fn from_router(value: u64) -> u32 {
    let value = value & ROUTER_MASK;
    ((value >> 8) as u32 & 0xFF00_0000) | (value as u32 & 0x00FF_FFFF)
}
