//! Copying between private bytes and shared words, a word at a time.

use super::sync::{AtomicU64, Ordering};
use zerocopy::FromBytes;

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

/// Stores what `each` makes of `words`, four at a time.
#[inline(always)]
fn store_words(places: &[AtomicU64], words: &[u64], mut each: impl FnMut(u64) -> u64) {
    // Equal lengths, so that one of them is counted.
    let Some(places) = places.get(..words.len()) else {
        return;
    };
    let (words_4, words_1) = words.as_chunks::<4>();
    let (places_4, places_1) = places.as_chunks::<4>();
    for (places, words) in places_4.iter().zip(words_4) {
        let words = *words;
        for (place, word) in places.iter().zip(words) {
            place.store(each(word), Ordering::Relaxed);
        }
    }
    for (place, word) in places_1.iter().zip(words_1) {
        place.store(each(*word), Ordering::Relaxed);
    }
}

/// Loads `words`, of what `each` makes of the places, four at a time.
#[inline(always)]
fn load_words(places: &[AtomicU64], words: &mut [u64], mut each: impl FnMut(u64) -> u64) {
    let Some(places) = places.get(..words.len()) else {
        return;
    };
    let (words_4, words_1) = words.as_chunks_mut::<4>();
    let (places_4, places_1) = places.as_chunks::<4>();
    for (places, words) in places_4.iter().zip(words_4) {
        *words = places.each_ref().map(|place| each(place.load(Ordering::Relaxed)));
    }
    for (place, word) in places_1.iter().zip(words_1) {
        *word = each(place.load(Ordering::Relaxed));
    }
}

/// Stores `bytes` from the first of `places` on; returns the bytes in the last word, if it is not full.
#[inline(always)]
fn store_run(places: &[AtomicU64], bytes: &[u8]) -> u64 {
    store_aligned(places, bytes).unwrap_or_else(|| store_shifted(places, bytes))
}

/// [`store_run`] for bytes that lie as words do; `None`, and nothing done, for others.
#[inline(always)]
pub(crate) fn store_aligned(places: &[AtomicU64], bytes: &[u8]) -> Option<u64> {
    let (words, rest) = <[u64]>::ref_from_prefix_with_elems(bytes, bytes.len() / 8).ok()?;
    store_words(places, words, |word| word);
    if rest.is_empty() {
        return Some(0);
    }
    let last = gather(rest);
    store_at(places, words.len(), last);
    Some(last)
}

/// [`store_run`] for bytes that do not lie as words do: each word is made of two.
#[inline(never)]
fn store_shifted(places: &[AtomicU64], bytes: &[u8]) -> u64 {
    let (first, behind) = bytes.split_at(bytes.as_ptr().align_offset(8).min(bytes.len()));
    // Behind a few bytes that end before the next word is nothing.
    let (words, rest) =
        <[u64]>::ref_from_prefix_with_elems(behind, behind.len() / 8).unwrap_or_default();
    let shift = 8 * first.len() as u32;
    let mut carry = gather(first);
    store_words(places, words, |word| {
        let word = u64::from_le(word);
        let stored = carry | word << shift;
        carry = word.unbounded_shr(64 - shift);
        stored.to_le()
    });
    let mut at = words.len();
    let mut left = first.len() + rest.len();
    let last = gather(rest);
    carry |= last << shift;
    if left >= 8 {
        store_at(places, at, carry);
        carry = last.unbounded_shr(64 - shift);
        at += 1;
        left -= 8;
    }
    if left == 0 {
        return 0;
    }
    store_at(places, at, carry);
    carry
}

/// Loads `bytes` from the first of `places` on.
#[inline(always)]
fn load_run(places: &[AtomicU64], bytes: &mut [u8]) {
    if load_aligned(places, bytes).is_none() {
        load_shifted(places, bytes);
    }
}

/// [`load_run`] for bytes that lie as words do; `None`, and nothing done, for others.
#[inline(always)]
pub(crate) fn load_aligned(places: &[AtomicU64], bytes: &mut [u8]) -> Option<()> {
    let count = bytes.len() / 8;
    let (words, rest) = <[u64]>::mut_from_prefix_with_elems(bytes, count).ok()?;
    load_words(places, words, |word| word);
    if !rest.is_empty() {
        scatter(load_at(places, count), rest);
    }
    Some(())
}

/// [`load_run`] for bytes that do not lie as words do: each word goes into two.
#[inline(never)]
fn load_shifted(places: &[AtomicU64], bytes: &mut [u8]) {
    let skew = bytes.as_ptr().align_offset(8).min(bytes.len());
    let (first, behind) = bytes.split_at_mut(skew);
    let (count, left) = (behind.len() / 8, behind.len() % 8);
    let Some((place, places)) = places.split_first().filter(|_| skew != 0) else {
        return;
    };
    // Behind a few bytes that end before the next word is nothing.
    let (words, rest) = <[u64]>::mut_from_prefix_with_elems(behind, count).unwrap_or_default();
    let shift = 8 * skew as u32;
    let mut carry = u64::from_le(place.load(Ordering::Relaxed));
    scatter(carry, first);
    carry = carry.unbounded_shr(shift);
    load_words(places, words, |word| {
        let word = u64::from_le(word);
        let loaded = carry | word.unbounded_shl(64 - shift);
        carry = word.unbounded_shr(shift);
        loaded.to_le()
    });
    if left > 8 - skew {
        carry |= load_at(places, count).unbounded_shl(64 - shift);
    }
    scatter(carry, rest);
}

fn store_at(places: &[AtomicU64], at: usize, word: u64) {
    if let Some(place) = places.get(at) {
        place.store(word.to_le(), Ordering::Relaxed);
    }
}

fn load_at(places: &[AtomicU64], at: usize) -> u64 {
    places.get(at).map_or(0, |place| u64::from_le(place.load(Ordering::Relaxed)))
}
