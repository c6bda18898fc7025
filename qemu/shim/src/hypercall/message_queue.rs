//! Message queue hypercalls, with errors as the real code or its document.

use gunyah_abi::Error;
use gunyah_abi::hypercall::{ALL_ONES, MSGQUEUE_SEND_PUSH, THRESHOLD_DEPTH};

use super::{Answer, Context};
use crate::object::QueueIndex;
use crate::object::capability::{Object, ObjectType, Rights};
use crate::object::message_queue::{NotEmptyThreshold, QueueError};

fn find(context: &Context<'_>, cap: u64, rights: Rights) -> Result<QueueIndex, Error> {
    match context.find(cap, ObjectType::MessageQueue, rights)? {
        Object::Queue(index) => Ok(index),
        Object::Doorbell(_) => Err(Error::CspaceWrongObjectType),
    }
}

/// The documented error of a queue that refused to move a message.
fn documented(error: QueueError) -> Error {
    match error {
        QueueError::Full => Error::MsgqueueFull,
        QueueError::Empty => Error::MsgqueueEmpty,
        QueueError::Size => Error::ArgumentSize,
        QueueError::BufferTooSmall => Error::AddrOverflow,
        QueueError::Fault(_) => Error::AddrInvalid,
    }
}

/// The code of 12/2023 reports only full and empty queues; other refusals look like success with `results`.
fn refuse(
    context: &Context<'_>,
    cap: u64,
    error: QueueError,
    results: &[u64],
) -> Result<Answer, Error> {
    let as_documented = documented(error);
    if matches!(error, QueueError::Full | QueueError::Empty) || context.options.documented_errors {
        return Err(as_documented);
    }
    log::debug!("message queue {cap:#x}: {as_documented} by the document, answered as success");
    Ok(Answer::ok(results))
}

pub(super) fn send(
    context: &mut Context<'_>,
    cap: u64,
    size: u64,
    address: u64,
    flags: u64,
) -> Result<Answer, Error> {
    let index = find(context, cap, Rights::SEND)?;
    let push = flags & MSGQUEUE_SEND_PUSH != 0;
    let memory = &mut *context.memory;
    let copy = |slot: &mut [u8]| memory.read(address, slot);
    let queue = context.objects.queue(index);
    match queue.send(size, push, copy, context.interrupts) {
        Ok(not_full) => Ok(Answer::ok(&[u64::from(not_full)])),
        Err(error) => refuse(context, cap, error, &[1]),
    }
}

pub(super) fn receive(
    context: &mut Context<'_>,
    cap: u64,
    address: u64,
    size: u64,
) -> Result<Answer, Error> {
    let index = find(context, cap, Rights::RECEIVE)?;
    let memory = &mut *context.memory;
    let copy = |message: &[u8]| memory.write(address, message);
    let queue = context.objects.queue(index);
    match queue.receive(size, copy, context.interrupts) {
        Ok((size, not_empty)) => Ok(Answer::ok(&[u64::from(size), u64::from(not_empty)])),
        Err(error) => refuse(context, cap, error, &[0, 1]),
    }
}

pub(super) fn flush(context: &mut Context<'_>, cap: u64) -> Result<Answer, Error> {
    let index = find(context, cap, Rights::RECEIVE)?;
    context.objects.queue(index).flush(context.interrupts);
    Ok(Answer::ok(&[]))
}

/// Thresholds are 32-bit numbers to the hypervisor, so -1 and -2 are recognised in the low word.
const KEEP: u32 = ALL_ONES as u32;
const DEPTH: u32 = THRESHOLD_DEPTH as u32;

pub(super) fn configure_send(
    context: &mut Context<'_>,
    cap: u64,
    threshold: u64,
    delay: u64,
) -> Result<Answer, Error> {
    if delay != ALL_ONES {
        return Err(Error::Unimplemented);
    }
    let index = find(context, cap, Rights::SEND)?;
    let threshold = match threshold as u32 {
        KEEP => None,
        threshold => Some(threshold),
    };
    let queue = context.objects.queue(index);
    queue.configure_send(threshold, context.interrupts).map_err(|_| Error::ArgumentInvalid)?;
    Ok(Answer::ok(&[]))
}

pub(super) fn configure_receive(
    context: &mut Context<'_>,
    cap: u64,
    threshold: u64,
    delay: u64,
) -> Result<Answer, Error> {
    if delay != ALL_ONES {
        return Err(Error::Unimplemented);
    }
    let index = find(context, cap, Rights::RECEIVE)?;
    let threshold = match threshold as u32 {
        KEEP => NotEmptyThreshold::Keep,
        DEPTH => NotEmptyThreshold::Depth,
        messages => NotEmptyThreshold::Messages(messages),
    };
    let queue = context.objects.queue(index);
    queue.configure_receive(threshold, context.interrupts).map_err(|_| Error::ArgumentInvalid)?;
    Ok(Answer::ok(&[]))
}
