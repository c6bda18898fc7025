//! Doorbell hypercalls.

use gunyah_abi::Error;

use super::{Answer, Context};
use crate::object::capability::{Object, ObjectType, Rights};
use crate::object::doorbell::Doorbell;

fn find<'a>(
    context: &'a mut Context<'_>,
    cap: u64,
    rights: Rights,
) -> Result<(&'a mut Doorbell, &'a mut dyn crate::seam::VirtualInterrupts), Error> {
    match context.find(cap, ObjectType::Doorbell, rights)? {
        Object::Doorbell(index) => Ok((context.objects.doorbell(index), &mut *context.interrupts)),
        Object::Queue(_) => Err(Error::CspaceWrongObjectType),
    }
}

pub(super) fn send(context: &mut Context<'_>, cap: u64, flags: u64) -> Result<Answer, Error> {
    let (doorbell, interrupts) = find(context, cap, Rights::SEND)?;
    Ok(Answer::ok(&[doorbell.send(flags, interrupts)]))
}

pub(super) fn receive(context: &mut Context<'_>, cap: u64, clear: u64) -> Result<Answer, Error> {
    let (doorbell, _) = find(context, cap, Rights::RECEIVE)?;
    if clear == 0 {
        return Err(Error::ArgumentInvalid);
    }
    Ok(Answer::ok(&[doorbell.receive(clear)]))
}

pub(super) fn reset(context: &mut Context<'_>, cap: u64) -> Result<Answer, Error> {
    let (doorbell, interrupts) = find(context, cap, Rights::RECEIVE)?;
    doorbell.reset(interrupts);
    Ok(Answer::ok(&[]))
}

pub(super) fn mask(
    context: &mut Context<'_>,
    cap: u64,
    enable: u64,
    acknowledge: u64,
) -> Result<Answer, Error> {
    let (doorbell, interrupts) = find(context, cap, Rights::RECEIVE)?;
    doorbell.mask(enable, acknowledge, interrupts);
    Ok(Answer::ok(&[]))
}
