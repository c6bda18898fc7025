//! The consuming side of a direction.

use super::copy;
use super::error::{Field, RingError};
use super::layout::{Mode, RECORD_HEADER, record_size};
use super::link::{Link, View};
use super::sync::{AtomicU64, Ordering};

/// The consuming side: owns the tail, reads the head.
#[derive(Debug)]
pub(crate) struct Input {
    pub link: Link,
}

impl Input {
    pub fn new(link: Link) -> Self {
        Self { link }
    }

    /// The peer's index and the bytes that can be read, where it is connected and the index is right.
    #[inline(always)]
    pub fn glance(&self, view: View<'_>) -> Option<(u32, u32)> {
        let head = self.link.glance(view).ok()?;
        let tail = self.link.index;
        let unread = head.wrapping_sub(tail);
        let right = unread <= self.link.capacity && unread >= self.link.other.wrapping_sub(tail);
        right.then_some((head, unread))
    }

    /// Bytes that can be read, or `None` without a peer.
    #[inline]
    pub fn available(&mut self, view: View<'_>) -> Result<Option<u32>, RingError> {
        let Some(head) = self.link.poll(view)? else {
            return Ok(None);
        };
        let tail = self.link.index;
        let unread = head.wrapping_sub(tail);
        let misplaced = self.link.mode == Mode::Messages && !head.is_multiple_of(8);
        if unread > self.link.capacity || unread < self.link.other.wrapping_sub(tail) || misplaced {
            return Err(self.link.fail(Field::Head, head));
        }
        self.link.other = head;
        if unread == 0 && self.link.peer_left() {
            return Err(self.link.peer_gone());
        }
        Ok(Some(unread))
    }

    /// Gives `bytes` back to the producer.
    #[inline(always)]
    pub fn advance(&mut self, view: View<'_>, bytes: u32) {
        self.link.index = self.link.index.wrapping_add(bytes);
        self.link.publish(view, self.free());
    }

    /// Bytes that the producer finds free.
    #[inline(always)]
    pub fn free(&self) -> u32 {
        self.link.capacity.saturating_sub(self.link.other.wrapping_sub(self.link.index))
    }

    #[inline]
    pub fn read(&mut self, words: &[AtomicU64], target: &mut [u8]) -> Result<usize, RingError> {
        match self.read_plain(words, target) {
            Some(length) => Ok(length),
            None => self.read_any(words, target),
        }
    }

    /// Reads where nothing is special: peer connected, nothing there or words that do not go around the end of the data
    /// area.
    fn read_plain(&mut self, words: &[AtomicU64], target: &mut [u8]) -> Option<usize> {
        let view = self.link.view(words).ok()?;
        if self.link.mode != Mode::Bytes {
            return None;
        }
        let (head, unread) = self.glance(view)?;
        if unread == 0 {
            self.link.wake(view);
            return Some(0);
        }
        let (first, run) = self.link.run();
        let length = target.len().min(unread as usize);
        if length == 0 || length > run * 8 || !self.link.index.is_multiple_of(8) {
            return None;
        }
        let places = self.link.words(view, first, run)?;
        copy::load_run(places, target.get_mut(..length)?);
        self.link.wake(view);
        self.link.other = head;
        self.advance(view, length as u32);
        Some(length)
    }

    #[inline(never)]
    fn read_any(&mut self, words: &[AtomicU64], target: &mut [u8]) -> Result<usize, RingError> {
        let view = self.link.view(words)?;
        self.expect(Mode::Bytes)?;
        self.link.wake(view);
        let available = self.available(view)?.unwrap_or(0) as usize;
        let length = available.min(target.len());
        let Some(target) = target.get_mut(..length).filter(|target| !target.is_empty()) else {
            return Ok(0);
        };
        copy::load(self.link.data(view)?, self.link.index, target);
        self.advance(view, length as u32);
        Ok(length)
    }

    /// The length of the message at the front, checked.
    fn front(&mut self, view: View<'_>) -> Result<Option<u32>, RingError> {
        let available = self.available(view)?.unwrap_or(0);
        if available == 0 {
            return Ok(None);
        }
        let word = copy::load_word(self.link.data(view)?, self.link.index as usize / 8);
        let (length, reserved) = (word as u32, (word >> 32) as u32);
        if reserved != 0 {
            return Err(self.link.fail(Field::Reserved, reserved));
        }
        // `available` is a positive multiple of 8.
        if length > available.saturating_sub(RECORD_HEADER) {
            return Err(self.link.fail(Field::Length, length));
        }
        Ok(Some(length))
    }

    #[inline]
    pub fn try_receive(
        &mut self,
        words: &[AtomicU64],
        target: &mut [u8],
    ) -> Result<Option<usize>, RingError> {
        match self.receive_plain(words, target) {
            Some(count) => Ok(count),
            None => self.receive_any(words, target),
        }
    }

    /// Receives where nothing is special: peer connected, nothing there or a message that fits and does not go around
    /// the end of the data area.
    fn receive_plain(&mut self, words: &[AtomicU64], target: &mut [u8]) -> Option<Option<usize>> {
        let view = self.link.view(words).ok()?;
        if self.link.mode != Mode::Messages {
            return None;
        }
        let (head, unread) = self.glance(view)?;
        if unread == 0 {
            self.link.wake(view);
            return Some(None);
        }
        if !head.is_multiple_of(8) {
            return None;
        }
        let (first, run) = self.link.run();
        let (header, places) = self.link.words(view, first, run)?.split_first()?;
        let length = u64::from_le(header.load(Ordering::Relaxed)) as usize;
        if length > unread.wrapping_sub(RECORD_HEADER) as usize || length.div_ceil(8) > places.len()
        {
            return None;
        }
        copy::load_run(places, target.get_mut(..length)?);
        self.link.wake(view);
        self.link.other = head;
        self.advance(view, record_size(length as u32));
        Some(Some(length))
    }

    #[inline(never)]
    fn receive_any(
        &mut self,
        words: &[AtomicU64],
        target: &mut [u8],
    ) -> Result<Option<usize>, RingError> {
        let view = self.link.view(words)?;
        self.expect(Mode::Messages)?;
        self.link.wake(view);
        let Some(length) = self.front(view)? else {
            return Ok(None);
        };
        let buffer = target.len();
        let Some(target) = target.get_mut(..length as usize) else {
            return Err(RingError::TargetTooSmall { length: length as usize, buffer });
        };
        copy::load(self.link.data(view)?, self.link.index.wrapping_add(RECORD_HEADER), target);
        self.advance(view, record_size(length));
        Ok(Some(length as usize))
    }

    #[cold]
    pub fn receive_front(
        &mut self,
        words: &[AtomicU64],
        target: &mut [u8],
    ) -> Result<Option<usize>, RingError> {
        let view = self.link.view(words)?;
        self.expect(Mode::Messages)?;
        self.link.wake(view);
        let Some(length) = self.front(view)? else {
            return Ok(None);
        };
        let taken = target.len().min(length as usize);
        if let Some(target) = target.get_mut(..taken) {
            copy::load(self.link.data(view)?, self.link.index.wrapping_add(RECORD_HEADER), target);
        }
        self.advance(view, record_size(length));
        Ok(Some(length as usize))
    }

    /// Announces a sleep until something can be read; `false` when it can.
    pub fn sleep(&mut self, words: &[AtomicU64]) -> Result<bool, RingError> {
        let view = self.link.view(words)?;
        self.link.sleep(view, 1);
        if self.link.other == self.link.index && self.link.glance(view) == Ok(self.link.index) {
            return Ok(true);
        }
        let empty = match self.available(view) {
            Ok(available) => available.unwrap_or(0) == 0,
            Err(error) => {
                self.link.wake(view);
                return Err(error);
            }
        };
        if !empty {
            self.link.wake(view);
        }
        Ok(empty)
    }

    pub fn unread(&mut self, words: &[AtomicU64]) -> Result<Option<u32>, RingError> {
        let view = self.link.view(words)?;
        self.available(view)
    }

    pub fn expect(&self, mode: Mode) -> Result<(), RingError> {
        if self.link.mode == mode { Ok(()) } else { Err(RingError::WrongMode) }
    }
}
