//! Finding the hypervisor: UID, API version, the cheaper calling form.

use core::fmt;
use gunyah_abi::identity::{API_VERSION, Build, HypIdentify};
use thiserror::Error;

/// How hypercalls are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduit {
    /// `hvc #(0x6000 + n)`; costs the hypervisor some 270 instructions less.
    Native,
    /// `hvc #0` with a function id.
    Smccc,
}

impl fmt::Display for Conduit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native => "native",
            Self::Smccc => "SMCCC",
        })
    }
}

/// Who is below, and how to talk to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The build, by UID; `None` on early systems, which do not answer the UID call.
    pub build: Option<Build>,
    /// The words of `hyp_identify`.
    pub identify: HypIdentify,
    /// The form for all further calls.
    pub conduit: Conduit,
}

/// Why no hypercall can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DiscoveryError {
    /// Neither form of call was recognised.
    #[error("no hypervisor answered the UID call or hyp_identify")]
    NoHypervisor,
    /// Another hypervisor.
    #[error("the hypervisor is not Gunyah: UID {0:08x?}")]
    OtherHypervisor([u32; 4]),
    /// Another version of the API.
    #[error(
        "Gunyah API version {version} is not supported, only {API_VERSION} (API info {api_info:#018x})"
    )]
    ApiVersion {
        /// The version found.
        version: u16,
        /// The whole word.
        api_info: u64,
    },
    /// A 32-bit or big-endian hypervisor.
    #[error("Gunyah's API is not 64-bit little endian (API info {0:#018x})")]
    Format(u64),
}

/// The questions discovery asks.
pub trait Probe {
    /// Makes the SMCCC call VENDOR_HYP CALL_UID (function 0x8600_FF01).
    fn call_uid(&self) -> [u32; 4];

    /// Makes `hyp_identify` (hypercall 0) in the given form.
    fn identify(&self, conduit: Conduit) -> [u64; 4];
}

/// Asks who is below: the UID first, then `hyp_identify` by SMCCC, then natively. Native is used if it gives the same
/// words. A hypervisor that does not know the UID call is asked natively only.
///
/// # Errors
///
/// See [`DiscoveryError`].
pub fn identify(probe: &impl Probe) -> Result<Identity, DiscoveryError> {
    const NO_UID: u32 = u32::MAX;
    let uid = probe.call_uid();
    let build = match Build::from_uid(uid) {
        Some(build) => Some(build),
        None if uid[0] == NO_UID => None,
        None => return Err(DiscoveryError::OtherHypervisor(uid)),
    };
    let native = probe.identify(Conduit::Native);
    let (words, conduit) = if build.is_some() {
        let words = probe.identify(Conduit::Smccc);
        let same = words == native;
        (words, if same { Conduit::Native } else { Conduit::Smccc })
    } else {
        (native, Conduit::Native)
    };
    let identify = HypIdentify::from_words(words);
    let api_info = identify.api_info;
    if api_info.0 == u64::MAX {
        return Err(DiscoveryError::NoHypervisor);
    }
    if !api_info.is_64_bit() || api_info.is_big_endian() {
        return Err(DiscoveryError::Format(api_info.0));
    }
    if api_info.version() != API_VERSION {
        return Err(DiscoveryError::ApiVersion {
            version: api_info.version(),
            api_info: api_info.0,
        });
    }
    Ok(Identity { build, identify, conduit })
}

#[cfg(test)]
mod tests {
    use super::*;
    use gunyah_abi::identity::{UID_OPEN_SOURCE, UID_QUALCOMM};

    const NOT_RECOGNISED: [u64; 4] = [u64::MAX, 0, 0, 0];
    const NO_UID: [u32; 4] = [u32::MAX, 0, 0, 0];

    struct Answers {
        uid: [u32; 4],
        smccc: [u64; 4],
        native: [u64; 4],
    }

    impl Probe for Answers {
        fn call_uid(&self) -> [u32; 4] {
            self.uid
        }

        fn identify(&self, conduit: Conduit) -> [u64; 4] {
            match conduit {
                Conduit::Native => self.native,
                Conduit::Smccc => self.smccc,
            }
        }
    }

    fn found(
        uid: [u32; 4],
        smccc: [u64; 4],
        native: [u64; 4],
    ) -> Result<(Option<Build>, Conduit), DiscoveryError> {
        identify(&Answers { uid, smccc, native }).map(|identity| (identity.build, identity.conduit))
    }

    #[test]
    fn native_is_used_if_it_is_the_same_hypervisor() {
        let words = HypIdentify::QEMU.to_words();
        let open = Some(Build::OpenSource);
        assert_eq!(found(UID_OPEN_SOURCE, words, words), Ok((open, Conduit::Native)));
        assert_eq!(found(UID_OPEN_SOURCE, words, NOT_RECOGNISED), Ok((open, Conduit::Smccc)));
        assert_eq!(
            found(UID_QUALCOMM, words, [words[0], 0, 0, 0]),
            Ok((Some(Build::Qualcomm), Conduit::Smccc))
        );
    }

    #[test]
    fn early_systems_have_only_the_native_form() {
        let words = HypIdentify::QEMU.to_words();
        assert_eq!(found(NO_UID, NOT_RECOGNISED, words), Ok((None, Conduit::Native)));
    }

    #[test]
    fn what_is_not_gunyah_is_named() {
        let words = HypIdentify::QEMU.to_words();
        let kvm = [0xB66F_B428, 0xE911_C52E, 0x564B_CAA9, 0x743A_004D];
        assert_eq!(found(kvm, words, words), Err(DiscoveryError::OtherHypervisor(kvm)));
        assert_eq!(
            found(NO_UID, NOT_RECOGNISED, NOT_RECOGNISED),
            Err(DiscoveryError::NoHypervisor)
        );
        let version_2 = [0x8002, 0, 0, 0];
        let error = found(UID_OPEN_SOURCE, version_2, version_2).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Gunyah API version 2 is not supported, only 1 (API info 0x0000000000008002)"
        );
        let big_endian = [0xC001, 0, 0, 0];
        assert_eq!(
            found(UID_OPEN_SOURCE, big_endian, big_endian),
            Err(DiscoveryError::Format(0xC001))
        );
        let narrow = [0x0001, 0, 0, 0];
        assert_eq!(found(NO_UID, narrow, narrow), Err(DiscoveryError::Format(1)));
    }
}
