//! Which line the shell gets, for the trees and command lines there are.

use super::*;
use crate::dt::{self, AddressRange, MemoryAt};

#[repr(align(8))]
struct Aligned<T: ?Sized>(T);

/// A tree as the Resource Manager makes them: with a Resource Manager, without a UART.
const MERGED: &Aligned<[u8]> = &Aligned(*include_bytes!("../../dt/tests/trees/merged-linear.dtb"));

fn uart(kind: UartKind, start: u64, is_stdout: bool) -> Uart {
    Uart {
        path: format!("/uart@{start:x}"),
        kind,
        registers: AddressRange { start, size: 0x1000 },
        reg_shift: 0,
        reg_io_width: 1,
        interrupt: None,
        is_stdout,
    }
}

fn platform(uarts: &[Uart]) -> Platform {
    let source = MemoryAt { address: 0x8000_0000, bytes: &MERGED.0 };
    let mut platform = dt::load(&source, None).unwrap().platform;
    platform.uarts = uarts.to_vec();
    platform
}

fn two() -> [Uart; 2] {
    [uart(UartKind::Ns16550a, 0x3f8, false), uart(UartKind::Pl011, 0x900_0000, true)]
}

/// The candidates as words.
fn order(platform: &Platform, bootargs: &str) -> String {
    let wish = Wish::of(Some(bootargs)).unwrap();
    let names = candidates(platform, wish).into_iter().map(|candidate| match candidate {
        Candidate::ResourceManager => "rm".to_string(),
        Candidate::Uart(uart) => format!("{:#x}", uart.registers.start),
    });
    names.collect::<Vec<_>>().join(" ")
}

#[test]
fn the_resource_manager_comes_first_unless_something_else_is_asked_for() {
    let platform = platform(&two());
    for (bootargs, expected) in [
        ("", "rm 0x9000000"),
        ("quiet root=/dev/vda", "rm 0x9000000"),
        ("console=rm", "rm 0x9000000"),
        ("console=uart", "0x9000000 rm"),
        ("console=ttyS0", "0x3f8 rm 0x9000000"),
        ("console=ttyS0,115200n8", "0x3f8 rm 0x9000000"),
        ("console=ttyAMA0 console=ttyS1", "0x3f8 rm 0x9000000"),
        ("console=ttyAMA0", "0x9000000 rm"),
        ("console=pl011", "0x9000000 rm"),
        ("console=none", ""),
    ] {
        assert_eq!(order(&platform, bootargs), expected, "{bootargs}");
    }
}

#[test]
fn without_a_resource_manager_there_is_the_uart() {
    let mut platform = platform(&two());
    platform.resource_manager = None;
    assert_eq!(order(&platform, ""), "0x9000000");
    assert_eq!(order(&platform, "console=rm"), "0x9000000");
    assert_eq!(order(&platform, "console=none"), "");
    platform.uarts.clear();
    assert_eq!(order(&platform, "console=ttyS0"), "");
}

#[test]
fn the_first_uart_counts_where_stdout_path_leads_to_none() {
    let mut uarts = two();
    uarts[1].is_stdout = false;
    assert_eq!(order(&platform(&uarts), ""), "rm 0x3f8");
}

#[test]
fn a_wish_that_is_not_granted_is_told() {
    let platform = platform(&[uart(UartKind::Ns16550a, 0x3f8, false)]);
    for (bootargs, granted) in [
        ("", true),
        ("console=none", true),
        ("console=rm", true),
        ("console=ttyS0", true),
        ("console=ttyAMA0", false),
    ] {
        let wish = Wish::of(Some(bootargs)).unwrap();
        assert_eq!(wish.is_granted_by(&candidates(&platform, wish)), granted, "{bootargs}");
    }
    let wish = Wish::of(Some("console=rm")).unwrap();
    assert!(!wish.is_granted_by(&[]));
}

#[test]
fn other_consoles_are_unknown() {
    assert_eq!(Wish::of(None), Ok(Wish::Any));
    for name in ["hvc0", "tty0", "", "none1x"] {
        let bootargs = format!("console={name},options");
        let error = Wish::of(Some(&bootargs)).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("console={name} is unknown: rm, uart, ttyS0, ttyAMA0, pl011 and none are not")
        );
    }
}
