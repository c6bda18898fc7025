//! Finding the machine file, and laying out the VMs' memory.

use super::semihosting;
use alloc::string::String;
use billy_shim::{
    machine::MachineError,
    machine_file::{Load, MachineFile, MachineFileError, VmConfig},
};
use core::{ops::Range, slice};
use thiserror::Error;

/// Where the host stages files: machine file, trees, images.
const STAGING: Range<u64> = 0x4200_0000..0x4800_0000;
/// Bytes in a page.
const PAGE: usize = 4096;
/// Memory that is given to VMs; the host gives the machine as much of it as its VM needs.
const GUEST_MEMORY: Range<u64> = 0x4800_0000..0xc800_0000;

/// Why a machine cannot be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// The shim was started without its command line.
    #[error("no machine=<address>+<length> on the semihosting command line '{0}'")]
    NoMachineFile(String),
    /// Something is not where files are staged.
    #[error("{what} at {from:#x}, {length} bytes, is outside the staging memory {STAGING:#x?}")]
    NotStaged {
        /// What.
        what: String,
        /// Physical address.
        from: u64,
        /// Bytes.
        length: u64,
    },
    /// The machine file is not text.
    #[error("the machine file is not UTF-8")]
    NotText,
    /// The machine file is wrong.
    #[error(transparent)]
    MachineFile(#[from] MachineFileError),
    /// The machine cannot be made.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// Only one VM with one vCPU runs.
    #[error("{vms} VMs with {vcpus} vCPUs: only one of each runs")]
    TooMany {
        /// VMs in the machine file.
        vms: usize,
        /// vCPUs of the first.
        vcpus: u16,
    },
    /// A VM's memory does not fit.
    #[error("{size:#x} bytes of memory at IPA {base:#x} cannot be given to a VM")]
    Memory {
        /// IPA.
        base: u64,
        /// Bytes.
        size: u64,
    },
    /// Something to be loaded lies outside of the VM's memory.
    #[error("{what} at IPA {to:#x}, {length} bytes, does not fit the memory of its VM")]
    LoadOutside {
        /// What.
        what: String,
        /// IPA.
        to: u64,
        /// Bytes.
        length: u64,
    },
}

/// Reads the machine file that the command line points to.
pub fn load_machine() -> Result<MachineFile, StartError> {
    let mut buffer = [0; 256];
    let line = semihosting::command_line(&mut buffer).unwrap_or_default();
    let place = line.split_whitespace().find_map(|word| word.strip_prefix("machine="));
    let parsed = place
        .and_then(|place| place.split_once('+'))
        .and_then(|(address, length)| Some((number(address)?, number(length)?)));
    let Some((from, length)) = parsed else {
        return Err(StartError::NoMachineFile(line.into()));
    };
    let text = str::from_utf8(staged("machine file", from, length)?);
    let file = MachineFile::parse(text.map_err(|_| StartError::NotText)?)?;
    Ok(file)
}

/// A number of the command line, hexadecimal.
fn number(word: &str) -> Option<u64> {
    u64::from_str_radix(word.strip_prefix("0x")?, 16).ok()
}

/// Bytes that the host has staged.
fn staged(what: &str, from: u64, length: u64) -> Result<&'static [u8], StartError> {
    let end = from.checked_add(length);
    if !STAGING.contains(&from) || end.is_none_or(|end| end > STAGING.end) {
        return Err(StartError::NotStaged { what: what.into(), from, length });
    }
    // SAFETY: staging memory is RAM, identity mapped, and nobody writes to it.
    Ok(unsafe { slice::from_raw_parts(from as *const u8, length as usize) })
}

/// The memory of one VM.
pub struct GuestRam {
    /// First IPA.
    pub ipa: u64,
    /// Where that is in the machine.
    pub physical: u64,
    /// Bytes.
    pub size: u64,
}

impl GuestRam {
    /// Memory for the VM that `config` describes.
    pub fn new(config: &VmConfig) -> Result<Self, StartError> {
        let (ipa, size) = (config.ram_base, config.ram_size);
        let fits = size <= GUEST_MEMORY.end - GUEST_MEMORY.start;
        if !fits || size == 0 || ipa % 4096 != 0 || size % 4096 != 0 {
            return Err(StartError::Memory { base: ipa, size });
        }
        Ok(Self { ipa, physical: GUEST_MEMORY.start, size })
    }

    /// Clears the memory, as it was when the machine was switched on.
    ///
    /// # Safety
    ///
    /// The VM does not run, and nothing refers to its memory.
    pub unsafe fn clear(&self) {
        // SAFETY: guest memory is RAM that only the VM uses, by the caller's promise not now.
        unsafe { core::ptr::write_bytes(self.physical as *mut u8, 0, self.size as usize) };
    }

    /// Copies in what the VM starts with.
    ///
    /// # Safety
    ///
    /// The VM does not run, and nothing refers to its memory.
    pub unsafe fn load(&self, loads: &[Load]) -> Result<(), StartError> {
        // SAFETY: as for clearing.
        let memory =
            unsafe { slice::from_raw_parts_mut(self.physical as *mut u8, self.size as usize) };
        for load in loads {
            let source = staged(&load.what, load.from, load.length)?;
            let place = load.to.checked_sub(self.ipa).and_then(|offset| {
                let start = usize::try_from(offset).ok()?;
                memory.get_mut(start..start.checked_add(source.len())?)
            });
            let Some(place) = place else {
                let (what, to, length) = (load.what.clone(), load.to, load.length);
                return Err(StartError::LoadOutside { what, to, length });
            };
            place.copy_from_slice(source);
        }
        Ok(())
    }

    /// Bytes in pages that hold anything but zeroes, which is what memory held at first.
    pub fn bytes_in_use(&self) -> usize {
        let used = |page: &&[u8]| page.iter().any(|byte| *byte != 0);
        self.bytes().chunks(PAGE).filter(used).count() * PAGE
    }

    /// The memory as it is.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: RAM of the VM, which does not run while the shim does.
        unsafe { slice::from_raw_parts(self.physical as *const u8, self.size as usize) }
    }
}
