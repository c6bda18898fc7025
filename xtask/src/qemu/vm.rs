//! From a device tree to the VM that the shim makes, or a refusal.

use anyhow::{Context, Result, bail, ensure};
use billy_dt::{self as dt, AddressRange, CpuStatus, Interrupt, Platform};
use billy_shim::machine_file::{
    DoorbellSource, GicFrames, LabelledQueuePair, QueuePair, ReceivedDoorbell, RtcConfig,
    SharedBuffer, UartConfig, UartKind, VmConfig,
};

/// What the shim can give to its VM.
const MOST_MEMORY: u64 = 2 << 30;
/// vCPUs of the shim, of affinity 0 and so on.
const MOST_VCPUS: u16 = 8;
/// The shim's redistributors follow each other at this distance.
const REDISTRIBUTOR: u64 = 0x2_0000;
/// The INTID at which the shim has the virtual timer.
const VIRTUAL_TIMER: u32 = 27;
/// Who a VM is that its tree says nothing about.
const VMID: u16 = 0x80;
const OWNER: u16 = 3;
/// The Resource Manager, which owns the primary VM: a VM with a node that names no owner.
const RESOURCE_MANAGER: u16 = 0xff;

/// The VM that `platform` describes, with `ram` for memory; `seconds` is where its clock starts, if it has one.
///
/// # Errors
/// The shim has nothing of the kind that the tree describes.
pub fn vm(platform: &Platform, ram: AddressRange, seconds: u32) -> Result<VmConfig> {
    refuse_what_is_not_there(platform)?;
    let boot_vcpu = boot_vcpu(platform)?;
    let identity = platform.identity.as_ref();
    let owner = identity.map_or(OWNER, |vm| vm.owner.unwrap_or(RESOURCE_MANAGER));
    // A channel whose peer the tree does not name has `peer-default`: the owner.
    let pairs = platform.queue_pairs.iter().map(|pair| {
        Ok(LabelledQueuePair {
            label: pair.label.unwrap_or_default(),
            peer: pair.peer_vmid.unwrap_or(owner),
            queues: queues(pair)?,
        })
    });
    let bells = platform.doorbells.iter().map(|bell| ReceivedDoorbell {
        label: bell.label.unwrap_or_default(),
        peer: owner,
        cap: bell.capability.0,
        intid: bell.interrupt.intid,
    });
    let sources = platform.doorbell_sources.iter().map(|source| DoorbellSource {
        label: source.label.unwrap_or_default(),
        peer: owner,
        cap: source.capability.0,
        can_clear: false,
    });
    let with_memory = |buffer: &&dt::SharedBuffer| !buffer.ranges.is_empty();
    let shared = platform.shared_buffers.iter().filter(with_memory).map(|buffer| {
        let [range] = buffer.ranges.as_slice() else {
            let (path, count) = (&buffer.path, buffer.ranges.len());
            bail!("{path}: shared memory in {count} ranges: the shim has it in one");
        };
        Ok(SharedBuffer {
            label: buffer.label.unwrap_or_default(),
            peer: buffer.peer.unwrap_or(owner),
            ipa: range.start,
            size: range.size,
            handle: buffer.parcel,
            source: buffer.tx_doorbell.map(|capability| capability.0),
            doorbell: buffer.rx_doorbell.map(|capability| capability.0),
        })
    });
    Ok(VmConfig {
        vmid: identity.map_or(VMID, |vm| vm.vmid),
        owner,
        name: identity.and_then(|vm| vm.image_name.clone()).unwrap_or_default(),
        ram_base: ram.start,
        ram_size: ram.size,
        // The frames of the others are there; only one vCPU runs.
        vcpus: boot_vcpu + 1,
        boot_vcpu,
        gic: Some(frames(platform, boot_vcpu)?),
        resource_manager: platform.resource_manager.as_ref().map(queues).transpose()?,
        queue_pairs: pairs.collect::<Result<_>>()?,
        doorbells: bells.collect(),
        sources: sources.collect(),
        shared: shared.collect::<Result<_>>()?,
        uarts: platform.uarts.iter().map(uart).collect(),
        rtc: platform.clock.map(|AddressRange { start: base, size }| RtcConfig {
            base,
            size,
            seconds,
        }),
        ..VmConfig::default()
    })
}

/// Tells whether the Resource Manager has no console for the VM: it never makes one for the
/// primary VM.
pub fn has_no_console(platform: &Platform) -> bool {
    platform.identity.as_ref().is_some_and(|vm| vm.owner.is_none())
}

fn refuse_what_is_not_there(platform: &Platform) -> Result<()> {
    // RM lists among memory what is shared from the start.
    let is_ram = |memory: &&AddressRange| !is_shared(platform, memory);
    let mut ram = platform.memory.iter().filter(is_ram);
    let size = ram.next().map_or(0, |memory| memory.size);
    if let Some(second) = ram.next() {
        bail!("memory at {:#x} beside the first: the shim's VM has one range", second.start);
    }
    ensure!(size <= MOST_MEMORY, "{} MiB of memory: the shim has 2 GiB for its VM", size >> 20);
    if let Some(queue) = platform.queues.first() {
        bail!("{}: the shim has message queues in pairs only", queue.path);
    }
    let Interrupt { intid, .. } = platform.virtual_timer;
    ensure!(
        intid == VIRTUAL_TIMER,
        "the virtual timer at INTID {intid}: the shim has it at {VIRTUAL_TIMER}"
    );
    Ok(())
}

/// Which vCPU runs at start: the first that the tree lets be used.
fn boot_vcpu(platform: &Platform) -> Result<u16> {
    let usable = platform.cpus.iter().find(|cpu| cpu.status == CpuStatus::Okay);
    let affinity = usable.context("no CPU of the tree may be used")?.mpidr;
    let vcpu = u16::try_from(affinity).ok().filter(|vcpu| *vcpu < MOST_VCPUS);
    vcpu.with_context(|| {
        format!("the boot CPU has affinity {affinity:#x}: the shim's vCPUs have 0 to 7")
    })
}

/// Whether shared buffers fill all of a range of memory.
fn is_shared(platform: &Platform, memory: &AddressRange) -> bool {
    let ranges = platform.shared_buffers.iter().flat_map(|buffer| &buffer.ranges);
    let mut buffers: Vec<_> = ranges.copied().collect();
    buffers.sort_by_key(|buffer| buffer.start);
    let inside = buffers.into_iter().filter(|buffer| memory.contains(buffer));
    let reached =
        inside.fold(
            memory.start,
            |reached, buffer| {
                if buffer.start == reached { buffer.end() } else { reached }
            },
        );
    reached == memory.end()
}

/// The interrupt controller's frames, one redistributor for each CPU.
fn frames(platform: &Platform, boot_vcpu: u16) -> Result<GicFrames> {
    let gic = &platform.gic;
    let [redistributors] = gic.redistributors.as_slice() else {
        bail!("redistributors in {} ranges: the shim has them in one", gic.redistributors.len());
    };
    let stride = gic.redistributor_stride;
    ensure!(
        stride == REDISTRIBUTOR,
        "redistributors {stride:#x} bytes apart: the shim's are {REDISTRIBUTOR:#x}"
    );
    let count = u16::try_from(platform.cpus.len()).context("too many CPUs")?.max(boot_vcpu + 1);
    let (needed, size) = (u64::from(count) * REDISTRIBUTOR, redistributors.size);
    ensure!(needed <= size, "{size:#x} bytes of redistributors: {count} CPUs need {needed:#x}");
    Ok(GicFrames {
        distributor: gic.distributor.start,
        redistributors: redistributors.start,
        count,
    })
}

fn queues(pair: &dt::QueuePair) -> Result<QueuePair> {
    let (tx, rx) = (&pair.tx, &pair.rx);
    ensure!(
        (tx.depth, tx.message_size) == (rx.depth, rx.message_size),
        "{}: {} messages of {} bytes one way, {} of {} the other: the shim's queues are alike",
        pair.path,
        tx.depth,
        tx.message_size,
        rx.depth,
        rx.message_size
    );
    Ok(QueuePair {
        tx_cap: tx.capability.0,
        rx_cap: rx.capability.0,
        tx_intid: tx.interrupt.intid,
        rx_intid: rx.interrupt.intid,
        depth: tx.depth,
        size: tx.message_size,
    })
}

fn uart(uart: &dt::Uart) -> UartConfig {
    let (kind, shift) = match uart.kind {
        dt::UartKind::Ns16550a => (UartKind::Ns16550a, uart.reg_shift),
        dt::UartKind::Pl011 => (UartKind::Pl011, 0),
    };
    let AddressRange { start: base, size } = uart.registers;
    UartConfig { kind, base, size, shift, intid: uart.interrupt.map(|interrupt| interrupt.intid) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{handover, host};

    fn platform(name: &str) -> Platform {
        let file = host::workspace().join("kernel/dt/tests/trees").join(name);
        handover::load(&handover::read(&[file]).unwrap(), 1, None, None).unwrap().platform
    }

    fn refused(change: impl FnOnce(&mut Platform)) -> String {
        let mut platform = platform("rm-secondary-vm-2cpu-doorbells-msgq.dtb");
        let ram = platform.memory[0];
        assert!(vm(&platform, ram, 0).is_ok());
        change(&mut platform);
        vm(&platform, ram, 0).unwrap_err().to_string()
    }

    #[test]
    fn the_primary_vm() {
        let platform = platform("rm-primary-vm.dtb");
        let made = vm(&platform, platform.memory[0], 7).unwrap();
        assert_eq!((made.vmid, made.owner, made.vcpus), (3, RESOURCE_MANAGER, 1));
        let (distributor, redistributors) = (0x800_0000, 0x80a_0000);
        assert_eq!(made.gic, Some(GicFrames { distributor, redistributors, count: 8 }));
        let (kind, intid) = (UartKind::Pl011, Some(33));
        let console = UartConfig { kind, base: 0x900_0000, size: 0x1000, shift: 0, intid };
        assert_eq!(made.uarts, [console]);
        let clock = RtcConfig { base: 0x901_0000, size: 0x1000, seconds: 7 };
        assert_eq!(made.rtc, Some(clock));
        assert!(has_no_console(&platform));
    }

    #[test]
    fn a_vm_that_boots_on_its_second_cpu() {
        let platform = platform("boot-cpu-1.dtb");
        let made = vm(&platform, platform.memory[0], 7).unwrap();
        assert_eq!((made.vcpus, made.boot_vcpu), (2, 1));
        assert_eq!(made.gic.map(|frames| frames.count), Some(3));
    }

    #[test]
    fn a_vm_without_a_name() {
        let platform = platform("legacy-v6.dtb");
        let made = vm(&platform, platform.memory[0], 7).unwrap();
        assert_eq!(made.rtc, None);
        assert_eq!((made.vmid, made.owner, made.name.as_str()), (0x80, 3, ""));
        assert_eq!(made.resource_manager.map(|rm| (rm.tx_intid, rm.rx_intid)), Some((35, 36)));
        assert!(!has_no_console(&platform));
    }

    #[test]
    fn what_the_shim_has_not_is_named() {
        let text = refused(|platform| platform.virtual_timer.intid = 28);
        assert_eq!(text, "the virtual timer at INTID 28: the shim has it at 27");
        let text = refused(|platform| platform.queue_pairs[0].rx.depth = 4);
        assert!(text.starts_with("/hypervisor/msgq@5: 8 messages of 240 bytes one way"), "{text}");
        let text = refused(|platform| platform.gic.redistributor_stride = 0x4_0000);
        assert_eq!(text, "redistributors 0x40000 bytes apart: the shim's are 0x20000");
        let text = refused(|platform| platform.gic.redistributors[0].size = 0x2_0000);
        assert_eq!(text, "0x20000 bytes of redistributors: 2 CPUs need 0x40000");
        let text = refused(|platform| platform.memory[0].size = 3 << 30);
        assert_eq!(text, "3072 MiB of memory: the shim has 2 GiB for its VM");
        let text = refused(|platform| platform.cpus.iter_mut().for_each(|cpu| cpu.mpidr |= 0x100));
        assert_eq!(text, "the boot CPU has affinity 0x100: the shim's vCPUs have 0 to 7");
        let other = AddressRange { start: 0x9000_0000, size: 0x1000 };
        let text = refused(|platform| platform.memory.push(other));
        assert_eq!(text, "memory at 0x90000000 beside the first: the shim's VM has one range");
        let text = refused(|platform| {
            platform.shared_buffers.push(dt::SharedBuffer {
                path: "/hypervisor/shm".into(),
                label: None,
                ranges: vec![other, AddressRange { start: 0x9100_0000, ..other }],
                parcel: None,
                peer: None,
                tx_doorbell: None,
                rx_doorbell: None,
                dma_base: None,
            });
        });
        assert_eq!(text, "/hypervisor/shm: shared memory in 2 ranges: the shim has it in one");
        let text = refused(|platform| platform.gic.redistributors.push(other));
        assert_eq!(text, "redistributors in 2 ranges: the shim has them in one");
    }
}
