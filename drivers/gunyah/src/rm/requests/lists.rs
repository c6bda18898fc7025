//! Replies that are lists and texts, counts checked against what came.

use super::{VmIdentity, fixed, word};
use alloc::string::String;
use alloc::vec::Vec;
use gunyah_abi::CapabilityId;
use gunyah_abi::rm::ResourceType;
use gunyah_abi::rm::payload::{
    CountReply, HypResource, IdEntry, TextHeader, VmidRequest, WordReply, id_type, padded,
};
use zerocopy::{FromBytes, Immutable, KnownLayout};

/// Something that two VMs share, or a vCPU of a VM that the caller owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resource {
    /// What it is.
    pub kind: ResourceType,
    /// The VM at the other end.
    pub partner: u16,
    /// Its label; of a vCPU, its affinity index.
    pub label: u32,
    /// RM's handle.
    pub handle: u32,
    /// The capability to use it with; `None` if the caller gets none.
    pub capability: Option<CapabilityId>,
    /// INTID of its interrupt, if it has one.
    pub intid: Option<u32>,
    /// RM's handle of the interrupt.
    pub virq_handle: u32,
    /// IPA and size in bytes of its memory, if it has any.
    pub memory: Option<(u64, u64)>,
}

impl From<HypResource> for Resource {
    fn from(entry: HypResource) -> Self {
        let virq = entry.virq.get();
        let (base, size) = entry.memory();
        Self {
            kind: entry.resource_type(),
            partner: entry.partner_vmid.get(),
            label: entry.label.get(),
            handle: entry.handle.get(),
            capability: Some(entry.capability()).filter(|id| *id != CapabilityId::INVALID),
            intid: (virq != HypResource::NO_VIRQ && virq != 0).then_some(virq),
            virq_handle: entry.virq_handle.get(),
            memory: (size != 0).then_some((base, size)),
        }
    }
}

/// The entries behind a count.
fn entries<E: FromBytes + KnownLayout + Immutable>(data: &[u8]) -> Result<&[E], usize> {
    let count = fixed::<CountReply>(data)?.count.get() as usize;
    let rest = data.get(size_of::<CountReply>()..).unwrap_or_default();
    let all = <[E]>::ref_from_prefix_with_elems(rest, count);
    let needed = count.saturating_mul(size_of::<E>()).saturating_add(size_of::<CountReply>());
    all.map(|(entries, _)| entries).map_err(|_| needed)
}

/// Reads a VMID, which early RM gives in two bytes.
pub fn vmid(data: &[u8]) -> Result<u16, usize> {
    match data {
        [low, high] => Ok(u16::from_le_bytes([*low, *high])),
        _ => word(data).map(|word| word as u16),
    }
}

/// Reads the reply of a `VM_LOOKUP_…`.
pub fn vmids(data: &[u8]) -> Result<Vec<u16>, usize> {
    Ok(entries::<VmidRequest>(data)?.iter().map(|entry| entry.vmid.get()).collect())
}

/// Reads the reply of `VM_GET_PEERS`.
pub fn peers(data: &[u8]) -> Result<Vec<u16>, usize> {
    Ok(entries::<WordReply>(data)?.iter().map(|entry| entry.value.get() as u16).collect())
}

/// Reads the reply of `VM_GET_HYP_RESOURCES`.
pub fn resources(data: &[u8]) -> Result<Vec<Resource>, usize> {
    Ok(entries::<HypResource>(data)?.iter().map(|entry| Resource::from(*entry)).collect())
}

/// Reads a length and a text.
pub fn text(data: &[u8]) -> Result<String, usize> {
    let end = size_of::<TextHeader>() + usize::from(fixed::<TextHeader>(data)?.length.get());
    let text = data.get(size_of::<TextHeader>()..end).ok_or(end)?;
    Ok(String::from_utf8_lossy(text).into_owned())
}

/// Reads the entries of a `VM_GET_ID` reply; unknown types are skipped.
pub fn identity(data: &[u8]) -> Result<VmIdentity, usize> {
    let mut identity = VmIdentity::default();
    let mut offset = size_of::<CountReply>();
    for _ in 0..fixed::<CountReply>(data)?.count.get() {
        let entry_end = offset + size_of::<IdEntry>();
        let entry: IdEntry =
            fixed(data.get(offset..).unwrap_or_default()).map_err(|_| entry_end)?;
        let size = usize::from(entry.size.get());
        let value = data.get(entry_end..entry_end + size).ok_or(entry_end + size)?;
        let text = || Some(String::from_utf8_lossy(value).into_owned());
        match entry.kind {
            id_type::GUID => identity.guid = value.try_into().ok(),
            id_type::URI => identity.uri = text(),
            id_type::NAME => identity.name = text(),
            id_type::SIGNING_AUTHORITY => identity.signing_authority = text(),
            _ => {}
        }
        offset = entry_end + padded(size);
    }
    Ok(identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_beyond_the_bytes_that_came_is_refused() {
        assert_eq!(vmids(&[2, 0, 0, 0, 0x80, 0, 0, 0, 0x81, 0, 0, 0]), Ok(vec![0x80, 0x81]));
        assert_eq!(vmids(&[2, 0, 0, 0, 0x80, 0, 0, 0, 0x81, 0, 0]), Err(12));
        assert_eq!(vmids(&[0, 0, 0]), Err(4));
        assert_eq!(peers(&[0xff; 8]), Err(4 + 0xffff_ffff * 4));
        assert_eq!(resources(&[0xff; 48]), Err(4 + 0xffff_ffff * 44));
        assert_eq!(text(&[5, 0, 0, 0, b'h', b'i']), Err(9));
        assert_eq!(identity(&[1, 0, 0, 0, 2, 0, 9, 0, b'x']), Err(17));
        assert_eq!(identity(&[0xff; 4]), Err(8));
    }

    #[test]
    fn a_vmid_has_two_bytes_or_four() {
        assert_eq!(vmid(&[0x2d, 0, 0, 0]), Ok(0x2d));
        assert_eq!(vmid(&[0x2d, 1]), Ok(0x12d));
        assert_eq!(vmid(&[0x2d, 0, 0]), Err(4));
        assert_eq!(vmid(&[0x2d]), Err(4));
    }

    #[test]
    fn zero_is_a_capability_and_a_handle_but_no_interrupt() {
        let source = Resource::from(HypResource::default());
        assert_eq!(source.kind, ResourceType::DoorbellSource);
        assert_eq!((source.capability, source.handle), (Some(CapabilityId(0)), 0));
        assert_eq!((source.intid, source.memory), (None, None));
    }

    #[test]
    fn a_resource_has_what_its_entry_says() {
        let mut data = vec![2, 0, 0, 0];
        let mut bell = [0_u8; 44];
        bell[..4].copy_from_slice(&[1, 0, 3, 0]);
        bell[8] = 7;
        bell[12..20].copy_from_slice(&0x1234_5678_9abc_def0_u64.to_le_bytes());
        bell[24..28].copy_from_slice(&962_u32.to_le_bytes());
        data.extend(bell);
        let mut vcpu = [0xff_u8; 44];
        vcpu[..4].copy_from_slice(&[4, 0, 0x81, 0]);
        vcpu[28..44].copy_from_slice(&[0, 0x10, 0, 0, 1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0]);
        data.extend(vcpu);
        let [bell, vcpu] = resources(&data).unwrap()[..] else { panic!("two entries") };
        assert_eq!((bell.kind, bell.partner, bell.label), (ResourceType::Doorbell, 3, 7));
        assert_eq!(bell.capability, Some(CapabilityId(0x1234_5678_9abc_def0)));
        assert_eq!((bell.intid, bell.memory), (Some(962), None));
        assert_eq!((vcpu.kind, vcpu.partner), (ResourceType::Vcpu, 0x81));
        assert_eq!((vcpu.capability, vcpu.intid), (None, None));
        assert_eq!(vcpu.memory, Some((0x1_0000_1000, 0x200)));
    }
}
