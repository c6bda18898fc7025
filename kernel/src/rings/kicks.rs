//! A doorbell that only wakes.

use gunyah::{
    doorbell::{Doorbell, DoorbellTrigger},
    hypercalls::Hypercalls,
};
use gunyah_abi::doorbell::ALL_FLAGS;

/// A doorbell whose flags clear themselves, so that each ring interrupts and none is received.
pub(super) struct Kicks<'a, H: Hypercalls>(Option<&'a Doorbell<H>>);

impl<'a, H: Hypercalls> Kicks<'a, H> {
    /// Makes it one until the value is dropped.
    pub fn only(bell: &'a Doorbell<H>) -> Self {
        // As a level the handler receives.
        let is_edge = bell.trigger() == DoorbellTrigger::Edge;
        let kicks = Self(is_edge.then_some(bell));
        kicks.mask(ALL_FLAGS);
        kicks
    }

    fn mask(&self, ack: u64) {
        if let Some(Err(error)) = self.0.map(|bell| bell.mask(ALL_FLAGS, ack)) {
            log::info!(target: "ring", "{error}");
        }
    }
}

impl<H: Hypercalls> Drop for Kicks<'_, H> {
    fn drop(&mut self) {
        self.mask(0);
    }
}
