//! The producing side of a direction.

use super::copy;
use super::error::{Field, RingError};
use super::layout::{Mode, RECORD_HEADER, max_message, record_size};
use super::link::{Link, View};
use super::sync::{AtomicU64, Ordering};

/// The producing side: owns the head, reads the tail.
#[derive(Debug)]
pub(crate) struct Output {
    pub link: Link,
    /// The bytes of the word at the head that are already there.
    pub partial: u64,
}

impl Output {
    pub fn new(link: Link) -> Self {
        Self { link, partial: 0 }
    }

    /// The peer's index and the free bytes, where it is connected and the index is right.
    #[inline(always)]
    pub fn glance(&self, view: View<'_>) -> Option<(u32, u32)> {
        let tail = self.link.glance(view).ok()?;
        let head = self.link.index;
        // Words are stored whole, so one that is read in part is not free.
        let room = self.link.capacity.saturating_sub(head.wrapping_sub(tail & !7));
        let right = head.wrapping_sub(tail) <= head.wrapping_sub(self.link.other);
        right.then_some((tail, room))
    }

    /// Free bytes, or `None` without a peer.
    pub fn room(&mut self, view: View<'_>) -> Result<Option<u32>, RingError> {
        let Some(tail) = self.link.poll(view)? else {
            return Ok(None);
        };
        let head = self.link.index;
        let unread = head.wrapping_sub(tail);
        let misplaced = self.link.mode == Mode::Messages && !tail.is_multiple_of(8);
        if unread > head.wrapping_sub(self.link.other) || misplaced {
            return Err(self.link.fail(Field::Tail, tail));
        }
        self.link.other = tail;
        if self.link.peer_left() {
            return Err(self.link.peer_gone());
        }
        // Words are stored whole, so one that is read in part is not free.
        let used = head.wrapping_sub(tail & !7);
        Ok(Some(self.link.capacity.saturating_sub(used)))
    }

    /// Makes `bytes` more visible.
    #[inline(always)]
    pub fn advance(&mut self, view: View<'_>, bytes: u32) {
        self.link.index = self.link.index.wrapping_add(bytes);
        self.link.publish(view, self.unread());
    }

    /// Bytes that the consumer finds.
    #[inline(always)]
    pub fn unread(&self) -> u32 {
        self.link.index.wrapping_sub(self.link.other)
    }

    #[inline]
    pub fn write(&mut self, words: &[AtomicU64], bytes: &[u8]) -> Result<usize, RingError> {
        match self.write_plain(words, bytes) {
            Some(()) => Ok(bytes.len()),
            None => self.write_any(words, bytes),
        }
    }

    /// Writes where nothing is special: peer connected, room for all, a word to begin at, no end of the data area
    /// within.
    fn write_plain(&mut self, words: &[AtomicU64], bytes: &[u8]) -> Option<()> {
        let view = self.link.view(words).ok()?;
        if self.link.mode != Mode::Bytes {
            return None;
        }
        let (tail, room) = self.glance(view)?;
        let (first, run) = self.link.run();
        if bytes.is_empty()
            || bytes.len() > (room as usize).min(run * 8)
            || !self.link.index.is_multiple_of(8)
        {
            return None;
        }
        let places = self.link.words(view, first, run)?;
        self.partial = copy::store_run(places, bytes);
        self.link.wake(view);
        self.link.other = tail;
        self.advance(view, bytes.len() as u32);
        Some(())
    }

    #[inline(never)]
    fn write_any(&mut self, words: &[AtomicU64], bytes: &[u8]) -> Result<usize, RingError> {
        let view = self.link.view(words)?;
        self.expect(Mode::Bytes)?;
        self.link.wake(view);
        let room = self.room(view)?.unwrap_or(0);
        let bytes = bytes.get(..room as usize).unwrap_or(bytes);
        if !bytes.is_empty() {
            self.put(view, bytes)?;
        }
        Ok(bytes.len())
    }

    /// Writes bytes for which there is room.
    pub fn put(&mut self, view: View<'_>, bytes: &[u8]) -> Result<(), RingError> {
        let data = self.link.data(view)?;
        if self.link.index == 0 {
            self.partial = 0;
        }
        self.partial = copy::store(data, self.link.index, self.partial, bytes);
        self.advance(view, bytes.len() as u32);
        Ok(())
    }

    #[inline]
    pub fn try_send(&mut self, words: &[AtomicU64], message: &[u8]) -> Result<bool, RingError> {
        match self.send_plain(words, message) {
            Some(()) => Ok(true),
            None => self.send_any(words, message),
        }
    }

    /// Sends where nothing is special: peer connected, room enough, no end of the data area within.
    fn send_plain(&mut self, words: &[AtomicU64], message: &[u8]) -> Option<()> {
        let view = self.link.view(words).ok()?;
        if self.link.mode != Mode::Messages {
            return None;
        }
        let tail = self.link.glance(view).ok()?;
        let head = self.link.index;
        let unread = head.wrapping_sub(tail);
        if unread > head.wrapping_sub(self.link.other) || !tail.is_multiple_of(8) {
            return None;
        }
        let size = message.len().wrapping_add(7) & !7;
        let (first, run) = self.link.run();
        let (header, places) = self.link.words(view, first, run)?.split_first()?;
        if size + 8 > self.link.capacity.wrapping_sub(unread) as usize || size / 8 > places.len() {
            return None;
        }
        copy::store_run(places, message);
        header.store((message.len() as u64).to_le(), Ordering::Relaxed);
        self.link.wake(view);
        self.link.other = tail;
        self.advance(view, size as u32 + RECORD_HEADER);
        Some(())
    }

    #[inline(never)]
    fn send_any(&mut self, words: &[AtomicU64], message: &[u8]) -> Result<bool, RingError> {
        let view = self.link.view(words)?;
        self.expect(Mode::Messages)?;
        self.link.wake(view);
        let room = self.room(view)?;
        let size = self.record_size(message.len())?;
        if room.is_none_or(|room| room < size) {
            return Ok(false);
        }
        let head = self.link.index;
        let data = self.link.data(view)?;
        copy::store_word(data, head as usize / 8, message.len() as u64);
        copy::store(data, head.wrapping_add(RECORD_HEADER), 0, message);
        self.advance(view, size);
        Ok(true)
    }

    /// Bytes that a message takes in the ring.
    #[inline]
    fn record_size(&self, length: usize) -> Result<u32, RingError> {
        let limit = max_message(self.link.capacity);
        if length > limit {
            return Err(RingError::MessageTooLong { length, limit });
        }
        Ok(record_size(length as u32))
    }

    /// Announces a sleep until `length` more bytes, or a message of that length, may have room.
    pub fn sleep_for(&mut self, words: &[AtomicU64], length: usize) -> Result<bool, RingError> {
        self.room(self.link.view(words)?)?;
        let wanted = match self.link.mode {
            Mode::Messages => self.record_size(length)?,
            // More than half would only make the two sides take turns.
            Mode::Bytes => length.clamp(1, self.link.capacity as usize / 2) as u32,
        };
        self.sleep(words, wanted)
    }

    /// Announces a sleep until `wanted` bytes are free; `false` when they are.
    pub fn sleep(&mut self, words: &[AtomicU64], wanted: u32) -> Result<bool, RingError> {
        let view = self.link.view(words)?;
        self.link.sleep(view, wanted);
        let enough = match self.room(view) {
            Ok(room) => room.is_some_and(|room| room >= wanted),
            Err(error) => {
                self.link.wake(view);
                return Err(error);
            }
        };
        if enough {
            self.link.wake(view);
        }
        Ok(!enough)
    }

    pub fn free(&mut self, words: &[AtomicU64]) -> Result<Option<u32>, RingError> {
        let view = self.link.view(words)?;
        self.room(view)
    }

    /// Whether everything was read, be it by a peer that has left since.
    pub fn is_drained(&mut self, words: &[AtomicU64]) -> Result<bool, RingError> {
        let all_read = |link: &Link| link.other == link.index;
        match self.free(words) {
            Err(RingError::PeerGone) if all_read(&self.link) => Ok(true),
            Err(error) => Err(error),
            Ok(room) => Ok(room.is_some() && all_read(&self.link)),
        }
    }

    pub fn expect(&self, mode: Mode) -> Result<(), RingError> {
        if self.link.mode == mode { Ok(()) } else { Err(RingError::WrongMode) }
    }
}
