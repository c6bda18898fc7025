//! The guest's real-time clock: a PL031, after Arm DDI 0224.
//!
//! It runs from the start, as one that firmware has set, and goes on through the VM's resets. No interrupt line leaves
//! it: what it would interrupt for is seen in its registers only.

use crate::machine_file::RtcConfig;
use crate::vm::VmIndex;

const DATA: u64 = 0x00;
const MATCH: u64 = 0x04;
const LOAD: u64 = 0x08;
const CONTROL: u64 = 0x0c;
const INTERRUPT_MASK: u64 = 0x10;
const RAW_INTERRUPT: u64 = 0x14;
const MASKED_INTERRUPT: u64 = 0x18;
const INTERRUPT_CLEAR: u64 = 0x1c;

/// The only bit of the control register and of the interrupt's registers.
const BIT: u32 = 1;

/// Peripheral and PrimeCell identification of revision 1.
const IDENTIFICATION: [u32; 8] = [0x31, 0x10, 0x14, 0x00, 0x0d, 0xf0, 0x05, 0xb1];

const NANOSECONDS: u64 = 1_000_000_000;

/// A PL031 of a VM.
#[derive(Debug)]
pub struct Rtc {
    vm: VmIndex,
    config: RtcConfig,
    /// What the counter reads at the machine's second 0.
    start: u32,
    /// What the counter read when it was last looked at.
    seen: u32,
    matched: u32,
    load: u32,
    enabled: bool,
    raised: bool,
}

impl Rtc {
    /// A clock that reads the configured time when the machine starts.
    #[must_use]
    pub fn new(vm: VmIndex, config: RtcConfig) -> Self {
        let start = config.seconds;
        Self { vm, config, start, seen: start, matched: 0, load: 0, enabled: false, raised: false }
    }

    /// Its VM.
    #[must_use]
    pub fn vm(&self) -> VmIndex {
        self.vm
    }

    /// Emulates a load, or a store of `stored`, `now` nanoseconds after the machine's start; returns what was loaded, 0
    /// for a store. `None`: there is no register of this clock.
    pub fn access(&mut self, ipa: u64, stored: Option<u64>, now: u64) -> Option<u64> {
        let register = ipa.checked_sub(self.config.base)?;
        if register >= self.config.size {
            return None;
        }
        self.count_to(now);
        match stored {
            None => Some(self.read(register).into()),
            Some(value) => {
                self.write(register, value as u32, now);
                Some(0)
            }
        }
    }

    /// Puts all but the counter into its reset state.
    pub fn restart(&mut self) {
        (self.matched, self.load) = (0, 0);
        (self.enabled, self.raised) = (false, false);
    }

    /// Counts the seconds since the counter was last looked at, past the match value or not.
    fn count_to(&mut self, now: u64) {
        let counter = self.start.wrapping_add(seconds(now));
        let passed = counter.wrapping_sub(self.seen);
        let until_match = self.matched.wrapping_sub(self.seen);
        self.raised |= (1..=passed).contains(&until_match);
        self.seen = counter;
    }

    fn read(&self, register: u64) -> u32 {
        match register {
            DATA => self.seen,
            MATCH => self.matched,
            LOAD => self.load,
            CONTROL => BIT,
            INTERRUPT_MASK => self.enabled.into(),
            RAW_INTERRUPT => self.raised.into(),
            MASKED_INTERRUPT => (self.raised && self.enabled).into(),
            0xfe0..0x1000 if register.is_multiple_of(4) => {
                let number = (register - 0xfe0) / 4;
                IDENTIFICATION.get(number as usize).copied().unwrap_or_default()
            }
            _ => 0,
        }
    }

    /// The control register stays as it is: a clock that runs is not stopped.
    fn write(&mut self, register: u64, value: u32, now: u64) {
        match register {
            MATCH => self.matched = value,
            LOAD => {
                self.load = value;
                self.start = value.wrapping_sub(seconds(now));
                self.seen = value;
            }
            INTERRUPT_MASK => self.enabled = value & BIT != 0,
            INTERRUPT_CLEAR if value & BIT != 0 => self.raised = false,
            _ => {}
        }
        if matches!(register, MATCH | LOAD) {
            self.raised |= self.matched == self.seen;
        }
    }
}

/// The seconds of a time in nanoseconds, as far as the counter holds them.
fn seconds(now: u64) -> u32 {
    (now / NANOSECONDS) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::rig::{Rig, config};
    use crate::machine::Machine;
    use crate::machine_file::{MachineFile, UartConfig, UartKind, VmConfig};

    const BASE: u64 = 0x901_0000;
    const CLOCK: RtcConfig = RtcConfig { base: BASE, size: 0x1000, seconds: 1_700_000_000 };

    fn machine(rtc: Option<RtcConfig>) -> MachineFile {
        MachineFile::of(VmConfig { rtc, ..config() })
    }

    fn rig(seconds: u32) -> Rig {
        Rig::new(&machine(Some(RtcConfig { seconds, ..CLOCK })))
    }

    fn read(rig: &mut Rig, register: u64) -> u64 {
        rig.mmio(BASE + register, None).unwrap()
    }

    fn write(rig: &mut Rig, register: u64, value: u64) {
        assert_eq!(rig.mmio(BASE + register, Some(value)), Some(0));
    }

    fn at(rig: &mut Rig, seconds: u64) {
        rig.clock.0.set(seconds * NANOSECONDS);
    }

    /// Raw and masked interrupt.
    fn interrupts(rig: &mut Rig) -> (u64, u64) {
        (read(rig, RAW_INTERRUPT), read(rig, MASKED_INTERRUPT))
    }

    #[test]
    fn seconds_pass_and_wrap() {
        let mut rig = rig(0xffff_fffe);
        assert_eq!((read(&mut rig, CONTROL), read(&mut rig, DATA)), (1, 0xffff_fffe));
        rig.clock.0.set(2 * NANOSECONDS - 1);
        assert_eq!(read(&mut rig, DATA), 0xffff_ffff);
        at(&mut rig, 2);
        assert_eq!(read(&mut rig, DATA), 0);
        at(&mut rig, 6);
        write(&mut rig, LOAD, 1000);
        assert_eq!((read(&mut rig, LOAD), read(&mut rig, DATA)), (1000, 1000));
        write(&mut rig, CONTROL, 0);
        write(&mut rig, DATA, 0);
        at(&mut rig, 10);
        assert_eq!((read(&mut rig, CONTROL), read(&mut rig, DATA)), (1, 1004));
    }

    #[test]
    fn what_matches_is_raised_until_cleared() {
        let mut rig = rig(100);
        write(&mut rig, MATCH, 105);
        at(&mut rig, 4);
        assert_eq!(interrupts(&mut rig), (0, 0));
        at(&mut rig, 7);
        assert_eq!((read(&mut rig, MATCH), interrupts(&mut rig)), (105, (1, 0)));
        write(&mut rig, INTERRUPT_MASK, 3);
        assert_eq!((read(&mut rig, INTERRUPT_MASK), interrupts(&mut rig)), (1, (1, 1)));
        write(&mut rig, INTERRUPT_CLEAR, 2);
        assert_eq!(interrupts(&mut rig), (1, 1));
        write(&mut rig, INTERRUPT_CLEAR, 1);
        at(&mut rig, 500);
        assert_eq!(interrupts(&mut rig), (0, 0));
        // The time that is loaded, or matched, may be that of the match.
        write(&mut rig, LOAD, 105);
        assert_eq!(interrupts(&mut rig), (1, 1));
        write(&mut rig, INTERRUPT_CLEAR, 1);
        write(&mut rig, MATCH, 104);
        assert_eq!(interrupts(&mut rig), (0, 0));
        write(&mut rig, MATCH, 105);
        assert_eq!(interrupts(&mut rig), (1, 1));
        // The match is on the other side of the wrap.
        write(&mut rig, LOAD, 0xffff_fff0);
        write(&mut rig, MATCH, 2);
        write(&mut rig, INTERRUPT_CLEAR, 1);
        at(&mut rig, 500 + 17);
        assert_eq!(interrupts(&mut rig), (0, 0));
        at(&mut rig, 500 + 18);
        assert_eq!(interrupts(&mut rig), (1, 1));
    }

    #[test]
    fn a_reset_leaves_the_time() {
        let mut rig = rig(100);
        for (register, value) in [(LOAD, 50), (MATCH, 50), (INTERRUPT_MASK, 1)] {
            write(&mut rig, register, value);
        }
        at(&mut rig, 3);
        rig.restart();
        assert_eq!((read(&mut rig, DATA), interrupts(&mut rig)), (53, (0, 0)));
        for register in [MATCH, LOAD, INTERRUPT_MASK] {
            assert_eq!(read(&mut rig, register), 0, "{register:#x}");
        }
    }

    #[test]
    fn it_is_named_and_ends_where_its_registers_end() {
        let mut rig = rig(100);
        let words: Vec<u64> = (0..8).map(|word| read(&mut rig, 0xfe0 + 4 * word)).collect();
        assert_eq!(words, [0x31, 0x10, 0x14, 0, 0x0d, 0xf0, 0x05, 0xb1]);
        for nothing in [1, INTERRUPT_CLEAR, 0x20, 0xfdc, 0xfe1, 0xfff] {
            assert_eq!(read(&mut rig, nothing), 0, "{nothing:#x}");
        }
        for elsewhere in [0, BASE - 4, BASE + 0x1000, u64::MAX] {
            assert_eq!((rig.mmio(elsewhere, None), rig.mmio(elsewhere, Some(1))), (None, None));
        }
        let mut none = Rig::new(&machine(None));
        assert_eq!(none.mmio(BASE, None), None);
    }

    #[test]
    fn it_overlaps_nothing() {
        let (base, size) = (BASE - 4, 8);
        let kind = UartKind::Pl011;
        let uart = UartConfig { kind, base, size, shift: 0, intid: None };
        for (rtc, uarts) in [
            (RtcConfig { size: 0, ..CLOCK }, vec![]),
            (RtcConfig { base: u64::MAX, ..CLOCK }, vec![]),
            (RtcConfig { base: 0x8000_0000, ..CLOCK }, vec![]),
            (RtcConfig { base: 0x3ffe_f004, ..CLOCK }, vec![]),
            (CLOCK, vec![uart]),
        ] {
            let vm = VmConfig { rtc: Some(rtc), uarts, ..config() };
            let error = Machine::new(&MachineFile::of(vm)).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(&format!("the clock at {:#x}", rtc.base)), "{error}");
        }
    }
}
