//! The heap that reading a tree takes, with the worst trees that are accepted.

use billy_dt::{self as dt, DtError, MAX_OVERLAY_BYTES, MAX_OVERLAYS, MAX_TREE_BYTES};
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

#[path = "dt/support.rs"]
#[allow(dead_code)]
mod support;

use support::{Memory, RAM, cells, node, tree};

/// What the kernel has while it reads its tree.
const BOOT_HEAP: usize = 512 * 1024;

/// Counts what each thread has, in blocks of powers of two as the kernel's heap hands them out.
struct Counting;

thread_local! {
    static USED: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

fn block(layout: Layout) -> usize {
    layout.size().max(layout.align()).max(8).next_power_of_two()
}

// SAFETY: memory comes from and goes back to System as it is; counting touches none of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = USED.try_with(|used| {
            used.set(used.get().wrapping_add(block(layout)));
            PEAK.with(|peak| peak.set(peak.get().max(used.get())));
        });
        // SAFETY: the caller keeps GlobalAlloc's contract, which is System's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        let _ = USED.try_with(|used| used.set(used.get().wrapping_sub(block(layout))));
        // SAFETY: as above; `memory` came from `alloc`, so from System.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static HEAP: Counting = Counting;

/// Loads trees; returns the most that was in use at a time, and the error if there was one.
fn peak(trees: &[&[u8]]) -> (usize, Option<DtError>) {
    let memory = Memory::new(RAM, trees);
    let source = memory.source();
    USED.set(0);
    PEAK.set(0);
    let loaded = dt::load(&source, None);
    let peak = PEAK.get();
    (peak, loaded.err())
}

fn dtb(root: DeviceTreeNode) -> Vec<u8> {
    let mut tree = DeviceTree::new();
    tree.root = root;
    tree.to_dtb()
}

fn overlay(content: impl IntoIterator<Item = DeviceTreeNode>) -> Vec<u8> {
    let target = [("target-path", b"/\0".to_vec())];
    dtb(node("", &[], [node("fragment@0", &target, [node("__overlay__", &[], content)])]))
}

#[test]
fn the_usual_trees_take_little() {
    let (merged, error) = peak(&[&tree("rm-secondary-vm-2cpu-doorbells-msgq.dtb")]);
    assert_eq!(error, None);
    assert!(merged < 16 * 1024, "{merged} bytes for a merged tree");
    let (applied, error) = peak(&[&tree("gunyah-vm.dtb"), &tree("overlay-linear.dtbo")]);
    assert_eq!(error, None);
    assert!(applied < 128 * 1024, "{applied} bytes for an overlay");
}

/// Shapes of nodes that are expensive in different ways, `count` of them.
fn shapes(count: usize) -> Vec<(&'static str, Vec<DeviceTreeNode>)> {
    let many = |make: &dyn Fn(usize) -> DeviceTreeNode| (0..count).map(make).collect();
    let long = |n: usize| format!("{n:0127}");
    let name = |n: usize, length: usize| format!("{n:0length$}");
    let properties = |length: usize, value: usize| {
        move |n: usize| {
            let mut one = node(&format!("n{n}"), &[], []);
            for p in 0..32 {
                let value = vec![0_u8; value];
                let name = name(p + n % 7 * 32, length);
                one.add_property(DeviceTreeProperty::new_unchecked(name, value.as_slice()));
            }
            one
        }
    };
    let nested = |n: usize| {
        let leaf = node(&long(n), &[("phandle", cells(&[n as u32 + 2]))], []);
        (0..12).fold(leaf, |inner, _| node(&long(0), &[], [inner]))
    };
    vec![
        ("small nodes", many(&|n| node(&format!("{n}"), &[], []))),
        ("nodes with a property", many(&|n| node(&format!("{n}"), &[("a", vec![])], []))),
        ("nodes with long names", many(&|n| node(&long(n), &[], []))),
        (
            "nodes with phandles",
            many(&|n| node(&format!("{n}"), &[("phandle", cells(&[n as u32 + 2]))], [])),
        ),
        ("small properties", many(&properties(3, 0))),
        ("properties with values", many(&properties(3, 33))),
        ("properties with long names", many(&properties(129, 5))),
        ("one large value", many(&|n| node(&format!("{n}"), &[("a", vec![1; 16_000])], []))),
        (
            "deep chains with long names",
            vec![{
                let leaves: Vec<_> = (0..count)
                    .map(|n| node(&long(n), &[("phandle", cells(&[n as u32 + 2]))], []))
                    .collect();
                let inner = node(&long(0), &[], leaves);
                (0..10).fold(inner, |inner, _| node(&long(0), &[], [inner]))
            }],
        ),
        ("several chains", many(&|n| node(&format!("c{n}"), &[], [nested(n)]))),
    ]
}

#[test]
fn no_overlay_that_is_accepted_takes_the_heap() {
    let base = tree("gunyah-vm.dtb");
    let rm = tree("overlay-linear.dtbo");
    for index in 0..shapes(1).len() {
        let (mut accepted, mut most, mut refused) = (0, 0, false);
        for count in (1..4000).map(|n| n * n).take_while(|&count| count < 6000) {
            let (name, nodes) = shapes(count).swap_remove(index);
            let more = overlay(nodes);
            let in_base = {
                let mut tree = DeviceTree::from_fdt(&dtoolkit::fdt::Fdt::new(&base).unwrap());
                shapes(count).swap_remove(index).1.into_iter().for_each(|n| tree.root.add_child(n));
                tree.to_dtb()
            };
            for trees in [&[&base, &rm, &more][..], &[&base, &more, &rm], &[&in_base, &rm]] {
                let trees: Vec<&[u8]> = trees.iter().map(|tree| tree.as_slice()).collect();
                let (peak, error) = peak(&trees);
                assert!(peak < BOOT_HEAP * 3 / 4, "{name}, {count}: {peak} bytes ({error:?})");
                most = most.max(peak);
                match error {
                    None => accepted = accepted.max(count),
                    Some(DtError::Structure { .. }) => refused = true,
                    Some(error) => panic!("{name}, {count}: {error}"),
                }
            }
            if refused {
                println!("{name}: up to {accepted}, {most} bytes");
                break;
            }
        }
        assert!(accepted > 0 && refused, "the sizes tried must reach the limit");
    }
}

#[test]
fn no_merged_tree_takes_the_heap() {
    let good = |extra: Vec<DeviceTreeNode>| {
        let bytes = tree("merged-linear.dtb");
        let mut tree = DeviceTree::from_fdt(&dtoolkit::fdt::Fdt::new(&bytes).unwrap());
        extra.into_iter().for_each(|node| tree.root.add_child(node));
        tree.to_dtb()
    };
    let text = |text: &str| [text.as_bytes(), &[0]].concat();
    let capability =
        |compatible: &str, n: u32| vec![("compatible", text(compatible)), ("reg", cells(&[n, n]))];
    let hypervisor = |children: Vec<DeviceTreeNode>| {
        let counts = [("#address-cells", cells(&[2])), ("#size-cells", cells(&[0]))];
        node("hypervisor-2", &counts, children)
    };
    let long = |n: usize, length: usize| format!("{n:0length$}");
    for count in [100, 240, 400, 480, 511, 513, 6000] {
        let ranges: Vec<u8> =
            (0..count.min(120) as u32).flat_map(|n| cells(&[7, n << 12, 0, 1])).collect();
        let reserved = (0..count)
            .map(|n| {
                node(&long(n, 127), &[("reg", cells(&[8, n as u32, 0, 1])), ("no-map", vec![])], [])
            })
            .collect::<Vec<_>>();
        let two = [("#address-cells", cells(&[2])), ("#size-cells", cells(&[2]))];
        let memory = (0..count.min(3))
            .map(|n| {
                let reg = ranges.chunks(4).enumerate().map(|(i, cell)| match i % 4 {
                    0 => (9 + n as u32).to_be_bytes().to_vec(),
                    _ => cell.to_vec(),
                });
                let reg: Vec<u8> = reg.flatten().collect();
                node(&format!("memory@{n}"), &[("device_type", text("memory")), ("reg", reg)], [])
            })
            .collect();
        let sources: Vec<_> = (0..count)
            .map(|n| node(&long(n, 50), &capability("qcom,gunyah-doorbell-source", n as u32), []))
            .collect();
        let queues: Vec<_> = (0..count.min(300))
            .map(|n| {
                let mut properties = capability("qcom,gunyah-message-queue", n as u32);
                properties.push(("is-sender", vec![]));
                properties.push(("peer", text(&long(n, 127))));
                properties.push(("interrupts", cells(&[0, n as u32 + 100, 1])));
                node(&long(n, 80), &properties, [])
            })
            .collect();
        let cpus: Vec<_> = (0..count)
            .map(|n| {
                let properties = [("device_type", text("cpu")), ("reg", cells(&[n as u32 + 1]))];
                node(&long(n, 127), &properties, [])
            })
            .collect();
        let one = [("#address-cells", cells(&[1])), ("#size-cells", cells(&[0]))];
        for (name, extra) in [
            (
                "reserved ranges",
                vec![node("x", &[], []), {
                    let mut all = node("reserved-memory", &two, []);
                    reserved.into_iter().for_each(|node| all.add_child(node));
                    all
                }],
            ),
            ("memory ranges", memory),
            ("sources", vec![hypervisor(sources)]),
            ("queues", vec![hypervisor(queues)]),
            ("cpus", vec![node("cpus", &one, cpus)]),
            ("strings", vec![node("chosen", &[("bootargs", text(&long(0, count)))], [])]),
            ("padding", vec![node("pad", &[("a", vec![0; count * 170])], [])]),
            ("unknown nodes", (0..count).map(|n| node(&long(n, 120), &[], [])).collect()),
        ] {
            let bytes = good(extra);
            let (peak, error) = peak(&[&bytes]);
            assert!(peak < BOOT_HEAP * 3 / 4, "{name}, {count}: {peak} bytes ({error:?})");
            println!("{name}, {count}: {peak} bytes, {error:?}");
        }
    }
}

#[test]
fn the_largest_trees_are_what_the_limits_say() {
    let padded = |bytes: Vec<u8>, size: usize| {
        let room = size - bytes.len() - 32;
        let mut tree = DeviceTree::from_fdt(&dtoolkit::fdt::Fdt::new(&bytes).unwrap());
        tree.root.add_property(DeviceTreeProperty::new_unchecked("p", vec![0_u8; room / 4 * 4]));
        tree.to_dtb()
    };
    let largest = padded(tree("merged-linear.dtb"), MAX_TREE_BYTES);
    assert!(largest.len() > MAX_TREE_BYTES - 64);
    let (used, error) = peak(&[&largest]);
    assert_eq!(error, None);
    assert!(used < 16 * 1024, "{used} bytes");

    let large = padded(overlay([]), MAX_OVERLAY_BYTES - 8);
    let base = tree("gunyah-vm.dtb");
    let mut trees = vec![base.as_slice()];
    trees.extend(std::iter::repeat_n(large.as_slice(), MAX_OVERLAYS));
    let (used, error) = peak(&trees);
    assert!(matches!(error, Some(DtError::Structure { .. })), "{error:?}");
    assert!(used < BOOT_HEAP * 3 / 4, "{used} bytes");
}
