//! Copying between private bytes and shared words, a word at a time.

use super::sync::{AtomicU64, Ordering};
use zerocopy::{FromBytes, IntoBytes};

/// Words that go through private memory at a time, where private bytes do not lie as the shared ones do.
const BLOCK: usize = 16;

/// Stores `bytes` at byte `index` of the ring `data`, whose length is a power of two.
///
/// `partial` is what the word at `index` already holds in its lower bytes; afterwards that of the word behind. The
/// rest of the last word is written as zero.
pub(crate) fn store(data: &[AtomicU64], index: u32, partial: &mut u64, bytes: &[u8]) {
    let (offset, mut at) = (index as usize % 8, index as usize / 8);
    let mut rest = bytes;
    if offset != 0 {
        let (first, behind) = rest.split_at(rest.len().min(8 - offset));
        merge(partial, offset, first);
        store_word(data, at, *partial);
        if offset + first.len() < 8 {
            return;
        }
        at += 1;
        rest = behind;
    }
    let (whole, last) = rest.split_at(rest.len() & !7);
    let (before_end, from_start) = halves(data, at, whole.len() / 8);
    let (first, second) = whole.split_at((before_end.len() * 8).min(whole.len()));
    store_words(before_end, first);
    store_words(from_start, second);
    *partial = 0;
    if !last.is_empty() {
        merge(partial, 0, last);
        store_word(data, at + whole.len() / 8, *partial);
    }
}

/// Loads `bytes` from byte `index` of the ring `data`, whose length is a power of two.
pub(crate) fn load(data: &[AtomicU64], index: u32, bytes: &mut [u8]) {
    let (offset, mut at) = (index as usize % 8, index as usize / 8);
    let mut rest = bytes;
    if offset != 0 {
        let length = rest.len().min(8 - offset);
        let (first, behind) = rest.split_at_mut(length);
        extract(load_word(data, at), offset, first);
        at += 1;
        rest = behind;
    }
    let length = rest.len() & !7;
    let (whole, last) = rest.split_at_mut(length);
    let (before_end, from_start) = halves(data, at, length / 8);
    let (first, second) = whole.split_at_mut((before_end.len() * 8).min(length));
    load_words(before_end, first);
    load_words(from_start, second);
    if !last.is_empty() {
        extract(load_word(data, at + length / 8), 0, last);
    }
}

/// Stores the word at `at`, counted around the ring.
#[inline]
pub(crate) fn store_word(data: &[AtomicU64], at: usize, word: u64) {
    if let Some(place) = data.get(at & data.len().wrapping_sub(1)) {
        place.store(word, Ordering::Relaxed);
    }
}

/// Loads the word at `at`, counted around the ring.
#[inline]
pub(crate) fn load_word(data: &[AtomicU64], at: usize) -> u64 {
    data.get(at & data.len().wrapping_sub(1)).map_or(0, |place| place.load(Ordering::Relaxed))
}

/// The `count` words from `at` around the ring: those up to its end, and those from its start.
fn halves(data: &[AtomicU64], at: usize, count: usize) -> (&[AtomicU64], &[AtomicU64]) {
    let (start, behind) = data.split_at(at & data.len().wrapping_sub(1));
    match behind.split_at_checked(count) {
        Some((before_end, _)) => (before_end, &[]),
        None => (behind, start.get(..count - behind.len()).unwrap_or(start)),
    }
}

fn merge(word: &mut u64, offset: usize, bytes: &[u8]) {
    for (to, from) in word.as_mut_bytes().iter_mut().skip(offset).zip(bytes) {
        *to = *from;
    }
}

fn extract(word: u64, offset: usize, bytes: &mut [u8]) {
    for (to, from) in bytes.iter_mut().zip(word.as_bytes().iter().skip(offset)) {
        *to = *from;
    }
}

fn store_words(places: &[AtomicU64], bytes: &[u8]) {
    if let Ok(words) = <[u64]>::ref_from_bytes(bytes) {
        for (place, word) in places.iter().zip(words) {
            place.store(*word, Ordering::Relaxed);
        }
        return;
    }
    let mut block = [0u64; BLOCK];
    for (places, bytes) in places.chunks(BLOCK).zip(bytes.chunks(BLOCK * 8)) {
        if let Some(target) = block.as_mut_bytes().get_mut(..bytes.len()) {
            target.copy_from_slice(bytes);
        }
        for (place, word) in places.iter().zip(&block) {
            place.store(*word, Ordering::Relaxed);
        }
    }
}

fn load_words(places: &[AtomicU64], bytes: &mut [u8]) {
    if let Ok(words) = <[u64]>::mut_from_bytes(bytes) {
        for (place, word) in places.iter().zip(words) {
            *word = place.load(Ordering::Relaxed);
        }
        return;
    }
    let mut block = [0u64; BLOCK];
    for (places, bytes) in places.chunks(BLOCK).zip(bytes.chunks_mut(BLOCK * 8)) {
        for (place, word) in places.iter().zip(&mut block) {
            *word = place.load(Ordering::Relaxed);
        }
        if let Some(source) = block.as_bytes().get(..bytes.len()) {
            bytes.copy_from_slice(source);
        }
    }
}
