//! How a secondary VM's first vCPU starts, and what it finds.
//!
//! * EL1h, AArch64, DAIF masked, MMU and caches off (SCTLR_EL1 at reset, 0x30D0_0800). Registers other than x0 are undefined.
//! * x0 = IPA of the one merged device tree. Entry is byte 0 of the image: RM does not read an arm64 Image header, so the image
//!   begins with code and is position independent. Launchers put RAM at 0x8000_0000; take everything from x0 and `/memory`.
//! * `/memory` lists **all** accepted normal memory, shared buffers included: subtract `/reserved-memory`.
//! * CPACR_EL1 is at reset: enable FP/SIMD before using it.
//! * GICv3, system registers only, one security state (use group 1), 5 priority bits; distributor at 0x3FFF_0000 and redistributors
//!   below it unless the tree says otherwise. No LPIs.
//! * Virtual timer INTID 27, physical 30. Trust CNTFRQ_EL0, not the tree's `clock-frequency`.
//! * MMIO is emulated only for plain single-register loads and stores. An unmapped IPA gives a synchronous external abort.
//! * WFI traps and lets others run: an idle guest waits in WFI and never polls. Each GIC register access traps too.
//!
//! Ends: `SYSTEM_OFF`, `SYSTEM_RESET`, `SYSTEM_RESET2` by PSCI, or the RM request `VM_EXIT`. After a panic: `SET_CRASH_MSG`, then
//! `VM_EXIT` with code 1, then `SYSTEM_OFF`. A stored crash message makes later PSCI exits report code 1.

/// First INTID of hypervisor objects' vIRQs that have no fixed number.
pub const FIRST_VIRQ_INTID: u32 = 960;

/// Alignment a launcher gives the base of RAM, in bytes.
pub const MEMORY_BASE_ALIGNMENT: u64 = 0x20_0000;
