//! Where a debugger finds what is on the heap; `qemu/gdb/billy.py` reads it.
//!
//! Nothing in the kernel reads these. Log, trace, interrupts and the task that runs are statics of
//! their own.

use crate::{
    run::Ready,
    task::{Slots, Spawner},
};
use core::{
    cell::RefCell,
    ptr,
    sync::atomic::{AtomicPtr, Ordering::Relaxed},
};

/// The executor's tasks.
#[used]
pub(crate) static TASKS: AtomicPtr<RefCell<Slots>> = AtomicPtr::new(ptr::null_mut());
/// Doorbells, message queues, the Resource Manager's client.
#[used]
pub(crate) static READY: AtomicPtr<Ready> = AtomicPtr::new(ptr::null_mut());

/// Makes all that is to be found known.
pub fn tell(ready: &'static Ready, spawner: &Spawner) {
    TASKS.store(spawner.slots().cast_mut(), Relaxed);
    READY.store(ptr::from_ref(ready).cast_mut(), Relaxed);
}
