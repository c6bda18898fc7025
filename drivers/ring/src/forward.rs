//! Passing bytes on from one direction to another, straight from words to words.

use super::copy;
use super::error::RingError;
use super::input::Input;
use super::layout::Mode;
use super::output::Output;
use super::sync::{AtomicU64, Ordering, fence};

/// Bytes passed on at a time where they do not lie in words alike.
const PIECE: usize = 512;

/// Passes bytes on, `limit` at most, from `input` in the words `from` to `output` in the words `to`, where nothing is
/// special: both peers connected, words to begin at on both sides. Ends where one of the data areas does.
///
/// `is_gone` is asked once they are copied, before anybody can see them.
#[inline(always)]
pub(crate) fn forward_plain(
    input: &mut Input,
    from: &[AtomicU64],
    output: &mut Output,
    to: &[AtomicU64],
    limit: usize,
    is_gone: impl Fn() -> bool,
) -> Option<usize> {
    if input.link.mode != Mode::Bytes || output.link.mode != Mode::Bytes {
        return None;
    }
    let (receiving, sending) = (input.link.view(from).ok()?, output.link.view(to).ok()?);
    let (head, unread) = input.glance(receiving)?;
    let (tail, room) = output.glance(sending)?;
    if !(input.link.index | output.link.index).is_multiple_of(8) {
        return None;
    }
    let ((source, source_run), (target, target_run)) = (input.link.run(), output.link.run());
    let run = source_run.min(target_run).wrapping_mul(8);
    let length = limit.min(unread.min(room) as usize).min(run);
    if length > 0 {
        let words = length.div_ceil(8);
        let source = input.link.words(receiving, source, words)?;
        let target = output.link.words(sending, target, words)?;
        let partial = copy::pass(source, target, length % 8);
        if is_gone() {
            return None;
        }
        output.partial = partial;
    }
    input.link.wake(receiving);
    output.link.wake(sending);
    if length > 0 {
        (input.link.other, output.link.other) = (head, tail);
        // As `Link::publish`, with one fence for both.
        input.link.step(receiving, length as u32);
        output.link.step(sending, length as u32);
        let (unread, free) = (output.unread(), input.free());
        fence(Ordering::SeqCst);
        output.link.look(sending, unread);
        input.link.look(receiving, free);
    }
    Some(length)
}

/// As [`forward_plain`], for whatever there may be.
#[cold]
#[inline(never)]
pub(crate) fn forward_any(
    input: &mut Input,
    from: &[AtomicU64],
    output: &mut Output,
    to: &[AtomicU64],
    limit: usize,
    is_gone: impl Fn() -> bool,
) -> Result<usize, RingError> {
    let (receiving, sending) = (input.link.view(from)?, output.link.view(to)?);
    input.expect(Mode::Bytes)?;
    output.expect(Mode::Bytes)?;
    input.link.wake(receiving);
    output.link.wake(sending);
    let available = input.available(receiving)?.unwrap_or(0);
    let room = output.room(sending)?.unwrap_or(0);
    let mut piece = [0; PIECE];
    let length = limit.min(available.min(room) as usize).min(PIECE);
    let Some(piece) = piece.get_mut(..length).filter(|piece| !piece.is_empty()) else {
        return Ok(0);
    };
    copy::load(input.link.data(receiving)?, input.link.index, piece);
    if is_gone() {
        return Err(RingError::MemoryGone);
    }
    output.put(sending, piece)?;
    input.advance(receiving, length as u32);
    Ok(length)
}
