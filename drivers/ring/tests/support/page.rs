//! A shared buffer, and bells that count.
#![allow(dead_code)]

use shared_ring::{Bell, Halves, Modes, Ring, Side};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// A buffer of a page.
#[repr(align(64))]
pub struct Page(pub [AtomicU64; 512]);

impl Page {
    pub fn new() -> Box<Self> {
        Box::new(Self([const { AtomicU64::new(0) }; 512]))
    }

    pub fn words(&self) -> &[AtomicU64] {
        &self.0
    }

    /// Replaces the word at byte `offset`.
    pub fn set(&self, offset: usize, word: u64) {
        self.0[offset / 8].store(word.to_le(), Relaxed);
    }

    pub fn get(&self, offset: usize) -> u64 {
        u64::from_le(self.0[offset / 8].load(Relaxed))
    }
}

/// Counts how often it is rung.
#[derive(Debug, Default)]
pub struct Count(AtomicUsize);

impl Bell for Count {
    fn ring(&self) {
        self.0.fetch_add(1, Relaxed);
    }
}

impl Count {
    /// Rings since the last call.
    pub fn take(&self) -> usize {
        self.0.swap(0, Relaxed)
    }
}

pub type End<'a> = Halves<&'a [AtomicU64], &'a Count>;

pub fn attach<'a>(page: &'a Page, side: Side, modes: Modes, bell: &'a Count) -> End<'a> {
    Ring::attach(page.words(), side, modes, bell).unwrap()
}

/// Lets the halves of both ends find each other.
pub fn connect<'a>(first: &mut End<'a>, second: &mut End<'a>) {
    for _ in 0..3 {
        for end in [&mut *first, &mut *second] {
            let _ = end.0.room();
            let _ = end.1.unread();
        }
    }
    for end in [first, second] {
        assert!(end.0.room().unwrap().is_some());
        assert!(end.1.unread().unwrap().is_some());
    }
}
