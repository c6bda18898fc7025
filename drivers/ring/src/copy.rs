//! Copying between private bytes and shared words, a word at a time.

use super::sync::{AtomicU64, Ordering};
use core::cell::Cell;
use zerocopy::FromBytes;

/// Stores `bytes` at byte `index` of the ring `data`, whose length is a power of two.
///
/// `partial` is what the word at `index` already holds in its lower bytes; afterwards that of the word behind. The
/// rest of the last word is written as zero.
#[inline]
pub(crate) fn store(data: &[AtomicU64], index: u32, partial: &mut u64, bytes: &[u8]) {
    let (offset, at) = (index as usize % 8, around(data, index as usize / 8));
    match data.get(at..) {
        Some(places) if offset == 0 && bytes.len() < places.len() * 8 => {
            *partial = store_run(places, bytes);
        }
        _ => *partial = store_around(data, index, *partial, bytes),
    }
}

#[cold]
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
#[inline]
pub(crate) fn load(data: &[AtomicU64], index: u32, bytes: &mut [u8]) {
    let (offset, at) = (index as usize % 8, around(data, index as usize / 8));
    match data.get(at..) {
        Some(places) if offset == 0 && bytes.len() < places.len() * 8 => load_run(places, bytes),
        _ => load_around(data, index, bytes),
    }
}

#[cold]
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

/// Does `each` for all pairs, four at a time.
#[inline(always)]
fn in_fours<T>(places: &[AtomicU64], words: &[T], mut each: impl FnMut(&AtomicU64, &T)) {
    let (places_4, places_1) = places.as_chunks::<4>();
    let (words_4, words_1) = words.as_chunks::<4>();
    for (places, words) in places_4.iter().zip(words_4) {
        for (place, word) in places.iter().zip(words) {
            each(place, word);
        }
    }
    // Equal in length, or there are places left in whole fours.
    let places_1 = places_4.get(words_4.len()).map_or(places_1, |places| places);
    for (place, word) in places_1.iter().zip(words_1) {
        each(place, word);
    }
}

/// Stores `bytes` from the first of `places` on; returns the bytes in the last word, if it is not full.
fn store_run(places: &[AtomicU64], bytes: &[u8]) -> u64 {
    let Ok((words, rest)) = <[u64]>::ref_from_prefix_with_elems(bytes, bytes.len() / 8) else {
        return store_shifted(places, bytes);
    };
    in_fours(places, words, |place, word| place.store(*word, Ordering::Relaxed));
    if rest.is_empty() {
        return 0;
    }
    let last = gather(rest);
    store_at(places, words.len(), last);
    last
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
    in_fours(places, words, |place, word| {
        let word = u64::from_le(*word);
        place.store((carry | word << shift).to_le(), Ordering::Relaxed);
        carry = word.unbounded_shr(64 - shift);
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
fn load_run(places: &[AtomicU64], bytes: &mut [u8]) {
    let count = bytes.len() / 8;
    let Ok((words, rest)) = <[u64]>::mut_from_prefix_with_elems(bytes, count) else {
        return load_shifted(places, bytes);
    };
    let words = Cell::from_mut(words).as_slice_of_cells();
    in_fours(places, words, |place, word| word.set(place.load(Ordering::Relaxed)));
    if !rest.is_empty() {
        scatter(load_at(places, count), rest);
    }
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
    let words = Cell::from_mut(words).as_slice_of_cells();
    in_fours(places, words, |place, target| {
        let word = u64::from_le(place.load(Ordering::Relaxed));
        target.set((carry | word.unbounded_shl(64 - shift)).to_le());
        carry = word.unbounded_shr(shift);
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
