//! `cargo xtask dt`: what Billy would make of a device tree, as text.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use billy_dt::{
    AddressRange, Cpu, CpuStatus, EnableMethod, Form, Interrupt, Platform, QueueDirection,
    QueueEnd, Trigger, UartKind, VmIdentity, pair_doorbells,
};
use clap::Args;
use gunyah_abi::CapabilityId;

use crate::handover::{self, HandedOver};

/// What `cargo xtask dt` takes.
#[derive(Args)]
pub struct Options {
    /// A device tree and overlays behind it, or overlays for the tree built into the image;
    /// .dts and .dtso files are compiled first
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// `cargo xtask dt`.
pub fn command(options: &Options) -> Result<ExitCode> {
    let trees = handover::read(&options.files)?;
    let found = handover::load(&trees, trees.len(), None, None)?;
    print!("{}", describe(&found));
    Ok(ExitCode::SUCCESS)
}

/// What was found, one thing a line, in aligned columns.
fn describe(found: &HandedOver) -> String {
    let mut page = Page::default();
    let platform = &found.platform;
    page.line("form", [form(found.form)]);
    machine(&mut page, platform);
    if let Some(hypervisor) = &platform.hypervisor {
        page.line("hypervisor", [hypervisor.compatible.to_owned()]);
    }
    if let Some(vm) = &platform.identity {
        identity(&mut page, vm);
    }
    hypervisor_objects(&mut page, platform);
    for uart in &platform.uarts {
        let kind = match uart.kind {
            UartKind::Ns16550a => "ns16550a",
            UartKind::Pl011 => "pl011",
        };
        let stdout = if uart.is_stdout { "stdout" } else { "" };
        let by = uart.interrupt.map_or("polled".into(), interrupt);
        let shift = match uart.reg_shift {
            0 => String::new(),
            shift => format!("reg-shift {shift}"),
        };
        page.line(
            "uart",
            [uart.path.clone(), kind.into(), range(&uart.registers), by, shift, stdout.into()],
        );
    }
    if let Some(clock) = &platform.clock {
        page.line("clock", ["pl031".into(), range(clock)]);
    }
    if let Some(bootargs) = &platform.bootargs {
        page.line("bootargs", [format!("{bootargs:?}")]);
    }
    if let Some(path) = &platform.stdout_path {
        page.line("stdout-path", [path.clone()]);
    }
    if let Some(initrd) = &platform.initrd {
        page.line("initrd", [range(initrd)]);
    }
    if let Some(seed) = platform.kaslr_seed {
        page.line("kaslr-seed", [format!("{seed:#x}")]);
    }
    page.text()
}

fn machine(page: &mut Page, platform: &Platform) {
    for memory in &platform.memory {
        page.line("memory", [range(memory), size(memory.size)]);
    }
    for reserved in &platform.reserved {
        let mapped = if reserved.no_map { "no-map" } else { "" };
        page.line("reserved", [range(&reserved.range), reserved.name.clone(), mapped.into()]);
    }
    for cpu in &platform.cpus {
        page.line("cpu", [format!("affinity {:#x}", cpu.mpidr), enable_method(cpu), status(cpu)]);
    }
    let gic = &platform.gic;
    page.line("gic", ["distributor".into(), range(&gic.distributor), String::new()]);
    for redistributors in &gic.redistributors {
        let stride = format!("{:#x} each", gic.redistributor_stride);
        page.line("gic", ["redistributors".into(), range(redistributors), stride]);
    }
    page.line("virtual timer", [interrupt(platform.virtual_timer)]);
    let conduit = platform.psci.map(|conduit| format!("{conduit:?}").to_lowercase());
    page.line("psci", [conduit.unwrap_or("none".into())]);
}

fn identity(page: &mut Page, vm: &VmIdentity) {
    let owner = vm.owner.map_or("no owner".into(), |owner| format!("owner {owner:#x}"));
    page.line("vm", [format!("VMID {:#x}", vm.vmid), owner]);
    for (what, text) in [
        ("image name", &vm.image_name),
        ("vendor", &vm.vendor),
        ("URI", &vm.uri),
        ("GUID", &vm.guid),
    ] {
        if let Some(text) = text {
            page.line(what, [format!("{text:?}")]);
        }
    }
    if !vm.peers.is_empty() {
        page.line("peers", [format!("{:?}", vm.peers)]);
    }
}

fn hypervisor_objects(page: &mut Page, platform: &Platform) {
    let managers = platform.resource_manager.iter().map(|pair| ("rm", pair));
    for (what, pair) in managers.chain(platform.queue_pairs.iter().map(|pair| ("queues", pair))) {
        let peer = peer(pair.peer_vmid, pair.peer.as_deref());
        for (way, end) in [("tx", &pair.tx), ("rx", &pair.rx)] {
            page.line(what, queue(&pair.path, pair.label, way, end, peer.clone()));
        }
    }
    for found in &platform.queues {
        let way = match found.direction {
            QueueDirection::Sender => "tx",
            QueueDirection::Receiver => "rx",
        };
        let peer = peer(found.peer_vmid, found.peer.as_deref());
        page.line("queue", queue(&found.path, found.label, way, &found.end, peer));
    }
    let (bells, sources) = (&platform.doorbells, &platform.doorbell_sources);
    let pairs = pair_doorbells(bells, sources);
    for (bell, pair) in bells.iter().zip(pairs) {
        let answer = pair.and_then(|index| sources.get(index));
        let answer = answer
            .map_or("answered by none".into(), |source| format!("answered by {}", source.path));
        let by = interrupt(bell.interrupt);
        page.line(
            "doorbell",
            [bell.path.clone(), label(bell.label), capability(bell.capability), by, answer],
        );
    }
    for source in sources {
        let at = [source.path.clone(), label(source.label), capability(source.capability)];
        page.line("doorbell source", at);
    }
    for buffer in &platform.shared_buffers {
        let bell = |what, id: Option<CapabilityId>| {
            id.map_or(String::new(), |id| format!("{what} {}", capability(id)))
        };
        let places = match buffer.ranges.as_slice() {
            [] => vec!["no memory yet".to_owned()],
            ranges => ranges.iter().map(range).collect(),
        };
        page.line(
            "shared buffer",
            [
                buffer.path.clone(),
                label(buffer.label),
                places.join(", "),
                bell("tx doorbell", buffer.tx_doorbell),
                bell("rx doorbell", buffer.rx_doorbell),
                peer(buffer.peer, None),
            ],
        );
    }
}

fn queue(path: &str, name: Option<u32>, way: &str, end: &QueueEnd, peer: String) -> [String; 7] {
    [
        path.to_owned(),
        label(name),
        way.to_owned(),
        capability(end.capability),
        interrupt(end.interrupt),
        format!("{} messages of {} bytes", end.depth, end.message_size),
        peer,
    ]
}

fn form(form: Form) -> String {
    match form {
        Form::Merged => "one tree".into(),
        Form::BaseAndOverlays(count) => format!("base tree, overlays: {count}"),
        Form::OverlaysOnly(count) => {
            format!("base tree of the image, overlays handed over: {count}")
        }
    }
}

fn range(range: &AddressRange) -> String {
    format!("{:#x}..{:#x}", range.start, range.end())
}

fn size(bytes: u64) -> String {
    match bytes {
        bytes if bytes % (1 << 20) == 0 => format!("{} MiB", bytes >> 20),
        bytes => format!("{} KiB", bytes >> 10),
    }
}

fn interrupt(interrupt: Interrupt) -> String {
    let trigger = match interrupt.trigger {
        Trigger::Edge => "edge",
        Trigger::Level => "level",
    };
    format!("INTID {} {trigger}", interrupt.intid)
}

fn capability(id: CapabilityId) -> String {
    format!("capability {:#x}", id.0)
}

fn label(label: Option<u32>) -> String {
    label.map_or("no label".into(), |label| format!("label {label:#x}"))
}

fn peer(vmid: Option<u16>, name: Option<&str>) -> String {
    match (vmid, name) {
        (Some(vmid), Some(name)) => format!("peer {vmid:#x} {name:?}"),
        (Some(vmid), None) => format!("peer {vmid:#x}"),
        (None, Some(name)) => format!("peer {name:?}"),
        (None, None) => String::new(),
    }
}

fn enable_method(cpu: &Cpu) -> String {
    match cpu.enable_method {
        Some(EnableMethod::Psci) => "psci".into(),
        Some(EnableMethod::GunyahHypercall(None)) => "vcpu_poweron".into(),
        Some(EnableMethod::GunyahHypercall(Some(id))) => {
            format!("vcpu_poweron {}", capability(id))
        }
        None => "no enable-method".into(),
    }
}

fn status(cpu: &Cpu) -> String {
    let status = match cpu.status {
        CpuStatus::Okay => "",
        CpuStatus::Disabled => "disabled",
        CpuStatus::Failed => "failed",
    };
    status.into()
}

/// Lines of a key and cells; cells of lines with the same key are aligned.
#[derive(Default)]
struct Page(Vec<(&'static str, Vec<String>)>);

impl Page {
    fn line<const N: usize>(&mut self, key: &'static str, cells: [String; N]) {
        self.0.push((key, cells.into()));
    }

    fn text(&self) -> String {
        let keys = self.0.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
        let mut text = String::new();
        for (key, cells) in &self.0 {
            let mut line = format!("{key:keys$}");
            for (column, cell) in cells.iter().enumerate() {
                let same = self.0.iter().filter(|(other, _)| other == key);
                let widths = same.map(|(_, cells)| cells.get(column).map_or(0, String::len));
                let width = widths.max().unwrap_or(0);
                if width > 0 {
                    line += &format!("  {cell:width$}");
                }
            }
            text += line.trim_end();
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests;
