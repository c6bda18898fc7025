//! [`MachineFile`] to text.

use core::fmt::{self, Display, Formatter};

use super::words::Quoted;
use super::{MachineFile, Options, QueuePair, UartKind, VmConfig};
use crate::rm::Behaviour;

impl Display for MachineFile {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "billy-machine 1\n{}", self.options)?;
        self.vms.iter().try_for_each(|vm| vm.fmt(f))
    }
}

impl Display for Options {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.identify;
        let level = self.log.as_str().to_ascii_lowercase();
        write!(f, "options seed={:#x} log={level}", self.seed)?;
        write!(f, " identify={a:#x},{b:#x},{c:#x},{d:#x}")?;
        for (set, key) in [
            (self.documented_errors, " documented-errors"),
            (self.hide_rm_console, " hide-rm-console"),
            (self.no_psci, " no-psci"),
            (self.no_reboot, " no-reboot"),
            (self.trace_exits, " trace-exits"),
            (self.no_trng, " no-trng"),
        ] {
            if set {
                f.write_str(key)?;
            }
        }
        self.rm.fmt(f)
    }
}

/// Writes what differs from the default.
impl Display for Behaviour {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let default = Self::default();
        for (key, value, default) in [
            ("rm-notifications", self.notifications.into(), default.notifications.into()),
            ("rm-memory", self.memory, default.memory),
            ("rm-longest-write", self.longest_write.into(), default.longest_write.into()),
            ("rm-replies", self.replies.into(), default.replies.into()),
        ] {
            if value != default {
                write!(f, " {key}={value}")?;
            }
        }
        for (set, key) in [
            (self.silent_without_memory, " rm-silent-without-memory"),
            (self.in_order, " rm-in-order"),
        ] {
            f.write_str(if set { key } else { "" })?;
        }
        Ok(())
    }
}

impl Display for QueuePair {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "tx-cap={:#x} rx-cap={:#x}", self.tx_cap, self.rx_cap)?;
        write!(f, " tx-intid={} rx-intid={}", self.tx_intid, self.rx_intid)?;
        write!(f, " depth={} size={}", self.depth, self.size)
    }
}

impl Display for VmConfig {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "vm vmid={:#x} owner={:#x}", self.vmid, self.owner)?;
        write!(f, " name={}", Quoted(&self.name))?;
        if let Some(uri) = &self.uri {
            write!(f, " uri={}", Quoted(uri))?;
        }
        if self.guid != [0; 16] {
            write!(f, " guid={:032x}", u128::from_be_bytes(self.guid))?;
        }
        write!(f, " ram-base={:#x}", self.ram_base)?;
        write!(f, " ram-size={:#x}", self.ram_size)?;
        write!(f, " vcpus={}", self.vcpus)?;
        if self.boot_vcpu != 0 {
            write!(f, " boot-vcpu={}", self.boot_vcpu)?;
        }
        writeln!(f, " entry={:#x} tree={:#x}", self.entry, self.tree)?;
        if let Some(gic) = &self.gic {
            write!(f, "gic distributor={:#x}", gic.distributor)?;
            writeln!(f, " redistributors={:#x} count={}", gic.redistributors, gic.count)?;
        }
        for load in &self.loads {
            write!(f, "load what={}", Quoted(&load.what))?;
            write!(f, " from={:#x} length={:#x}", load.from, load.length)?;
            writeln!(f, " to={:#x}", load.to)?;
        }
        if let Some(queues) = &self.resource_manager {
            writeln!(f, "rm {queues}")?;
        }
        for pair in &self.queue_pairs {
            write!(f, "queue-pair label={:#x} peer={:#x}", pair.label, pair.peer)?;
            writeln!(f, " {}", pair.queues)?;
        }
        for bell in &self.doorbells {
            write!(f, "doorbell label={:#x} peer={:#x}", bell.label, bell.peer)?;
            writeln!(f, " cap={:#x} intid={}", bell.cap, bell.intid)?;
        }
        for source in &self.sources {
            write!(f, "doorbell-source label={:#x}", source.label)?;
            write!(f, " peer={:#x} cap={:#x}", source.peer, source.cap)?;
            f.write_str(if source.can_clear { " can-clear\n" } else { "\n" })?;
        }
        for shared in &self.shared {
            write!(f, "shared label={:#x} peer={:#x}", shared.label, shared.peer)?;
            write!(f, " ipa={:#x} size={:#x}", shared.ipa, shared.size)?;
            for (key, number) in [
                ("handle", shared.handle.map(u64::from)),
                ("source", shared.source),
                ("doorbell", shared.doorbell),
            ] {
                if let Some(number) = number {
                    write!(f, " {key}={number:#x}")?;
                }
            }
            f.write_str("\n")?;
        }
        for uart in &self.uarts {
            let kind = match uart.kind {
                UartKind::Ns16550a => "ns16550a",
                UartKind::Pl011 => "pl011",
            };
            write!(f, "uart kind={kind} base={:#x} size={:#x}", uart.base, uart.size)?;
            write!(f, " shift={}", uart.shift)?;
            match uart.intid {
                Some(intid) => writeln!(f, " intid={intid}")?,
                None => f.write_str("\n")?,
            }
        }
        if let Some(rtc) = &self.rtc {
            write!(f, "rtc base={:#x} size={:#x}", rtc.base, rtc.size)?;
            writeln!(f, " seconds={}", rtc.seconds)?;
        }
        self.script.iter().try_for_each(|line| writeln!(f, "script {line}"))
    }
}
