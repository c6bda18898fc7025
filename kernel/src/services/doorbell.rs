//! The doorbell service: requests in, answers out, everything counted.
//!
//! Flags 0 to 31 are requests, 32 to 63 answers. Each request is answered by ringing the paired
//! source with the same flag shifted up by 32; answers and plain kicks are only counted, so two
//! such services never ring each other without end.

use crate::channels::About;
use alloc::{rc::Rc, sync::Arc};
use core::cell::{Cell, RefCell};
use gunyah::{
    doorbell::{Doorbell, DoorbellError, DoorbellSource},
    hypercalls::Hypercalls,
};

/// The flags that ask for an answer.
const REQUESTS: u64 = 0xffff_ffff;
/// From a request flag to its answer.
const ANSWER_SHIFT: u32 = 32;

/// A doorbell that this VM rings.
pub struct BellSource<H> {
    /// What it is known by.
    pub about: About,
    /// The doorbell.
    pub source: DoorbellSource<H>,
}

/// A doorbell that this VM receives, and the service behind it.
pub struct BellService<H> {
    /// What it is known by.
    pub about: About,
    /// Its interrupt.
    pub intid: u32,
    /// The doorbell.
    pub receiver: Arc<Doorbell<H>>,
    answers_to: RefCell<Option<Rc<BellSource<H>>>>,
    flags: [Cell<u64>; 64],
    answered: Cell<u64>,
    /// Answers that the hypervisor put off.
    owed: Cell<u64>,
}

impl<H> BellService<H> {
    /// A service on `receiver`, whose requests are only counted until there is a source to answer on.
    pub fn new(about: About, intid: u32, receiver: Arc<Doorbell<H>>) -> Self {
        let flags = [const { Cell::new(0) }; 64];
        let (answered, owed) = (Cell::new(0), Cell::new(0));
        Self { about, intid, receiver, answers_to: RefCell::new(None), flags, answered, owed }
    }

    /// Answers on `source` from now on.
    pub fn answer_on(&self, source: Rc<BellSource<H>>) {
        self.answers_to.replace(Some(source));
    }

    /// Answers no more, if it was on `source`.
    pub fn forget_source(&self, source: &Rc<BellSource<H>>) {
        let is_it = self.source().is_some_and(|answers| Rc::ptr_eq(&answers, source));
        if is_it {
            self.answers_to.replace(None);
            self.owed.set(0);
        }
    }

    /// What answers go to; none: requests are only counted.
    pub fn source(&self) -> Option<Rc<BellSource<H>>> {
        self.answers_to.borrow().clone()
    }
}

impl<H: Hypercalls> BellService<H> {
    /// Serves until the hypervisor refuses the doorbell. An answer that was put off comes first when
    /// it is served again.
    ///
    /// # Errors
    ///
    /// What the hypervisor refused; the service has ended then.
    pub async fn serve(&self) -> Result<(), DoorbellError> {
        if self.owes() {
            self.answer_late()?;
        }
        loop {
            let flags = self.receiver.wait().await?;
            self.about.life.sign();
            self.handle(flags)?;
        }
    }

    /// Counts what was received and answers the requests among it.
    fn handle(&self, flags: u64) -> Result<(), DoorbellError> {
        let mut rest = flags;
        while rest != 0 {
            let flag = rest.trailing_zeros() as usize;
            if let Some(counter) = self.flags.get(flag) {
                counter.set(counter.get() + 1);
            }
            rest &= rest - 1;
        }
        self.answer((flags & REQUESTS) << ANSWER_SHIFT)
    }

    #[cold]
    #[inline(never)]
    fn answer_late(&self) -> Result<(), DoorbellError> {
        self.answer(self.owed.take())
    }

    #[cold]
    #[inline(never)]
    fn put_off(&self, answers: u64, error: DoorbellError) -> DoorbellError {
        if error.may_pass() {
            self.owed.set(self.owed.get() | answers);
        }
        error
    }

    /// Rings answers, if there is where.
    #[inline(always)]
    fn answer(&self, answers: u64) -> Result<(), DoorbellError> {
        if let (true, Some(bell)) = (answers != 0, &*self.answers_to.borrow()) {
            if let Err(error) = bell.source.ring(answers) {
                return Err(self.put_off(answers, error));
            }
            self.answered.set(self.answered.get() + u64::from(answers.count_ones()));
        }
        Ok(())
    }

    /// Whether an answer is yet to be rung.
    pub fn owes(&self) -> bool {
        self.owed.get() != 0
    }

    /// How often each flag was received, for flags received at all.
    pub fn flags(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        self.flags.iter().map(Cell::get).enumerate().filter(|(_, count)| *count != 0)
    }

    /// How many request flags were answered.
    pub fn answered(&self) -> u64 {
        self.answered.get()
    }
}

#[cfg(test)]
mod tests;
