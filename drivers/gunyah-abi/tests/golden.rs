//! Whole packets, byte for byte: as described, and as the real RM sent them.

use gunyah_abi::CapabilityId;
use gunyah_abi::rm::notification::{ConsoleChars, VmExited};
use gunyah_abi::rm::payload::{
    ConsoleWriteHeader, CountReply, HypResource, IdEntry, ReplyHeader, SetStatusRequest,
    StateReply, VmExitRequest, VmidRequest, WordReply, id_type, padded,
};
use gunyah_abi::rm::{
    ExitType, HOST_TYPE_QEMU, MessageId, OsState, PacketHeader, PacketType, ResourceType, RmError,
    SELF_VMID, VmState,
};
use zerocopy::{FromBytes, IntoBytes};

/// Reads `21 01 …`, with any spaces.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).unwrap() as u8)
        .collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn packet(kind: PacketType, sequence: u16, id: MessageId, parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = PacketHeader::new(kind, 0, sequence, id).as_bytes().to_vec();
    bytes.extend(parts.concat());
    bytes
}

/// Takes a reply apart and checks that it answers `id` with `sequence`.
fn reply(text: &str, sequence: u16, id: MessageId) -> (Result<(), RmError>, Vec<u8>) {
    let bytes = hex(text);
    let (header, content) = PacketHeader::parse(&bytes).unwrap();
    assert_eq!(header.packet_type(), PacketType::Reply);
    assert_eq!(header.extra_fragments(), 0);
    assert_eq!(header.sequence.get(), sequence);
    assert_eq!(header.message_id(), id);
    let (error, data) = ReplyHeader::read_from_prefix(content).unwrap();
    (RmError::check(error.error.get()), data.to_vec())
}

#[test]
fn requests_of_the_description() {
    let request = PacketType::Request;
    let console = VmidRequest::new(SELF_VMID);
    let write = ConsoleWriteHeader::new(SELF_VMID, 3);
    assert_eq!(packet(request, 1, MessageId::VM_GET_VMID, &[]), hex("21 01 01 00 24 00 00 56"));
    assert_eq!(
        packet(request, 2, MessageId::CONSOLE_OPEN, &[console.as_bytes()]),
        hex("21 01 02 00 81 00 00 56 00 00 00 00")
    );
    assert_eq!(
        packet(request, 3, MessageId::CONSOLE_WRITE, &[write.as_bytes(), b"hi\n"]),
        hex("21 01 03 00 83 00 00 56 00 00 03 00 68 69 0a")
    );
    assert_eq!(
        packet(request, 4, MessageId::VM_EXIT, &[VmExitRequest::new(1, false).as_bytes()]),
        hex("21 01 04 00 85 00 00 56 00 00 01 00")
    );
    let status = SetStatusRequest::new(OsState::Run, 0x0102);
    assert_eq!(
        packet(request, 5, MessageId::VM_SET_STATUS, &[status.as_bytes()]),
        hex("21 01 05 00 80 00 00 56 00 04 02 01")
    );
}

#[test]
fn replies_of_the_description() {
    let (result, data) =
        reply("21 02 01 00 24 00 00 56 00 00 00 00 2d 00 00 00", 1, MessageId::VM_GET_VMID);
    assert_eq!(result, Ok(()));
    assert_eq!(WordReply::read_from_bytes(&data).unwrap().value.get(), 0x2d);
    let (result, data) = reply("21 02 02 00 81 00 00 56 00 00 00 00", 2, MessageId::CONSOLE_OPEN);
    assert_eq!((result, data), (Ok(()), vec![]));
}

#[test]
fn console_chars_of_the_description() {
    let bytes = hex("21 03 07 00 80 00 10 56 00 00 03 00 6c 73 0d");
    let (header, content) = PacketHeader::parse(&bytes).unwrap();
    assert_eq!(header.packet_type(), PacketType::Notification);
    assert_eq!(header.message_id(), MessageId::CONSOLE_CHARS);
    assert_eq!(ConsoleChars::parse(content), Some((0, &b"ls\r"[..])));
}

#[test]
fn captured_identity_has_three_entries() {
    let (result, data) = reply(
        "21020100 10000056 00000000 03000000 00001000 00000000 00000000 00000000 00000000 02000900
         70726f62652d73766d 000000 03000300 4e2f41 00",
        1,
        MessageId::VM_GET_ID,
    );
    assert_eq!(result, Ok(()));
    let (count, mut rest) = CountReply::ref_from_prefix(&data).unwrap();
    assert_eq!(count.count.get(), 3);
    let mut entries = Vec::new();
    for _ in 0..count.count.get() {
        let (entry, tail) = IdEntry::ref_from_prefix(rest).unwrap();
        let size = usize::from(entry.size.get());
        entries.push((entry.kind, tail[..size].to_vec()));
        rest = &tail[padded(size)..];
    }
    assert!(rest.is_empty());
    assert_eq!(
        entries,
        [
            (id_type::GUID, vec![0; 16]),
            (id_type::NAME, b"probe-svm".to_vec()),
            (id_type::SIGNING_AUTHORITY, b"N/A".to_vec()),
        ]
    );
}

#[test]
fn captured_short_replies() {
    let (result, data) =
        reply("21020200 a0000056 00000000 64010001", 2, MessageId::VM_HOST_GET_TYPE);
    assert_eq!(result, Ok(()));
    assert_eq!(WordReply::read_from_bytes(&data).unwrap().value.get(), HOST_TYPE_QEMU);

    let cases = [
        ("21020300 81000056 00000000", 3, MessageId::CONSOLE_OPEN, Ok(())),
        ("21020400 83000056 00000000", 4, MessageId::CONSOLE_WRITE, Ok(())),
        (
            "21020500 20000056 06000000",
            5,
            MessageId::VM_GET_HYP_RESOURCES,
            Err(RmError::ArgumentInvalid),
        ),
        ("21020600 80000056 03000000", 6, MessageId::VM_SET_STATUS, Err(RmError::Denied)),
        ("21020700 ff0f0056 ffffffff", 7, MessageId(0x5600_0fff), Err(RmError::Unimplemented)),
    ];
    for (text, sequence, id, expected) in cases {
        assert_eq!(reply(text, sequence, id), (expected, vec![]), "{id}");
    }
}

#[test]
fn captured_exit_of_system_off() {
    let bytes = hex("80 00 01 00 04 00 00 00 00 00 00 00");
    let exited = VmExited::ref_from_bytes(&bytes).unwrap();
    assert_eq!(exited.vmid.get(), 0x80);
    assert_eq!(exited.exit_type(), ExitType::PlatformOff);
    assert_eq!(exited.reason_bytes.get(), 4);
    assert_eq!(exited.code.get(), 0);
}

#[test]
fn states_and_resources_decode() {
    let state = StateReply::read_from_bytes(&[3, 4, 0x34, 0x12]).unwrap();
    assert_eq!(state.vm_state(), VmState::Running);
    assert_eq!(state.os_state(), OsState::Run);
    assert_eq!(state.app_status.get(), 0x1234);
    assert_eq!(VmState::from(7), VmState::Unknown(7));

    let bytes = hex(
        "01 00 0300 05000000 07000000 443b95e3 110a2f7c 09000000 c2030000 00200040 00000000 00000300 00000000",
    );
    let resource = HypResource::ref_from_bytes(&bytes).unwrap();
    assert_eq!(resource.resource_type(), ResourceType::Doorbell);
    assert_eq!(resource.partner_vmid.get(), 3);
    assert_eq!(resource.label.get(), 7);
    assert_eq!(resource.capability(), CapabilityId(0x7c2f_0a11_e395_3b44));
    assert_eq!(resource.virq.get(), 962);
    assert_eq!(resource.memory(), (0x4000_2000, 0x3_0000));
}
