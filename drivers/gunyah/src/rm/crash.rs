//! Last words: what a panicking guest can still tell the Resource Manager.
//!
//! Nothing here locks, allocates or awaits a reply; the queues are used directly by their capabilities. Whatever the client was
//! doing is overtaken: RM discards an incomplete message when another begins. Replies and notifications are received and
//! thrown away, so that RM is never held up by a full queue.

use crate::hypercalls::Hypercalls;
use core::fmt;
use gunyah_abi::message_queue::MAX_MESSAGE_SIZE;
use gunyah_abi::rm::payload::{ConsoleWriteHeader, TextHeader, VmExitRequest, VmidRequest, padded};
use gunyah_abi::rm::{
    HEADER_SIZE, MAX_CRASH_MESSAGE, MAX_PACKET_SIZE, MAX_SINGLE_CONSOLE_WRITE, MessageId,
    PacketHeader, PacketType, SELF_VMID,
};
use gunyah_abi::{CapabilityId, Error};
use zerocopy::IntoBytes;

/// First sequence number of last words, to tell them from the client's requests in a trace.
const FIRST_SEQUENCE: u16 = 0xDEAD;

/// How many times the receive queue is asked before each packet, so that a broken one cannot hold us up.
const DRAIN_LIMIT: usize = 64;

/// Something could not be said: the queue stayed full until the caller's deadline, or refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotSaid;

/// A channel to RM for a panicking guest.
///
/// `wait` is called while the queue is full: it waits for an interrupt (in WFI, interrupts masked) and returns whether
/// there is time left.
pub struct CrashChannel<H, W> {
    hypercalls: H,
    tx: CapabilityId,
    rx: CapabilityId,
    wait: W,
    sequence: u16,
    line: [u8; MAX_SINGLE_CONSOLE_WRITE],
    filled: usize,
    discard: [u8; MAX_MESSAGE_SIZE as usize],
}

impl<H: Hypercalls, W: FnMut() -> bool> CrashChannel<H, W> {
    /// Makes a channel over RM's queue pair.
    pub fn new(hypercalls: H, tx: CapabilityId, rx: CapabilityId, wait: W) -> Self {
        Self {
            hypercalls,
            tx,
            rx,
            wait,
            sequence: FIRST_SEQUENCE,
            line: [0; MAX_SINGLE_CONSOLE_WRITE],
            filled: 0,
            discard: [0; MAX_MESSAGE_SIZE as usize],
        }
    }

    /// Opens the console (`CONSOLE_OPEN`), in case the guest panics before it did.
    ///
    /// # Errors
    ///
    /// [`NotSaid`].
    pub fn open(&mut self) -> Result<(), NotSaid> {
        let content = VmidRequest::new(SELF_VMID);
        self.send(MessageId::CONSOLE_OPEN, content.as_bytes(), &[])
    }

    /// Writes text to the console (`CONSOLE_WRITE`), in packets of at most 228 bytes.
    ///
    /// # Errors
    ///
    /// [`NotSaid`]; what comes after the failed packet is not sent either.
    pub fn print(&mut self, text: &[u8]) -> Result<(), NotSaid> {
        for part in text.chunks(MAX_SINGLE_CONSOLE_WRITE) {
            let header = ConsoleWriteHeader::new(SELF_VMID, part.len() as u16);
            self.send(MessageId::CONSOLE_WRITE, header.as_bytes(), part)?;
        }
        Ok(())
    }

    /// Sends what was written through [`fmt::Write`] and is still held back to fill a packet.
    ///
    /// # Errors
    ///
    /// [`NotSaid`].
    pub fn flush(&mut self) -> Result<(), NotSaid> {
        let line = self.line;
        let filled = core::mem::take(&mut self.filled);
        self.print(line.get(..filled).unwrap_or_default())
    }

    /// Stores the crash message (`VM_SET_CRASH_MSG`), cut to 192 bytes.
    ///
    /// # Errors
    ///
    /// [`NotSaid`].
    pub fn set_crash_message(&mut self, text: &[u8]) -> Result<(), NotSaid> {
        let text = text.get(..MAX_CRASH_MESSAGE).unwrap_or(text);
        let header = TextHeader::new(text.len() as u16);
        let mut content = [0; MAX_CRASH_MESSAGE];
        let (used, _) = content.split_at_mut(text.len());
        used.copy_from_slice(text);
        let content = content.get(..padded(text.len())).unwrap_or_default();
        self.send(MessageId::VM_SET_CRASH_MSG, header.as_bytes(), content)
    }

    /// Asks RM to end this VM (`VM_EXIT`) with a code of [`gunyah_abi::rm::exit_code`], and its owner
    /// to start it again if `restart`. It takes a while to happen.
    ///
    /// # Errors
    ///
    /// [`NotSaid`].
    pub fn exit(&mut self, code: u8, restart: bool) -> Result<(), NotSaid> {
        let content = VmExitRequest::new(code, restart);
        self.send(MessageId::VM_EXIT, content.as_bytes(), &[])
    }

    /// Sends one request of one packet.
    fn send(&mut self, id: MessageId, fixed: &[u8], variable: &[u8]) -> Result<(), NotSaid> {
        let header = PacketHeader::new(PacketType::Request, 0, self.sequence, id);
        self.sequence = self.sequence.wrapping_add(1);
        let mut packet = [0; MAX_PACKET_SIZE];
        let mut size = 0;
        for part in [header.as_bytes(), fixed, variable] {
            let room = packet.get_mut(size..size + part.len()).ok_or(NotSaid)?;
            room.copy_from_slice(part);
            size += part.len();
        }
        debug_assert!(size > HEADER_SIZE);
        loop {
            self.drain();
            let message = packet.get(..size).unwrap_or_default();
            match self.hypercalls.msgqueue_send(self.tx, message, true) {
                Ok(_) => return Ok(()),
                Err(Error::MsgqueueFull | Error::Retry) if (self.wait)() => {}
                Err(_) => return Err(NotSaid),
            }
        }
    }

    fn drain(&mut self) {
        for _ in 0..DRAIN_LIMIT {
            match self.hypercalls.msgqueue_receive(self.rx, &mut self.discard) {
                Ok(received) if received.size > 0 && received.not_empty => {}
                _ => return,
            }
        }
    }
}

/// Text is held back until it fills a packet or [`CrashChannel::flush`] is called.
impl<H: Hypercalls, W: FnMut() -> bool> fmt::Write for CrashChannel<H, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let room = self.line.get_mut(self.filled..).unwrap_or_default();
            let (now, later) = rest.split_at(rest.len().min(room.len()));
            let (target, _) = room.split_at_mut(now.len());
            target.copy_from_slice(now);
            self.filled += now.len();
            rest = later;
            if self.filled == self.line.len() {
                self.flush().map_err(|NotSaid| fmt::Error)?;
            }
        }
        Ok(())
    }
}
