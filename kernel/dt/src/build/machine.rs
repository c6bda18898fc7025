//! Memory, CPUs, interrupt controller, timer, PSCI and UARTs.

use super::{Interrupts, alias};
use crate::error::{DtError, Problem, Result, malformed};
use crate::names::{Kind, Name};
use crate::platform::{
    AddressRange, Cpu, CpuStatus, EnableMethod, Gic, Interrupt, PsciConduit, ReservedRange, Uart,
    UartKind,
};
use crate::record::{Collected, Node, number};
use crate::sorted;
use alloc::string::String;
use alloc::vec::Vec;
use gunyah_abi::CapabilityId;

/// Ranges of memory, and reserved ranges, that are kept.
const MAX_TOTAL_RANGES: usize = 256;
/// Where physical addresses end: 48 bits.
const ADDRESS_LIMIT: u64 = 1 << 48;
/// Bytes of one redistributor without virtual LPIs.
const REDISTRIBUTOR_BYTES: u64 = 0x2_0000;
/// Bytes of the registers of a PL031, its identification left out.
const CLOCK_BYTES: u64 = 0x20;

/// Returns all RAM, checked and sorted.
pub(crate) fn memory(collected: &Collected<'_>) -> Result<Vec<AddressRange>> {
    let mut found: Vec<(AddressRange, usize)> = Vec::new();
    for node in collected.of(Kind::Memory) {
        for range in node.ranges()? {
            if range.size == 0 {
                return Err(node.fail(Name::Reg, Problem::Empty(range.start)));
            }
            if range.end() > ADDRESS_LIMIT {
                let expected = "below the end of 48-bit addresses";
                return Err(node.fail(Name::Reg, Problem::Value { value: range.end(), expected }));
            }
            sorted::insert(&mut found, (range, node.record.offset), |&found| found);
        }
        too_many(&node, found.len(), "ranges of memory")?;
    }
    for pair in found.windows(2) {
        let [(below, below_at), (above, above_at)] = pair else { continue };
        if below.overlaps(above) {
            return Err(DtError::Property {
                node: collected.tree.path_at(*above_at),
                property: Name::Reg.spelled(),
                problem: Problem::Overlaps {
                    start: above.start,
                    other: below.start,
                    node: collected.tree.path_at(*below_at),
                },
            }
            .into());
        }
    }
    Ok(found.into_iter().map(|(range, _)| range).collect())
}

/// Returns what is reserved, by `/reserved-memory` and by the memory reservation block.
pub(super) fn reserved(collected: &Collected<'_>) -> Result<Vec<ReservedRange>> {
    let mut reserved = Vec::new();
    for node in collected.of(Kind::Reserved).filter(|node| node.has(Name::Reg)) {
        for range in node.ranges()? {
            let name = node.record.name.iter().map(|&byte| char::from(byte)).collect();
            let no_map = node.has(Name::NoMap);
            let entry = ReservedRange { name, range, no_map };
            sorted::insert(&mut reserved, entry, |entry| entry.range);
            too_many(&node, reserved.len(), "reserved ranges")?;
        }
    }
    for (start, size) in collected.tree.reservations() {
        let offset = collected.tree.header.reservations;
        if reserved.len() == MAX_TOTAL_RANGES {
            let (limit, what) = (MAX_TOTAL_RANGES, "reserved ranges");
            return Err(
                DtError::TooMany { node: "memory reservation block".into(), limit, what }.into()
            );
        }
        if start.checked_add(size).is_none() {
            let fault = crate::Fault::Block("memory reservation");
            return Err(malformed(collected.tree.name, offset, fault));
        }
        let entry = ReservedRange {
            name: String::from("memory reservation"),
            range: AddressRange { start, size },
            no_map: false,
        };
        sorted::insert(&mut reserved, entry, |entry| entry.range);
    }
    Ok(reserved)
}

fn too_many(node: &Node<'_, '_>, count: usize, what: &'static str) -> Result<()> {
    if count <= MAX_TOTAL_RANGES {
        return Ok(());
    }
    Err(DtError::TooMany { node: node.path(), limit: MAX_TOTAL_RANGES, what }.into())
}

/// Returns the CPUs.
pub(super) fn cpus(collected: &Collected<'_>) -> Result<Vec<Cpu>> {
    let mut cpus = Vec::new();
    for node in collected.of(Kind::Cpu) {
        let cells = node.cells(Name::AddressCells, node.record.address_cells, "1 or 2")?;
        let reg = node.need(Name::Reg)?;
        if reg.len() != cells * 4 {
            return Err(node.length(Name::Reg, reg, "as many cells as #address-cells says"));
        }
        let mpidr = number(reg);
        let enable_method = match node.text(Name::EnableMethod)? {
            None => None,
            Some("psci") => Some(EnableMethod::Psci),
            Some("qcom,gunyah-hvc") => {
                let capability = node.two_cells(Name::Capability)?;
                Some(EnableMethod::GunyahHypercall(capability.map(CapabilityId)))
            }
            Some(other) => {
                let (found, expected) = (other.into(), "psci or qcom,gunyah-hvc");
                return Err(node.fail(Name::EnableMethod, Problem::Text { found, expected }));
            }
        };
        let status = match node.text(Name::Status)? {
            None | Some("okay" | "ok") => CpuStatus::Okay,
            Some(text) if text.starts_with("fail") => CpuStatus::Failed,
            Some(_) => CpuStatus::Disabled,
        };
        sorted::insert(&mut cpus, Cpu { mpidr, enable_method, status }, |cpu| cpu.mpidr);
    }
    if cpus.is_empty() {
        return Err(DtError::Missing("CPU (device_type \"cpu\" in /cpus)").into());
    }
    Ok(cpus)
}

/// Returns the interrupt controller.
pub(super) fn gic(node: Node<'_, '_>, memory: &[AddressRange]) -> Result<Gic> {
    match node.cell(Name::InterruptCells)? {
        Some(3) => {}
        None => return Err(node.fail(Name::InterruptCells, Problem::Missing)),
        Some(count) => {
            let problem = Problem::Value { value: count.into(), expected: "3" };
            return Err(node.fail(Name::InterruptCells, problem));
        }
    }
    let mut ranges = node.ranges()?;
    for range in &mut ranges {
        if range.size == 0 {
            return Err(node.fail(Name::Reg, Problem::Empty(range.start)));
        }
        let expected = "an address that the bus above passes on";
        let problem = Problem::Value { value: range.start, expected };
        *range = node.translate(*range)?.ok_or_else(|| node.fail(Name::Reg, problem))?;
        check_beside_memory(&node, range, memory)?;
    }
    let regions = node.cell(Name::RedistributorRegions)?.unwrap_or(1) as usize;
    if regions == 0 || ranges.len() <= regions {
        let value = node.need(Name::Reg)?;
        let expected = "a distributor and #redistributor-regions redistributor ranges";
        return Err(node.length(Name::Reg, value, expected));
    }
    let stride = node.one_or_two_cells(Name::RedistributorStride)?.unwrap_or(REDISTRIBUTOR_BYTES);
    if stride < REDISTRIBUTOR_BYTES || !stride.is_multiple_of(0x1_0000) {
        let expected = "a multiple of 64 KiB, 128 KiB or more";
        let problem = Problem::Value { value: stride, expected };
        return Err(node.fail(Name::RedistributorStride, problem));
    }
    // After the redistributors may come the GICv2 interface, which is not used.
    ranges.truncate(1 + regions);
    let distributor = ranges.remove(0);
    Ok(Gic { distributor, redistributors: ranges, redistributor_stride: stride })
}

/// Checks that no memory is where a device's registers are.
fn check_beside_memory(
    node: &Node<'_, '_>,
    registers: &AddressRange,
    memory: &[AddressRange],
) -> Result<()> {
    match memory.iter().find(|memory| memory.overlaps(registers)) {
        Some(memory) => {
            let (start, memory) = (registers.start, memory.start);
            Err(node.fail(Name::Reg, Problem::OverMemory { start, memory }))
        }
        None => Ok(()),
    }
}

/// Returns the virtual timer's interrupt.
pub(super) fn virtual_timer(
    collected: &Collected<'_>,
    interrupts: &mut Interrupts,
) -> Result<Interrupt> {
    let node = collected.only(Kind::Timer)?;
    let node = node.ok_or(DtError::Missing("timer (\"arm,armv8-timer\")"))?;
    let value = node.need(Name::Interrupts)?;
    // Secure, physical, virtual, then perhaps more.
    if value.len() < 36 || !value.len().is_multiple_of(12) {
        return Err(node.length(Name::Interrupts, value, "36, 48 or 60"));
    }
    interrupts.nth(node, value, 2)
}

/// Returns how PSCI is called.
pub(super) fn psci(collected: &Collected<'_>) -> Result<Option<PsciConduit>> {
    let Some(node) = collected.only(Kind::Psci)? else { return Ok(None) };
    match node.text(Name::Method)? {
        Some("hvc") => Ok(Some(PsciConduit::Hvc)),
        Some("smc") => Ok(Some(PsciConduit::Smc)),
        None => Err(node.fail(Name::Method, Problem::Missing)),
        Some(other) => {
            let (found, expected) = (other.into(), "hvc or smc");
            Err(node.fail(Name::Method, Problem::Text { found, expected }))
        }
    }
}

/// Returns where the initial RAM disk is.
pub(super) fn initrd(chosen: Node<'_, '_>) -> Result<Option<AddressRange>> {
    let start = chosen.one_or_two_cells(Name::InitrdStart)?;
    let end = chosen.one_or_two_cells(Name::InitrdEnd)?;
    match (start, end) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(chosen.fail(Name::InitrdStart, Problem::Missing)),
        (Some(_), None) => Err(chosen.fail(Name::InitrdEnd, Problem::Missing)),
        (Some(start), Some(end)) => match end.checked_sub(start) {
            Some(size) => Ok(Some(AddressRange { start, size })),
            None => {
                let expected = "an address after linux,initrd-start";
                Err(chosen.fail(Name::InitrdEnd, Problem::Value { value: end, expected }))
            }
        },
    }
}

/// Returns the UARTs that a CPU can reach.
pub(super) fn uarts(
    collected: &Collected<'_>,
    stdout_path: Option<&str>,
    memory: &[AddressRange],
    interrupts: &mut Interrupts,
) -> Result<Vec<Uart>> {
    let mut stdout = stdout_path.and_then(|path| path.split(':').next()).map(str::as_bytes);
    if let Some(name) = stdout.filter(|path| !path.starts_with(b"/")) {
        let name = core::str::from_utf8(name).unwrap_or_default();
        stdout = alias(collected, name).and_then(|path| path.split(|&byte| byte == 0).next());
    }
    let mut uarts = Vec::new();
    for node in collected.nodes() {
        let (kind, default_width) = match node.record.kind {
            Kind::Ns16550a => (UartKind::Ns16550a, 1),
            Kind::Pl011 => (UartKind::Pl011, 4),
            _ => continue,
        };
        let Some(registers) = registers(&node, memory)? else { continue };
        let path = node.take_path();
        let uart = Uart {
            is_stdout: stdout == Some(path.as_bytes()),
            path,
            kind,
            registers,
            reg_shift: one_of(&node, Name::RegShift, 0, &[0, 1, 2, 3], "0 to 3")?,
            reg_io_width: one_of(&node, Name::RegIoWidth, default_width, &[1, 2, 4], "1, 2 or 4")?,
            interrupt: uart_interrupt(node, interrupts)?,
        };
        sorted::insert(&mut uarts, uart, |uart| uart.registers);
    }
    Ok(uarts)
}

/// Returns where the first registers of a device are, unless no CPU can reach them.
fn registers(node: &Node<'_, '_>, memory: &[AddressRange]) -> Result<Option<AddressRange>> {
    let first = node.ranges()?.into_iter().next();
    let first = first.ok_or_else(|| node.fail(Name::Reg, Problem::Missing))?;
    if first.size == 0 {
        return Err(node.fail(Name::Reg, Problem::Empty(first.start)));
    }
    let Some(registers) = node.translate(first)? else { return Ok(None) };
    check_beside_memory(node, &registers, memory)?;
    Ok(Some(registers))
}

/// Returns the registers of the real-time clock: of several, the one with the lowest address.
pub(super) fn clock(
    collected: &Collected<'_>,
    memory: &[AddressRange],
) -> Result<Option<AddressRange>> {
    let mut clock = None;
    for node in collected.of(Kind::Pl031) {
        let Some(found) = registers(&node, memory)? else { continue };
        // Data, match, load and control register, and what comes behind.
        if found.size < CLOCK_BYTES {
            let expected = "32 bytes of registers or more";
            return Err(node.fail(Name::Reg, Problem::Value { value: found.size, expected }));
        }
        clock = Some(clock.map_or(found, |other: AddressRange| other.min(found)));
    }
    Ok(clock)
}

fn one_of(
    node: &Node<'_, '_>,
    name: Name,
    default: u32,
    allowed: &[u32],
    expected: &'static str,
) -> Result<u32> {
    let cell = node.cell(name)?.unwrap_or(default);
    if allowed.contains(&cell) {
        return Ok(cell);
    }
    Err(node.fail(name, Problem::Value { value: cell.into(), expected }))
}

/// Returns the interrupt of a UART, unless it goes to something other than the GIC.
fn uart_interrupt(node: Node<'_, '_>, interrupts: &mut Interrupts) -> Result<Option<Interrupt>> {
    let parent = node.record.interrupt_parent;
    if !node.has(Name::Interrupts) || parent.is_some() && parent != interrupts.gic {
        return Ok(None);
    }
    interrupts.one(node).map(Some)
}
