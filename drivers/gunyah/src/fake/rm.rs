//! A fake Resource Manager at a queue pair, which a test can make misbehave.

mod information;
mod parcels;
mod setup;

pub use information::Facts;
pub use parcels::{FakeParcel, Parcels};
pub use setup::RmSetup;

use super::{FakeVm, QueueEnds};
use crate::hypercalls::Hypercalls;
use crate::rm::memory::MemHandle;
use crate::rm::packet::{Fragmenter, PacketBuffer, Reassembler};
use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;
use gunyah_abi::rm::notification::{MemRecall, VmShutdown};
use gunyah_abi::rm::payload::{ConsoleWriteHeader, VmidRequest, padded};
use gunyah_abi::rm::{
    HOST_TYPE_QEMU, MAX_PACKET_SIZE, MessageId, OsState, PRIMARY_VMID, PacketType, RmError,
    SELF_VMID, VmState,
};
use zerocopy::{FromBytes, IntoBytes};

/// Notifications that wait in RM for a VM; the oldest beyond are dropped.
const NOTIFICATION_FIFO: usize = 256;

/// What RM does with a request instead of its duty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Answers with this error.
    Refuse(RmError),
    /// Answers OK with this data.
    Reply(Vec<u8>),
    /// Answers with this content, error word included or not.
    RawContent(Vec<u8>),
    /// Does not answer.
    Silence,
    /// Answers OK with the sequence number moved by this much, then as it should.
    WrongSequenceFirst(u16),
    /// Answers OK under this id, then as it should.
    WrongIdFirst(MessageId),
    /// Answers twice.
    Twice,
    /// Sends this notification before it answers.
    NotifyFirst(MessageId, Vec<u8>),
    /// Sends these packets as they are, then answers.
    PacketsFirst(Vec<Vec<u8>>),
}

/// A request RM got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenRequest {
    /// Message id.
    pub id: MessageId,
    /// Sequence number.
    pub sequence: u16,
    /// Content.
    pub content: Vec<u8>,
}

/// The Resource Manager's side. It acts only in [`FakeRm::step`].
pub struct FakeRm {
    vm: FakeVm,
    rx: QueueEnds,
    tx: QueueEnds,
    reassembler: Reassembler,
    /// Packets of the message under way.
    transit: VecDeque<Vec<u8>>,
    reply: VecDeque<Vec<Vec<u8>>>,
    notifications: VecDeque<Vec<Vec<u8>>>,
    notification_sequence: u16,
    reactions: VecDeque<(MessageId, Reaction)>,
    requests: Vec<SeenRequest>,
    /// Whether the VM has a console.
    pub has_console: bool,
    /// Whether the owner has opened the console.
    pub owner_open: bool,
    console_open: bool,
    console: Vec<u8>,
    exit_code: Option<u8>,
    crash_message: Option<Vec<u8>>,
    /// What it knows of VMs and what they share; may change at any time.
    pub facts: Facts,
    /// Memory parcels.
    pub parcels: Parcels,
}

impl FakeRm {
    /// Makes one that is fed by `rx` and answers through `tx`.
    pub fn new(vm: FakeVm, rx: QueueEnds, tx: QueueEnds) -> Self {
        Self {
            vm,
            rx,
            tx,
            reassembler: Reassembler::new(),
            transit: VecDeque::new(),
            reply: VecDeque::new(),
            notifications: VecDeque::new(),
            notification_sequence: 0,
            reactions: VecDeque::new(),
            requests: Vec::new(),
            has_console: true,
            owner_open: true,
            console_open: false,
            console: Vec::new(),
            exit_code: None,
            crash_message: None,
            facts: Facts::default(),
            parcels: Parcels::default(),
        }
    }

    /// Makes the next request with this id be treated otherwise.
    pub fn react(&mut self, id: MessageId, reaction: Reaction) {
        self.reactions.push_back((id, reaction));
    }

    /// Receives and answers what there is, and sends what fits.
    pub fn step(&mut self) {
        let mut buffer = [0; MAX_PACKET_SIZE];
        while let Ok(received) = self.vm.msgqueue_receive(self.rx.rx, &mut buffer) {
            let packet = buffer.get(..received.size).unwrap_or_default();
            let request = match self.reassembler.push(packet) {
                Some(message) if message.kind == PacketType::Request => SeenRequest {
                    id: message.id,
                    sequence: message.sequence,
                    content: message.content.to_vec(),
                },
                _ => continue,
            };
            self.handle(&request);
            self.requests.push(request);
        }
        self.send();
    }

    /// Sends what fits into the queue: the message under way, then a reply, then notifications.
    pub fn send(&mut self) {
        loop {
            if self.transit.is_empty() {
                let next = self.reply.pop_front().or_else(|| self.notifications.pop_front());
                self.transit.extend(next.unwrap_or_default());
            }
            let Some(packet) = self.transit.front() else {
                return;
            };
            if self.vm.msgqueue_send(self.tx.tx, packet, false).is_err() {
                return;
            }
            self.transit.pop_front();
        }
    }

    fn handle(&mut self, request: &SeenRequest) {
        let position = self.reactions.iter().position(|(id, _)| *id == request.id);
        let reaction = position.and_then(|position| self.reactions.remove(position));
        let (id, sequence) = (request.id, request.sequence);
        match reaction.map(|(_, reaction)| reaction) {
            Some(Reaction::Silence) => return,
            Some(Reaction::Refuse(error)) => return self.answer(sequence, id, Err(error)),
            Some(Reaction::Reply(data)) => return self.answer(sequence, id, Ok(data)),
            Some(Reaction::RawContent(content)) => return self.raw_reply(sequence, id, &content),
            Some(Reaction::WrongSequenceFirst(by)) => {
                self.answer(sequence.wrapping_add(by), id, Ok(vec![]));
            }
            Some(Reaction::WrongIdFirst(other)) => self.answer(sequence, other, Ok(vec![])),
            Some(Reaction::Twice) => {
                let result = self.duty(request);
                self.answer(sequence, id, result.clone());
                return self.answer(sequence, id, result);
            }
            Some(Reaction::NotifyFirst(id, content)) => {
                self.notify(id, &content);
                self.send();
            }
            Some(Reaction::PacketsFirst(packets)) => self.reply.push_back(packets),
            None => {}
        }
        let result = self.duty(request);
        self.answer(sequence, id, result);
    }

    fn duty(&mut self, request: &SeenRequest) -> Result<Vec<u8>, RmError> {
        let content = request.content.as_slice();
        let word = |value: u32| Ok(value.to_le_bytes().to_vec());
        match request.id {
            MessageId::VM_GET_VMID if !content.is_empty() => Err(RmError::MsgInvalid),
            MessageId::VM_GET_VMID => word(self.facts.vmid.into()),
            MessageId::VM_GET_OWNER => word(PRIMARY_VMID.into()),
            MessageId::VM_HOST_GET_TYPE => word(HOST_TYPE_QEMU),
            MessageId::VM_SET_STATUS => self.facts.set_status(content),
            MessageId::MEM_ACCEPT
            | MessageId::MEM_RELEASE
            | MessageId::MEM_NOTIFY
            | MessageId::MEM_LOOKUP_SGL => {
                self.parcels.answer(self.facts.vmid, request.id, content)
            }
            MessageId::CONSOLE_OPEN => self.own_console(content).map(|()| {
                self.console_open = true;
                vec![]
            }),
            MessageId::CONSOLE_CLOSE => self.own_console(content).map(|()| {
                self.console_open = false;
                vec![]
            }),
            MessageId::CONSOLE_FLUSH => self.open_console(content).map(|()| vec![]),
            MessageId::CONSOLE_WRITE => self.console_write(content),
            MessageId::VM_EXIT => match content {
                [_, _, 2, 0] => Err(RmError::MsgInvalid),
                [_, _, code, 0] => {
                    self.exit_code = Some(*code);
                    Ok(vec![])
                }
                _ => Err(RmError::MsgInvalid),
            },
            MessageId::VM_SET_CRASH_MSG => {
                let (length, text) = content.split_at_checked(4).ok_or(RmError::MsgInvalid)?;
                let length = usize::from(u16::from_le_bytes([length[0], length[1]]));
                if text.len() != padded(length) {
                    return Err(RmError::MsgInvalid);
                }
                self.crash_message = text.get(..length).map(<[u8]>::to_vec);
                Ok(vec![])
            }
            other => self.facts.answer(other, content),
        }
    }

    fn own_console(&self, content: &[u8]) -> Result<(), RmError> {
        let request = VmidRequest::read_from_bytes(content).map_err(|_| RmError::MsgInvalid)?;
        if !self.has_console {
            return Err(RmError::ArgumentInvalid);
        }
        if request.vmid.get() == SELF_VMID { Ok(()) } else { Err(RmError::Denied) }
    }

    fn open_console(&self, content: &[u8]) -> Result<(), RmError> {
        self.own_console(content)?;
        self.console_open.then_some(()).ok_or(RmError::Denied)
    }

    fn console_write(&mut self, content: &[u8]) -> Result<Vec<u8>, RmError> {
        let (header, text) =
            ConsoleWriteHeader::read_from_prefix(content).map_err(|_| RmError::MsgInvalid)?;
        if usize::from(header.length.get()) != text.len() {
            return Err(RmError::MsgInvalid);
        }
        self.open_console(VmidRequest::new(header.target.get()).as_bytes())?;
        if self.owner_open {
            self.console.extend_from_slice(text);
        }
        Ok(vec![])
    }

    fn answer(&mut self, sequence: u16, id: MessageId, result: Result<Vec<u8>, RmError>) {
        let (error, data) = match result {
            Ok(data) => (RmError::OK, data),
            Err(error) => (error.code(), vec![]),
        };
        let mut content = error.to_le_bytes().to_vec();
        content.extend(data);
        self.raw_reply(sequence, id, &content);
    }

    fn raw_reply(&mut self, sequence: u16, id: MessageId, content: &[u8]) {
        let packets = packets(PacketType::Reply, sequence, id, content);
        self.reply.push_back(packets);
    }

    /// Queues a notification; it is sent by [`FakeRm::step`] or [`FakeRm::send`].
    pub fn notify(&mut self, id: MessageId, content: &[u8]) {
        self.notification_sequence = self.notification_sequence.wrapping_add(1);
        if self.notifications.len() == NOTIFICATION_FIFO {
            self.notifications.pop_front();
        }
        let sequence = self.notification_sequence;
        let packets = packets(PacketType::Notification, sequence, id, content);
        self.notifications.push_back(packets);
    }

    /// Lets a VM be in another state, and tells the guest.
    pub fn set_peer_status(&mut self, vmid: u16, vm: VmState, os: OsState, application: u16) {
        let status = self.facts.set_peer(vmid, vm, os, application);
        self.notify(MessageId::VM_STATUS, status.as_bytes());
    }

    /// Lets the owner ask the guest to shut down.
    pub fn shut_down(&mut self, reason: u32) {
        self.notify(MessageId::VM_SHUTDOWN, VmShutdown { reason: reason.into() }.as_bytes());
    }

    /// Makes a parcel and announces it to the guest, as its owner would with `MEM_SHARE` and `MEM_NOTIFY`.
    pub fn share(&mut self, parcel: FakeParcel) -> MemHandle {
        let announcement = parcel.announcement(self.parcels.next_handle());
        let handle = self.parcels.add(parcel);
        self.notify(MessageId::MEM_SHARED, &announcement);
        handle
    }

    /// Lets the owner ask for a parcel, which need not exist.
    pub fn recall(&mut self, handle: MemHandle, tag: u32) {
        let recall = MemRecall { handle: handle.0.into(), tag: tag.into() };
        self.notify(MessageId::MEM_RECALL, recall.as_bytes());
    }

    /// Lets the owner type on the console, in one notification.
    pub fn type_text(&mut self, text: &[u8]) {
        let mut content = ConsoleWriteHeader::new(SELF_VMID, text.len() as u16).as_bytes().to_vec();
        content.extend_from_slice(text);
        self.notify(MessageId::CONSOLE_CHARS, &content);
    }

    /// Requests so far.
    pub fn requests(&self) -> &[SeenRequest] {
        &self.requests
    }

    /// What the owner has seen on the console.
    pub fn console(&self) -> &[u8] {
        &self.console
    }

    /// The code the VM ended with, if it has.
    pub fn exit_code(&self) -> Option<u8> {
        self.exit_code
    }

    /// The crash message the VM has left.
    pub fn crash_message(&self) -> Option<&[u8]> {
        self.crash_message.as_deref()
    }
}

fn packets(kind: PacketType, sequence: u16, id: MessageId, content: &[u8]) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    if let Some(mut fragments) = Fragmenter::new(kind, sequence, id, content, &[]) {
        while !fragments.is_finished() {
            packets.push(fragments.packet(&mut PacketBuffer::new()).to_vec());
            fragments.advance();
        }
    }
    packets
}
