//! The bytes of the ring, in a layout that a debugger can read.

use core::mem::offset_of;

/// The layout is fixed; [`super::LogRing`] documents it. All zero before the first byte, so that
/// it costs the image no space.
#[repr(C)]
pub(super) struct Contents<const N: usize> {
    pub(super) magic: [u8; 8],
    pub(super) size: u64,
    pub(super) written: u64,
    pub(super) bytes: [u8; N],
}

const _: () = {
    assert!(offset_of!(Contents<16>, magic) == 0);
    assert!(offset_of!(Contents<16>, size) == 8);
    assert!(offset_of!(Contents<16>, written) == 16);
    assert!(offset_of!(Contents<16>, bytes) == 24);
};

impl<const N: usize> Contents<N> {
    pub(super) const fn new() -> Self {
        assert!(N.is_power_of_two());
        Self { magic: [0; 8], size: 0, written: 0, bytes: [0; N] }
    }

    /// Bytes ever written.
    pub(super) const fn written(&self) -> u64 {
        self.written
    }

    /// Position of the oldest byte that is still there.
    pub(super) const fn oldest(&self) -> u64 {
        self.written.saturating_sub(N as u64)
    }

    /// Appends bytes; of more than `N` the last count.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        if self.size == 0 {
            self.magic = *b"BILLYLOG";
            self.size = N as u64;
        }
        let overtaken = bytes.len().saturating_sub(N);
        let position = self.written.wrapping_add(overtaken as u64);
        let (_, bytes) = bytes.split_at(overtaken);
        let start = Self::index(position);
        let (wrapped, ahead) = self.bytes.split_at_mut(start);
        let (first, second) = bytes.split_at(bytes.len().min(ahead.len()));
        for (target, source) in [(ahead, first), (wrapped, second)] {
            if let Some(target) = target.get_mut(..source.len()) {
                target.copy_from_slice(source);
            }
        }
        self.written = position.wrapping_add(bytes.len() as u64);
    }

    /// Copies bytes from `position` on, which must not be older than the oldest, to `buffer`.
    /// Returns how many there were and fitted.
    pub(super) fn copy(&self, position: u64, buffer: &mut [u8]) -> usize {
        let there = self.written.saturating_sub(position).min(N as u64) as usize;
        let len = there.min(buffer.len());
        let (buffer, _) = buffer.split_at_mut(len);
        let (wrapped, ahead) = self.bytes.split_at(Self::index(position));
        let (first, second) = buffer.split_at_mut(len.min(ahead.len()));
        for (target, source) in [(first, ahead), (second, wrapped)] {
            if let Some(source) = source.get(..target.len()) {
                target.copy_from_slice(source);
            }
        }
        len
    }

    /// The first position from `position` on where a line starts, or `position` if none does.
    pub(super) fn line_start(&self, position: u64) -> u64 {
        let before = position.wrapping_sub(1);
        if position == 0 || (before >= self.oldest() && self.byte(before) == b'\n') {
            return position;
        }
        let mut newline = (position..self.written).filter(|&place| self.byte(place) == b'\n');
        newline.next().map_or(position, |place| place + 1)
    }

    fn byte(&self, position: u64) -> u8 {
        self.bytes.get(Self::index(position)).copied().unwrap_or_default()
    }

    const fn index(position: u64) -> usize {
        position as usize & (N - 1)
    }
}
