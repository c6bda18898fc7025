//! Copying between private bytes and shared words, a word at a time.

use super::sync::{AtomicU64, Ordering};

/// Stores `bytes` at byte `index` of the ring `data`, whose length is a power of two.
///
/// `partial` is what the word at `index` already holds in its lower bytes; that of the word behind the bytes is returned.
/// The rest of the last word is written as zero.
#[inline(always)]
pub(crate) fn store(data: &[AtomicU64], index: u32, partial: u64, bytes: &[u8]) -> u64 {
    match data.get(around(data, index as usize / 8)..) {
        Some(places) if index.is_multiple_of(8) && bytes.len() < places.len() * 8 => {
            store_run(places, bytes)
        }
        _ => store_around(data, index, partial, bytes),
    }
}

#[inline(never)]
fn store_around(data: &[AtomicU64], index: u32, mut partial: u64, bytes: &[u8]) -> u64 {
    let (offset, mut at) = (index as usize % 8, index as usize / 8);
    let mut rest = bytes;
    if offset != 0 {
        let (first, behind) = rest.split_at(rest.len().min(8 - offset));
        partial |= gather(first) << (8 * offset);
        store_word(data, at, partial);
        if offset + first.len() < 8 {
            return partial;
        }
        at += 1;
        rest = behind;
    }
    let places = data.get(around(data, at)..).unwrap_or_default();
    let (first, second) = rest.split_at(rest.len().min(places.len() * 8));
    partial = store_run(places, first);
    if first.len() == places.len() * 8 { store_run(data, second) } else { partial }
}

/// Loads `bytes` from byte `index` of the ring `data`, whose length is a power of two.
#[inline(always)]
pub(crate) fn load(data: &[AtomicU64], index: u32, bytes: &mut [u8]) {
    match data.get(around(data, index as usize / 8)..) {
        Some(places) if index.is_multiple_of(8) && bytes.len() < places.len() * 8 => {
            load_run(places, bytes);
        }
        _ => load_around(data, index, bytes),
    }
}

#[inline(never)]
fn load_around(data: &[AtomicU64], index: u32, bytes: &mut [u8]) {
    let (offset, mut at) = (index as usize % 8, index as usize / 8);
    let mut rest = bytes;
    if offset != 0 {
        let length = rest.len().min(8 - offset);
        let (first, behind) = rest.split_at_mut(length);
        scatter(load_word(data, at) >> (8 * offset), first);
        at += 1;
        rest = behind;
    }
    let places = data.get(around(data, at)..).unwrap_or_default();
    let length = rest.len().min(places.len() * 8);
    let (first, second) = rest.split_at_mut(length);
    load_run(places, first);
    load_run(data, second);
}

/// Stores the word at `at`, counted around the ring. Its first byte in memory is its lowest.
#[inline]
pub(crate) fn store_word(data: &[AtomicU64], at: usize, word: u64) {
    if let Some(place) = data.get(around(data, at)) {
        place.store(word.to_le(), Ordering::Relaxed);
    }
}

/// Loads the word at `at`, counted around the ring.
#[inline]
pub(crate) fn load_word(data: &[AtomicU64], at: usize) -> u64 {
    data.get(around(data, at)).map_or(0, |place| u64::from_le(place.load(Ordering::Relaxed)))
}

#[inline]
const fn around(data: &[AtomicU64], at: usize) -> usize {
    at & data.len().wrapping_sub(1)
}

/// Up to eight bytes as a word.
#[inline]
fn gather(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// A word as up to eight bytes.
#[inline]
fn scatter(mut word: u64, bytes: &mut [u8]) {
    for byte in bytes {
        *byte = word as u8;
        word >>= 8;
    }
}

/// Stores `bytes` from the first of `places` on; returns the bytes in the last word, if it is not full.
#[inline(always)]
pub(crate) fn store_run(places: &[AtomicU64], bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    // Equal lengths, so that one of them is counted.
    let Some((places, behind)) = places.split_at_checked(words.len()) else {
        return 0;
    };
    let (words_4, words_1) = words.as_chunks::<4>();
    let (places_4, places_1) = places.as_chunks::<4>();
    for (places, words) in places_4.iter().zip(words_4) {
        let words = words.map(u64::from_ne_bytes);
        for (place, word) in places.iter().zip(words) {
            place.store(word, Ordering::Relaxed);
        }
    }
    for (place, word) in places_1.iter().zip(words_1) {
        place.store(u64::from_ne_bytes(*word), Ordering::Relaxed);
    }
    if rest.is_empty() {
        return 0;
    }
    let last = gather(rest);
    if let Some(place) = behind.first() {
        place.store(last.to_le(), Ordering::Relaxed);
    }
    last
}

/// Loads `bytes` from the first of `places` on.
#[inline(always)]
pub(crate) fn load_run(places: &[AtomicU64], bytes: &mut [u8]) {
    let (words, rest) = bytes.as_chunks_mut::<8>();
    // Equal lengths, so that one of them is counted.
    let Some((places, behind)) = places.split_at_checked(words.len()) else {
        return;
    };
    let (words_4, words_1) = words.as_chunks_mut::<4>();
    let (places_4, places_1) = places.as_chunks::<4>();
    for (places, words) in places_4.iter().zip(words_4) {
        *words = places.each_ref().map(|place| place.load(Ordering::Relaxed).to_ne_bytes());
    }
    for (place, word) in places_1.iter().zip(words_1) {
        *word = place.load(Ordering::Relaxed).to_ne_bytes();
    }
    if let Some(place) = behind.first().filter(|_| !rest.is_empty()) {
        scatter(u64::from_le(place.load(Ordering::Relaxed)), rest);
    }
}

/// Copies the words `from` to `to`, of which there are as many; of the last only the first `rest` bytes, unless that is 0.
/// Returns these; the rest of the last word is written as zero.
pub(crate) fn pass(from: &[AtomicU64], to: &[AtomicU64], rest: usize) -> u64 {
    let last = from.split_last().zip(to.split_last()).filter(|_| rest != 0);
    let (from, to) = last.map_or((from, to), |((_, from), (_, to))| (from, to));
    let (from_8, from_1) = from.as_chunks::<8>();
    let (to_8, to_1) = to.as_chunks::<8>();
    for (from, to) in from_8.iter().zip(to_8) {
        // Four loads, then four stores.
        let (from, to) = (from.as_chunks::<4>().0, to.as_chunks::<4>().0);
        for (from, to) in from.iter().zip(to) {
            let words = from.each_ref().map(|place| place.load(Ordering::Relaxed));
            for (place, word) in to.iter().zip(words) {
                place.store(word, Ordering::Relaxed);
            }
        }
    }
    for (from, to) in from_1.iter().zip(to_1) {
        to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
    }
    last.map_or(0, |((from, _), (to, _))| {
        let word = u64::from_le(from.load(Ordering::Relaxed)) & !(u64::MAX << (8 * (rest % 8)));
        to.store(word.to_le(), Ordering::Relaxed);
        word
    })
}
