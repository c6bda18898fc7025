//! Real-time clocks.

use crate::support::{cells, error, good, node, platform, text};
use billy_dt::AddressRange;
use dtoolkit::model::DeviceTreeNode;

#[test]
fn a_real_time_clock_is_found_by_its_compatible_string() {
    let clock = |address: u32, size: u32, compatible: &str| {
        let reg = cells(&[0, address, 0, size]);
        let properties = [("compatible", text(compatible)), ("reg", reg)];
        node(&format!("rtc@{address:x}"), &properties, [])
    };
    let found = |nodes: Vec<DeviceTreeNode>| {
        let mut tree = good();
        nodes.into_iter().for_each(|node| tree.root.add_child(node));
        platform(&[&tree.to_dtb()]).clock
    };
    let range = |start, size| Some(AddressRange { start, size });
    let both = "arm,pl031\0arm,primecell";
    assert_eq!(found(vec![]), None);
    assert_eq!(found(vec![clock(0x901_0000, 0x1000, "arm,primecell")]), None);
    assert_eq!(found(vec![clock(0x901_0000, 0x1000, both)]), range(0x901_0000, 0x1000));
    let two = vec![clock(0x902_0000, 0x1000, both), clock(0x901_0000, 0x20, both)];
    assert_eq!(found(two), range(0x901_0000, 0x20));
}

#[test]
fn a_real_time_clock_without_room_for_its_registers_is_refused() {
    let mut tree = good();
    let reg = cells(&[0, 0x901_0000, 0, 0x10]);
    let properties = [("compatible", text("arm,pl031")), ("reg", reg)];
    tree.root.add_child(node("rtc@9010000", &properties, []));
    let error = error(&[&tree.to_dtb()]);
    assert!(error.contains("/rtc@9010000") && error.contains("32 bytes of registers"), "{error}");
}
