//! Plays the steps with framed requests: what the peer asks, what comes back.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use billy_protocol::{ErrorReply, Frame, HEADER_SIZE, Kind, decode};

use super::play::Progress;
use super::script::{Expected, FrameCondition, FrameStep};
use super::{Peer, Surroundings};

/// Bytes of a payload that a failure shows.
const SHOWN: usize = 64;

fn message(frame: &Frame<'_>) -> Vec<u8> {
    let mut buffer = vec![0; HEADER_SIZE + frame.payload.len()];
    // There is room, and all of it is used.
    let written = frame.write(&mut buffer).unwrap_or_default();
    buffer.truncate(written);
    buffer
}

pub(super) fn play(
    peer: &mut Peer,
    step: &FrameStep,
    surroundings: &mut Surroundings<'_>,
) -> Progress {
    let (label, count) = match step {
        FrameStep::Request { label, times, .. } => (*label, *times),
        FrameStep::Cancel { label, .. } => (*label, 1),
        FrameStep::Raw { label, count, .. } => (*label, *count),
    };
    while peer.player.done < count {
        let number = peer.player.done as u32;
        let message = match step {
            FrameStep::Request { service, id, payload, .. } => message(&Frame {
                kind: Kind::Request,
                service: *service,
                request: id.wrapping_add(number),
                payload,
            }),
            FrameStep::Cancel { service, id, .. } => message(&Frame {
                kind: Kind::Cancel,
                service: *service,
                request: *id,
                payload: &[],
            }),
            FrameStep::Raw { message, .. } => message.clone(),
        };
        match deliver(peer, label, &message, surroundings) {
            Progress::Done => peer.player.done += 1,
            progress => return progress,
        }
    }
    Progress::Done
}

/// Sends a message through the ring of a label, or its queue.
fn deliver(
    peer: &mut Peer,
    label: u32,
    message: &[u8],
    surroundings: &mut Surroundings<'_>,
) -> Progress {
    if let Some(progress) = peer.push(label, message, surroundings) {
        return progress;
    }
    let Some(queues) = peer.queues.iter().find(|queues| queues.label == label) else {
        if peer.player.done > 0 {
            return Progress::Blocked;
        }
        return Progress::Failed(format!(
            "there is no queue {label}, and no ring to which the peer is attached"
        ));
    };
    let queue = surroundings.objects.queue(queues.to_guest);
    if queue.is_full() {
        return Progress::Blocked;
    }
    match queue.send_bytes(message, &mut surroundings.interrupts) {
        Ok(_) => Progress::Done,
        Err(_) => {
            let size = queue.max_size();
            Progress::Failed(format!("the queue takes messages of 1 to {size} bytes"))
        }
    }
}

/// Whether a message is of that kind, about that request.
fn is_about(message: &[u8], kind: Kind, service: u16, id: u32) -> bool {
    let wanted = (kind, service, id);
    Frame::parse(message).is_ok_and(|frame| (frame.kind, frame.service, frame.request) == wanted)
}

fn is_last(message: &[u8]) -> bool {
    let kind = Frame::parse(message).map(|frame| frame.kind);
    matches!(kind, Ok(Kind::Reply | Kind::Error))
}

pub(super) fn holds(peer: &mut Peer, condition: &FrameCondition) -> Result<bool, String> {
    match condition {
        FrameCondition::Reply { label, service, id, payload, last } => {
            let kind = if *last { Kind::Reply } else { Kind::Part };
            let is_meant = |message: &[u8]| is_about(message, kind, *service, *id);
            let Some(message) = peer.take_matching(*label, is_meant) else {
                let is_refusal = |message: &[u8]| is_about(message, Kind::Error, *service, *id);
                return match peer.take_matching(*label, is_refusal) {
                    Some(refusal) => Err(format!("it was refused: {}", refused(&refusal))),
                    None => Ok(false),
                };
            };
            let came = message.get(HEADER_SIZE..).unwrap_or_default();
            match payload {
                payload if payload.is_met_by(came) => Ok(true),
                Expected::Bytes(expected) => {
                    Err(format!("{} came instead of {}", shown(came), shown(expected)))
                }
                other => Err(format!("{} came, not {other:?}", shown(came))),
            }
        }
        FrameCondition::Refusal { label, service, id, code, field } => {
            let is_meant = |message: &[u8]| {
                is_about(message, Kind::Error, *service, *id)
                    || is_about(message, Kind::Reply, *service, *id)
            };
            let Some(message) = peer.take_matching(*label, is_meant) else { return Ok(false) };
            let payload = message.get(HEADER_SIZE..).unwrap_or_default();
            let reply = match is_about(&message, Kind::Error, *service, *id) {
                true => decode::<ErrorReply<'_>>(payload).ok(),
                false => None,
            };
            let reply = reply.ok_or_else(|| format!("{} came, no refusal", shown(payload)))?;
            let is_it = code.is_none_or(|code| code == reply.code)
                && field.as_ref().is_none_or(|field| field == reply.field);
            if is_it { Ok(true) } else { Err(format!("it was refused: {}", refused(&message))) }
        }
        FrameCondition::Answers { label, count } => {
            while peer.player.done < *count && peer.take_matching(*label, is_last).is_some() {
                peer.player.done += 1;
            }
            Ok(peer.player.done >= *count)
        }
    }
}

/// An error reply in words.
fn refused(message: &[u8]) -> String {
    let payload = message.get(HEADER_SIZE..).unwrap_or_default();
    match decode::<ErrorReply<'_>>(payload) {
        Ok(reply) => reply.to_string(),
        Err(_) => shown(payload),
    }
}

fn shown(bytes: &[u8]) -> String {
    let shown = bytes.get(..SHOWN).unwrap_or(bytes);
    format!("{} bytes \"{}\"", bytes.len(), shown.escape_ascii())
}

/// What there is instead of what a condition wants, for a failure's message.
pub(super) fn seen(peer: &Peer, condition: &FrameCondition) -> String {
    let (FrameCondition::Reply { label, .. }
    | FrameCondition::Refusal { label, .. }
    | FrameCondition::Answers { label, .. }) = condition;
    if let FrameCondition::Answers { .. } = condition {
        return format!("{} came", peer.player.done);
    }
    left(peer, *label)
}

/// What there is of a label that no step has taken, for a failure's message.
pub(super) fn left(peer: &Peer, label: u32) -> String {
    let others = peer.messages.iter().filter(|(found, _)| *found == label);
    let last = others.clone().next_back().map(|(_, message)| shown(message));
    let last = last.unwrap_or_else(|| "nothing".into());
    format!("{} other messages came, the last {last}", others.count())
}
