//! Page tables for host tests: shared pages are ordinary memory.

use super::{Access, MapFailure, Mapper, SharedMaps, Territory};
use alloc::sync::Arc;
use core::{
    ops::Range,
    ptr::NonNull,
    sync::atomic::{AtomicBool, Ordering},
};
use std::sync::Mutex;

/// A page, aligned like one.
#[repr(C, align(4096))]
#[derive(Clone)]
struct Page([u8; 4096]);

struct Window {
    range: Range<u64>,
    access: Access,
    memory: Vec<Page>,
    gone: Arc<AtomicBool>,
}

/// What is mapped, and what a test asks of the tables.
#[derive(Default)]
pub struct FakeMapper {
    windows: Mutex<Vec<Window>>,
    /// Every map fails.
    pub refuses: AtomicBool,
}

// SAFETY: a test's pages are only reached under the lock, or by the region that they are for.
unsafe impl Sync for FakeMapper {}
// SAFETY: as above.
unsafe impl Send for FakeMapper {}

impl FakeMapper {
    /// Maps that are never dropped, with these tables below.
    pub fn maps(self: &Arc<Self>, territory: Territory) -> &'static SharedMaps {
        Box::leak(Box::new(SharedMaps::new(territory, Box::new(Handle(self.clone())))))
    }

    /// What is mapped how, in the order of mapping.
    pub fn mapped(&self) -> Vec<(Range<u64>, Access)> {
        self.windows.lock().unwrap().iter().map(|w| (w.range.clone(), w.access)).collect()
    }

    /// Takes away the page of an IPA, as a hypervisor does by force, and an access that notices.
    pub fn take_away(&self, ipa: u64) {
        let windows = self.windows.lock().unwrap();
        let window = windows.iter().find(|window| window.range.contains(&ipa)).unwrap();
        window.gone.store(true, Ordering::Relaxed);
    }
}

struct Handle(Arc<FakeMapper>);

impl Mapper for Handle {
    fn map(
        &self,
        range: &Range<u64>,
        access: Access,
        gone: &Arc<AtomicBool>,
    ) -> Result<NonNull<u8>, MapFailure> {
        if self.0.refuses.load(Ordering::Relaxed) {
            return Err(MapFailure::Refused);
        }
        let pages = ((range.end - range.start) / 4096) as usize;
        let mut memory = vec![Page([0; 4096]); pages];
        let start = NonNull::new(memory.as_mut_ptr().cast()).unwrap();
        let (range, gone) = (range.clone(), gone.clone());
        self.0.windows.lock().unwrap().push(Window { range, access, memory, gone });
        Ok(start)
    }

    fn unmap(&self, range: &Range<u64>) {
        let mut windows = self.0.windows.lock().unwrap();
        let n = windows.iter().position(|window| window.range == *range).unwrap();
        let window = windows.remove(n);
        assert_eq!(window.memory.len() as u64 * 4096, range.end - range.start);
    }
}
