//! Requests and notifications about parcels, byte for byte as RM of 12/2023.

use gunyah_abi::rm::memory::{
    AcceptFlags, AcceptReplyFlags, AclEntry, AppendFlags, AttrEntry, CreateFlags, ListError,
    MemAcceptReply, MemAcceptRequest, MemAppendRequest, MemCreateRequest, MemLookupRequest,
    MemNotifyRequest, MemReleaseRequest, MemoryAttribute, MemoryRights, MemoryType, NotifyFlag,
    ParcelLists, ReleaseFlags, SglEntry, Transaction, list, list_bytes,
};
use gunyah_abi::rm::notification::{MemHandle, MemRecall, MemShared, VmExited};
use gunyah_abi::rm::payload::VmidRequest;
use zerocopy::{FromBytes, IntoBytes};

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).unwrap() as u8)
        .collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// A fixed part and the three lists: VM 3 reads and writes, VM 0x80 reads; one range; VM 0x80 maps it uncached.
fn with_lists(fixed: &[u8]) -> Vec<u8> {
    let rights = MemoryRights::READ | MemoryRights::WRITE;
    let lists = ParcelLists {
        access: &[AclEntry::new(3, rights), AclEntry::new(0x80, MemoryRights::READ)],
        map_vmid: 0,
        ranges: &[SglEntry::new(0x1_8000_0000, 0x2000)],
        attributes: &[AttrEntry::new(0x80, MemoryAttribute::Uncached)],
    };
    let mut bytes = fixed.to_vec();
    lists.bytes(&mut |part| bytes.extend_from_slice(part)).unwrap();
    bytes
}

const LISTS: &str = "0200 0000 0300 06 00 8000 04 00
    0100 0000 0000008001000000 0020000000000000
    0100 0000 0200 8000";

#[test]
fn owners_requests() {
    let share = MemCreateRequest {
        memory_type: MemoryType::Normal.code(),
        flags: (CreateFlags::SANITIZE | CreateFlags::APPEND).bits(),
        label: 0x0102_0304.into(),
        ..MemCreateRequest::default()
    };
    assert_eq!(with_lists(share.as_bytes()), hex(&format!("00 00 03 00 04030201 {LISTS}")));

    let append = MemAppendRequest {
        handle: 5.into(),
        flags: AppendFlags::FINAL.bits(),
        ..MemAppendRequest::default()
    };
    let mut bytes = append.as_bytes().to_vec();
    let ranges = [SglEntry::new(0x1000, 0x1000), SglEntry::new(0x8000, 0x3000)];
    list_bytes(&ranges, 0, &mut |part| bytes.extend_from_slice(part)).unwrap();
    assert_eq!(
        bytes,
        hex("05000000 01 000000 0200 0000
            0010000000000000 0010000000000000 0080000000000000 0030000000000000")
    );

    let notify = MemNotifyRequest {
        handle: 0.into(),
        flag: NotifyFlag::Shared.code(),
        tag: 9.into(),
        ..MemNotifyRequest::default()
    };
    let mut bytes = notify.as_bytes().to_vec();
    list_bytes(&[VmidRequest::new(0x80)], 0, &mut |part| bytes.extend_from_slice(part)).unwrap();
    assert_eq!(bytes, hex("00000000 01 000000 09000000 0100 0000 8000 0000"));

    let lookup = MemLookupRequest {
        memory_type: MemoryType::Io.code(),
        label: 7.into(),
        ..MemLookupRequest::default()
    };
    assert_eq!(with_lists(lookup.as_bytes()), hex(&format!("01 000000 07000000 {LISTS}")));
}

#[test]
fn accepting() {
    let accept = MemAcceptRequest {
        handle: 0.into(),
        memory_type: MemoryType::Normal.code(),
        transaction: Transaction::Share.code(),
        flags: (AcceptFlags::DONE | AcceptFlags::VALIDATE_LABEL | AcceptFlags::VALIDATE_ACL_ATTR)
            .bits(),
        reserved: 0,
        label: 0x1_0000.into(),
    };
    let bytes = with_lists(accept.as_bytes());
    assert_eq!(bytes, hex(&format!("00000000 00 02 86 00 00000100 {LISTS}")));
    let (read, rest) = MemAcceptRequest::ref_from_prefix(&bytes).unwrap();
    assert_eq!(read, &accept);
    assert_eq!(ParcelLists::parse(rest).unwrap().ranges[0].ipa.get(), 0x1_8000_0000);

    let all = AcceptFlags::all().bits();
    assert_eq!(all, 1 | 2 | 4 | 8 | 16 | 32 | 128);
    // The VMID to map for takes the place of the ranges' second word.
    let lists = ParcelLists { map_vmid: 0x81, ..ParcelLists::default() };
    let mut bytes = Vec::new();
    lists.bytes(&mut |part| bytes.extend_from_slice(part)).unwrap();
    assert_eq!(bytes, hex("0000 0000 0000 8100 0000 0000"));
    assert_eq!(ParcelLists::parse(&bytes), Ok(lists));
}

#[test]
fn the_reply_of_accept_has_the_form_of_a_list() {
    let bytes = hex("0100 01 00 0000009000000000 0020000000000000");
    let (reply, _) = MemAcceptReply::ref_from_prefix(&bytes).unwrap();
    assert_eq!((reply.count.get(), reply.flags), (1, AcceptReplyFlags::INCOMPLETE.bits()));
    let (ranges, flags, rest) = list::<SglEntry>(&bytes).unwrap();
    assert_eq!((ranges, flags, rest), (&[SglEntry::new(0x9000_0000, 0x2000)][..], 1, &[][..]));
}

#[test]
fn letting_go() {
    let release = MemReleaseRequest {
        handle: 0x42.into(),
        flags: ReleaseFlags::SANITIZE.bits(),
        ..MemReleaseRequest::default()
    };
    assert_eq!(release.as_bytes(), hex("42000000 01 000000"));
    for (flag, code) in [
        (NotifyFlag::Shared, 1),
        (NotifyFlag::Released, 2),
        (NotifyFlag::Accepted, 4),
        (NotifyFlag::Recall, 8),
    ] {
        assert_eq!((flag.code(), NotifyFlag::from(code)), (code, flag));
    }
    let bytes = hex("07000000 8100 0000 09000000");
    let told = MemHandle::ref_from_bytes(&bytes).unwrap();
    assert_eq!((told.handle.get(), told.vmid.get(), told.tag.get()), (7, 0x81, 9));
    let bytes = hex("07000000 09000000");
    let recall = MemRecall::ref_from_bytes(&bytes).unwrap();
    assert_eq!((recall.handle.get(), recall.tag.get()), (7, 9));
}

#[test]
fn the_announcement() {
    let fixed = "00000000 00 01 01 00 0300 0000 07000000 09000000";
    let bytes = hex(&format!(
        "{fixed} 0100 0000 8000 06 00 0200 0000 0010000000000000 0000200000000000 0100 0000 0300 8000"
    ));
    let (shared, lists) = MemShared::parse(&bytes).unwrap();
    assert_eq!(shared.handle.get(), 0);
    assert_eq!(
        (shared.memory_type(), shared.transaction()),
        (MemoryType::Normal, Transaction::Lend)
    );
    assert_eq!((shared.owner.get(), shared.label.get(), shared.tag.get()), (3, 7, 9));
    assert_eq!(CreateFlags::from_bits_retain(shared.flags), CreateFlags::SANITIZE);
    assert_eq!(lists.access[0].rights(), MemoryRights::READ | MemoryRights::WRITE);
    let sizes: Vec<u64> = lists.sizes.iter().map(|size| size.get()).collect();
    assert_eq!(sizes, [0x1000, 0x20_0000]);
    assert_eq!(lists.attributes[0].attribute(), MemoryAttribute::Cached);

    let (_, without) = MemShared::parse(&bytes[..bytes.len() - 8]).unwrap();
    assert_eq!((without.sizes.len(), without.attributes), (2, &[][..]));
    assert_eq!(MemShared::parse(&bytes[..19]), Err(ListError::Short(1)));
    assert_eq!(MemShared::parse(&bytes[..20]), Err(ListError::Short(4)));
    let many = [hex(fixed), hex("0000 0000 0102 0000"), vec![0; 0x2000]].concat();
    assert_eq!(MemShared::parse(&many), Err(ListError::TooMany(513)));
}

#[test]
fn an_exit_by_reset2_has_three_words_more() {
    let bytes = hex("8000 0300 10000000 0080 0000 01000080 02000000 03000000");
    let (exited, reset) = VmExited::parse(&bytes).unwrap();
    assert_eq!((exited.flags.get(), exited.code.get()), (0x8000, 0));
    let reset = reset.unwrap();
    assert_eq!((reset.kind.get(), reset.cookie()), (0x8000_0001, 0x3_0000_0002));
    assert_eq!(VmExited::parse(&bytes[..23]), None);
    assert_eq!(VmExited::parse(&hex("8000 0100 00000000 0000 0000")), None);
    assert_eq!(VmExited::parse(&hex("8000 0100 ffffffff 0000 0000")), None);
}
