//! The channels that the device tree names.

use super::*;
use crate::dt::{AddressRange, Uart, UartKind};
use gunyah::rm::Resource;
use gunyah_abi::rm::ResourceType;

#[test]
fn a_uarts_doorbell_is_no_channel_whoever_names_it() {
    let rig = Rig::new();
    let mut platform = crate::shell::tests::rig::Rig::new().system.platform;
    let bell = platform.doorbells[0].clone();
    platform.uarts.push(Uart {
        path: "/serial@3f8".into(),
        kind: UartKind::Ns16550a,
        registers: AddressRange { start: 0x3f8, size: 8 },
        reg_shift: 0,
        reg_io_width: 1,
        interrupt: Some(Interrupt { trigger: Trigger::Level, ..bell.interrupt }),
        is_stdout: true,
    });
    rig.channels.fill(&platform);
    let listed = Resource {
        kind: ResourceType::Doorbell,
        partner: 3,
        label: 8,
        handle: 1,
        capability: Some(bell.capability),
        intid: Some(bell.interrupt.intid),
        virq_handle: 0,
        memory: None,
    };
    for _ in 0..2 {
        assert_eq!(rig.channels.learn(3, core::slice::from_ref(&listed)), Changes::default());
        assert!(rig.channels.bells().is_empty());
        assert!(!rig.board.enabled().contains(&bell.interrupt.intid));
    }
}
