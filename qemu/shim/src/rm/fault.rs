//! What a script makes RM do wrong: with a request, or a message's packets.

use alloc::vec::Vec;

use gunyah_abi::rm::{MessageId, RmError};

use super::ResourceManager;
use super::transmit::Outgoing;
use crate::object::Objects;
use crate::seam::VirtualInterrupts;
use crate::vm::VmIndex;

/// Bytes of a packet's header whose place the faults know.
const TYPE_AND_FRAGMENTS: usize = 1;
const SEQUENCE: core::ops::Range<usize> = 2..4;
const ID: core::ops::Range<usize> = 4..8;

/// Something that goes wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request is refused with this error; nothing is done.
    Refuse(RmError),
    /// The request is dropped; nothing is done.
    Drop,
    /// The message is not sent; the request was carried out.
    Lose,
    /// The message is sent twice.
    Twice,
    /// The first packet is cut to so many bytes.
    Cut(usize),
    /// So many zero bytes are added to the last packet's content.
    Pad(usize),
    /// The packets are sent in the opposite order.
    Reverse,
    /// The packet of that number, from 0, is left out.
    Skip(usize),
    /// The packet of that number, from 0, is sent twice.
    Repeat(usize),
    /// All packets announce so many further fragments, 0 to 63.
    Announce(u8),
    /// The first byte of all packets, which holds version and header size, is this one.
    Version(u8),
    /// The sequence number is so much higher.
    Sequence(u16),
    /// The message id is another one.
    Id(MessageId),
}

/// Faults that wait for their messages.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Planned>);

#[derive(Debug)]
struct Planned {
    id: MessageId,
    fault: Fault,
    left: u64,
}

impl Faults {
    /// The next `count` messages with this id suffer `fault`, after those planned before.
    pub(super) fn plan(&mut self, id: MessageId, fault: Fault, count: u64) {
        self.0.push(Planned { id, fault, left: count });
    }

    /// The fault of a message that comes now.
    pub(super) fn take(&mut self, id: MessageId) -> Option<Fault> {
        self.0.retain(|planned| planned.left > 0);
        let planned = self.0.iter_mut().find(|planned| planned.id == id)?;
        planned.left -= 1;
        log::debug!("rm: fault with {id}: {:?}", planned.fault);
        Some(planned.fault)
    }
}

impl Fault {
    /// Does to the packets of a message what the fault says.
    pub(super) fn spoil(self, packets: &mut Vec<Vec<u8>>) {
        match self {
            Self::Refuse(_) | Self::Drop => {}
            Self::Lose => packets.clear(),
            Self::Twice => packets.extend_from_within(..),
            Self::Cut(bytes) => {
                if let Some(first) = packets.first_mut() {
                    first.truncate(bytes.max(1));
                }
            }
            Self::Pad(bytes) => {
                if let Some(last) = packets.last_mut() {
                    last.resize(last.len() + bytes, 0);
                }
            }
            Self::Reverse => packets.reverse(),
            Self::Skip(index) => {
                if index < packets.len() {
                    packets.remove(index);
                }
            }
            Self::Repeat(index) => {
                if let Some(packet) = packets.get(index).cloned() {
                    packets.insert(index, packet);
                }
            }
            Self::Announce(fragments) => each(packets, TYPE_AND_FRAGMENTS..2, |bytes| {
                bytes.iter_mut().for_each(|byte| *byte = *byte & 3 | fragments << 2);
            }),
            Self::Version(version) => each(packets, 0..1, |bytes| bytes.fill(version)),
            Self::Sequence(more) => each(packets, SEQUENCE, |bytes| {
                if let [low, high] = bytes {
                    let moved = u16::from_le_bytes([*low, *high]).wrapping_add(more);
                    [*low, *high] = moved.to_le_bytes();
                }
            }),
            Self::Id(id) => each(packets, ID, |bytes| {
                let id = id.0.to_le_bytes();
                bytes.iter_mut().zip(id).for_each(|(byte, new)| *byte = new);
            }),
        }
    }
}

/// Changes the same bytes in all packets.
fn each(packets: &mut [Vec<u8>], place: core::ops::Range<usize>, change: impl Fn(&mut [u8])) {
    for packet in packets {
        if let Some(bytes) = packet.get_mut(place.clone()) {
            change(bytes);
        }
    }
}

impl ResourceManager {
    /// A script has the next `count` messages of this id, requests with their replies or notifications, go wrong.
    pub fn plan_fault(&mut self, vm: VmIndex, id: MessageId, fault: Fault, count: u64) {
        if let Some(link) = self.link_of(vm) {
            self.links[link].faults.plan(id, fault, count);
        }
    }

    /// A script sends a packet to the VM as if RM did, whatever is in it.
    pub fn send_packet(
        &mut self,
        vm: VmIndex,
        packet: Vec<u8>,
        objects: &mut Objects,
        interrupts: &mut dyn VirtualInterrupts,
    ) {
        if let Some(link) = self.link_of(vm) {
            let outgoing = Outgoing::raw(packet);
            // Without memory for it, it is lost like any other.
            if self.links[link].transmitter.notify(outgoing, &self.behaviour).is_ok() {
                self.transmit(link, objects, interrupts);
            }
        }
    }

    /// A script sends a notification to the VM.
    ///
    /// # Errors
    ///
    /// `ARGUMENT_INVALID` if RM does not serve the VM; `NOMEM`; `MSG_INVALID` if it is too long.
    pub fn send_notification(
        &mut self,
        vm: VmIndex,
        id: MessageId,
        content: Vec<u8>,
        objects: &mut Objects,
        interrupts: &mut dyn VirtualInterrupts,
    ) -> Result<(), RmError> {
        let link = self.link_of(vm).ok_or(RmError::ArgumentInvalid)?;
        self.notify(link, id, content)?;
        self.transmit(link, objects, interrupts);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spoilt(fault: Fault) -> Vec<Vec<u8>> {
        let mut packets = vec![
            vec![0x21, 0b1010, 0xff, 0, 0x10, 0, 0, 0x56, b'a'],
            vec![0x21, 0b1000, 0xff, 0, 0x10, 0, 0, 0x56, b'b'],
            vec![0x21, 0b1000, 0xff, 0, 0x10, 0, 0, 0x56, b'c'],
        ];
        fault.spoil(&mut packets);
        packets
    }

    fn letters(fault: Fault) -> Vec<u8> {
        spoilt(fault).iter().filter_map(|packet| packet.last().copied()).collect()
    }

    #[test]
    fn packets_are_lost_repeated_and_reordered() {
        for (fault, expected) in [
            (Fault::Lose, &b""[..]),
            (Fault::Twice, b"abcabc"),
            (Fault::Reverse, b"cba"),
            (Fault::Skip(1), b"ac"),
            (Fault::Skip(3), b"abc"),
            (Fault::Repeat(2), b"abcc"),
            (Fault::Pad(1), b"ab\0"),
        ] {
            assert_eq!(letters(fault), expected, "{fault:?}");
        }
    }

    #[test]
    fn headers_are_changed_where_the_fault_says() {
        assert_eq!(spoilt(Fault::Cut(3))[0], [0x21, 0b1010, 0xff]);
        let packets = spoilt(Fault::Announce(63));
        assert_eq!((packets[0][1], packets[1][1]), (0xfe, 0xfc));
        assert_eq!(spoilt(Fault::Version(0x22))[2][0], 0x22);
        assert_eq!(spoilt(Fault::Sequence(2))[1][2..4], [0x01, 0x01]);
        assert_eq!(spoilt(Fault::Id(MessageId(1)))[0][4..8], [1, 0, 0, 0]);
    }

    #[test]
    fn faults_come_in_the_order_planned_and_then_end() {
        let mut faults = Faults::default();
        let (id, other) = (MessageId::VM_GET_VMID, MessageId::VM_GET_ID);
        faults.plan(id, Fault::Drop, 2);
        faults.plan(other, Fault::Lose, 1);
        faults.plan(id, Fault::Twice, 1);
        let taken: Vec<_> = (0..4).map(|_| faults.take(id)).collect();
        assert_eq!(taken, [Some(Fault::Drop), Some(Fault::Drop), Some(Fault::Twice), None]);
        assert_eq!(faults.take(other), Some(Fault::Lose));
    }
}
