//! Who the hypervisor says it is.
//!
//! Discovery goes: the vendor hypervisor UID by SMCCC (an HVC must be known to be legal: by the device tree, or with a
//! vector installed for the undefined instruction); any of the UIDs below is Gunyah; then `hyp_identify`, whose API version
//! must be 1. Early systems answer the UID call with -1 and have only the native form. The variant is never required:
//! documents print 0x48, running code says 0x51.

use bitflags::bitflags;

/// SMCCC function ids of discovery. Each answers -1 where it is not implemented.
pub mod function {
    /// Version of SMCCC itself, 0x10003 on Gunyah.
    pub const SMCCC_VERSION: u32 = 0x8000_0000;
    /// Which architecture calls exist.
    pub const SMCCC_ARCH_FEATURES: u32 = 0x8000_0001;
    /// Number of vendor hypervisor calls, deprecated: -1.
    pub const VENDOR_HYP_CALL_COUNT: u32 = 0x8600_FF00;
    /// The hypervisor's UID in x0..x3.
    pub const VENDOR_HYP_CALL_UID: u32 = 0x8600_FF01;
    /// x0 = the API info word of `hyp_identify`, x1..x3 = 0.
    pub const VENDOR_HYP_REVISION: u32 = 0x8600_FF03;
    /// The same UID in the standard hypervisor range.
    pub const STANDARD_HYP_CALL_UID: u32 = 0x8500_FF01;
    /// Revision of the standard hypervisor range: 1, 0.
    pub const STANDARD_HYP_REVISION: u32 = 0x8500_FF03;
    /// Paravirtualised time: features.
    pub const PV_TIME_FEATURES: u32 = 0xC500_0020;
    /// Paravirtualised time: IPA of the stolen time record.
    pub const PV_TIME_ST: u32 = 0xC500_0021;
    /// The value of `SMCCC_VERSION`: 1.3.
    pub const SMCCC_VERSION_1_3: u32 = 0x1_0003;
}

/// UID words of the open-source build: c1d58fcd-a453-5fdb-9265-ce36673d5f14.
pub const UID_OPEN_SOURCE: [u32; 4] = [0xCD8F_D5C1, 0xDB5F_53A4, 0x36CE_6592, 0x145F_3D67];

/// UID words of Qualcomm's build: 19bd54bd-0b37-571b-946f-609b54539de6.
pub const UID_QUALCOMM: [u32; 4] = [0xBD54_BD19, 0x1B57_370B, 0x9B60_6F94, 0xE69D_5354];

/// Which build of Gunyah a UID names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    /// The open-source build.
    OpenSource,
    /// Qualcomm's build.
    Qualcomm,
}

impl Build {
    /// Recognises the four words of CALL_UID, also in reversed word order; `None` is another hypervisor, or none.
    ///
    /// # Examples
    ///
    /// ```
    /// use gunyah_abi::identity::{Build, UID_OPEN_SOURCE};
    /// assert_eq!(Build::from_uid(UID_OPEN_SOURCE), Some(Build::OpenSource));
    /// assert_eq!(Build::from_uid([u32::MAX; 4]), None);
    /// ```
    pub fn from_uid(words: [u32; 4]) -> Option<Self> {
        let mut reversed = words;
        reversed.reverse();
        [words, reversed].into_iter().find_map(|words| match words {
            UID_OPEN_SOURCE => Some(Self::OpenSource),
            UID_QUALCOMM => Some(Self::Qualcomm),
            _ => None,
        })
    }

    /// Returns the UID's words as CALL_UID gives them.
    pub const fn uid(self) -> [u32; 4] {
        match self {
            Self::OpenSource => UID_OPEN_SOURCE,
            Self::Qualcomm => UID_QUALCOMM,
        }
    }
}

/// The API version this crate describes.
pub const API_VERSION: u16 = 1;

/// First word of `hyp_identify`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct ApiInfo(pub u64);

impl ApiInfo {
    /// Composes the word of a little-endian 64-bit hypervisor.
    pub const fn new(version: u16, variant: u8) -> Self {
        Self((version as u64 & 0x3FFF) | 1 << 15 | (variant as u64) << 56)
    }

    /// API version (bits 13:0).
    pub const fn version(self) -> u16 {
        (self.0 & 0x3FFF) as u16
    }

    /// Whether the hypervisor is big endian (bit 14).
    pub const fn is_big_endian(self) -> bool {
        self.0 >> 14 & 1 == 1
    }

    /// Whether the API is 64-bit (bit 15).
    pub const fn is_64_bit(self) -> bool {
        self.0 >> 15 & 1 == 1
    }

    /// Who made the variant (bits 63:56): 0 unknown, 0x48 named in the document, 0x51 Qualcomm and the code's default.
    pub const fn variant(self) -> u8 {
        (self.0 >> 56) as u8
    }
}

bitflags! {
    /// Second word of `hyp_identify`, bits 27:0: the object families that exist.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct FeatureFlags: u64 {
        /// Partitions and capability spaces.
        const PARTITION_CSPACE = 1 << 0;
        /// Doorbells.
        const DOORBELL = 1 << 1;
        /// Message queues.
        const MESSAGE_QUEUE = 1 << 2;
        /// Virtual interrupt controller.
        const VIC = 1 << 3;
        /// Virtual power management.
        const VPM = 1 << 4;
        /// vCPUs.
        const VCPU = 1 << 5;
        /// Memory extents.
        const MEMEXTENT = 1 << 6;
        /// Trace control.
        const TRACE_CONTROL = 1 << 7;
        /// Watchdogs.
        const WATCHDOG = 1 << 8;
        /// virtio over MMIO.
        const VIRTIO_MMIO = 1 << 9;
        /// Random numbers.
        const PRNG = 1 << 10;
        /// Proxy scheduling by `vcpu_run`.
        const VCPU_RUN = 1 << 11;
        /// Reserved.
        const RESERVED = 1 << 16;
    }
}

/// The four words of `hyp_identify`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HypIdentify {
    /// x0.
    pub api_info: ApiInfo,
    /// x1..x3. The second has a bit for SVE in the document; running code gives 0 for the last two.
    pub flags: [u64; 3],
}

impl HypIdentify {
    /// What the open-source hypervisor's QEMU platform answers.
    pub const QEMU: Self =
        Self { api_info: ApiInfo(0x5100_0000_0000_8001), flags: [0x1000_0EFF, 0, 0] };

    /// Takes the words from the registers.
    pub const fn from_words(words: [u64; 4]) -> Self {
        let [api_info, flags0, flags1, flags2] = words;
        Self { api_info: ApiInfo(api_info), flags: [flags0, flags1, flags2] }
    }

    /// Returns the words as the registers hold them.
    pub const fn to_words(self) -> [u64; 4] {
        let [flags0, flags1, flags2] = self.flags;
        [self.api_info.0, flags0, flags1, flags2]
    }

    /// The object families that exist, unknown bits kept.
    pub const fn features(self) -> FeatureFlags {
        FeatureFlags::from_bits_retain(self.flags[0] & 0x0FFF_FFFF)
    }

    /// The scheduler (bits 31:28 of the second word): 0 trivial, 1 fixed priority with round robin.
    pub const fn scheduler(self) -> u8 {
        (self.flags[0] >> 28 & 0xF) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uid_words_are_the_uuids_bytes_as_little_endian() {
        let uuids = [
            (Build::OpenSource, 0xc1d5_8fcd_a453_5fdb_9265_ce36_673d_5f14_u128),
            (Build::Qualcomm, 0x19bd_54bd_0b37_571b_946f_609b_5453_9de6),
        ];
        for (build, uuid) in uuids {
            let bytes: Vec<u8> = build.uid().iter().flat_map(|w| w.to_le_bytes()).collect();
            assert_eq!(bytes, uuid.to_be_bytes());
            let mut reversed = build.uid();
            reversed.reverse();
            assert_eq!(Build::from_uid(reversed), Some(build));
        }
        let kvm = [0xB66F_B428, 0xE911_C52E, 0x564B_CAA9, 0x743A_004D];
        assert_eq!(Build::from_uid(kvm), None);
    }

    #[test]
    fn the_words_seen_on_qemu_decode() {
        let seen = HypIdentify::from_words([0x5100_0000_0000_8001, 0x1000_0EFF, 0, 0]);
        assert_eq!(seen, HypIdentify::QEMU);
        assert_eq!(seen.api_info.version(), API_VERSION);
        assert!(seen.api_info.is_64_bit());
        assert!(!seen.api_info.is_big_endian());
        assert_eq!(seen.api_info.variant(), 0x51);
        assert_eq!(seen.api_info, ApiInfo::new(1, 0x51));
        assert_eq!(seen.scheduler(), 1);
        assert!(seen.features().contains(FeatureFlags::DOORBELL | FeatureFlags::PRNG));
        assert!(!seen.features().contains(FeatureFlags::WATCHDOG));
        assert_eq!(seen.to_words()[1], 0x1000_0EFF);
    }
}
