//! The register arrays that distributor and SGI frame lay out alike.
//!
//! GICD and GICR_SGI have their per-interrupt registers at the same offsets; the latter has only
//! those of INTIDs 0 to 31. Both decode here and act on a bank.

use super::bank::{BANK_SIZE, Bank, PRIORITY_MASK};

/// GICD_IIDR and GICR_IIDR: implementer 0x070 (Qualcomm), product 'G'.
pub const IIDR: u32 = 0x4700_0070;
/// Offset of GICD_PIDR2 and GICR_PIDR2 in their 64 KiB frame.
pub(super) const PIDR2_OFFSET: u64 = 0xFFE8;
/// GICD_PIDR2 and GICR_PIDR2: architecture revision 3.
pub const PIDR2: u32 = 0x30;

/// What a register array holds about each interrupt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Field {
    Group,
    SetEnable,
    ClearEnable,
    SetPending,
    ClearPending,
    SetActive,
    ClearActive,
    Priority,
    Config,
}

/// A decoded access to one register of an array.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct ArrayAccess {
    /// Which array.
    pub field: Field,
    /// The INTID in the lowest bits of what is accessed.
    pub first: u32,
    /// How many INTIDs the access covers.
    count: u32,
}

impl ArrayAccess {
    /// Decodes an access at `offset` of the frame, or `None` if no array permits it there.
    ///
    /// Words only, but for priorities, which may be accessed by byte too.
    pub fn decode(offset: u64, size: u8) -> Option<Self> {
        let offset = u32::try_from(offset).ok()?;
        if !matches!(size, 1 | 4) || !offset.is_multiple_of(size.into()) {
            return None;
        }
        let (field, start, per_byte) = match offset {
            0x080..0x100 => (Field::Group, 0x080, 8),
            0x100..0x180 => (Field::SetEnable, 0x100, 8),
            0x180..0x200 => (Field::ClearEnable, 0x180, 8),
            0x200..0x280 => (Field::SetPending, 0x200, 8),
            0x280..0x300 => (Field::ClearPending, 0x280, 8),
            0x300..0x380 => (Field::SetActive, 0x300, 8),
            0x380..0x400 => (Field::ClearActive, 0x380, 8),
            0x400..0x800 => (Field::Priority, 0x400, 1),
            0xC00..0xD00 => (Field::Config, 0xC00, 4),
            _ => return None,
        };
        if size == 1 && field != Field::Priority {
            return None;
        }
        Some(Self { field, first: (offset - start) * per_byte, count: u32::from(size) * per_byte })
    }

    /// Reads the register from the bank that holds its INTIDs.
    pub fn read(self, bank: &Bank) -> u64 {
        let value = match self.field {
            Field::Group => bank.group1,
            Field::SetEnable | Field::ClearEnable => bank.enabled,
            Field::SetPending | Field::ClearPending => bank.pending(),
            Field::SetActive | Field::ClearActive => bank.active,
            Field::Priority => {
                let mut bytes = [0; 4];
                for (byte, priority) in bytes.iter_mut().zip(self.slots(&bank.priority)) {
                    *byte = *priority;
                }
                u32::from_le_bytes(bytes)
            }
            Field::Config => spread(bank.edge >> (self.first % BANK_SIZE)),
        };
        value.into()
    }

    /// Writes the register in the bank that holds its INTIDs.
    pub fn write(self, bank: &mut Bank, value: u64) {
        let value = value as u32;
        let bits = value & bank.implemented;
        match self.field {
            Field::Group => bank.group1 = bits,
            Field::SetEnable => bank.enabled |= bits,
            Field::ClearEnable => bank.enabled &= !bits,
            Field::SetPending => bank.set_pending(bits),
            Field::ClearPending => bank.clear_pending(bits),
            Field::SetActive => bank.active |= bits,
            Field::ClearActive => bank.deactivate(bits),
            Field::Priority => {
                let first = self.first % BANK_SIZE;
                for (bit, byte) in (first..first + self.count).zip(value.to_le_bytes()) {
                    if let Some(slot) = bank.priority.get_mut(bit as usize)
                        && bank.implemented & (1 << bit) != 0
                    {
                        *slot = byte & PRIORITY_MASK;
                    }
                }
            }
            Field::Config => {
                let shift = self.first % BANK_SIZE;
                let writable = bank.configurable & bank.implemented & (0xFFFF << shift);
                bank.edge = (bank.edge & !writable) | ((gather(value) << shift) & writable);
            }
        }
    }

    fn slots<'a>(&self, array: &'a [u8; BANK_SIZE as usize]) -> impl Iterator<Item = &'a u8> {
        array.iter().skip((self.first % BANK_SIZE) as usize).take(self.count as usize)
    }
}

/// Puts bit n of the lower 16 at bit 2n+1, where ICFGR has the trigger of its n-th interrupt.
fn spread(bits: u32) -> u32 {
    (0..16).fold(0, |word, n| word | ((bits >> n) & 1) << (2 * n + 1))
}

/// The inverse of [`spread`]; the even bits of ICFGR are reserved.
fn gather(word: u32) -> u32 {
    (0..16).fold(0, |bits, n| bits | ((word >> (2 * n + 1)) & 1) << n)
}
