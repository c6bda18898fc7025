//! Memory: what is mapped how, and what of it is heap.
//!
//! The plan is made from the device tree and the linker's layout, and is plain data that tests
//! can look at: the image W^X with its guard pages left out, the device tree read-only, the rest
//! of the RAM that holds the image read-write, devices as devices. `/reserved-memory` stays
//! unmapped. Memory banks that do not hold the image stay unmapped too: Gunyah's Resource Manager
//! lists buffers shared with other VMs as memory, and what is mapped here becomes heap.

pub mod attributes;
pub mod heap;
#[cfg(target_os = "none")]
pub mod paging;
pub mod shared;

use alloc::{vec, vec::Vec};
use billy_boot::Layout;
use core::fmt;
use core::ops::Range;

/// The translation granule.
pub const PAGE: u64 = 4096;
/// What one entry of a second-level table maps.
const BLOCK: u64 = 2 << 20;
/// First address beyond what the tables can map: 39 bits.
const LIMIT: u64 = 1 << 39;

/// How a range is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Read and execute.
    Code,
    /// Read only.
    Constant,
    /// Read and write, and not given to anybody else.
    Data,
    /// Read and write; becomes heap.
    Heap,
    /// Device-nGnRE, read and write.
    Device,
}

/// One range of the plan, page-aligned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// Addresses; the map is the identity.
    pub range: Range<u64>,
    /// How it is mapped.
    pub kind: Kind,
}

/// What the plan is made from.
#[derive(Clone, Debug)]
pub struct Inputs<'a> {
    /// The range of `/memory` that holds image and tree, in whole pages.
    pub ram: Range<u64>,
    /// `/reserved-memory` and the reservation block.
    pub reserved: &'a [Range<u64>],
    /// Register frames of devices.
    pub devices: &'a [Range<u64>],
    /// The device tree as it lies in memory.
    pub tree: Range<u64>,
    /// The image.
    pub layout: &'a Layout,
    /// Parts of the image's data that nothing is in: what the first heap did not need. They are
    /// mapped only where there is no better heap, since an entry for each of their pages is work.
    pub idle: &'a [Range<u64>],
}

/// Memory that cannot be used as the device tree describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanError {
    /// A device lies over memory or beyond what can be mapped.
    Device(Range<u64>),
    /// Memory beyond what can be mapped.
    BeyondLimit(Range<u64>),
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, range) = match self {
            Self::Device(r) => ("a device's reg cannot be mapped:", r),
            Self::BeyondLimit(r) => ("/memory lies beyond 39 bits:", r),
        };
        write!(f, "{what} {:#x}..{:#x}", range.start, range.end)
    }
}

impl core::error::Error for PlanError {}

/// Makes the plan, in ascending order of addresses within each group.
///
/// # Errors
///
/// See [`PlanError`].
pub fn plan(inputs: &Inputs<'_>) -> Result<Vec<Region>, PlanError> {
    let image = wide(&inputs.layout.image());
    let ram = inputs.ram.clone();
    if ram.end > LIMIT {
        return Err(PlanError::BeyondLimit(ram));
    }
    let tree = outward(&inputs.tree);
    let mut taken: Vec<Range<u64>> = inputs.reserved.iter().map(outward).collect();

    let layout = inputs.layout;
    let mut plan = Vec::with_capacity(16 + taken.len());
    plan.push(Region { range: wide(&layout.text), kind: Kind::Code });
    plan.push(Region { range: wide(&layout.rodata), kind: Kind::Constant });
    let mut holes = vec![wide(&layout.stack_guard), wide(&layout.exception_stack_guard)];
    holes.extend_from_slice(inputs.idle);
    each_gap(&wide(&layout.data), holes, |range| {
        plan.push(Region { range, kind: Kind::Data });
    });
    plan.push(Region { range: tree.start..tree.end.min(ram.end), kind: Kind::Constant });
    taken.push(image);
    taken.push(tree);
    let (mut heap, is_whole) = heap(&ram, taken);
    if !is_whole {
        heap.extend_from_slice(inputs.idle);
    }
    plan.extend(heap.into_iter().map(|range| Region { range, kind: Kind::Heap }));
    for device in inputs.devices {
        let device = outward(device);
        if device.is_empty() || device.end > LIMIT || overlap(&device, &ram) {
            return Err(PlanError::Device(device));
        }
        plan.push(Region { range: device, kind: Kind::Device });
    }
    Ok(plan)
}

/// What of `ram` lies in none of `taken`, in whole blocks where there are any: what is left over
/// beside the image and the tree would cost page tables, and an entry for each of its pages. Tells
/// whether there are any.
fn heap(ram: &Range<u64>, taken: Vec<Range<u64>>) -> (Vec<Range<u64>>, bool) {
    let mut gaps = Vec::with_capacity(taken.len() + 1);
    each_gap(ram, taken, |gap| gaps.push(gap));
    let blocks: Vec<_> = gaps
        .iter()
        .map(|gap| gap.start.next_multiple_of(BLOCK)..gap.end / BLOCK * BLOCK)
        .filter(|gap| !gap.is_empty())
        .collect();
    if blocks.is_empty() { (gaps, false) } else { (blocks, true) }
}

/// Calls `found` for each part of `whole` that lies in none of `taken`.
fn each_gap(whole: &Range<u64>, mut taken: Vec<Range<u64>>, mut found: impl FnMut(Range<u64>)) {
    crate::sorted::sort_by_key(&mut taken, |range| range.start);
    let mut start = whole.start;
    for range in taken {
        if range.start > start {
            let end = range.start.min(whole.end);
            if start < end {
                found(start..end);
            }
        }
        start = start.max(range.end);
    }
    if start < whole.end {
        found(start..whole.end);
    }
}

/// The same range, as the plan has it.
pub fn wide(range: &Range<usize>) -> Range<u64> {
    range.start as u64..range.end as u64
}

fn outward(range: &Range<u64>) -> Range<u64> {
    let end = range.end.checked_next_multiple_of(PAGE).unwrap_or(u64::MAX - (PAGE - 1));
    range.start / PAGE * PAGE..end
}

fn overlap(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}

#[cfg(test)]
mod tests;
