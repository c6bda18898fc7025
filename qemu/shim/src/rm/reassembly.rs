//! Packets of one VM to messages; what is out of order is dropped.

use gunyah_abi::rm::{MAX_EXTRA_FRAGMENTS, MAX_PACKET_CONTENT, PacketHeader, PacketType};

use super::Message;

/// The one message of a VM that may be incomplete.
#[derive(Debug, Default)]
pub(super) struct Reassembly {
    incomplete: Option<(Message, Fragments)>,
}

#[derive(Debug)]
struct Fragments {
    announced: u8,
    missing: u8,
}

impl Reassembly {
    /// Takes a packet; returns the message that it completes.
    pub(super) fn accept(&mut self, packet: &[u8]) -> Option<Message> {
        let (header, content) = match PacketHeader::parse(packet) {
            Ok(parsed) => parsed,
            Err(error) => {
                log::debug!("rm: packet dropped: {error:?}");
                return None;
            }
        };
        if header.packet_type() == PacketType::Continuation {
            return self.continuation(header, content);
        }
        if self.incomplete.take().is_some() {
            log::debug!("rm: an incomplete message is dropped");
        }
        let announced = header.extra_fragments();
        if announced > MAX_EXTRA_FRAGMENTS || content.len() > MAX_PACKET_CONTENT {
            log::debug!("rm: {} dropped: too long", header.message_id());
            return None;
        }
        let message = Message {
            kind: header.packet_type(),
            sequence: header.sequence.get(),
            id: header.message_id(),
            content: content.to_vec(),
        };
        if announced == 0 {
            return Some(message);
        }
        let fragments = Fragments { announced, missing: announced };
        self.incomplete = Some((message, fragments));
        None
    }

    fn continuation(&mut self, header: &PacketHeader, content: &[u8]) -> Option<Message> {
        let (message, fragments) = self.incomplete.as_mut()?;
        let belongs = header.sequence.get() == message.sequence
            && header.message_id() == message.id
            && header.extra_fragments() == fragments.announced
            && content.len() <= MAX_PACKET_CONTENT;
        if !belongs {
            log::debug!("rm: a stray continuation is dropped");
            return None;
        }
        message.content.extend_from_slice(content);
        fragments.missing -= 1;
        if fragments.missing > 0 {
            return None;
        }
        self.incomplete.take().map(|(message, _)| message)
    }
}
