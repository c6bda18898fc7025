//! Trees with random damage: something comes out, and nothing panics.

use crate::support::{Memory, RAM, tree};
use billy_dt::{self as dt, show};
use proptest::prelude::*;

/// One piece of damage.
#[derive(Clone, Debug)]
enum Damage {
    Byte(usize, u8),
    Word(usize, u32),
    Cut(usize),
    Copy(usize, usize, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let small = prop_oneof![0..16_u32, Just(u32::MAX), any::<u32>()];
    prop_oneof![
        4 => (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
        4 => (any::<usize>(), small).prop_map(|(at, word)| Damage::Word(at, word)),
        1 => any::<usize>().prop_map(Damage::Cut),
        1 => (any::<usize>(), any::<usize>(), 1..64_usize).prop_map(|(a, b, n)| Damage::Copy(a, b, n)),
    ]
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    let len = bytes.len().max(8);
    match *damage {
        Damage::Byte(at, byte) => bytes.get_mut(at % len).into_iter().for_each(|b| *b = byte),
        Damage::Word(at, word) => {
            // Words that matter are aligned, and most of the header's are among the first ten.
            let at = if at % 4 == 0 { at / 4 % 10 * 4 } else { at % len / 4 * 4 };
            if let Some(place) = bytes.get_mut(at..at + 4) {
                place.copy_from_slice(&word.to_be_bytes());
            }
        }
        Damage::Cut(at) => bytes.truncate(at % len),
        Damage::Copy(from, to, count) => {
            let (from, to) = (from % len / 4 * 4, to % len / 4 * 4);
            for i in 0..count * 4 {
                if let Some(&byte) = bytes.get(from + i)
                    && let Some(place) = bytes.get_mut(to + i)
                {
                    *place = byte;
                }
            }
        }
    }
}

fn load_and_show(trees: &[&[u8]]) {
    let memory = Memory::new(RAM, trees);
    match dt::load(&memory.source(), None) {
        Ok(loaded) => {
            let mut text = String::new();
            show(loaded.tree(), "/hypervisor", &mut text).unwrap_or_default();
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_merged_tree(damages in prop::collection::vec(damage(), 1..6), primary in any::<bool>()) {
        let mut bytes = tree(match primary {
            true => "rm-primary-vm.dtb",
            false => "rm-secondary-vm-2cpu-doorbells-msgq.dtb",
        });
        damages.iter().for_each(|damage| apply(&mut bytes, damage));
        load_and_show(&[&bytes]);
    }

    #[test]
    fn an_overlay(damages in prop::collection::vec(damage(), 1..6)) {
        let mut overlay = tree("overlay-linear.dtbo");
        damages.iter().for_each(|damage| apply(&mut overlay, damage));
        load_and_show(&[&tree("gunyah-vm.dtb"), &overlay]);
    }

    #[test]
    fn a_base_tree(damages in prop::collection::vec(damage(), 1..4)) {
        let mut base = tree("gunyah-vm.dtb");
        damages.iter().for_each(|damage| apply(&mut base, damage));
        load_and_show(&[&base, &tree("overlay-linear.dtbo")]);
    }

    #[test]
    fn any_bytes_behind_a_header(words in prop::collection::vec(prop_oneof![0..10_u32, any::<u32>()], 0..200)) {
        let block: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        let total = 56 + block.len() as u32;
        let header = [0xd00d_feed, total, 56, total, 40, 17, 16, 0, 0, block.len() as u32, 0, 0, 0, 0];
        let mut bytes: Vec<u8> = header.iter().flat_map(|word: &u32| word.to_be_bytes()).collect();
        bytes.extend(block);
        load_and_show(&[&bytes]);
    }
}
