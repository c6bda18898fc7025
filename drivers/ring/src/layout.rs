//! Where everything is in the buffer, in words of eight bytes, little endian.

/// The smallest buffer a ring is made in, in bytes: a page.
pub const MINIMUM_SIZE: usize = 4096;

/// The first four bytes of a line that somebody has written: `BRNG`.
pub const MAGIC: u32 = u32::from_le_bytes(*b"BRNG");

/// Version of the layout.
pub const VERSION: u16 = 1;

/// Bytes of a data area at most.
pub(crate) const MAXIMUM_CAPACITY: usize = 1 << 30;

/// Bytes of a control line, four of which the buffer begins with.
pub(crate) const LINE: usize = 64;

/// Words of a control line.
pub(crate) const LINE_WORDS: usize = LINE / 8;

/// Control lines; the data begins behind them.
pub(crate) const LINES: usize = 4;

/// Bytes before the data of a message.
pub(crate) const RECORD_HEADER: u32 = 8;

/// Bytes of a message of `length` with its header and padding.
pub(crate) const fn record_size(length: u32) -> u32 {
    (length.wrapping_add(7) & !7).wrapping_add(RECORD_HEADER)
}

/// Words of a line: magic, version and mode; capacity; indices and sessions; sleep.
pub(crate) const IDENTITY: usize = 0;
pub(crate) const CAPACITY: usize = 1;
pub(crate) const POSITION: usize = 2;
pub(crate) const SLEEP: usize = 3;

/// One of the two ends of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The VM with the lower VMID.
    First,
    /// The VM with the higher VMID.
    Second,
}

impl Side {
    /// The side of VM `own` on a ring it shares with VM `peer`.
    pub const fn of(own: u16, peer: u16) -> Self {
        if own < peer { Self::First } else { Self::Second }
    }
}

/// What goes through a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Mode {
    /// A stream of bytes.
    Bytes = 1,
    /// Messages with a length.
    Messages = 2,
}

/// What goes through each direction, as one side sees it. Both sides must say the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modes {
    /// Towards the other side.
    pub send: Mode,
    /// From the other side.
    pub receive: Mode,
}

impl Modes {
    /// Bytes both ways.
    pub const BYTES: Self = Self { send: Mode::Bytes, receive: Mode::Bytes };
    /// Messages both ways.
    pub const MESSAGES: Self = Self { send: Mode::Messages, receive: Mode::Messages };
}

/// Bytes of each of the two data areas in a buffer of `size` bytes: the greatest power of two of which two fit
/// behind the four lines. `None` below [`MINIMUM_SIZE`].
pub const fn capacity_of(size: usize) -> Option<u32> {
    if size < MINIMUM_SIZE {
        return None;
    }
    let half = (size - 4 * LINE) / 2;
    let half = if half < MAXIMUM_CAPACITY { half } else { MAXIMUM_CAPACITY };
    Some(1 << half.ilog2())
}

/// Bytes that a message can have in a data area of `capacity` bytes.
pub(crate) const fn max_message(capacity: u32) -> usize {
    capacity.saturating_sub(RECORD_HEADER) as usize
}

/// Where one direction is: the numbers of its lines, and the first word of its data.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub producer: usize,
    pub consumer: usize,
    pub data: usize,
}

/// The direction that `sender` produces into.
pub(crate) const fn place(sender: Side, capacity: u32) -> Place {
    let (line, area) = match sender {
        Side::First => (0, 0),
        Side::Second => (2, 1),
    };
    Place {
        producer: line,
        consumer: line + 1,
        data: LINES * LINE_WORDS + area * (capacity as usize / 8),
    }
}

/// An index with the session of who wrote it, and the session it has seen of the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub index: u32,
    pub session: u16,
    pub seen: u16,
}

impl Position {
    pub const fn from_word(word: u64) -> Self {
        let word = u64::from_le(word);
        Self { index: word as u32, session: (word >> 32) as u16, seen: (word >> 48) as u16 }
    }
}

/// Two u32 as they lie in memory: identity, capacity, sleep, record header.
pub(crate) const fn pair(low: u32, high: u32) -> u64 {
    (low as u64 | (high as u64) << 32).to_le()
}

/// Takes apart what [`pair`] makes.
pub(crate) const fn unpair(word: u64) -> (u32, u32) {
    let word = u64::from_le(word);
    (word as u32, (word >> 32) as u32)
}

/// Version and mode in the second half of a line's first word.
pub(crate) const fn identity(mode: Mode) -> u64 {
    pair(MAGIC, VERSION as u32 | (mode as u32) << 16)
}
