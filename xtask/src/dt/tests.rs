//! The captured trees, described.

use super::*;
use crate::host;

fn described(names: &[&str]) -> String {
    let folder = host::workspace().join("kernel/dt/tests/trees");
    let files: Vec<_> = names.iter().map(|name| folder.join(name)).collect();
    describe(&handover::load(&handover::read(&files).unwrap(), 1, None, None).unwrap())
}

#[test]
fn a_secondary_vm() {
    let expected = "\
form             one tree
memory           0x80000000..0x84000000  64 MiB
cpu              affinity 0x0  psci
cpu              affinity 0x1  psci
gic              distributor     0x3fff0000..0x40000000
gic              redistributors  0x3ffb0000..0x3fff0000  0x20000 each
virtual timer    INTID 27 level
psci             hvc
hypervisor       gunyah-hypervisor
vm               VMID 0x80  owner 0x3
image name       \"probe-svm\"
vendor           \"Qualcomm\"
rm               /hypervisor/rm-rpc@1  no label  tx  capability 0x0  INTID 960 edge  8 messages of 240 bytes
rm               /hypervisor/rm-rpc@1  no label  rx  capability 0x1  INTID 961 edge  8 messages of 240 bytes
queues           /hypervisor/msgq@5  label 0x2  tx  capability 0x4  INTID 963 edge  8 messages of 240 bytes
queues           /hypervisor/msgq@5  label 0x2  rx  capability 0x5  INTID 964 edge  8 messages of 240 bytes
doorbell         /hypervisor/bell-rx@2  label 0x3  capability 0x2  INTID 962 edge  answered by /hypervisor/bell-tx@3
doorbell source  /hypervisor/bell-tx@3  label 0x4  capability 0x3
uart             /uart@1c090000  pl011  0x1c090000..0x1c091000  INTID 37 level  stdout
bootargs         \"test=1\"
stdout-path      /uart@1c090000
kaslr-seed       0xf1a994e63ee56857
";
    assert_eq!(described(&["rm-secondary-vm-2cpu-doorbells-msgq.dtb"]), expected);
}

#[test]
fn an_overlay_alone() {
    let text = described(&["overlay-linear.dtbo"]);
    assert!(text.starts_with("form             base tree of the image, overlays"), "{text}");
    assert!(text.contains("\nimage name       \"billy\"\n"), "{text}");
    assert!(!text.contains("uart"), "{text}");
}

#[test]
fn columns_are_aligned_by_key() {
    let mut page = Page::default();
    page.line("a", ["1".into(), "long".into(), String::new(), "x".into()]);
    page.line("key", ["none of a's columns".into()]);
    page.line("a", ["22".into(), "b".into(), String::new(), "y".into()]);
    assert_eq!(page.text(), "a    1   long  x\nkey  none of a's columns\na    22  b     y\n");
}
