//! Broken trees, each refused with the error that names what is wrong.

use crate::support::{Memory, RAM, TREE, cells, dtb, error, node, path, tree, with};
use billy_dt::{self as dt, AddressRange, MemoryAt};

/// Returns name, expected error and bytes of every tree in the folder of broken ones.
pub fn all() -> Vec<(String, String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path("broken")).unwrap() {
        let source = entry.unwrap().path();
        let extension = source.extension().and_then(|extension| extension.to_str());
        let binary = match extension {
            Some("dts") => source.with_extension("dtb"),
            Some("dtso") => source.with_extension("dtbo"),
            _ => continue,
        };
        let text = std::fs::read_to_string(&source).unwrap();
        let expected = text.lines().next().and_then(|line| line.strip_prefix("// error: "));
        let expected = expected.unwrap_or_else(|| panic!("{source:?}: no expected error"));
        let bytes = std::fs::read(&binary).unwrap();
        found.push((binary.file_name().unwrap().to_str().unwrap().into(), expected.into(), bytes));
    }
    found
}

/// Returns the error of a tree in the folder, at the latest when an image is to be placed; an
/// overlay follows a good base tree.
pub fn error_of(name: &str, bytes: &[u8]) -> String {
    let base = tree("gunyah-vm.dtb");
    let trees: &[&[u8]] = match name.ends_with(".dtbo") {
        true => &[&base, bytes],
        false => &[bytes],
    };
    let error = with(trees, |loaded| {
        let loaded = loaded?;
        let image = AddressRange { start: RAM, size: 0x14_0000 };
        let tree = AddressRange { start: TREE, size: loaded.source_bytes as u64 };
        loaded.platform.check_placement(image, tree)
    });
    error.map_or_else(|error| error.to_string(), |_| format!("none: {name} is good"))
}

#[test]
fn each_broken_tree_gives_its_error() {
    let trees = all();
    assert!(trees.len() >= 70, "only {} broken trees", trees.len());
    let wrong = trees.iter().filter_map(|(name, expected, bytes)| {
        let found = error_of(name, bytes);
        (found != *expected).then(|| format!("{name}:\n  expected {expected}\n  found    {found}"))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Returns a good tree with one word replaced.
fn with_word(offset: usize, word: u32) -> Vec<u8> {
    let mut tree = tree("merged-linear.dtb");
    tree[offset..offset + 4].copy_from_slice(&word.to_be_bytes());
    tree
}

#[test]
fn headers() {
    let good = tree("merged-linear.dtb");
    let structure = u32::from_be_bytes(good[8..12].try_into().unwrap());
    let strings = u32::from_be_bytes(good[12..16].try_into().unwrap());
    for (tree, expected) in [
        (vec![0; 64], "byte 0x0: not a device tree (magic 0x00000000 instead of 0xd00dfeed)"),
        (good[..39].to_vec(), "byte 0x0: 40 bytes from here are not readable"),
        (good[..good.len() - 1].to_vec(), "byte 0x0: 3413 bytes from here are not readable"),
        (with_word(4, 39), "byte 0xc: the strings block is not where it could be"),
        (with_word(4, 0x10_0001), "byte 0x4: 1048577 bytes long, at most 1048576 are accepted"),
        (with_word(8, structure + 2), "byte 0x8: the structure block is not where it could be"),
        (with_word(8, 0xffff_fffc), "byte 0x8: the structure block is not where it could be"),
        (with_word(8, 48), "byte 0x10: the memory reservation block is not where it could be"),
        (with_word(12, strings + 1), "byte 0xc: the strings block is not where it could be"),
        (with_word(12, 56), "byte 0x8: the structure block is not where it could be"),
        (with_word(16, 44), "byte 0x10: the memory reservation block is not where it could be"),
        (with_word(16, 32), "byte 0x10: the memory reservation block is not where it could be"),
        (with_word(20, 16), "byte 0x14: format version 16, compatible to 16; 17 is needed"),
        (with_word(24, 18), "byte 0x14: format version 17, compatible to 18; 17 is needed"),
        (with_word(32, 0xffff_ffff), "byte 0xc: the strings block is not where it could be"),
        (with_word(36, 0xffff_ffff), "byte 0x8: the structure block is not where it could be"),
        (with_word(48, 1), "byte 0x28: the memory reservation list does not end within its block"),
    ] {
        assert_eq!(error(&[&tree]), format!("device tree, {expected}"));
    }
}

#[test]
fn structure_blocks() {
    // One node: its token at 0x38, its empty name at 0x3c, a property at 0x40, then its end.
    let good = dtb(node("", &[("a", cells(&[7]))], []));
    let words = |patches: &[(usize, u32)]| {
        let mut tree = good.clone();
        for &(offset, word) in patches {
            tree[offset..offset + 4].copy_from_slice(&word.to_be_bytes());
        }
        error(&[&tree])
    };
    assert_eq!(
        words(&[]),
        "the device tree has no node with device_type \"memory\" below its root"
    );
    for (patches, expected) in [
        (&[(0x38, 5)][..], "byte 0x38: token 0x5 is unknown"),
        (&[(0x38, 2)], "byte 0x38: the end of a node is out of place"),
        (&[(0x38, 9)], "byte 0x38: the end of the tree is out of place"),
        (&[(0x3c, 0x6100_0000)], "byte 0x38: the root node's name has characters that no name has"),
        (&[(0x44, 0x100)], "byte 0x40: the property does not end within its block"),
        (&[(0x44, 0xffff_fff0)], "byte 0x40: the property does not end within its block"),
        (&[(0x48, 2)], "byte 0x40: the property name at 0x2 is outside the strings block"),
        (&[(0x50, 9)], "byte 0x50: the end of the tree is out of place"),
        (&[(0x50, 4), (0x54, 4)], "byte 0x58: the structure block does not end within its block"),
        (&[(0x50, 1), (0x54, 0)], "byte 0x50: the node name has characters that no name has"),
        (
            &[(0x50, 1), (0x54, 0x6161_6161)],
            "byte 0x50: the node name does not end within its block",
        ),
        (
            &[(0x50, 1), (0x54, 0x612f_0000)],
            "byte 0x50: the node name has characters that no name has",
        ),
        (&[(0x50, 2), (0x54, 1)], "byte 0x54: the node name does not end within its block"),
    ] {
        assert_eq!(words(patches), format!("device tree, {expected}"));
    }
    // A property after a child node, a second root, a name too long.
    let parent = dtb(node("", &[], [node("a", &[], []), node("b", &[], [])]));
    let mut late = parent.clone();
    late[0x4c..0x50].copy_from_slice(&3_u32.to_be_bytes());
    late[0x50..0x58].fill(0);
    assert_eq!(
        error(&[&late]),
        "device tree, byte 0x4c: a property after a child node or outside of nodes is out of place"
    );
    let mut two = parent;
    two[0x4c..0x50].copy_from_slice(&2_u32.to_be_bytes());
    two[0x50..0x54].copy_from_slice(&1_u32.to_be_bytes());
    two[0x54..0x58].fill(0);
    assert_eq!(error(&[&two]), "device tree, byte 0x50: a second root node is out of place");
    let long = dtb(node("", &[], [node(&"n".repeat(128), &[], [])]));
    assert_eq!(error(&[&long]), "device tree, byte 0x40: a node name of more than 127 bytes");
}

#[test]
fn strings_blocks() {
    let mut tree = dtb(node("", &[("name", vec![])], []));
    let end = tree.len();
    tree[end - 2] = b' ';
    assert_eq!(
        error(&[&tree]),
        format!(
            "device tree, byte {:#x}: the property name has characters that no name has",
            end - 2
        )
    );
    tree[end - 1] = b'x';
    assert_eq!(
        error(&[&tree]),
        format!(
            "device tree, byte {:#x}: the property name does not end within its block",
            end - 1
        )
    );
}

#[test]
fn misaligned() {
    let good = tree("merged-linear.dtb");
    let memory = Memory::new(RAM, &[&[&[0; 4], good.as_slice()].concat()]);
    let bytes = &memory.bytes()[4..];
    let error = dt::load(&MemoryAt { address: RAM + 4, bytes }, None).unwrap_err();
    let expected = "byte 0x0: the tree is not aligned to 8 bytes (address 0x80000004)";
    assert_eq!(error.to_string(), format!("device tree, {expected}"));
    // Aligned as it says, not in fact.
    assert!(dt::load(&MemoryAt { address: RAM, bytes }, None).is_err());
}

#[test]
fn overlays_that_are_no_trees() {
    let (base, overlay) = (tree("gunyah-vm.dtb"), tree("overlay-linear.dtbo"));
    let mut cut = overlay.clone();
    cut.truncate(overlay.len() - 8);
    assert_eq!(
        error(&[&base, &cut]),
        format!("overlay 1, byte 0x0: {} bytes from here are not readable", overlay.len())
    );
    let mut old = overlay.clone();
    old[23] = 3;
    assert_eq!(
        error(&[&base, &overlay, &old]),
        "overlay 2, byte 0x14: format version 3, compatible to 16; 17 is needed"
    );
}

#[test]
fn the_same_twice() {
    // `a` and `b` are as long as `reg`, so their names can be made the same.
    let memory = [("device_type", b"memory\0".to_vec()), ("rag", vec![]), ("reg", vec![])];
    let mut twice = dtb(node("", &[], [node("memory", &memory, [])]));
    let at = twice.windows(3).position(|name| name == b"rag").unwrap();
    twice[at + 1] = b'e';
    assert_eq!(error(&[&twice]), "/memory: reg: given twice");

    let overlay = node("__overlay__", &[], [node("n1", &[], []), node("n2", &[], [])]);
    let path = [("target-path", b"/\0".to_vec())];
    let mut twice = dtb(node("", &[], [node("fragment@0", &path, [overlay])]));
    let at = twice.windows(3).position(|name| name == b"n2\0").unwrap();
    twice[at + 1] = b'1';
    assert_eq!(
        error(&[&tree("gunyah-vm.dtb"), &twice]),
        "overlay 1: /fragment@0/__overlay__: a child of the same name is there twice"
    );
}

#[test]
fn eight_mebibytes_of_properties() {
    let values: Vec<_> = (0..1024).map(|n| (format!("p{n}"), vec![0xa5; 8192])).collect();
    let values: Vec<_> =
        values.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    let huge = dtb(node("", &values, []));
    let length = huge.len();
    assert!(length > 8 << 20);
    assert_eq!(
        error(&[&huge]),
        format!("device tree, byte 0x4: {length} bytes long, at most 1048576 are accepted")
    );
    assert_eq!(
        error(&[&tree("gunyah-vm.dtb"), &huge]),
        format!("overlay 1, byte 0x4: {length} bytes long, at most 65536 are accepted")
    );
}

#[test]
fn too_much_of_it() {
    let good = || node("", &[], []);
    let many = |count: usize, child: &dyn Fn(usize) -> dtoolkit::model::DeviceTreeNode| {
        let mut root = good();
        (0..count).for_each(|n| root.add_child(child(n)));
        error(&[&dtb(root)])
    };
    let bell = [("compatible", b"qcom,gunyah-doorbell\0".to_vec())];
    assert_eq!(
        many(513, &|n| node(&format!("bell@{n}"), &bell, [])),
        "/bell@512: more than 512 nodes that mean something"
    );
    assert_eq!(
        many(300, &|n| node(&format!("{}{n}", "bell".repeat(30)), &bell, [])),
        format!("/{}265: more than 32768 bytes of paths", "bell".repeat(30))
    );
    let uart = [("compatible", b"ns16550a\0".to_vec())];
    assert_eq!(
        many(33, &|n| node(&format!("uart@{n}"), &uart, [])),
        "/uart@32: more than 32 interrupt controllers and UARTs"
    );
    let memory = |count: u32| {
        let reg = (0..count).flat_map(|n| cells(&[n * 2 + 1, 0, 1])).collect();
        vec![("device_type", b"memory\0".to_vec()), ("reg", reg)]
    };
    assert_eq!(
        many(1, &|_| node("memory@0", &memory(129), [])),
        "/memory@0: more than 128 ranges in reg"
    );
    let chosen = [("bootargs", [[b'x'; 2048].as_slice(), &[0]].concat())];
    let overlay = node("__overlay__", &[], [node("chosen", &chosen, [])]);
    let path = [("target-path", b"/\0".to_vec())];
    let overlay = dtb(node("", &[], [node("fragment@0", &path, [overlay])]));
    let rm = tree("overlay-linear.dtbo");
    assert_eq!(
        error(&[&tree("gunyah-vm.dtb"), &rm, &overlay]),
        "/chosen: bootargs: 2049 bytes long, expected at most 2048"
    );
}
