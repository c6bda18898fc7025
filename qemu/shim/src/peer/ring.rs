//! The peer's end of rings in shared memory, which follows the rules.
//!
//! The peer sleeps when there is nothing to do, and looks at a ring only when the guest has rung its doorbell: a guest that
//! forgets to ring is found out.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use shared_ring::{Bell, Consumer, Memory, Mode, Modes, Producer, Ring, RingError, Side};

use super::play::{Progress, numbered};
use super::script::{RingCondition, RingStep};
use super::{Peer, Surroundings};
use crate::pages::Pages;

/// Messages or blocks that the peer receives from a ring in one turn.
const BURST: usize = 64;

/// Bytes that the peer moves at a time.
const BLOCK: usize = 4096;

/// Which doorbells belong to a buffer that the guest's tree names: their labels may be others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Buffer {
    pub(super) label: u32,
    pub(super) doorbell_label: u32,
    pub(super) source_label: u32,
}

/// The memory under a ring.
#[derive(Clone, Debug)]
struct Words(Arc<Pages>);

impl Memory for Words {
    fn words(&self) -> &[AtomicU64] {
        self.0.words()
    }
}

/// Takes note that the guest is to be rung.
#[derive(Clone, Debug, Default)]
struct Wish(Arc<AtomicBool>);

impl Bell for Wish {
    fn ring(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The peer's end of one ring.
#[derive(Debug)]
pub(super) struct RingEnd {
    label: u32,
    doorbell_label: u32,
    /// The label of the doorbell by which the guest tells the peer.
    pub(super) source_label: u32,
    /// Whether the guest has rung since the peer last looked.
    pub(super) rung: bool,
    producer: Producer<Words, Wish>,
    consumer: Consumer<Words, Wish>,
    wish: Wish,
    /// Bytes of the pattern that were sent.
    sent: u64,
    /// Bytes of the pattern that came.
    came: u64,
    /// Of those, how many steps have counted.
    counted: u64,
    /// What ended it.
    failed: Option<String>,
}

/// Byte number `index` of the pattern.
fn pattern(index: u64) -> u8 {
    (index ^ index >> 8) as u8
}

impl RingEnd {
    /// Receives what is there, until there is nothing and the guest is asked to ring. `keep` gets the messages.
    fn receive(&mut self, mut keep: impl FnMut(Vec<u8>)) -> Result<(), RingError> {
        let mut buffer = vec![0; self.consumer.max_message().max(BLOCK)];
        for _ in 0..BURST {
            let came = match self.consumer.mode() {
                Mode::Messages => self.consumer.try_receive(&mut buffer)?,
                Mode::Bytes => Some(self.consumer.read(&mut buffer)?).filter(|count| *count > 0),
            };
            match came {
                Some(count) if self.consumer.mode() == Mode::Messages => {
                    keep(buffer[..count].to_vec());
                }
                Some(count) => self.compare(&buffer[..count]),
                None if self.consumer.sleep()? => return Ok(()),
                None => {}
            }
        }
        // There may be more, of which nobody will tell.
        self.rung = true;
        Ok(())
    }

    /// Whether the peer has to look at it again though nobody rings.
    pub(super) fn is_due(&self) -> bool {
        self.rung && self.failed.is_none()
    }

    fn compare(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let expected = pattern(self.came);
            if *byte != expected && self.failed.is_none() {
                let place = self.came;
                self.failed =
                    Some(format!("byte {place} of the stream is {byte:#x}, not {expected:#x}"));
            }
            self.came += 1;
        }
    }

    /// Takes note of what went wrong; that the guest went or came again is no failure.
    fn note(&mut self, error: RingError) {
        match error {
            RingError::PeerReset { .. } | RingError::PeerGone => {
                log::debug!("peer: ring {}: {error}", self.label);
                self.rung = true;
            }
            error => {
                log::info!("peer: ring {}: {error}", self.label);
                self.failed.get_or_insert_with(|| error.to_string());
            }
        }
    }

    /// Sends what `send` does, and says how far that came.
    fn send(
        &mut self,
        length: usize,
        send: impl FnOnce(&mut Self) -> Result<bool, RingError>,
    ) -> Progress {
        if let Some(reason) = &self.failed {
            return Progress::Failed(reason.clone());
        }
        let done = send(self).and_then(|done| {
            // The guest rings when there is room; if there is some already, the next turn sees it.
            self.rung |= !done && !self.producer.sleep(length)?;
            Ok(done)
        });
        match done {
            Ok(true) => Progress::Done,
            Ok(false) => Progress::Blocked,
            Err(error @ (RingError::PeerReset { .. } | RingError::PeerGone)) => {
                self.note(error);
                Progress::Blocked
            }
            Err(error) => Progress::Failed(error.to_string()),
        }
    }
}

impl Peer {
    /// A buffer that the guest's tree names has these doorbells.
    pub fn add_buffer(&mut self, label: u32, doorbell_label: u32, source_label: u32) {
        self.buffers.push(Buffer { label, doorbell_label, source_label });
    }

    /// Receives what has come through the rings whose doorbell was rung.
    pub(super) fn serve_rings(&mut self, surroundings: &mut Surroundings<'_>) {
        for index in 0..self.rings.len() {
            let ring = &mut self.rings[index];
            if !core::mem::take(&mut ring.rung) || ring.failed.is_some() {
                continue;
            }
            let (mut messages, label) = (Vec::new(), ring.label);
            if let Err(error) = ring.receive(|message| messages.push(message)) {
                ring.note(error);
            }
            if let Err(error) = ring.producer.room() {
                ring.note(error);
            }
            messages.into_iter().for_each(|message| self.keep(label, message));
            self.grant_wish(index, surroundings);
        }
    }

    /// Rings the guest if a ring wants that.
    fn grant_wish(&mut self, ring: usize, surroundings: &mut Surroundings<'_>) {
        let ring = &self.rings[ring];
        if !ring.wish.0.swap(false, Ordering::Relaxed) {
            return;
        }
        let mut bells = self.bells.iter().filter(|bells| bells.label == ring.doorbell_label);
        if let Some(doorbell) = bells.find_map(|bells| bells.rung_by_peer) {
            surroundings.objects.doorbell(doorbell).send(1, &mut surroundings.interrupts);
        }
    }

    fn ring_place(&self, label: u32) -> Option<usize> {
        self.rings.iter().position(|ring| ring.label == label)
    }

    /// Goes from a ring, if the peer is at one of that label.
    pub(super) fn leave_ring(&mut self, label: u32, surroundings: &mut Surroundings<'_>) {
        let Some(place) = self.ring_place(label) else { return };
        let RingEnd { producer, consumer, wish, doorbell_label, .. } = self.rings.remove(place);
        drop((producer, consumer));
        let mut bells = self.bells.iter().filter(|bells| bells.label == doorbell_label);
        if let Some(doorbell) = bells.find_map(|bells| bells.rung_by_peer)
            && wish.0.load(Ordering::Relaxed)
        {
            surroundings.objects.doorbell(doorbell).send(1, &mut surroundings.interrupts);
        }
    }

    fn attach(
        &mut self,
        label: u32,
        mode: Mode,
        surroundings: &mut Surroundings<'_>,
    ) -> Result<(), String> {
        self.leave_ring(label, surroundings);
        let memory = surroundings.rm.parcel_memory(self.vm, label);
        let memory = memory.ok_or_else(|| format!("there is no memory shared as {label}"))?;
        let (words, wish) = (Words(memory.clone()), Wish::default());
        let vmid = surroundings.vms.get(self.vm.0).map_or(u16::MAX, |vm| vm.vmid);
        let side = Side::of(surroundings.rm.parcel_owner(self.vm, label).unwrap_or(0), vmid);
        let modes = Modes { send: mode, receive: mode };
        let halves = Ring::attach(words, side, modes, wish.clone());
        let (producer, consumer) = halves.map_err(|error| error.to_string())?;
        let named = self.buffers.iter().find(|buffer| buffer.label == label);
        self.rings.push(RingEnd {
            label,
            doorbell_label: named.map_or(label, |buffer| buffer.doorbell_label),
            source_label: named.map_or(label, |buffer| buffer.source_label),
            rung: true,
            producer,
            consumer,
            wish,
            sent: 0,
            came: 0,
            counted: 0,
            failed: None,
        });
        Ok(())
    }

    /// Sends a message through the ring of a label, as far as there is room; `None` if there is no such ring.
    pub(super) fn push(
        &mut self,
        label: u32,
        message: &[u8],
        surroundings: &mut Surroundings<'_>,
    ) -> Option<Progress> {
        let place = self.ring_place(label)?;
        let ring = &mut self.rings[place];
        let progress = ring.send(message.len(), |ring| match ring.producer.mode() {
            Mode::Messages => ring.producer.try_send(message),
            // All or nothing, so that it can be tried again.
            Mode::Bytes => match ring.producer.room()? {
                Some(room) if room >= message.len() => {
                    Ok(ring.producer.write(message)? == message.len())
                }
                _ => Ok(false),
            },
        });
        self.grant_wish(place, surroundings);
        Some(progress)
    }
}

pub(super) fn play(
    peer: &mut Peer,
    step: &RingStep,
    surroundings: &mut Surroundings<'_>,
) -> Progress {
    let no_ring =
        |label: u32| Progress::Failed(format!("the peer is not attached to ring {label}"));
    match step {
        RingStep::Attach { label, mode } => {
            if let Err(reason) = peer.attach(*label, *mode, surroundings) {
                return Progress::Failed(reason);
            }
            if let Some(place) = peer.ring_place(*label) {
                peer.grant_wish(place, surroundings);
            }
            peer.serve_rings(surroundings);
            Progress::Done
        }
        RingStep::Detach { label } => match peer.ring_place(*label) {
            Some(_) => {
                peer.leave_ring(*label, surroundings);
                Progress::Done
            }
            None => no_ring(*label),
        },
        RingStep::Push { label, text, count } => {
            while peer.player.done < *count {
                let message = numbered(text, peer.player.done + 1);
                match peer.push(*label, message.as_bytes(), surroundings) {
                    Some(Progress::Done) => peer.player.done += 1,
                    Some(progress) => return progress,
                    None if peer.player.done > 0 => return Progress::Blocked,
                    None => return no_ring(*label),
                }
            }
            Progress::Done
        }
        RingStep::Stream { label, bytes } => {
            let Some(place) = peer.ring_place(*label) else {
                let has_begun = peer.player.done > 0;
                return if has_begun { Progress::Blocked } else { no_ring(*label) };
            };
            let mut block = [0; BLOCK];
            while peer.player.done < *bytes {
                let ring = &mut peer.rings[place];
                let left = usize::try_from(*bytes - peer.player.done).unwrap_or(BLOCK);
                let block = &mut block[..left.min(BLOCK)];
                let numbers = ring.sent..;
                block.iter_mut().zip(numbers).for_each(|(byte, n)| *byte = pattern(n));
                let mut written = 0;
                let progress = ring.send(block.len(), |ring| {
                    written = ring.producer.write(block)?;
                    Ok(written > 0)
                });
                ring.sent += written as u64;
                peer.player.done += written as u64;
                peer.grant_wish(place, surroundings);
                if !matches!(progress, Progress::Done) {
                    return progress;
                }
            }
            Progress::Done
        }
    }
}

pub(super) fn holds(peer: &mut Peer, condition: &RingCondition) -> Result<bool, String> {
    let (RingCondition::Attached { label, .. } | RingCondition::Streamed { label, .. }) = condition;
    let place = peer.ring_place(*label);
    let place = place.ok_or_else(|| format!("the peer is not attached to ring {label}"))?;
    let ring = &mut peer.rings[place];
    if let Some(reason) = &ring.failed {
        return Err(reason.clone());
    }
    match condition {
        RingCondition::Attached { attached, .. } => {
            let sessions = [ring.producer.peer_session(), ring.consumer.peer_session()];
            Ok(sessions.iter().all(|session| session.is_some() == *attached))
        }
        RingCondition::Streamed { bytes, .. } => {
            let is_there = ring.came - ring.counted >= *bytes;
            ring.counted += if is_there { *bytes } else { 0 };
            Ok(is_there)
        }
    }
}

/// What there is instead of what a condition wants, for a failure's message.
pub(super) fn seen(peer: &Peer, condition: &RingCondition) -> String {
    match condition {
        RingCondition::Attached { attached: true, .. } => "the guest has not attached".into(),
        RingCondition::Attached { attached: false, .. } => "the guest is still attached".into(),
        RingCondition::Streamed { label, .. } => {
            let ring = peer.rings.iter().find(|ring| ring.label == *label);
            let came = ring.map_or(0, |ring| ring.came - ring.counted);
            format!("{came} bytes came")
        }
    }
}
