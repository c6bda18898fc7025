//! Nodes printed for people.

use crate::support::{Memory, cells, dtb, node, tree};
use billy_dt::{DtError, show};

fn shown(tree: &[u8], path: &str) -> Result<String, DtError> {
    let memory = Memory::new(0, &[tree]);
    let mut text = String::new();
    show(memory.bytes(), path, &mut text).map(|()| text)
}

#[test]
fn properties_and_children() {
    let tree = tree("rm-secondary-vm-2cpu-doorbells-msgq.dtb");
    let root = shown(&tree, "/").unwrap();
    assert!(root.contains("compatible = \"linux,dummy-virt\"\n"), "{root}");
    assert!(root.contains("\nhypervisor/\n") && !root.contains("rm-rpc"), "{root}");
    assert_eq!(shown(&tree, "").unwrap(), root);
    assert_eq!(
        shown(&tree, "/hypervisor/bell-rx").unwrap(),
        "label = <0x3>\nqcom,label = <0x3>\ninterrupts = <0x0 0x3a2 0x1>\nreg = <0x0 0x2>\n\
         compatible = \"qcom,gunyah-doorbell\", \"qcom,gunyah-capability\"\n"
    );
    let memory = shown(&tree, "/memory/").unwrap();
    assert_eq!(memory, "reg = <0x0 0x80000000 0x0 0x4000000>\ndevice_type = \"memory\"\n");
    assert_eq!(shown(&tree, "/reserved-memory/").unwrap().lines().next(), Some("ranges"));
}

#[test]
fn values_by_their_looks() {
    let values = [
        ("empty", vec![]),
        ("nothing", b"\0".to_vec()),
        ("odd", vec![1, 2, 0xff]),
        ("holes", b"a\0\0b\0".to_vec()),
        ("cell", cells(&[0x61_0000])),
    ];
    let tree = dtb(node("", &values, []));
    assert_eq!(
        shown(&tree, "/").unwrap(),
        "empty\nnothing = \"\"\nodd = [01 02 ff]\nholes = [61 00 00 62 00]\ncell = <0x610000>\n"
    );
}

#[test]
fn a_path_that_leads_nowhere() {
    let tree = tree("rm-secondary-vm-2cpu-doorbells-msgq.dtb");
    for path in ["/nowhere", "/cpus/cpu@7", "/memory/reg", "/hypervisor/rm-rpc@1/x"] {
        let error = shown(&tree, path).unwrap_err().to_string();
        assert_eq!(error, format!("no node {path}"));
    }
    assert!(matches!(shown(b"no tree", "/"), Err(DtError::Structure { .. })));
}
