//! What the kernel knows about itself and its surroundings, printed for people.

use super::page::Page;
use crate::{
    dt::Form,
    interrupts::trigger_name,
    log::Bytes,
    memory::Kind,
    system::{Machine, System},
    task::TaskState,
};
use core::{fmt::Write, time::Duration};
use gunyah::hypercalls::discovery::Identity;
use gunyah_abi::identity::Build;

/// `vm`.
pub fn vm<H, C>(page: &mut Page, system: &System<H, C>) {
    let platform = &system.platform;
    match &platform.identity {
        Some(identity) => {
            let name = identity.image_name.as_deref().unwrap_or("(no name)");
            page.line(format_args!("{name}, VMID {:#x}", identity.vmid));
            if let Some(owner) = identity.owner {
                page.line(format_args!("  owner       VMID {owner:#x}"));
            }
            if let Some(uri) = &identity.uri {
                page.line(format_args!("  URI         {uri}"));
            }
            if let Some(guid) = &identity.guid {
                page.line(format_args!("  GUID        {guid}"));
            }
            for peer in &identity.peers {
                page.line(format_args!("  peer        {peer}"));
            }
        }
        None => page.line(format_args!("the device tree does not say who this VM is")),
    }
    let form = match system.form {
        Form::Merged => "one tree",
        Form::BaseAndOverlays(_) => "a base tree and overlays, merged here",
        Form::OverlaysOnly(_) => "overlays, merged here with the built-in base tree",
    };
    page.line(format_args!("  device tree {}, {form}", Bytes(system.tree.len())));
    for range in &platform.memory {
        let size = Bytes(range.size as usize);
        page.line(format_args!("  memory      {:#x}..{:#x} ({size})", range.start, range.end()));
    }
    for reserved in &platform.reserved {
        let range = reserved.range;
        page.line(format_args!(
            "  reserved    {:#x}..{:#x} {}",
            range.start,
            range.end(),
            reserved.name
        ));
    }
    page.line(format_args!("  CPUs        {}", platform.cpus.len()));
    if let Some(manager) = &platform.resource_manager {
        page.line(format_args!(
            "  RM          capabilities {} (send), {} (receive), INTIDs {}, {}",
            manager.tx.capability,
            manager.rx.capability,
            manager.tx.interrupt.intid,
            manager.rx.interrupt.intid
        ));
    }
    page.line(format_args!(
        "  objects     {} doorbells in, {} out, {} queue pairs, {} shared buffers",
        platform.doorbells.len(),
        platform.doorbell_sources.len(),
        platform.queue_pairs.len(),
        platform.shared_buffers.len()
    ));
    for uart in &platform.uarts {
        let start = uart.registers.start;
        page.line(format_args!("  UART        {:?} at {start:#x}", uart.kind));
    }
    if let Some(clock) = &platform.clock {
        page.line(format_args!("  clock       PL031 at {:#x}", clock.start));
    }
}

/// `hyp`.
pub fn hypervisor(page: &mut Page, identity: &Identity) {
    match identity.build {
        Some(Build::OpenSource) => page.line(format_args!("Gunyah, the open-source build")),
        Some(Build::Qualcomm) => page.line(format_args!("Gunyah, Qualcomm's build")),
        None => page.line(format_args!("Gunyah, of an early build without a UID")),
    }
    let info = identity.identify.api_info;
    page.line(format_args!(
        "  API         version {}, variant {:#x} ({:#018x})",
        info.version(),
        info.variant(),
        info.0
    ));
    page.line(format_args!("  calls       {}", identity.conduit));
    let _ = page.write_str("  features   ");
    for (name, _) in identity.identify.features().iter_names() {
        let _ = write!(page, " {}", name.to_ascii_lowercase());
    }
    let _ = page.write_str("\n");
}

/// `mem`.
pub fn memory<H, C, M: Machine>(page: &mut Page, system: &System<H, C>, machine: &M) {
    for region in &system.memory {
        let kind = match region.kind {
            Kind::Code => "code     r-x",
            Kind::Constant => "constant r--",
            Kind::Data => "data     rw-",
            Kind::Heap => "heap     rw-",
            Kind::Device => "device   rw-",
        };
        let range = &region.range;
        let size = Bytes((range.end - range.start) as usize);
        page.line(format_args!("  {:#012x}..{:#012x}  {kind}  {size}", range.start, range.end));
    }
    let heap = machine.heap();
    page.line(format_args!(
        "heap: {} bytes in use, {} with rounding, of {}",
        heap.used,
        Bytes(heap.reserved),
        Bytes(heap.total)
    ));
}

/// `irq`.
pub fn interrupts<M: Machine>(page: &mut Page, machine: &M) {
    for usage in machine.interrupts() {
        page.line(format_args!(
            "  {:>4} {:5}  {:>8}  {}",
            usage.interrupt.intid,
            trigger_name(usage.interrupt.trigger),
            usage.count,
            usage.name
        ));
    }
    let (spurious, unexpected) = machine.stray_interrupts();
    page.line(format_args!("spurious {spurious}, unexpected {unexpected}"));
    page.line(format_args!("console input dropped: {} bytes", machine.input_dropped()));
}

/// `fp`.
pub fn fp_registers<M: Machine>(page: &mut Page, machine: &M) {
    let taken = || machine.interrupts().iter().map(|usage| usage.count).sum::<u64>();
    let before = taken();
    let changed = machine.changed_fp_registers();
    let interrupts = taken() - before;
    page.line(format_args!("{changed} of 32 registers changed in {interrupts} interrupts"));
}

/// `tasks`.
pub fn tasks<M: Machine>(page: &mut Page, machine: &M) {
    page.line(format_args!("  {:16} {:8} {:>8} {:>8}", "name", "state", "polls", "wakes"));
    for task in machine.tasks() {
        let state = match task.state {
            TaskState::Running => "running",
            TaskState::Ready => "ready",
            TaskState::Waiting => "waiting",
        };
        page.line(format_args!("  {:16} {state:8} {:>8} {:>8}", task.name, task.polls, task.wakes));
    }
}

/// `uptime`.
pub fn uptime(page: &mut Page, uptime: Duration) {
    let seconds = uptime.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    page.line(format_args!(
        "up {hours}:{minutes:02}:{:02}.{:03}",
        seconds % 60,
        uptime.subsec_millis()
    ));
}
