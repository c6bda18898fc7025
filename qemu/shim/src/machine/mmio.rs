//! Accesses of guests to the devices that the machine emulates.

use alloc::vec::Vec;

use super::{Caller, Machine};
use crate::seam::World;

impl Machine {
    /// Carries out a load, or a store of `stored`, at `ipa`; returns what was loaded, 0 for a store. `None`: no device
    /// of the caller's VM is there.
    pub fn mmio(
        &mut self,
        caller: Caller,
        ipa: u64,
        stored: Option<u64>,
        world: &mut World<'_>,
    ) -> Option<u64> {
        let mut rtcs = self.rtcs.iter_mut().filter(|rtc| rtc.vm() == caller.vm);
        let now = || world.clock.now();
        if let Some(value) = rtcs.find_map(|rtc| rtc.access(ipa, stored, now())) {
            return Some(value);
        }
        let Self { uarts, objects, peers, .. } = self;
        let mut uarts = uarts.iter_mut().filter(|uart| uart.vm() == caller.vm);
        let Some(value) = stored else {
            return uarts.find_map(|uart| uart.read(ipa, objects, world.interrupts));
        };
        let mut sent = Vec::new();
        uarts.find_map(|uart| uart.write(ipa, value, &mut sent, objects, world.interrupts))?;
        if let Some(peer) = peers.get_mut(caller.vm.0).filter(|_| !sent.is_empty()) {
            peer.console_chars(&sent, world.console);
        }
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use crate::fake::Signal;
    use crate::fake::rig::{Rig, config};
    use crate::machine::{Event, Machine, Outcome};
    use crate::machine_file::{MachineFile, ReceivedDoorbell, UartConfig, UartKind, VmConfig};

    const COM1: UartConfig =
        UartConfig { kind: UartKind::Ns16550a, base: 0x3f8, size: 8, shift: 0, intid: Some(36) };

    /// The recorded VM without a Resource Manager, with these UARTs.
    fn rig(uarts: &[UartConfig], script: &str) -> Rig {
        let mut vm = VmConfig { resource_manager: None, uarts: uarts.to_vec(), ..config() };
        vm.set_script(script);
        Rig::new(&MachineFile::of(vm))
    }

    fn print(rig: &mut Rig, text: &str) {
        for byte in text.bytes() {
            assert_eq!(rig.mmio(0x3f8, Some(byte.into())), Some(0));
        }
    }

    /// What the guest receives, looking until there is nothing.
    fn input(rig: &mut Rig) -> Vec<u8> {
        let mut bytes = Vec::new();
        while rig.mmio(0x3fd, None).unwrap() & 1 != 0 {
            bytes.push(rig.mmio(0x3f8, None).unwrap() as u8);
        }
        bytes
    }

    #[test]
    fn serial_line_and_uart_are_one() {
        let mut rig = rig(&[COM1], "");
        rig.line.input = b"help\r".to_vec();
        print(&mut rig, "billy> ");
        rig.run();
        assert_eq!(rig.line.output, b"billy> ");
        assert_eq!(rig.line.input, b"help\r", "the guest is not ready");
        // FIFOs, interrupt, ready.
        for (register, value) in [(2, 1), (1, 1), (4, 3)] {
            rig.mmio(0x3f8 + register, Some(value));
        }
        rig.run();
        assert_eq!(rig.signals.take(), [Signal::Assert(36)]);
        assert!(rig.machine.is_source_pending(crate::fake::virq(36)));
        assert_eq!(input(&mut rig), b"help\r");
        assert_eq!(rig.signals.take(), [Signal::Clear(36)]);
    }

    #[test]
    fn input_waits_on_the_line_while_the_fifo_is_full() {
        let mut rig = rig(&[COM1], "");
        rig.mmio(0x3fa, Some(1));
        rig.mmio(0x3fc, Some(3));
        let typed: Vec<u8> = (0..200).collect();
        rig.line.input = typed.clone();
        rig.run();
        rig.run();
        assert_eq!(rig.line.input.len(), 200 - 16);
        let mut seen = Vec::new();
        while seen.len() < typed.len() {
            seen.extend(input(&mut rig));
            rig.run();
        }
        assert_eq!(seen, typed);
    }

    #[test]
    fn a_script_sees_and_types_on_a_uart() {
        let script = "expect open\nexpect console \"> \"\ntype \"x\\r\"\nstop\n";
        let mut rig = rig(&[COM1], script);
        rig.run();
        rig.mmio(0x3fa, Some(1));
        rig.mmio(0x3fc, Some(3));
        rig.run();
        print(&mut rig, "> ");
        assert_eq!(rig.pump(), Some(Event::Finished(Outcome::Success)));
        assert_eq!(input(&mut rig), b"x\r");
    }

    #[test]
    fn accesses_elsewhere_find_nothing() {
        let mut rig = rig(&[COM1], "");
        for ipa in [0x3f7, 0x400, u64::MAX] {
            assert_eq!((rig.mmio(ipa, None), rig.mmio(ipa, Some(1))), (None, None));
        }
    }

    #[test]
    fn a_uart_may_share_its_intid_with_a_doorbell_only() {
        let refused = |uarts: &[UartConfig]| {
            let vm = VmConfig { uarts: uarts.to_vec(), ..config() };
            Machine::new(&MachineFile::of(vm)).map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(refused(&[UartConfig { intid: Some(962), ..COM1 }]), Ok(()));
        for intid in [960, 31] {
            let message = format!("VM probe-svm: INTID {intid} is no SPI or given twice");
            assert_eq!(refused(&[UartConfig { intid: Some(intid), ..COM1 }]), Err(message));
        }
        for other in [
            UartConfig { base: 0x3ff, ..COM1 },
            UartConfig { size: 0, ..COM1 },
            UartConfig { base: u64::MAX, ..COM1 },
        ] {
            let quiet = UartConfig { intid: None, ..other };
            let error = refused(&[COM1, quiet]).unwrap_err();
            assert!(error.contains(&format!("the UART at {:#x}", other.base)), "{error}");
        }
    }

    #[test]
    fn uarts_may_share_a_line() {
        let com3 = UartConfig { base: 0x3e8, ..COM1 };
        let mut rig = rig(&[com3, COM1], "");
        // Both may interrupt when they can send: writing there raises the line.
        for uart in [0x3e8, 0x3f8] {
            rig.mmio(uart + 1, Some(2));
        }
        assert_eq!(rig.signals.take(), [Signal::Assert(36), Signal::Assert(36)]);
        // One is served: the other still holds the line.
        assert_eq!(rig.mmio(0x3ea, None), Some(2));
        assert_eq!(rig.signals.take(), []);
        assert!(rig.machine.is_source_pending(crate::fake::virq(36)));
        assert_eq!(rig.mmio(0x3fa, None), Some(2));
        assert!(!rig.machine.is_source_pending(crate::fake::virq(36)));
    }

    #[test]
    fn a_uart_rings_the_doorbell_with_its_intid() {
        let bell = ReceivedDoorbell { label: 7, peer: 3, cap: 2, intid: 962 };
        let uart = UartConfig { intid: Some(962), ..COM1 };
        let mut rig = rig(&[uart], "");
        assert!(config().doorbells.contains(&bell));
        rig.line.input = b"k".to_vec();
        for (register, value) in [(2, 1), (1, 1), (4, 3)] {
            rig.mmio(0x3f8 + register, Some(value));
        }
        rig.run();
        assert_eq!(rig.signals.take(), [Signal::Assert(962)]);
        assert_eq!(rig.native(0x13, &[2, u64::MAX, 0]), [0, 1]);
        assert_eq!(input(&mut rig), b"k");
    }

    #[test]
    fn a_restart_resets_the_uart() {
        let mut rig = rig(&[COM1], "");
        rig.mmio(0x3fc, Some(3));
        rig.restart();
        assert_eq!(rig.mmio(0x3fc, None), Some(0));
    }
}
