//! Interrupts and tasks of a test.

use crate::{channels::Board, dt::Interrupt, interrupts::Handler};
use core::{cell::RefCell, error::Error, pin::Pin};
use gunyah::fake::{FakeHypervisor, Virq};
use std::collections::BTreeMap;
use std::rc::Rc;

pub type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Handlers by INTID, the vIRQs behind them, and tasks that were started.
#[derive(Default)]
pub struct FakeBoard {
    handlers: RefCell<BTreeMap<u32, (&'static str, Handler)>>,
    virqs: RefCell<BTreeMap<u32, Virq>>,
    tasks: RefCell<Vec<(&'static str, Task)>>,
}

impl FakeBoard {
    /// Has a vIRQ delivered as this INTID.
    pub fn wire(&self, intid: u32, virq: Virq) {
        self.virqs.borrow_mut().insert(intid, virq);
    }

    /// Delivers what is pending and enabled; tells whether anything was.
    pub fn deliver(&self, hypervisor: &FakeHypervisor) -> bool {
        let handlers = self.handlers.borrow();
        self.virqs.borrow().iter().fold(false, |any, (intid, virq)| {
            let Some((_, handler)) = handlers.get(intid) else { return any };
            let pending = hypervisor.take_virq(*virq);
            if pending {
                handler();
            }
            any || pending
        })
    }

    /// The INTIDs in use.
    pub fn enabled(&self) -> Vec<u32> {
        self.handlers.borrow().keys().copied().collect()
    }

    /// The tasks started since the last time.
    pub fn take_tasks(&self) -> Vec<(&'static str, Task)> {
        self.tasks.take()
    }

    /// Whether there are any such.
    pub fn has_tasks(&self) -> bool {
        !self.tasks.borrow().is_empty()
    }
}

impl Board for Rc<FakeBoard> {
    fn enable(
        &self,
        interrupt: Interrupt,
        name: &'static str,
        handler: Handler,
    ) -> Result<(), Box<dyn Error>> {
        let intid = interrupt.intid;
        let mut handlers = self.handlers.borrow_mut();
        if let Some((name, _)) = handlers.get(&intid) {
            return Err(format!("INTID {intid} is taken by {name}").into());
        }
        handlers.insert(intid, (name, handler));
        Ok(())
    }

    fn disable(&self, intid: u32) {
        self.handlers.borrow_mut().remove(&intid);
    }

    fn spawn(&self, name: &'static str, future: Task) {
        self.tasks.borrow_mut().push((name, future));
    }
}
