//! Stage 2 without EL2: what is mapped where, and a guest's view of it.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use crate::pages::{PAGE, Pages};
use crate::seam::{MapError, MapRights, Stage2};
use crate::vm::VmIndex;

/// Something mapped.
#[derive(Debug)]
struct Mapping {
    ipa: u64,
    pages: Arc<Pages>,
    part: Range<u64>,
    rights: MapRights,
}

/// What is mapped for the first VM.
#[derive(Debug, Default)]
pub struct Mappings {
    mapped: Vec<Mapping>,
    /// Refuse whatever is asked for next.
    pub exhausted: bool,
}

impl Mappings {
    /// First IPA, bytes and rights of all that is mapped, in order of addresses.
    pub fn all(&self) -> Vec<(u64, u64, MapRights)> {
        let size = |part: &Range<u64>| part.end - part.start;
        let mut all: Vec<_> =
            self.mapped.iter().map(|m| (m.ipa, size(&m.part), m.rights)).collect();
        all.sort_by_key(|(ipa, ..)| *ipa);
        all
    }

    /// The memory mapped at an IPA.
    pub fn pages(&self, ipa: u64) -> Arc<Pages> {
        self.place(ipa).expect("something mapped there").0.pages.clone()
    }

    fn place(&self, ipa: u64) -> Option<(&Mapping, u64)> {
        let inside =
            |m: &&Mapping| ipa.checked_sub(m.ipa).is_some_and(|o| o < m.part.end - m.part.start);
        let mapping = self.mapped.iter().find(inside)?;
        Some((mapping, mapping.part.start + ipa - mapping.ipa))
    }

    /// The byte at an IPA; `None` is the guest's abort.
    pub fn load(&self, ipa: u64) -> Option<u8> {
        let (mapping, offset) = self.place(ipa)?;
        let mut byte = [0];
        mapping.pages.read(offset, &mut byte)?;
        Some(byte[0])
    }

    /// Stores a byte at an IPA; `None` is the guest's abort.
    pub fn store(&self, ipa: u64, byte: u8) -> Option<()> {
        let (mapping, offset) = self.place(ipa).filter(|(m, _)| m.rights.write)?;
        mapping.pages.write(offset, &[byte])
    }
}

impl Stage2 for Mappings {
    fn map(
        &mut self,
        vm: VmIndex,
        ipa: u64,
        pages: &Arc<Pages>,
        part: Range<u64>,
        rights: MapRights,
    ) -> Result<(), MapError> {
        assert_eq!(vm, VmIndex(0));
        assert_eq!([ipa % PAGE, part.start % PAGE, part.end % PAGE], [0; 3]);
        assert!(part.start < part.end && part.end <= pages.size());
        let size = part.end - part.start;
        assert!((ipa..ipa + size).step_by(PAGE as usize).all(|page| self.place(page).is_none()));
        if self.exhausted {
            return Err(MapError { ipa, size });
        }
        self.mapped.push(Mapping { ipa, pages: pages.clone(), part, rights });
        Ok(())
    }

    fn unmap(&mut self, vm: VmIndex, ipa: u64) {
        assert_eq!(vm, VmIndex(0));
        let place = self.mapped.iter().position(|mapping| mapping.ipa == ipa);
        self.mapped.remove(place.expect("something mapped there"));
    }
}
