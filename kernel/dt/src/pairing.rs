//! Which doorbell source answers which doorbell.

use super::platform::{Doorbell, DoorbellSource};
use super::sorted;
use alloc::vec;
use alloc::vec::Vec;
use gunyah_abi::CapabilityId;

/// Returns, for each receiver, the index of its source in `sources`.
///
/// A receiver and a source of the same label belong together. Of those left, the n-th receiver
/// belongs to the n-th source, both in ascending order of their labels (without a label: last,
/// by capability). No source is given out twice; receivers beyond the last source get `None`.
pub fn pair_doorbells(receivers: &[Doorbell], sources: &[DoorbellSource]) -> Vec<Option<usize>> {
    let receiver_order = sorted(receivers.len(), |i| (receivers[i].label, receivers[i].capability));
    let mut source_order = sorted(sources.len(), |i| (sources[i].label, sources[i].capability));

    let mut pairs = vec![None; receivers.len()];
    for &receiver in &receiver_order {
        let label = receivers[receiver].label;
        let same = |&source: &usize| label.is_some() && sources[source].label == label;
        if let Some(found) = source_order.iter().position(same) {
            pairs[receiver] = Some(source_order.remove(found));
        }
    }
    let left = receiver_order.into_iter().filter(|&receiver| pairs[receiver].is_none());
    for (receiver, source) in left.collect::<Vec<_>>().into_iter().zip(source_order) {
        pairs[receiver] = Some(source);
    }
    pairs
}

/// Returns the indices below `count` in ascending order of label and capability.
fn sorted(count: usize, key: impl Fn(usize) -> (Option<u32>, CapabilityId)) -> Vec<usize> {
    let mut order = Vec::with_capacity(count);
    for index in 0..count {
        sorted::insert(&mut order, index, |&index| {
            let (label, capability) = key(index);
            (label.is_none(), label, capability)
        });
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Interrupt, Trigger};
    use alloc::string::String;

    fn receiver(label: Option<u32>, capability: u64) -> Doorbell {
        let interrupt = Interrupt { intid: 960, trigger: Trigger::Edge };
        Doorbell { path: String::new(), label, capability: CapabilityId(capability), interrupt }
    }

    fn source(label: Option<u32>, capability: u64) -> DoorbellSource {
        DoorbellSource { path: String::new(), label, capability: CapabilityId(capability) }
    }

    #[test]
    fn the_same_label_goes_first() {
        let receivers = [receiver(Some(1), 0), receiver(Some(7), 1)];
        let sources = [source(Some(7), 2), source(Some(9), 3)];
        assert_eq!(pair_doorbells(&receivers, &sources), [Some(1), Some(0)]);
    }

    #[test]
    fn the_rest_is_paired_by_ascending_label() {
        let receivers = [receiver(Some(8), 0), receiver(Some(3), 1), receiver(None, 2)];
        let sources = [source(Some(20), 3), source(Some(10), 4)];
        assert_eq!(pair_doorbells(&receivers, &sources), [Some(0), Some(1), None]);
    }

    #[test]
    fn a_source_is_given_out_once() {
        let receivers = [receiver(Some(4), 0), receiver(Some(4), 1)];
        assert_eq!(pair_doorbells(&receivers, &[source(Some(4), 2)]), [Some(0), None]);
        assert_eq!(pair_doorbells(&receivers, &[]), [None, None]);
    }
}
