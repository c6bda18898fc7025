//! The random number firmware interface (Arm DEN0098), found beside PSCI.
//!
//! Its numbers come from the machine file's seed: the same in every run, and no secret.

use gunyah_abi::psci::trng::{
    FEATURES, GET_UUID, INVALID_PARAMETERS, NOT_SUPPORTED, RND32, RND64, VERSION, VERSION_1_0,
};

use super::{Reply, one};
use crate::random::Random;

/// Names the source: an arbitrary UUID, not all ones and not beginning with 32 ones, which would read as an error.
const UUID: [u64; 4] = [0x6c6c_6962, 0x4c2d_9a79, 0x9d2a_b1b5, 0x4d3e_7f01];

/// Words of a reply that carry entropy.
const WORDS: u64 = 3;

pub(super) fn name(function: u32) -> Option<&'static str> {
    Some(match function {
        VERSION => "TRNG_VERSION",
        FEATURES => "TRNG_FEATURES",
        GET_UUID => "TRNG_GET_UUID",
        RND32 | RND64 => "TRNG_RND",
        _ => return None,
    })
}

/// Answers a call of this interface with `x1`; `None` if it is none.
pub(super) fn answer(function: u32, x1: u64, random: &mut Random) -> Option<Reply> {
    Some(match function {
        VERSION => one(VERSION_1_0.into()),
        FEATURES => match name(x1 as u32) {
            Some(_) => one(0),
            None => error(NOT_SUPPORTED),
        },
        GET_UUID => UUID,
        RND32 => bits(x1 as u32 as u64, u32::BITS, random),
        RND64 => bits(x1, u64::BITS, random),
        _ => return None,
    })
}

fn error(code: i32) -> Reply {
    one(i64::from(code).cast_unsigned())
}

/// `count` random bits, the lowest in the third word; all above them are 0.
fn bits(count: u64, word_bits: u32, random: &mut Random) -> Reply {
    if count == 0 || count > WORDS * u64::from(word_bits) {
        return error(INVALID_PARAMETERS);
    }
    let mut reply = one(0);
    let mut left = count as u32;
    for word in reply.iter_mut().skip(1).rev() {
        let taken = left.min(word_bits);
        // Shifting by all bits would overflow.
        *word = if taken == 0 { 0 } else { random.word() >> (u64::BITS - taken) };
        left -= taken;
    }
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rnd(function: u32, count: u64) -> Reply {
        answer(function, count, &mut Random::new(1)).unwrap()
    }

    #[test]
    fn version_and_features_are_those_of_the_interface() {
        let random = &mut Random::new(1);
        assert_eq!(answer(VERSION, 0, random), Some([0x1_0000, 0, 0, 0]));
        for function in [VERSION, FEATURES, GET_UUID, RND32, RND64] {
            assert_eq!(answer(FEATURES, function.into(), random), Some([0; 4]));
        }
        assert_eq!(answer(FEATURES, 0x8400_0000, random), Some([u64::MAX, 0, 0, 0]));
        assert_eq!(answer(0x8400_0054, 0, random), None);
        assert!(answer(GET_UUID, 0, random).unwrap().iter().all(|word| *word <= 0xffff_ffff));
    }

    #[test]
    fn as_many_bits_come_as_were_asked_for() {
        for count in 1..=192 {
            let [status, high, middle, low] = rnd(RND64, count);
            assert_eq!(status, 0, "{count}");
            let used = |word: u64, from: u64| {
                let bits = count.saturating_sub(from).min(64) as u32;
                64 - word.leading_zeros() <= bits
            };
            assert!(used(low, 0) && used(middle, 64) && used(high, 128), "{count}");
        }
        assert!(rnd(RND64, 192)[1..].iter().all(|word| *word > 0xffff_ffff));
        let narrow = rnd(RND32, 96);
        assert!(narrow[1..].iter().all(|word| (1..=0xffff_ffff).contains(word)), "{narrow:x?}");
    }

    #[test]
    fn other_numbers_of_bits_are_refused() {
        let invalid = [(-2_i64).cast_unsigned(), 0, 0, 0];
        for (function, count) in
            [(RND32, 0), (RND32, 97), (RND64, 0), (RND64, 193), (RND64, u64::MAX)]
        {
            assert_eq!(rnd(function, count), invalid, "{function:#x} {count}");
        }
    }
}
