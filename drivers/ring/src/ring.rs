//! A ring and its two halves, of which each can be used by a task of its own.

use crate::error::RingError;
use crate::forward::{forward_any, forward_plain};
use crate::input::Input;
use crate::layout::{LINE, MINIMUM_SIZE, Mode, Modes, Side, capacity_of, max_message, place};
use crate::link::{Lines, Link, fresh_session, stated};
use crate::memory::Memory;
use crate::output::Output;

#[cfg(test)]
mod tests;

/// The doorbell of the other side.
pub trait Bell {
    /// Rings it. Called only when the other side sleeps, attaches or detaches; failures are the implementor's to report.
    fn ring(&self);
}

impl<B: Bell + ?Sized> Bell for &B {
    fn ring(&self) {
        (**self).ring();
    }
}

/// Rings where that happens in few cases: one call for all of them.
#[inline(never)]
fn ring(bell: &impl Bell) {
    bell.ring();
}

/// The two halves of one end of a ring.
pub type Halves<M, B> = (Producer<M, B>, Consumer<M, B>);

/// Making the two halves.
#[derive(Clone, Copy, Debug)]
pub struct Ring;

impl Ring {
    /// The session of the other side, and what it says goes through each direction, as this side would say it: for who
    /// serves either mode.
    ///
    /// `None` while the other side has not attached. What is found may be left from an earlier session; if the other
    /// side then comes with another mode, the halves fail with [`Field::Mode`](crate::Field::Mode).
    pub fn peer<M: Memory>(memory: &M, side: Side) -> Option<(u16, Modes)> {
        let words = memory.words();
        let capacity = capacity_of(words.len() * 8)?;
        let other = match side {
            Side::First => Side::Second,
            Side::Second => Side::First,
        };
        let (session, send) = stated(words, place(side, capacity).consumer)?;
        let (also, receive) = stated(words, place(other, capacity).producer)?;
        (session == also).then_some((session, Modes { send, receive }))
    }

    /// Begins a session on `memory` and tells the other side.
    ///
    /// To be called once in the life of a ring, and again only after both halves are gone: the other side takes it for a
    /// restart. `side` is [`Side::First`] for the VM with the lower VMID. Both sides must give the same size.
    ///
    /// # Errors
    ///
    /// [`RingError::BufferTooSmall`] and [`RingError::Unaligned`].
    pub fn attach<M: Memory + Clone, B: Bell + Clone>(
        memory: M,
        side: Side,
        modes: Modes,
        bell: B,
    ) -> Result<Halves<M, B>, RingError> {
        let words = memory.words();
        let size = words.len() * 8;
        let capacity =
            capacity_of(size).ok_or(RingError::BufferTooSmall { size, minimum: MINIMUM_SIZE })?;
        let address = words.as_ptr().addr();
        if !address.is_multiple_of(LINE) {
            return Err(RingError::Unaligned { address });
        }
        let other = match side {
            Side::First => Side::Second,
            Side::Second => Side::First,
        };
        let (out, back) = (place(side, capacity), place(other, capacity));
        let sending = Lines { own: out.producer, peer: out.consumer, data: out.data };
        let receiving = Lines { own: back.consumer, peer: back.producer, data: back.data };
        let session = fresh_session(words, [sending, receiving]);
        let mut output = Output::new(Link::new(sending, capacity, modes.send, session));
        let mut input = Input::new(Link::new(receiving, capacity, modes.receive, session));
        for link in [&mut output.link, &mut input.link] {
            let view = link.view(words)?;
            link.announce(view);
            link.take_ring();
        }
        bell.ring();
        let producer = Producer { memory: memory.clone(), bell: bell.clone(), output };
        Ok((producer, Consumer { memory, bell, input }))
    }
}

/// The half of a ring that sends. Calls return at once; see [`Producer::into_async`] for those that wait.
///
/// Dropped, it tells the other side that it is gone.
#[derive(Debug)]
pub struct Producer<M: Memory, B: Bell> {
    memory: M,
    bell: B,
    output: Output,
}

impl<M: Memory, B: Bell> Producer<M, B> {
    #[inline]
    fn with<T>(&mut self, operation: impl FnOnce(&mut Output, &M) -> T) -> T {
        let result = operation(&mut self.output, &self.memory);
        if self.output.link.take_ring() {
            ring(&self.bell);
        }
        result
    }

    /// Writes as much of `bytes` as there is room for, in [`Mode::Bytes`]; 0 when there is none, or no peer.
    ///
    /// # Errors
    ///
    /// [`RingError::Corrupt`], after which this half is closed; [`RingError::PeerReset`] and [`RingError::PeerGone`] once
    /// for each time, with nothing written; [`RingError::WrongMode`].
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, RingError> {
        self.with(|output, memory| output.write(memory.words(), bytes))
    }

    /// Sends `message`, in [`Mode::Messages`]; `false` when there is no room for it, or no peer.
    ///
    /// # Errors
    ///
    /// As [`Self::write`], and [`RingError::MessageTooLong`].
    #[inline]
    pub fn try_send(&mut self, message: &[u8]) -> Result<bool, RingError> {
        self.with(|output, memory| output.try_send(memory.words(), message))
    }

    /// Free bytes in the ring; `None` without a peer.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub fn room(&mut self) -> Result<Option<usize>, RingError> {
        let room = self.with(|output, memory| output.free(memory.words()))?;
        Ok(room.map(|room| room as usize))
    }

    /// Whether the other side has read everything; `false` without a peer.
    ///
    /// # Errors
    ///
    /// As [`Self::write`]; [`RingError::PeerGone`] only where the other side has left something unread.
    pub fn is_drained(&mut self) -> Result<bool, RingError> {
        self.with(|output, memory| output.is_drained(memory.words()))
    }

    /// Asks the other side to ring when `length` more bytes, or a message of that length, may have room. `false` when
    /// they have already: then nobody rings. The next attempt to write or send takes the request back, and so does the
    /// next request: of several users of a half, each has to ask again once another was here.
    ///
    /// # Errors
    ///
    /// As [`Self::write`] and [`Self::try_send`].
    pub fn sleep(&mut self, length: usize) -> Result<bool, RingError> {
        self.with(|output, memory| output.sleep_for(memory.words(), length))
    }

    /// Asks the other side to ring when `room` bytes are free.
    pub(crate) fn sleep_until(&mut self, room: u32) -> Result<bool, RingError> {
        self.with(|output, memory| output.sleep(memory.words(), room))
    }

    /// Bytes that a message can have.
    pub fn max_message(&self) -> usize {
        max_message(self.output.link.capacity)
    }

    /// Bytes that the direction can hold.
    pub fn capacity(&self) -> usize {
        self.output.link.capacity as usize
    }

    /// What the direction carries.
    pub fn mode(&self) -> Mode {
        self.output.link.mode
    }

    /// The session of the other side, as of the last operation; `None` without a peer.
    pub fn peer_session(&self) -> Option<u16> {
        self.output.link.peer_session()
    }

    /// The session that the last [`RingError::PeerGone`] was about; `None` if there was none.
    pub fn ended_session(&self) -> Option<u16> {
        self.output.link.ended_session()
    }
}

impl<M: Memory, B: Bell> Drop for Producer<M, B> {
    fn drop(&mut self) {
        self.with(|output, memory| {
            if let Ok(view) = output.link.view(memory.words()) {
                output.link.withdraw(view);
            }
        });
    }
}

/// The half of a ring that receives. Calls return at once; see [`Consumer::into_async`] for those that wait.
///
/// Dropped, it tells the other side that it is gone.
#[derive(Debug)]
pub struct Consumer<M: Memory, B: Bell> {
    memory: M,
    bell: B,
    input: Input,
}

impl<M: Memory, B: Bell> Consumer<M, B> {
    #[inline]
    fn with<T>(&mut self, operation: impl FnOnce(&mut Input, &M) -> T) -> T {
        let result = operation(&mut self.input, &self.memory);
        if self.input.link.take_ring() {
            ring(&self.bell);
        }
        result
    }

    /// Reads what is there into `target`, in [`Mode::Bytes`]; 0 when there is nothing, or no peer.
    ///
    /// # Errors
    ///
    /// [`RingError::Corrupt`], after which this half is closed; [`RingError::PeerReset`] and [`RingError::PeerGone`] once
    /// for each time, the latter when everything is read; [`RingError::WrongMode`].
    #[inline]
    pub fn read(&mut self, target: &mut [u8]) -> Result<usize, RingError> {
        self.with(|input, memory| input.read(memory.words(), target))
    }

    /// Passes on what is there to `to`, up to `limit` bytes, both in [`Mode::Bytes`], and returns how many; 0 when there is
    /// nothing, no room, or no peer at either. Less than there is may be passed on at a time.
    ///
    /// The bytes go straight from one buffer to the other, and are not looked at: for who does not need to.
    ///
    /// # Errors
    ///
    /// As [`Self::read`] and [`Producer::write`], with nothing passed on; [`RingError::MemoryGone`] where [`Memory::is_gone`]
    /// says so of this half's buffer.
    #[inline]
    pub fn forward<N: Memory, C: Bell>(
        &mut self,
        to: &mut Producer<N, C>,
        limit: usize,
    ) -> Result<usize, RingError> {
        let (input, from) = (&mut self.input, self.memory.words());
        let (output, into) = (&mut to.output, to.memory.words());
        let is_gone = || self.memory.is_gone();
        if let Some(length) = forward_plain(input, from, output, into, limit, is_gone) {
            if to.output.link.take_ring() {
                to.bell.ring();
            }
            if self.input.link.take_ring() {
                ring(&self.bell);
            }
            return Ok(length);
        }
        let passed = forward_any(input, from, output, into, limit, is_gone);
        to.with(|_, _| ());
        self.with(|_, _| passed)
    }

    /// Receives one message into `target` and returns its length, in [`Mode::Messages`]; `None` when there is none.
    ///
    /// # Errors
    ///
    /// As [`Self::read`], and [`RingError::TargetTooSmall`], which leaves the message where it is.
    #[inline]
    pub fn try_receive(&mut self, target: &mut [u8]) -> Result<Option<usize>, RingError> {
        self.with(|input, memory| input.try_receive(memory.words(), target))
    }

    /// Drops the message at the front and returns its length; `None` when there is none.
    ///
    /// # Errors
    ///
    /// As [`Self::read`].
    pub fn skip(&mut self) -> Result<Option<usize>, RingError> {
        self.try_receive_front(&mut [])
    }

    /// Receives as much of one message as `target` holds, drops the rest of it, and returns the length of all of it, in
    /// [`Mode::Messages`]; `None` when there is none. For who answers a message that is too large by what it begins with.
    ///
    /// # Errors
    ///
    /// As [`Self::read`].
    pub fn try_receive_front(&mut self, target: &mut [u8]) -> Result<Option<usize>, RingError> {
        self.with(|input, memory| input.receive_front(memory.words(), target))
    }

    /// Bytes in the ring, headers of messages included; `None` without a peer.
    ///
    /// # Errors
    ///
    /// As [`Self::read`].
    pub fn unread(&mut self) -> Result<Option<usize>, RingError> {
        let unread = self.with(|input, memory| input.unread(memory.words()))?;
        Ok(unread.map(|unread| unread as usize))
    }

    /// Asks the other side to ring when there is something to read. `false` when there is already: then nobody rings.
    /// The next operation takes the request back.
    ///
    /// # Errors
    ///
    /// As [`Self::read`].
    pub fn sleep(&mut self) -> Result<bool, RingError> {
        self.with(|input, memory| input.sleep(memory.words()))
    }

    /// Bytes that a message can have.
    pub fn max_message(&self) -> usize {
        max_message(self.input.link.capacity)
    }

    /// Bytes that the direction can hold.
    pub fn capacity(&self) -> usize {
        self.input.link.capacity as usize
    }

    /// What the direction carries.
    pub fn mode(&self) -> Mode {
        self.input.link.mode
    }

    /// The session of the other side, as of the last operation; `None` without a peer.
    pub fn peer_session(&self) -> Option<u16> {
        self.input.link.peer_session()
    }

    /// The session that the last [`RingError::PeerGone`] was about; `None` if there was none.
    pub fn ended_session(&self) -> Option<u16> {
        self.input.link.ended_session()
    }
}

impl<M: Memory, B: Bell> Drop for Consumer<M, B> {
    fn drop(&mut self) {
        self.with(|input, memory| {
            if let Ok(view) = input.link.view(memory.words()) {
                input.link.withdraw(view);
            }
        });
    }
}
