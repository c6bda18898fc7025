//! UARTs of the guest, a 16550A or a PL011 each, emulated by access.
//!
//! The peer sends only while the guest is ready to receive, as its modem lines say, and only as
//! much as the receive FIFO holds, so no byte is lost on the line. What the guest sends is gone at
//! once. The interrupt is a line to an SPI, or a doorbell that is rung when the line rises, or
//! nothing at all.
//!
//! What lives here: registers as plain data. What does not: who is on the other end.

use alloc::vec::Vec;

use crate::machine_file::{UartConfig, UartKind};
use crate::object::{DoorbellIndex, Objects};
use crate::seam::{Virq, VirtualInterrupts};
use crate::vm::VmIndex;

mod fifo;
mod ns16550a;
mod pl011;
#[cfg(test)]
mod tests;

use ns16550a::Ns16550a;
use pl011::Pl011;

/// How the guest learns that the interrupt line is high.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Not at all: it has to look.
    None,
    /// The line goes to an SPI.
    Line(Virq),
    /// The line goes to an SPI that other UARTs drive as well; it falls when the guest looks again.
    SharedLine(Virq),
    /// A doorbell is rung, with flag 0, when the line rises.
    Doorbell(DoorbellIndex),
}

#[derive(Debug)]
enum Model {
    Ns16550a(Ns16550a),
    Pl011(Pl011),
}

impl Model {
    fn new(kind: UartKind) -> Self {
        match kind {
            UartKind::Ns16550a => Self::Ns16550a(Ns16550a::default()),
            UartKind::Pl011 => Self::Pl011(Pl011::default()),
        }
    }
}

/// A UART of a VM.
#[derive(Debug)]
pub struct Uart {
    vm: VmIndex,
    config: UartConfig,
    model: Model,
    signal: Signal,
    high: bool,
}

impl Uart {
    /// A UART in its reset state.
    #[must_use]
    pub fn new(vm: VmIndex, config: UartConfig, signal: Signal) -> Self {
        let model = Model::new(config.kind);
        Self { vm, config, model, signal, high: false }
    }

    /// Its VM.
    #[must_use]
    pub fn vm(&self) -> VmIndex {
        self.vm
    }

    /// The number of the register at `ipa`, if it is one of this UART's.
    fn register(&self, ipa: u64) -> Option<u64> {
        let offset = ipa.checked_sub(self.config.base)?;
        (offset < self.config.size).then_some(offset >> self.config.shift)
    }

    /// Emulates a load. `None`: there is no register of this UART.
    pub fn read(
        &mut self,
        ipa: u64,
        objects: &mut Objects,
        interrupts: &mut dyn VirtualInterrupts,
    ) -> Option<u64> {
        let register = self.register(ipa)?;
        let value = match &mut self.model {
            Model::Ns16550a(model) => model.read(register).into(),
            Model::Pl011(model) => model.read(register).into(),
        };
        self.settle(objects, interrupts);
        Some(value)
    }

    /// Emulates a store; what the guest sends is appended to `sent`. `None`: no such register.
    pub fn write(
        &mut self,
        ipa: u64,
        value: u64,
        sent: &mut Vec<u8>,
        objects: &mut Objects,
        interrupts: &mut dyn VirtualInterrupts,
    ) -> Option<()> {
        let register = self.register(ipa)?;
        match &mut self.model {
            Model::Ns16550a(model) => sent.extend(model.write(register, value as u8)),
            Model::Pl011(model) => sent.extend(model.write(register, value as u16)),
        }
        self.settle(objects, interrupts);
        Some(())
    }

    /// How many bytes the guest can receive now; none before it is ready.
    #[must_use]
    pub fn room(&self) -> usize {
        match &self.model {
            Model::Ns16550a(model) => model.room(),
            Model::Pl011(model) => model.room(),
        }
    }

    /// Brings `bytes` to the guest, as many as there is [`room`](Self::room) for.
    pub fn receive(
        &mut self,
        bytes: &[u8],
        objects: &mut Objects,
        interrupts: &mut dyn VirtualInterrupts,
    ) {
        for byte in bytes {
            match &mut self.model {
                Model::Ns16550a(model) => model.receive(*byte),
                Model::Pl011(model) => model.receive(*byte),
            }
        }
        self.settle(objects, interrupts);
    }

    /// Whether the interrupt line is high and goes to `virq`.
    #[must_use]
    pub fn is_source_pending(&self, virq: Virq) -> bool {
        self.high && [Signal::Line(virq), Signal::SharedLine(virq)].contains(&self.signal)
    }

    /// Returns to the reset state.
    pub fn restart(&mut self) {
        self.model = Model::new(self.config.kind);
        self.high = false;
    }

    /// Passes a change of the interrupt line on.
    fn settle(&mut self, objects: &mut Objects, interrupts: &mut dyn VirtualInterrupts) {
        let high = match &self.model {
            Model::Ns16550a(model) => model.line(),
            Model::Pl011(model) => model.line(),
        };
        if core::mem::replace(&mut self.high, high) == high {
            return;
        }
        match (self.signal, high) {
            (Signal::Line(virq) | Signal::SharedLine(virq), true) => interrupts.assert(virq),
            (Signal::Line(virq), false) => interrupts.clear(virq),
            (Signal::Doorbell(bell), true) => {
                objects.doorbell(bell).send(1, interrupts);
            }
            (Signal::SharedLine(_) | Signal::Doorbell(_), false) | (Signal::None, _) => {}
        }
    }
}
