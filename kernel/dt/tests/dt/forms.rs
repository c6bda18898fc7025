//! One tree, a base tree with overlays behind it, and overlays alone.

use crate::support::{Memory, RAM, cells, dtb, error, form, node, platform, tree, with};
use billy_dt::{self as dt, Form, MemoryAt, TreeSource};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

#[test]
fn base_and_overlay_are_the_same_platform_as_merged() {
    let (base, overlay) = (tree("gunyah-vm.dtb"), tree("overlay-linear.dtbo"));
    let merged = tree("merged-linear.dtb");
    assert_eq!(platform(&[&base, &overlay]), platform(&[&merged]));
    assert_eq!(form(&[&base, &overlay]), Form::BaseAndOverlays(1));
    assert_eq!(form(&[&merged]), Form::Merged);
    // The merged tree has all it needs: what follows is not looked at.
    assert_eq!(form(&[&merged, &overlay]), Form::Merged);
}

#[test]
fn the_merged_tree_can_be_loaded_again() {
    let trees: [&[u8]; 2] = [&tree("gunyah-vm.dtb"), &tree("overlay-linear.dtbo")];
    with(&trees, |loaded| {
        let loaded = loaded.unwrap();
        assert_eq!(platform(&[loaded.tree()]), loaded.platform);
        assert_eq!(loaded.clone().tree.leak(), loaded.tree());
        assert_eq!(loaded.source_bytes, trees[0].len().next_multiple_of(8) + trees[1].len());
    });
}

#[test]
fn an_overlay_alone_goes_onto_the_built_in_base() {
    let overlay = tree("overlay-linear.dtbo");
    let memory = Memory::new(RAM, &[&overlay]);
    let source = memory.source();
    let loaded = dt::load(&source, Some(dt::builtin_base())).unwrap();
    assert_eq!(loaded.form, Form::OverlaysOnly(1));
    assert_eq!(loaded.platform, platform(&[&tree("merged-linear.dtb")]));
    assert_eq!(
        error(&[&overlay]),
        "device tree, byte 0x0: an overlay, and no base tree is built into the image"
    );
}

/// A tree source that notes how far it has been read.
struct Watched<'a>(MemoryAt<'a>, AtomicUsize);

impl TreeSource for Watched<'_> {
    fn address(&self) -> u64 {
        self.0.address()
    }

    fn bytes(&self, offset: usize, len: usize) -> Option<&[u8]> {
        self.1.fetch_max(offset + len, Relaxed);
        self.0.bytes(offset, len)
    }
}

fn bytes_read(trees: &[&[u8]]) -> usize {
    let memory = Memory::new(RAM, trees);
    let source = Watched(memory.source(), AtomicUsize::new(0));
    let _ = dt::load(&source, None);
    source.1.into_inner()
}

#[test]
fn nothing_is_read_that_no_header_claims() {
    let (base, overlay) = (tree("gunyah-vm.dtb"), tree("overlay-linear.dtbo"));
    let merged = tree("merged-linear.dtb");
    let trailing = [0xa5; 64];
    assert_eq!(bytes_read(&[&merged, &trailing]), merged.len());
    assert_eq!(bytes_read(&[&base, &trailing]), base.len().next_multiple_of(8) + 8);
    let both = base.len().next_multiple_of(8) + overlay.len();
    assert_eq!(bytes_read(&[&base, &overlay, &trailing]), both.next_multiple_of(8) + 8);
    let mut bad = base.clone();
    bad[..4].fill(0);
    assert_eq!(bytes_read(&[&bad, &trailing]), 40);
}

#[test]
fn overlays_are_looked_for_within_memory_only() {
    // A base tree with memory that ends where the tree does.
    let base = tree("gunyah-vm.dtb");
    let trees = |memory: Vec<u8>| {
        let overlay = dtb(node(
            "",
            &[],
            [node(
                "fragment@0",
                &[("target-path", b"/\0".to_vec())],
                [node(
                    "__overlay__",
                    &[],
                    [node(
                        "memory@80000000",
                        &[("device_type", b"memory\0".to_vec()), ("reg", memory)],
                        [],
                    )],
                )],
            )],
        ));
        with(&[&base, &overlay], |loaded| {
            let error = loaded.map(|loaded| loaded.tree().to_vec());
            error.unwrap()
        })
    };
    let hypervisor = dtb(node(
        "",
        &[],
        [node(
            "fragment@0",
            &[("target-path", b"/\0".to_vec())],
            [node(
                "__overlay__",
                &[],
                [node("hypervisor", &[("compatible", b"gunyah-hypervisor\0".to_vec())], [])],
            )],
        )],
    ));
    let with_room = trees(cells(&[0, 0x8000_0000, 0, 0x400_0000]));
    // Room for the header's first words, not for the overlay.
    let room = 0x3f0_0000 + with_room.len().next_multiple_of(8) as u32 + 16;
    let without = trees(cells(&[0, 0x8000_0000, 0, room]));
    let elsewhere = trees(cells(&[0, 0x4000_0000, 0, 0x1000]));

    let found = platform(&[&with_room, &hypervisor]).hypervisor;
    assert_eq!(found.unwrap().compatible, "gunyah-hypervisor");
    assert_eq!(
        error(&[&without, &hypervisor]),
        "overlay 1, byte 0x0: the overlay reaches beyond /memory"
    );
    assert_eq!(platform(&[&elsewhere, &hypervisor]).hypervisor, None);
}

#[test]
fn eight_overlays_and_no_more() {
    let base = tree("gunyah-vm.dtb");
    let rm = tree("overlay-linear.dtbo");
    let more: Vec<Vec<u8>> = (0..8)
        .map(|n| {
            let bell = node(
                &format!("bell@{n}"),
                &[
                    ("compatible", b"qcom,gunyah-doorbell-source\0".to_vec()),
                    ("reg", cells(&[1, n])),
                ],
                [],
            );
            let overlay = node("__overlay__", &[], [node("hypervisor", &[], [bell])]);
            let path = [("target-path", b"/\0".to_vec())];
            dtb(node("", &[], [node("fragment@0", &path, [overlay])]))
        })
        .collect();
    let mut trees: Vec<&[u8]> = vec![&base, &rm];
    trees.extend(more[..7].iter().map(Vec::as_slice));
    assert_eq!(form(&trees), Form::BaseAndOverlays(8));
    assert_eq!(platform(&trees).doorbell_sources.len(), 8);
    trees.push(&more[7]);
    assert_eq!(error(&trees), "overlay 9, byte 0x0: more overlays than are accepted (8)");
}

#[test]
fn a_plain_tree_behind_a_base_tree_is_refused() {
    assert_eq!(
        error(&[&tree("gunyah-vm.dtb"), &tree("gunyah-vm.dtb")]),
        "overlay 1, byte 0x0: a tree without fragments follows the base tree"
    );
}
