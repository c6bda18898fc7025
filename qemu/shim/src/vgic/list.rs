//! List registers: what `ICH_LR<n>_EL2` holds, and which interrupts get one.

use super::bank::{BANK_SIZE, Bank, Groups, bits_of};

/// The most list registers the architecture has.
pub const MAX_LIST_REGISTERS: usize = 16;

/// ICH_HCR_EL2.En: the virtual CPU interface signals what the list registers hold.
pub const HCR_EN: u64 = 1 << 0;
/// ICH_HCR_EL2.LRENPIE: maintenance interrupt once the guest ends an interrupt that no list register holds.
pub const HCR_LRENPIE: u64 = 1 << 2;
/// ICH_HCR_EL2.NPIE: maintenance interrupt once no list register is pending.
pub const HCR_NPIE: u64 = 1 << 3;
/// ICH_HCR_EL2.EOIcount: how many interrupts the guest ended that no list register held.
pub const HCR_EOI_COUNT_SHIFT: u32 = 27;

const LR_PHYSICAL_SHIFT: u32 = 32;
const LR_PHYSICAL_MASK: u64 = 0x1FFF;
const LR_EOI: u64 = 1 << 41;
const LR_PRIORITY_SHIFT: u32 = 48;
const LR_GROUP1: u64 = 1 << 60;
const LR_HW: u64 = 1 << 61;
const LR_PENDING: u64 = 1 << 62;
const LR_ACTIVE: u64 = 1 << 63;

/// The value of one `ICH_LR<n>_EL2`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ListRegister(pub u64);

impl ListRegister {
    /// Encodes an interrupt that is pending, active, or both.
    pub fn new(interrupt: ListedInterrupt) -> Self {
        let mut value =
            u64::from(interrupt.intid) | u64::from(interrupt.priority) << LR_PRIORITY_SHIFT;
        for (set, bit) in [
            (interrupt.group1, LR_GROUP1),
            (interrupt.pending, LR_PENDING),
            (interrupt.active, LR_ACTIVE),
        ] {
            if set {
                value |= bit;
            }
        }
        value |= match interrupt.end {
            End::Silent => 0,
            End::Maintenance => LR_EOI,
            End::Physical(intid) => {
                LR_HW | (u64::from(intid) & LR_PHYSICAL_MASK) << LR_PHYSICAL_SHIFT
            }
        };
        Self(value)
    }

    /// The virtual INTID the guest acknowledges.
    pub fn intid(self) -> u32 {
        self.0 as u32
    }

    /// Whether the interrupt is pending, alone or besides being active.
    pub fn is_pending(self) -> bool {
        self.0 & LR_PENDING != 0
    }

    /// Whether the interrupt was taken and not yet deactivated.
    pub fn is_active(self) -> bool {
        self.0 & LR_ACTIVE != 0
    }

    /// Whether the register holds an interrupt at all.
    pub fn is_valid(self) -> bool {
        self.0 & (LR_PENDING | LR_ACTIVE) != 0
    }

    /// The priority, lower is more urgent.
    pub fn priority(self) -> u8 {
        (self.0 >> LR_PRIORITY_SHIFT) as u8
    }

    /// Whether the interrupt is in group 1 (IRQ), not in group 0 (FIQ).
    pub fn is_group1(self) -> bool {
        self.0 & LR_GROUP1 != 0
    }

    /// What happens when the guest deactivates the interrupt.
    pub fn end(self) -> End {
        if self.0 & LR_HW != 0 {
            End::Physical((self.0 >> LR_PHYSICAL_SHIFT & LR_PHYSICAL_MASK) as u16)
        } else if self.0 & LR_EOI != 0 {
            End::Maintenance
        } else {
            End::Silent
        }
    }
}

/// What to encode into a list register.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ListedInterrupt {
    /// The virtual INTID.
    pub intid: u32,
    /// The priority, lower is more urgent.
    pub priority: u8,
    /// Group 1 rather than group 0.
    pub group1: bool,
    /// Pending state.
    pub pending: bool,
    /// Active state.
    pub active: bool,
    /// What the guest's deactivation brings about.
    pub end: End,
}

/// What happens when the guest deactivates a listed interrupt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// Nothing more: edge-triggered interrupts.
    Silent,
    /// A maintenance interrupt, so that the line is looked at again: level-sensitive interrupts.
    Maintenance,
    /// The hardware deactivates this physical INTID.
    Physical(u16),
}

/// An interrupt that wants a list register.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Candidate {
    pub intid: u32,
    pub priority: u8,
}

/// The most urgent candidates met so far, as many as there are list registers.
#[derive(Debug)]
struct Ranking {
    places: [Candidate; MAX_LIST_REGISTERS],
    used: usize,
    seen: usize,
}

impl Ranking {
    fn new() -> Self {
        Self { places: [Candidate::default(); MAX_LIST_REGISTERS], used: 0, seen: 0 }
    }

    /// Enters a candidate, dropping the least urgent one beyond `limit`. Equals keep the order they come in.
    fn enter(&mut self, candidate: Candidate, limit: usize) {
        self.seen += 1;
        let places = self.places.get_mut(..limit).unwrap_or(&mut []);
        let ranked = places.get(..self.used).unwrap_or(&[]);
        let place = ranked.partition_point(|other| other.priority <= candidate.priority);
        if let Some(tail) = places.get_mut(place..) {
            tail.rotate_right(1.min(tail.len()));
            if let Some(slot) = tail.first_mut() {
                *slot = candidate;
            }
        }
        self.used = limit.min(self.used + 1);
    }

    fn first(&self, count: usize) -> &[Candidate] {
        self.places.get(..count.min(self.used)).unwrap_or(&[])
    }
}

/// Which interrupts get the list registers of one vCPU.
///
/// Active ones come first, because the guest's EOI needs to find them, but one register is kept for
/// the most urgent pending interrupt, since that may preempt all of them.
#[derive(Debug)]
pub(super) struct Selection {
    active: Ranking,
    pending: Ranking,
    limit: usize,
}

impl Selection {
    /// Begins a selection for `limit` list registers.
    pub fn new(limit: usize) -> Self {
        Self {
            active: Ranking::new(),
            pending: Ranking::new(),
            limit: limit.min(MAX_LIST_REGISTERS),
        }
    }

    /// Enters the interrupts of a bank that begins with INTID `first`; `here` says which belong to this vCPU.
    pub fn enter_bank(
        &mut self,
        first: u32,
        bank: &Bank,
        groups: Groups,
        here: impl Fn(u32, bool) -> bool,
    ) {
        let waiting = bank.deliverable(groups) & !bank.listed;
        for bit in bits_of(waiting | bank.active & !bank.listed) {
            let active = bank.active & (1 << bit) != 0;
            if !here(bit, active) {
                continue;
            }
            let candidate = Candidate {
                intid: first + bit,
                priority: bank.priority.get(bit as usize).copied().unwrap_or(0),
            };
            let ranking = if active { &mut self.active } else { &mut self.pending };
            ranking.enter(candidate, self.limit);
        }
    }

    /// The chosen interrupts, active ones first, each kind by urgency.
    pub fn chosen(&self) -> impl Iterator<Item = Candidate> {
        let (active, pending) = self.shares();
        let active = self.active.first(active).iter();
        active.chain(self.pending.first(pending)).copied()
    }

    /// The ICH_HCR_EL2 bits that bring the guest back once room for the rest is there.
    pub fn hcr(&self) -> u64 {
        let (active, pending) = self.shares();
        let mut hcr = HCR_EN;
        if self.pending.seen > pending {
            hcr |= HCR_NPIE;
        }
        if self.active.seen > active {
            hcr |= HCR_LRENPIE;
        }
        hcr
    }

    fn shares(&self) -> (usize, usize) {
        let reserved = usize::from(self.pending.seen > 0);
        let active = self.active.used.min(self.limit.saturating_sub(reserved));
        (active, self.pending.used.min(self.limit - active))
    }
}

/// Moves an interrupt's pending state from its bank into a list register.
pub(super) fn enlist(bank: &mut Bank, intid: u32, groups: Groups) -> ListRegister {
    let index = (intid % BANK_SIZE) as usize;
    let bit = 1 << index;
    let edge = bank.edge & bit != 0;
    let active = bank.active & bit != 0;
    let hw = if active { bank.hw_active } else { bank.hw_pending } & bit != 0;
    // Pending and active at once is for edges only: a level is looked at again after EOI, and with
    // HW set the architecture forbids it.
    let pending = if active {
        edge && !hw && bank.latch & bank.enabled & groups.mask(bank.group1) & bit != 0
    } else {
        true
    };
    if pending {
        bank.latch &= !bit;
        if hw {
            bank.hw_pending &= !bit;
        }
    }
    bank.listed |= bit;
    ListRegister::new(ListedInterrupt {
        intid,
        priority: bank.priority.get(index).copied().unwrap_or(0),
        group1: bank.group1 & bit != 0,
        pending,
        active,
        end: if hw {
            End::Physical(bank.physical.get(index).copied().unwrap_or(0))
        } else if edge {
            End::Silent
        } else {
            End::Maintenance
        },
    })
}

/// Moves an interrupt's state back from a list register (`was` at entry, `now` at exit) into its bank.
pub(super) fn delist(bank: &mut Bank, was: ListRegister, now: ListRegister, vcpu: usize) {
    let index = (was.intid() % BANK_SIZE) as usize;
    let bit = 1 << index;
    bank.listed &= !bit;
    bank.active &= !bit;
    if now.is_active() {
        bank.active |= bit;
        if let Some(holder) = bank.active_on.get_mut(index) {
            *holder = vcpu as u8;
        }
    }
    match was.end() {
        End::Physical(_) => {
            bank.hw_active &= !bit;
            if now.is_active() {
                bank.hw_active |= bit;
            } else if now.is_pending() {
                bank.hw_pending |= bit;
            }
        }
        // For a level this matters only if the guest makes it edge-triggered before taking it.
        End::Silent | End::Maintenance => {
            if now.is_pending() {
                bank.latch |= bit;
            }
        }
    }
    if was.is_pending() && !now.is_pending() {
        bank.soft &= !bit;
    }
}
