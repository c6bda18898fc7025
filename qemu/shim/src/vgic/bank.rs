//! State of 32 interrupts: one private bank a vCPU, 31 shared banks a VM.
//!
//! Every mask has one bit an INTID, lowest INTID in bit 0, just as the GIC's registers have them.

/// How many INTIDs one bank holds.
pub(super) const BANK_SIZE: u32 = 32;

/// The bits a GIC implements of each 8-bit priority: the upper five.
pub(super) const PRIORITY_MASK: u8 = 0xF8;

/// State of 32 consecutive INTIDs.
///
/// Callers pass masks of implemented INTIDs only.
#[derive(Clone, Debug)]
pub(super) struct Bank {
    /// INTIDs that exist: 1020 to 1023 do not.
    pub implemented: u32,
    /// INTIDs whose trigger the guest may choose; SGIs are always edge-triggered.
    pub configurable: u32,
    /// Forwarding enabled (ISENABLER, ICENABLER).
    pub enabled: u32,
    /// In group 1 rather than group 0 (IGROUPR).
    pub group1: u32,
    /// Configured edge-triggered rather than level-sensitive (ICFGR).
    pub edge: u32,
    /// An edge was seen and not yet taken. Counts only while edge-triggered, but is kept while level-sensitive.
    pub latch: u32,
    /// Set pending by ISPENDR while level-sensitive; taking the interrupt clears it.
    pub soft: u32,
    /// The source's line is high, as far as is known. Counts only while level-sensitive.
    pub line: u32,
    /// Held pending by SETSPI until CLRSPI. Counts only while level-sensitive.
    pub message: u32,
    /// Taken and not yet deactivated.
    pub active: u32,
    /// Present in some vCPU's list registers, where the hardware owns its pending and active bits.
    pub listed: u32,
    /// A physical interrupt was acknowledged for it and waits to be taken by the guest.
    pub hw_pending: u32,
    /// The active instance is backed by a physical interrupt which ends together with it.
    pub hw_active: u32,
    /// The physical interrupt behind it must be deactivated by the hypervisor.
    pub release: u32,
    /// Priorities, lower is more urgent.
    pub priority: [u8; BANK_SIZE as usize],
    /// The physical INTID behind it, meaningful where `hw_pending`, `hw_active` or `release` is set.
    pub physical: [u16; BANK_SIZE as usize],
    /// The vCPU that took the active instance.
    pub active_on: [u8; BANK_SIZE as usize],
}

impl Bank {
    /// The private bank of a vCPU: SGIs 0 to 15, edge-triggered for good, and PPIs 16 to 31.
    pub fn private() -> Self {
        Self { edge: 0x0000_FFFF, configurable: 0xFFFF_0000, ..Self::shared(u32::MAX) }
    }

    /// A bank of SPIs at reset: disabled, group 0, level-sensitive, priority 0.
    pub fn shared(implemented: u32) -> Self {
        Self {
            implemented,
            configurable: u32::MAX,
            enabled: 0,
            group1: 0,
            edge: 0,
            latch: 0,
            soft: 0,
            line: 0,
            message: 0,
            active: 0,
            listed: 0,
            hw_pending: 0,
            hw_active: 0,
            release: 0,
            priority: [0; BANK_SIZE as usize],
            physical: [0; BANK_SIZE as usize],
            active_on: [0; BANK_SIZE as usize],
        }
    }

    /// Returns to the reset state. Physical interrupts that were held for the guest are to be released.
    pub fn reset(&mut self) {
        let release = self.release | self.hw_pending | self.hw_active;
        *self = Self {
            release,
            physical: self.physical,
            ..if self.configurable == u32::MAX {
                Self::shared(self.implemented)
            } else {
                Self::private()
            }
        };
    }

    /// INTIDs which the guest sees as pending, apart from what list registers hold.
    pub fn pending(&self) -> u32 {
        (self.latch & self.edge)
            | ((self.soft | self.line | self.message) & !self.edge)
            | self.hw_pending
    }

    /// INTIDs that are pending, enabled and in an enabled group.
    pub fn forwarded(&self, groups: Groups) -> u32 {
        self.pending() & self.enabled & groups.mask(self.group1)
    }

    /// INTIDs that could be signalled to a vCPU now.
    pub fn deliverable(&self, groups: Groups) -> u32 {
        self.forwarded(groups) & !self.active
    }

    /// Whether nothing in the bank can concern a list register.
    pub fn is_idle(&self) -> bool {
        self.pending() | self.active == 0
    }

    /// Notes an edge of the source; with `level`, its line is high as well.
    pub fn assert(&mut self, bits: u32, level: bool) {
        self.latch |= bits;
        if level {
            self.line |= bits;
        }
    }

    /// Follows the source's line; a rising line is an edge.
    pub fn set_line(&mut self, bits: u32, high: bool) {
        if high {
            self.latch |= bits & !self.line;
            self.line |= bits;
        } else {
            self.line &= !bits;
        }
    }

    /// Makes interrupts pending on the guest's own demand (ISPENDR).
    pub fn set_pending(&mut self, bits: u32) {
        self.latch |= bits & self.edge;
        self.soft |= bits & !self.edge;
    }

    /// Takes back pending states (ICPENDR); a high line stays pending.
    pub fn clear_pending(&mut self, bits: u32) {
        self.latch &= !bits;
        self.soft &= !bits;
        self.release |= self.hw_pending & bits;
        self.hw_pending &= !bits;
    }

    /// Makes interrupts pending by message (SETSPI).
    pub fn set_message(&mut self, bits: u32) {
        self.latch |= bits & self.edge;
        self.message |= bits & !self.edge;
    }

    /// Takes back what a message made pending (CLRSPI).
    pub fn clear_message(&mut self, bits: u32) {
        self.latch &= !(bits & self.edge);
        self.message &= !bits;
    }

    /// Ends active states by software; backing physical interrupts are to be released.
    pub fn deactivate(&mut self, bits: u32) {
        self.active &= !bits;
        self.release |= self.hw_active & bits;
        self.hw_active &= !bits;
    }

    /// Takes the next physical INTID to deactivate.
    pub fn take_release(&mut self) -> Option<u32> {
        let bit = bits_of(self.release).next()?;
        self.release &= !(1 << bit);
        self.physical.get(bit as usize).map(|intid| u32::from(*intid))
    }

    /// Asks the sources of level-sensitive INTIDs with a high line whether it still is.
    ///
    /// `first` is the INTID of bit 0. `None` means that the source has no opinion.
    pub fn recheck_lines(
        &mut self,
        first: u32,
        mut still_pending: impl FnMut(u32) -> Option<bool>,
    ) {
        for bit in bits_of(self.line & !self.edge) {
            if still_pending(first + bit) == Some(false) {
                self.line &= !(1 << bit);
            }
        }
    }
}

/// Which interrupt groups the distributor forwards.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Groups {
    /// Group 0, signalled as FIQ.
    pub group0: bool,
    /// Group 1, signalled as IRQ.
    pub group1: bool,
}

impl Groups {
    /// INTIDs of a bank whose group is enabled, given which of them are in group 1.
    pub fn mask(self, group1: u32) -> u32 {
        (if self.group0 { !group1 } else { 0 }) | (if self.group1 { group1 } else { 0 })
    }
}

/// The positions of the bits that are set, lowest first.
pub(super) fn bits_of(mut mask: u32) -> impl Iterator<Item = u32> {
    core::iter::from_fn(move || {
        if mask == 0 {
            return None;
        }
        let bit = mask.trailing_zeros();
        mask &= mask - 1;
        Some(bit)
    })
}
