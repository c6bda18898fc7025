//! What hypervisor and RM provide: queues, doorbells, shared buffers.

use super::Interrupts;
use crate::error::{Problem, Result};
use crate::names::{self, Kind, Name};
use crate::platform::{
    AddressRange, Doorbell, DoorbellSource, Hypervisor, Interrupt, MessageQueue, QueueDirection,
    QueueEnd, QueuePair, SharedBuffer, VmIdentity,
};
use crate::record::{Collected, Node, number};
use crate::sorted;
use alloc::vec::Vec;
use gunyah_abi::CapabilityId;
use gunyah_abi::message_queue::{DEFAULT_DEPTH, DEFAULT_MESSAGE_SIZE, MAX_DEPTH, MAX_MESSAGE_SIZE};

/// Returns the hypervisor.
pub(super) fn hypervisor(collected: &Collected<'_>) -> Result<Option<Hypervisor>> {
    let Some(node) = collected.only(Kind::Hypervisor)? else { return Ok(None) };
    let mut texts = node.need(Name::Compatible)?.split(|&byte| byte == 0);
    Ok(texts.find_map(names::hypervisor).map(|compatible| Hypervisor { compatible }))
}

/// Returns who this virtual machine is.
pub(super) fn identity(collected: &Collected<'_>) -> Result<Option<VmIdentity>> {
    let Some(node) = collected.only(Kind::VmIdentity)? else { return Ok(None) };
    let vmid = node.vmid(Name::Vmid)?;
    Ok(Some(VmIdentity {
        vmid: vmid.ok_or_else(|| node.fail(Name::Vmid, Problem::Missing))?,
        owner: node.vmid(Name::OwnerVmid)?,
        vendor: node.string(Name::Vendor)?,
        image_name: node.string(Name::Image)?,
        uri: node.string(Name::VmUri)?,
        guid: node.string(Name::VmGuid)?,
        peers: node.strings(Name::Peers)?,
    }))
}

/// The message queues of all kinds.
pub(super) struct Queues {
    pub(super) resource_manager: Option<QueuePair>,
    pub(super) pairs: Vec<QueuePair>,
    pub(super) single: Vec<MessageQueue>,
}

/// Returns the message queues.
pub(super) fn queues(collected: &Collected<'_>, interrupts: &mut Interrupts) -> Result<Queues> {
    let resource_manager = match collected.only(Kind::ResourceManager)? {
        Some(node) => Some(queue_pair(node, interrupts)?),
        None => None,
    };
    let (mut pairs, mut single) = (Vec::new(), Vec::new());
    for node in collected.of(Kind::MessageQueue) {
        let direction = match (node.has(Name::IsSender), node.has(Name::IsReceiver)) {
            (false, false) => {
                let pair = queue_pair(node, interrupts)?;
                sorted::insert(&mut pairs, pair, |pair| order(pair.label, pair.tx.capability));
                continue;
            }
            (true, false) => QueueDirection::Sender,
            (false, true) => QueueDirection::Receiver,
            (true, true) => {
                let problem = Problem::Text {
                    found: Name::IsSender.spelled().into(),
                    expected: "possible in the same node",
                };
                return Err(node.fail(Name::IsReceiver, problem));
            }
        };
        let [capability] = capabilities(node, "8")?;
        let (size, depth) = (Name::SingleMessageSize, Name::SingleQueueDepth);
        let queue = MessageQueue {
            path: node.take_path(),
            label: label(node)?,
            peer: node.string(Name::Peer)?,
            peer_vmid: node.vmid(Name::PeerVmid)?,
            direction,
            end: queue_end(node, capability, interrupts.one(node)?, size, depth)?,
        };
        sorted::insert(&mut single, queue, |queue| order(queue.label, queue.end.capability));
    }
    Ok(Queues { resource_manager, pairs, single })
}

fn queue_pair(node: Node<'_, '_>, interrupts: &mut Interrupts) -> Result<QueuePair> {
    let [tx, rx] = capabilities(node, "16")?;
    let [tx_interrupt, rx_interrupt] = interrupts.two(node)?;
    let (tx_size, tx_depth) = (Name::TxMessageSize, Name::TxQueueDepth);
    let (rx_size, rx_depth) = (Name::RxMessageSize, Name::RxQueueDepth);
    Ok(QueuePair {
        path: node.take_path(),
        label: label(node)?,
        peer: node.string(Name::Peer)?,
        peer_vmid: node.vmid(Name::PeerVmid)?,
        tx: queue_end(node, tx, tx_interrupt, tx_size, tx_depth)?,
        rx: queue_end(node, rx, rx_interrupt, rx_size, rx_depth)?,
    })
}

fn queue_end(
    node: Node<'_, '_>,
    capability: CapabilityId,
    interrupt: Interrupt,
    size: Name,
    depth: Name,
) -> Result<QueueEnd> {
    let limited = |name, default, limit, expected| {
        let cell = node.cell(name)?.unwrap_or(u32::from(default));
        match u16::try_from(cell).ok().filter(|value| (1..=limit).contains(value)) {
            Some(value) => Ok(value),
            None => Err(node.fail(name, Problem::Value { value: cell.into(), expected })),
        }
    };
    let message_size =
        limited(size, DEFAULT_MESSAGE_SIZE, MAX_MESSAGE_SIZE, "a message size of 1 to 1023")?;
    let depth = limited(depth, DEFAULT_DEPTH, MAX_DEPTH, "a queue depth of 1 to 255")?;
    Ok(QueueEnd { capability, interrupt, message_size, depth })
}

/// Returns the doorbells that others ring.
pub(super) fn doorbells(
    collected: &Collected<'_>,
    interrupts: &mut Interrupts,
) -> Result<Vec<Doorbell>> {
    let mut doorbells = Vec::new();
    for node in collected.of(Kind::Doorbell) {
        let [capability] = capabilities(node, "8")?;
        let bell = Doorbell {
            path: node.take_path(),
            label: label(node)?,
            capability,
            interrupt: interrupts.one(node)?,
        };
        sorted::insert(&mut doorbells, bell, |bell| order(bell.label, bell.capability));
    }
    Ok(doorbells)
}

/// Returns the doorbells of others.
pub(super) fn doorbell_sources(collected: &Collected<'_>) -> Result<Vec<DoorbellSource>> {
    let mut sources = Vec::new();
    for node in collected.of(Kind::DoorbellSource) {
        let [capability] = capabilities(node, "8")?;
        let path = node.take_path();
        let source = DoorbellSource { path, label: label(node)?, capability };
        sorted::insert(&mut sources, source, |source| order(source.label, source.capability));
    }
    Ok(sources)
}

/// Returns the memory shared with others.
pub(super) fn shared_buffers(collected: &Collected<'_>) -> Result<Vec<SharedBuffer>> {
    let mut buffers = Vec::new();
    for node in collected.of(Kind::SharedBuffer) {
        let name = if node.has(Name::MemoryRegion) { Name::MemoryRegion } else { Name::Buffer };
        let (ranges, parcel) = match node.cell(name)? {
            // Where memory is optional, and nobody shares any yet.
            None => (Vec::new(), None),
            Some(phandle) => shared_memory(collected, phandle)?.ok_or_else(|| {
                let expected = "a node in /reserved-memory with a reg";
                node.fail(name, Problem::Phandle { phandle, expected })
            })?,
        };
        let buffer = SharedBuffer {
            path: node.take_path(),
            label: label(node)?,
            ranges,
            parcel,
            peer: node.vmid(Name::Peer)?,
            tx_doorbell: referred(collected, node, Name::TxDoorbell, Kind::DoorbellSource)?,
            rx_doorbell: referred(collected, node, Name::RxDoorbell, Kind::Doorbell)?,
            dma_base: node.two_cells(Name::DmaBase)?,
        };
        sorted::insert(&mut buffers, buffer, |buffer| {
            (buffer.label.is_none(), buffer.label, buffer.ranges.first().copied())
        });
    }
    Ok(buffers)
}

/// Returns where the memory is that a phandle leads to, all of it, and which parcel it is.
fn shared_memory(
    collected: &Collected<'_>,
    phandle: u32,
) -> Result<Option<(Vec<AddressRange>, Option<u32>)>> {
    for node in collected.of(Kind::Reserved).filter(|node| node.has(Name::Reg)) {
        if node.phandle()? != Some(phandle) {
            continue;
        }
        let mut joined: Vec<AddressRange> = Vec::new();
        for range in node.ranges()? {
            match joined.last_mut() {
                Some(last) if last.end() == range.start => last.size += range.size,
                _ => joined.push(range),
            }
        }
        return Ok(Some((joined, node.cell(Name::RmMemHandle)?)));
    }
    Ok(None)
}

/// Returns the capability of the node of one kind that a phandle leads to.
fn referred(
    collected: &Collected<'_>,
    from: Node<'_, '_>,
    name: Name,
    kind: Kind,
) -> Result<Option<CapabilityId>> {
    let Some(phandle) = from.cell(name)? else { return Ok(None) };
    for node in collected.of(kind) {
        if node.phandle()? == Some(phandle) {
            let [capability] = capabilities(node, "8")?;
            return Ok(Some(capability));
        }
    }
    let expected = match kind {
        Kind::Doorbell => "a qcom,gunyah-doorbell",
        _ => "a qcom,gunyah-doorbell-source",
    };
    Err(from.fail(name, Problem::Phandle { phandle, expected }))
}

/// Returns the capabilities in `reg`, of two cells each whatever the parent declares: the resource
/// manager nests nodes in others that it makes without `#address-cells` and `#size-cells`.
fn capabilities<const N: usize>(
    node: Node<'_, '_>,
    expected: &'static str,
) -> Result<[CapabilityId; N]> {
    let value = node.need(Name::Reg)?;
    if value.len() != N * 8 {
        return Err(node.length(Name::Reg, value, expected));
    }
    let mut capabilities = [CapabilityId(0); N];
    for (capability, cells) in capabilities.iter_mut().zip(value.chunks_exact(8)) {
        *capability = CapabilityId(number(cells));
    }
    Ok(capabilities)
}

/// Returns the label. The resource manager gives it under two names; elsewhere the second one,
/// `label`, is a text.
fn label(node: Node<'_, '_>) -> Result<Option<u32>> {
    match node.cell(Name::GunyahLabel)? {
        None if node.get(Name::Label).is_some_and(|value| value.len() == 4) => {
            node.cell(Name::Label)
        }
        label => Ok(label),
    }
}

/// By label, those without one last, then by capability.
fn order(label: Option<u32>, capability: CapabilityId) -> (bool, Option<u32>, CapabilityId) {
    (label.is_none(), label, capability)
}
