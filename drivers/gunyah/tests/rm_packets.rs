//! Cutting and reassembling: whole messages come back, the rest does no harm.

use gunyah::rm::packet::{Fragmenter, PacketBuffer, Reassembler};
use gunyah_abi::rm::{MAX_CONTENT, MessageId, PacketHeader, PacketType, extra_fragments};
use proptest::prelude::*;
use proptest::sample::Index;
use zerocopy::IntoBytes;

const KINDS: [PacketType; 3] = [PacketType::Request, PacketType::Reply, PacketType::Notification];

fn cut(
    kind: PacketType,
    sequence: u16,
    id: MessageId,
    fixed: &[u8],
    variable: &[u8],
) -> Vec<Vec<u8>> {
    let mut fragments = Fragmenter::new(kind, sequence, id, fixed, variable).unwrap();
    let mut packets = Vec::new();
    while !fragments.is_finished() {
        packets.push(fragments.packet(&mut PacketBuffer::new()).to_vec());
        fragments.advance();
    }
    packets
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 7 + index / 251) as u8).collect()
}

#[test]
fn a_300_byte_write_takes_two_packets() {
    let packets =
        cut(PacketType::Request, 9, MessageId::CONSOLE_WRITE, &[0, 0, 44, 1], &bytes(300));
    assert_eq!(packets.iter().map(Vec::len).collect::<Vec<_>>(), [240, 80]);
    assert_eq!(packets[0][..12], [0x21, 0x05, 9, 0, 0x83, 0, 0, 0x56, 0, 0, 44, 1]);
    assert_eq!(packets[1][..8], [0x21, 0x04, 9, 0, 0x83, 0, 0, 0x56]);
}

#[test]
fn packet_counts_follow_the_content() {
    for (length, count) in
        [(0, 1), (1, 1), (232, 1), (233, 2), (464, 2), (465, 3), (MAX_CONTENT, 63)]
    {
        let packets = cut(PacketType::Reply, 1, MessageId::VM_GET_ID, &bytes(length), &[]);
        assert_eq!(packets.len(), count, "{length}");
        assert_eq!(extra_fragments(length), Some(count as u8 - 1));
    }
    let too_long = vec![0; MAX_CONTENT + 1];
    assert!(Fragmenter::new(PacketType::Reply, 1, MessageId::VM_GET_ID, &too_long, &[]).is_none());
    assert!(
        Fragmenter::new(PacketType::Reply, 1, MessageId::VM_GET_ID, &too_long[1..], &[0]).is_none()
    );
}

#[test]
fn each_kind_of_broken_packet_is_counted_as_such() {
    let mut reassembler = Reassembler::new();
    let id = MessageId::CONSOLE_CHARS;
    let message = cut(PacketType::Notification, 5, id, &bytes(500), &[]);
    let other = PacketHeader::new(PacketType::Continuation, 2, 6, id);
    let fewer = PacketHeader::new(PacketType::Continuation, 1, 5, id);
    let too_many = PacketHeader::new(PacketType::Notification, 63, 5, id);
    let dropped: [&[u8]; 7] =
        [&[0x21; 7], &[0x22; 8], &[0x11; 8], &message[1], too_many.as_bytes(), &[], &[0x20; 20]];
    for packet in dropped {
        assert_eq!(reassembler.push(packet), None);
    }
    assert_eq!(reassembler.push(&message[0]), None);
    assert_eq!(reassembler.push(other.as_bytes()), None);
    assert_eq!(reassembler.push(fewer.as_bytes()), None);
    assert_eq!(reassembler.push(&message[0]), None, "begins anew");
    assert_eq!(reassembler.push(&message[1]), None);
    let whole = reassembler.push(&message[2]).unwrap();
    assert_eq!((whole.kind, whole.sequence, whole.id), (PacketType::Notification, 5, id));
    assert_eq!(whole.content, bytes(500));
    let drops = reassembler.drops();
    assert_eq!((drops.short, drops.version, drops.header_size), (2, 2, 1));
    assert_eq!((drops.orphan, drops.too_long), (1, 1));
    assert_eq!((drops.out_of_sequence, drops.interrupted), (2, 1));
    assert_eq!(drops.total(), 10);
}

#[test]
fn content_beyond_the_limit_ends_the_message() {
    let mut reassembler = Reassembler::new();
    let first = PacketHeader::new(PacketType::Reply, 62, 1, MessageId::VM_GET_ID);
    let more = PacketHeader::new(PacketType::Continuation, 62, 1, MessageId::VM_GET_ID);
    let large = bytes(1000);
    assert_eq!(reassembler.push(&[first.as_bytes(), &large].concat()), None);
    for _ in 0..13 {
        assert_eq!(reassembler.push(&[more.as_bytes(), &large].concat()), None);
    }
    assert_eq!(reassembler.drops().total(), 0);
    assert_eq!(reassembler.push(&[more.as_bytes(), &large].concat()), None);
    assert_eq!(reassembler.drops().too_long, 1);
    assert_eq!(reassembler.push(more.as_bytes()), None);
    assert_eq!(reassembler.drops().orphan, 1);
}

/// What a bad line does to packets.
#[derive(Clone, Debug)]
enum Fault {
    Lose(Index),
    Double(Index, Index),
    Swap(Index, Index),
    Alter(Index, Index, u8),
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        4 => any::<Index>().prop_map(Fault::Lose),
        1 => any::<(Index, Index)>().prop_map(|(a, b)| Fault::Double(a, b)),
        1 => any::<(Index, Index)>().prop_map(|(a, b)| Fault::Swap(a, b)),
        1 => any::<(Index, Index, u8)>().prop_map(|(a, b, value)| Fault::Alter(a, b, value)),
    ]
}

impl Fault {
    fn apply(&self, line: &mut Vec<Vec<u8>>) {
        let count = line.len();
        if count == 0 {
            return;
        }
        match self {
            Self::Lose(a) => drop(line.remove(a.index(count))),
            Self::Double(a, b) => line.insert(b.index(count), line[a.index(count)].clone()),
            Self::Swap(a, b) => line.swap(a.index(count), b.index(count)),
            Self::Alter(a, b, value) => {
                let packet = &mut line[a.index(count)];
                let at = b.index(packet.len());
                packet[at] ^= value | 1;
            }
        }
    }
}

proptest! {
    #[test]
    fn messages_come_back_whole(
        kind in 0..3_usize,
        sequence: u16,
        id: u32,
        length in 0..=MAX_CONTENT,
        split in 0..=MAX_CONTENT,
    ) {
        let content = bytes(length);
        let (fixed, variable) = content.split_at(split.min(length));
        let packets = cut(KINDS[kind], sequence, MessageId(id), fixed, variable);
        let mut reassembler = Reassembler::new();
        let (last, before) = packets.split_last().unwrap();
        for packet in before {
            prop_assert_eq!(reassembler.push(packet), None);
        }
        let whole = reassembler.push(last).unwrap();
        prop_assert_eq!(whole.content, content);
        prop_assert_eq!((whole.kind, whole.sequence, whole.id), (KINDS[kind], sequence, MessageId(id)));
        prop_assert_eq!(reassembler.drops().total(), 0);
    }

    /// Packets are lost, doubled, swapped and altered. The protocol numbers no fragments, so a doubled one can stand in for a
    /// lost one; but what is delivered begins like the message that was sent and is no longer than its packets, and when
    /// packets are only lost it is that message.
    #[test]
    fn a_bad_line_delivers_only_what_was_sent(
        lengths in prop::collection::vec(0..1200_usize, 1..8),
        faults in prop::collection::vec(fault(), 0..12),
    ) {
        let messages: Vec<Vec<u8>> = lengths.iter().map(|&length| bytes(length)).collect();
        let id = MessageId::CONSOLE_CHARS;
        let mut line: Vec<Vec<u8>> = messages
            .iter()
            .zip(1..)
            .flat_map(|(content, sequence)| cut(PacketType::Notification, sequence, id, content, &[]))
            .collect();
        let only_lost = faults.iter().all(|fault| matches!(fault, Fault::Lose(_)));
        let altered = faults.iter().any(|fault| matches!(fault, Fault::Alter(..)));
        for fault in &faults {
            fault.apply(&mut line);
        }
        let mut reassembler = Reassembler::new();
        let mut delivered = 0;
        for packet in &line {
            let Some(message) = reassembler.push(packet) else { continue };
            delivered += 1;
            prop_assert!(message.content.len() <= MAX_CONTENT);
            if altered {
                continue;
            }
            let sent = &messages[usize::from(message.sequence) - 1];
            let first = &sent[..sent.len().min(232)];
            prop_assert!(message.content.starts_with(first));
            prop_assert!(message.content.len() <= sent.len().max(1).div_ceil(232) * 232);
            if only_lost {
                prop_assert_eq!(message.content, sent);
            }
        }
        prop_assert!(delivered <= line.len());
    }

    #[test]
    fn any_bytes_are_survived(packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..80)) {
        let mut reassembler = Reassembler::new();
        for mut packet in packets {
            if let Some(first) = packet.first_mut() {
                *first = if *first < 200 { 0x21 } else { *first };
            }
            if let Some(message) = reassembler.push(&packet) {
                prop_assert!(message.content.len() <= MAX_CONTENT);
                prop_assert!(message.kind != PacketType::Continuation);
            }
        }
    }
}
