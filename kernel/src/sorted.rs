//! Sorting short lists, in a fraction of the code of `sort_unstable`.

/// Puts `items` in ascending order of their keys; equal ones keep their order. Takes time in the
/// square of their number where they are in the opposite order.
pub fn sort_by_key<T, K: Ord>(items: &mut [T], key: impl Fn(&T) -> K) {
    for end in 1..items.len() {
        let Some((item, before)) = items.get(..=end).and_then(|items| items.split_last()) else {
            return;
        };
        let wanted = key(item);
        let greater = before.iter().rev().take_while(|other| key(other) > wanted).count();
        if let Some(moved) = items.get_mut(end - greater..=end) {
            moved.rotate_right(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_sorts_as_the_library_does(mut items: Vec<(u8, u16)>) {
            let mut expected = items.clone();
            expected.sort_by_key(|item| item.0);
            sort_by_key(&mut items, |item| item.0);
            prop_assert_eq!(items, expected);
        }
    }
}
