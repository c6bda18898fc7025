//! A hypervisor and a Resource Manager in memory, for tests on the host.
//!
//! Every [`FakeHypervisor`] stands for itself; there is no global state. It follows the running code of the real one: order of
//! capability checks, thresholds, silently dropped messages, edges for plain kicks; [`FakeHypervisor::document_errors`] switches
//! to the errors of its document. Time passes and interrupts are delivered only when the test says so.
//!
//! # Examples
//!
//! ```
//! use gunyah::fake::FakeHypervisor;
//! use gunyah::hypercalls::Hypercalls;
//!
//! let hypervisor = FakeHypervisor::new();
//! let (ringer, listener) = (hypervisor.vm(), hypervisor.vm());
//! let bell = hypervisor.doorbell(&ringer, &listener);
//! ringer.doorbell_send(bell.source, 0x100).unwrap();
//! assert!(hypervisor.take_virq(bell.virq));
//! assert_eq!(listener.doorbell_receive(bell.receiver, u64::MAX), Ok(0x100));
//! ```

mod objects;
mod rm;
mod tasks;
mod timer;
mod vm;

pub use rm::{Facts, FakeParcel, FakeRm, Parcels, Reaction, RmSetup};
pub use tasks::Tasks;
pub use timer::FakeTimer;
pub use vm::FakeVm;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use gunyah_abi::{CapabilityId, Error, Hypercall};
use objects::{FakeDoorbell, FakeQueue, Object};
use spin::mutex::SpinMutex;

/// An interrupt of the fake hypervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Virq(usize);

/// What a call that a test spoils answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This error, and nothing is done.
    Error(Error),
    /// For receives: success with size 0 and messages remaining, as with a buffer that is too small.
    EmptySuccess,
}

/// A message queue's two ends.
#[derive(Clone, Copy, Debug)]
pub struct QueueEnds {
    /// The sender's capability.
    pub tx: CapabilityId,
    /// The receiver's capability.
    pub rx: CapabilityId,
    /// The sender's interrupt.
    pub tx_virq: Virq,
    /// The receiver's interrupt.
    pub rx_virq: Virq,
}

/// A doorbell's two ends.
#[derive(Clone, Copy, Debug)]
pub struct DoorbellEnds {
    /// The ringing VM's capability.
    pub source: CapabilityId,
    /// The receiving VM's capability.
    pub receiver: CapabilityId,
    /// The receiver's interrupt.
    pub virq: Virq,
}

#[derive(Clone, Copy)]
struct Capability {
    object: usize,
    rights: u32,
    revoked: bool,
}

#[derive(Default)]
struct State {
    objects: Vec<Object>,
    /// One capability table per VM; ids count from 0, as in debug builds.
    tables: Vec<Vec<Option<Capability>>>,
    virqs: Vec<bool>,
    faults: VecDeque<(Hypercall, Fault)>,
    calls: BTreeMap<u16, u64>,
    documented_errors: bool,
    entropy_calls: u32,
}

/// A hypervisor in memory. Clones are handles to the same one.
#[derive(Clone, Default)]
pub struct FakeHypervisor {
    state: Arc<SpinMutex<State>>,
}

impl FakeHypervisor {
    /// Makes one with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a VM with an empty capability table.
    pub fn vm(&self) -> FakeVm {
        let mut state = self.state.lock();
        state.tables.push(Vec::new());
        FakeVm::new(self.clone(), state.tables.len() - 1)
    }

    /// Makes a message queue between two VMs.
    pub fn queue(
        &self,
        sender: &FakeVm,
        receiver: &FakeVm,
        depth: u16,
        max_message_size: u16,
    ) -> QueueEnds {
        let mut state = self.state.lock();
        let (tx_virq, rx_virq) = (state.new_virq(), state.new_virq());
        let queue = FakeQueue::new(depth, max_message_size, tx_virq, rx_virq);
        let object = state.new_object(Object::Queue(queue));
        QueueEnds {
            tx: state.grant(sender, object, objects::SEND),
            rx: state.grant(receiver, object, objects::RECEIVE),
            tx_virq,
            rx_virq,
        }
    }

    /// Makes a doorbell between two VMs.
    pub fn doorbell(&self, ringer: &FakeVm, listener: &FakeVm) -> DoorbellEnds {
        let mut state = self.state.lock();
        let virq = state.new_virq();
        let object = state.new_object(Object::Doorbell(FakeDoorbell::new(virq)));
        DoorbellEnds {
            source: state.grant(ringer, object, objects::SEND),
            receiver: state.grant(listener, object, objects::RECEIVE),
            virq,
        }
    }

    /// Takes a capability away; its slot answers `CSPACE_CAP_REVOKED` from now on.
    pub fn revoke(&self, vm: &FakeVm, capability: CapabilityId) {
        let mut state = self.state.lock();
        let slot = usize::try_from(capability.0).ok();
        let table = state.tables.get_mut(vm.index());
        if let Some(Some(capability)) = table.zip(slot).and_then(|(t, s)| t.get_mut(s)) {
            capability.revoked = true;
        }
    }

    /// Tells whether an interrupt's edge is latched, and clears it, as acknowledging it does.
    pub fn take_virq(&self, virq: Virq) -> bool {
        let mut state = self.state.lock();
        state.virqs.get_mut(virq.0).is_some_and(core::mem::take)
    }

    /// Tells whether an interrupt configured as a level is asserted now.
    pub fn level(&self, virq: Virq) -> bool {
        self.state.lock().objects.iter().any(|object| object.level(virq))
    }

    /// Spoils the next call of this kind, by whomever.
    pub fn inject(&self, call: Hypercall, fault: Fault) {
        self.state.lock().faults.push_back((call, fault));
    }

    /// Answers queue misuse with the errors of the document from now on.
    pub fn document_errors(&self) {
        self.state.lock().documented_errors = true;
    }

    /// Lets the random number generator answer again after `BUSY`.
    pub fn refill_entropy(&self) {
        self.state.lock().entropy_calls = 0;
    }

    /// How often a hypercall was made, by all VMs together.
    pub fn calls(&self, call: Hypercall) -> u64 {
        let state = self.state.lock();
        state.calls.get(&call.code()).copied().unwrap_or(0)
    }

    /// Messages waiting in the queue of a capability, for assertions.
    pub fn queued(&self, vm: &FakeVm, queue: CapabilityId) -> usize {
        let mut state = self.state.lock();
        match state.lookup(vm.index(), queue, objects::ANY) {
            Ok(Object::Queue(queue)) => queue.len(),
            _ => 0,
        }
    }
}

impl State {
    fn new_virq(&mut self) -> Virq {
        self.virqs.push(false);
        Virq(self.virqs.len() - 1)
    }

    fn new_object(&mut self, object: Object) -> usize {
        self.objects.push(object);
        self.objects.len() - 1
    }

    fn grant(&mut self, vm: &FakeVm, object: usize, rights: u32) -> CapabilityId {
        let Some(table) = self.tables.get_mut(vm.index()) else {
            return CapabilityId::INVALID;
        };
        table.push(Some(Capability { object, rights, revoked: false }));
        CapabilityId(table.len() as u64 - 1)
    }

    fn assert(&mut self, virq: Option<Virq>) {
        if let Some(pending) = virq.and_then(|virq| self.virqs.get_mut(virq.0)) {
            *pending = true;
        }
    }

    /// Counts a call and takes the fault a test has put on it.
    fn begin(&mut self, call: Hypercall) -> Option<Fault> {
        *self.calls.entry(call.code()).or_default() += 1;
        let position = self.faults.iter().position(|(spoilt, _)| *spoilt == call)?;
        self.faults.remove(position).map(|(_, fault)| fault)
    }

    /// Looks a capability up in the order of the real code: table index, empty slot, revoked. Type and rights are checked by
    /// the callers through [`Object`], so rights are checked here only after the type is known to fit.
    fn lookup(&mut self, vm: usize, id: CapabilityId, rights: u32) -> Result<&mut Object, Error> {
        let table = self.tables.get(vm).ok_or(Error::ArgumentInvalid)?;
        let slot = usize::try_from(id.0)
            .ok()
            .and_then(|index| table.get(index))
            .ok_or(Error::ArgumentInvalid)?;
        let capability = slot.ok_or(Error::CspaceCapNull)?;
        if capability.revoked {
            return Err(Error::CspaceCapRevoked);
        }
        let object = self.objects.get_mut(capability.object).ok_or(Error::ObjectState)?;
        object.check_type(rights)?;
        if capability.rights & rights & objects::RIGHTS != rights & objects::RIGHTS {
            return Err(Error::CspaceInsufficientRights);
        }
        Ok(object)
    }
}
