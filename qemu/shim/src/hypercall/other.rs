//! Hypercalls that need an object or a right no secondary VM ever holds.
//!
//! They answer with the error of the capability lookup, so that a guest which tries learns the same as on the real
//! hypervisor.

use gunyah_abi::Error;
use gunyah_abi::hypercall::{Hypercall, is_known};

use super::{Answer, Context};
use crate::object::capability::{ObjectType, Rights};

/// What the call looks up first.
enum Subject {
    /// An object of that type with that right.
    Object(ObjectType, Rights),
    /// An object of any type with that right.
    Any(Rights),
}

fn subject(number: u16) -> Subject {
    match number {
        // object_activate, object_reset
        0x0c | 0x0e => Subject::Any(Rights::ACTIVATE),
        // doorbell_bind_virq, doorbell_unbind_virq
        0x10 | 0x11 => Subject::Object(ObjectType::Doorbell, Rights::BIND),
        // msgqueue_bind_send_virq, msgqueue_unbind_send_virq
        0x17 | 0x19 => Subject::Object(ObjectType::MessageQueue, Rights::BIND),
        // msgqueue_bind_receive_virq, msgqueue_unbind_receive_virq
        0x18 | 0x1a => Subject::Object(ObjectType::MessageQueue, Rights::BIND_RECEIVE),
        // msgqueue_configure
        0x21 => Subject::Object(ObjectType::MessageQueue, Rights::ACTIVATE),
        _ => Subject::Object(ObjectType::Other, Rights::empty()),
    }
}

/// Refuses `hypercall` the way the hypervisor refuses it to a VM without the capability.
pub(super) fn refuse(
    context: &Context<'_>,
    hypercall: Hypercall,
    arguments: &[u64; 8],
) -> Result<Answer, Error> {
    let number = hypercall.code();
    if !is_known(number) {
        return Err(Error::Unimplemented);
    }
    // memextent_donate has its options first.
    let id = arguments[usize::from(number == 0x61)];
    match subject(number) {
        Subject::Object(wanted, rights) => {
            context.find(id, wanted, rights)?;
        }
        Subject::Any(rights) => {
            let (_, held) = context.vm.capabilities.find_any(id)?;
            if !held.contains(rights) {
                return Err(Error::CspaceInsufficientRights);
            }
        }
    }
    Err(Error::Denied)
}
