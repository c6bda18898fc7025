//! Plays the script: as many steps as can be done now.

use alloc::format;
use alloc::string::{String, ToString};

use gunyah_abi::rm::RmError;

use super::player::{Player, nanoseconds};
use super::script::{Condition, ExitKind, Step, Verb};
use super::{Peer, Surroundings, Verdict, channel, frame, memory, misbehave, ring};
use crate::uart::Uart;
use crate::vm::VmEnd;

/// Bytes of the guest's output that a failure shows.
const SHOWN: usize = 400;

/// A step of the script that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("script line {line} `{text}`: {reason}")]
pub struct ScriptFailure {
    /// Line number, from 1.
    pub line: usize,
    /// The line.
    pub text: String,
    /// What happened instead.
    pub reason: String,
}

/// Steps that are done in one turn; what follows is for the next.
const STEPS_A_TURN: u32 = 4096;

/// How far a step came.
pub(super) enum Progress {
    Done,
    Blocked,
    Failed(String),
    Stop,
}

/// Plays the script and what it has begun beside, until no step can be finished now.
pub(super) fn play(peer: &mut Peer, surroundings: &mut Surroundings<'_>) -> Option<Verdict> {
    loop {
        if let Some(verdict) = play_steps(peer, surroundings) {
            return Some(verdict);
        }
        let (mut index, mut ended) = (0, false);
        while index < peer.beside.len() {
            core::mem::swap(&mut peer.player, &mut peer.beside[index]);
            let verdict = play_steps(peer, surroundings);
            core::mem::swap(&mut peer.player, &mut peer.beside[index]);
            if verdict.is_some() {
                return verdict;
            }
            if peer.beside[index].next_step().is_none() {
                peer.beside.remove(index);
                ended = true;
            } else {
                index += 1;
            }
        }
        // The script may wait for that.
        if !ended {
            return None;
        }
    }
}

fn play_steps(peer: &mut Peer, surroundings: &mut Surroundings<'_>) -> Option<Verdict> {
    peer.player.tired = false;
    for _ in 0..STEPS_A_TURN {
        let (steps, place) = peer.player.current()?;
        let step = &steps[place];
        let began = *peer.player.began.get_or_insert(surroundings.now);
        let progress = match attempt(peer, &step.verb, began, surroundings) {
            Progress::Blocked => overdue(peer, &step.verb, began, surroundings),
            progress => progress,
        };
        match progress {
            Progress::Blocked => return None,
            Progress::Stop => return Some(Verdict::Stop),
            Progress::Failed(reason) => return Some(Verdict::Failure(step.failed(reason))),
            Progress::Done => {}
        }
        log::debug!("peer: done: {}", step.text);
        peer.player.advance();
        peer.transcript.rewind();
        match &step.verb {
            Verb::Repeat { count, block } => peer.player.enter(block, *count),
            Verb::Begin(block) => peer.beside.push(Player::new(block.clone())),
            _ => {}
        }
    }
    peer.player.tired = true;
    None
}

impl Step {
    fn failed(&self, reason: String) -> ScriptFailure {
        ScriptFailure { line: self.line, text: self.text.clone(), reason }
    }
}

/// What becomes of a blocked step whose time may be over.
fn overdue(peer: &Peer, verb: &Verb, began: u64, surroundings: &Surroundings<'_>) -> Progress {
    let Verb::Await { condition, within_ms: Some(ms) } = verb else {
        return Progress::Blocked;
    };
    if surroundings.now < nanoseconds(began, *ms) {
        return Progress::Blocked;
    }
    let seen = match condition {
        Condition::Console(_) => {
            let tail = peer.transcript.tail(SHOWN).escape_ascii();
            format!("the console's last output is \"{tail}\"")
        }
        Condition::Open => "the guest has not opened its console".to_string(),
        Condition::Closed => "the guest has its console open".to_string(),
        Condition::Bells { label, .. } => {
            let meant = peer.bells.iter().filter(|bells| Some(bells.label) == *label);
            let heard = label.map_or(peer.bells_heard, |_| meant.map(|bells| bells.heard).sum());
            format!("{heard} rings came")
        }
        Condition::Messages(_) => format!("{} messages came", peer.messages_heard),
        Condition::Message { .. } => format!("{} of them came", peer.player.done),
        Condition::Exit { .. } => "the guest still runs".to_string(),
        Condition::Memory(condition) => memory::seen(peer, condition, surroundings),
        Condition::Ring(condition) => ring::seen(peer, condition),
        Condition::Frame(condition) => frame::seen(peer, condition),
        Condition::Nothing(label) => frame::left(peer, *label),
        Condition::Idle => format!("{} blocks go on", peer.beside.len()),
        Condition::Milliseconds(_) => "time stood still".to_string(),
    };
    Progress::Failed(format!("not within {ms} ms: {seen}"))
}

fn attempt(
    peer: &mut Peer,
    verb: &Verb,
    began: u64,
    surroundings: &mut Surroundings<'_>,
) -> Progress {
    match verb {
        Verb::Await { condition, .. } => holds(peer, condition, began, surroundings),
        Verb::Ring { label, flags, count } => {
            ring(peer, *label, *flags, *count, true, surroundings)
        }
        Verb::Burst { label, flags, count } => {
            ring(peer, *label, *flags, *count, false, surroundings)
        }
        Verb::Send { label, text, count } => send(peer, *label, text, *count, surroundings),
        Verb::Type(text) => type_text(peer, text, surroundings),
        Verb::Flood { bytes, chunk } => flood(peer, *bytes, *chunk, surroundings),
        Verb::Silent(silent) => {
            peer.silent = *silent;
            Progress::Done
        }
        Verb::Hold { label, held } => {
            let mut found = peer.queues.iter_mut().filter(|queues| queues.label == *label);
            let Some(queues) = found.next() else {
                return Progress::Failed(format!("the guest has no message queue {label}"));
            };
            queues.held = *held;
            Progress::Done
        }
        Verb::Open(open) => refused(surroundings.rm.owner_open(peer.vm, *open)),
        Verb::NeverOpen | Verb::Repeat { .. } | Verb::Begin(_) => Progress::Done,
        Verb::SharedRing(step) => ring::play(peer, step, surroundings),
        Verb::Frame(step) => frame::play(peer, step, surroundings),
        Verb::Channel(step) => channel::play(peer, step, surroundings),
        Verb::Memory(step) => memory::play(peer, step, surroundings),
        Verb::Misbehave(mischief) => misbehave::misbehave(peer, mischief, surroundings),
        Verb::Log(text) => {
            log::info!("peer: {text}");
            Progress::Done
        }
        Verb::Fail(text) => Progress::Failed(text.clone()),
        Verb::Stop => Progress::Stop,
    }
}

pub(super) fn refused(result: Result<(), RmError>) -> Progress {
    match result {
        Ok(()) => Progress::Done,
        Err(error) => Progress::Failed(format!("RM refused: {error}")),
    }
}

fn done_if(done: bool) -> Progress {
    if done { Progress::Done } else { Progress::Blocked }
}

fn holds(
    peer: &mut Peer,
    condition: &Condition,
    began: u64,
    surroundings: &mut Surroundings<'_>,
) -> Progress {
    done_if(match condition {
        Condition::Console(text) => peer.transcript.consume(text.as_bytes()),
        Condition::Open => {
            let ready = |uart: &Uart| uart.vm() == peer.vm && uart.room() > 0;
            surroundings.rm.is_console_open(peer.vm) || surroundings.uarts.iter().any(ready)
        }
        Condition::Closed => !surroundings.rm.is_console_open(peer.vm),
        Condition::Bells { count, label: None } => consume(&mut peer.bells_heard, *count),
        Condition::Bells { count, label: Some(label) } => {
            let is_source =
                |bells: &&mut super::Bells| bells.label == *label && bells.rung_by_guest.is_some();
            let source = peer.bells.iter_mut().find(is_source);
            source.is_some_and(|source| consume(&mut source.heard, *count))
        }
        Condition::Messages(count) => consume(&mut peer.messages_heard, *count),
        Condition::Message { label, text, count } => {
            return message(peer, *label, text, *count);
        }
        Condition::Exit { kind, code } => match peer.end.take() {
            None => false,
            Some(end) if matches(end, *kind, *code) => true,
            Some(end) => return Progress::Failed(format!("the guest ended by {end}")),
        },
        Condition::Memory(condition) => match memory::holds(peer, condition, surroundings) {
            Ok(holds) => holds,
            Err(reason) => return Progress::Failed(reason),
        },
        Condition::Ring(condition) => match ring::holds(peer, condition) {
            Ok(holds) => holds,
            Err(reason) => return Progress::Failed(reason),
        },
        Condition::Frame(condition) => match frame::holds(peer, condition) {
            Ok(holds) => holds,
            Err(reason) => return Progress::Failed(reason),
        },
        Condition::Nothing(label) => peer.messages.iter().all(|(found, _)| found != label),
        Condition::Idle => peer.beside.is_empty(),
        Condition::Milliseconds(ms) => surroundings.now >= nanoseconds(began, *ms),
    })
}

fn consume(heard: &mut u64, count: u64) -> bool {
    match heard.checked_sub(count) {
        Some(rest) => {
            *heard = rest;
            true
        }
        None => false,
    }
}

fn matches(end: VmEnd, kind: ExitKind, code: Option<u64>) -> bool {
    let (found, found_code) = match end {
        VmEnd::Off => (ExitKind::Off, 0),
        VmEnd::Reset => (ExitKind::Reset, 0),
        VmEnd::Reset2 { reset_type, .. } => (ExitKind::Reset2, u64::from(reset_type)),
        VmEnd::Exit { code, .. } => (ExitKind::VmExit, u64::from(code)),
    };
    found == kind && code.is_none_or(|code| code == found_code)
}

fn message(peer: &mut Peer, label: u32, text: &str, count: u64) -> Progress {
    while peer.player.done < count {
        let Some(message) = peer.take_message(label) else {
            return Progress::Blocked;
        };
        let expected = numbered(text, peer.player.done + 1);
        if message != expected.as_bytes() {
            let message = message.escape_ascii();
            return Progress::Failed(format!("\"{message}\" came instead of \"{expected}\""));
        }
        peer.player.done += 1;
    }
    Progress::Done
}

pub(super) fn numbered(text: &str, number: u64) -> String {
    text.replace("{n}", &number.to_string())
}

fn ring(
    peer: &mut Peer,
    label: u32,
    flags: u64,
    count: u64,
    one_by_one: bool,
    surroundings: &mut Surroundings<'_>,
) -> Progress {
    let mut found = peer.bells.iter().filter(|bells| bells.label == label);
    let Some(doorbell) = found.find_map(|bells| bells.rung_by_peer) else {
        return Progress::Failed(format!("the guest has no doorbell {label}"));
    };
    let doorbell = surroundings.objects.doorbell(doorbell);
    while peer.player.done < count {
        if one_by_one && doorbell.flags() & flags != 0 {
            return Progress::Blocked;
        }
        doorbell.send(flags, &mut surroundings.interrupts);
        peer.player.done += 1;
        // Flags of 0 leave no trace of being received: one ring a turn.
        if one_by_one && flags == 0 && peer.player.done < count {
            return Progress::Blocked;
        }
    }
    Progress::Done
}

fn send(
    peer: &mut Peer,
    label: u32,
    text: &str,
    count: u64,
    surroundings: &mut Surroundings<'_>,
) -> Progress {
    let Some(queues) = peer.queues.iter().find(|queues| queues.label == label) else {
        return Progress::Failed(format!("the guest has no message queue {label}"));
    };
    let queue = surroundings.objects.queue(queues.to_guest);
    while peer.player.done < count {
        if queue.is_full() {
            return Progress::Blocked;
        }
        let message = numbered(text, peer.player.done + 1);
        if queue.send_bytes(message.as_bytes(), &mut surroundings.interrupts).is_err() {
            let size = queue.max_size();
            return Progress::Failed(format!("the queue takes messages of 1 to {size} bytes"));
        }
        peer.player.done += 1;
    }
    Progress::Done
}

/// Done once the guest's console has taken all of it.
fn type_text(peer: &mut Peer, text: &str, surroundings: &mut Surroundings<'_>) -> Progress {
    if peer.player.done == 0 {
        peer.player.done = 1;
        peer.typed.extend(text.as_bytes());
        peer.type_ahead(surroundings);
    }
    done_if(peer.typed.is_empty())
}

fn flood(
    peer: &mut Peer,
    bytes: u64,
    chunk: usize,
    surroundings: &mut Surroundings<'_>,
) -> Progress {
    let pattern: alloc::vec::Vec<u8> = (b'a'..=b'z').cycle().take(chunk).collect();
    let mut rest = bytes;
    while rest > 0 {
        let length = usize::try_from(rest).map_or(chunk, |rest| rest.min(chunk));
        peer.write_console(&pattern[..length], surroundings);
        rest -= length as u64;
    }
    Progress::Done
}
