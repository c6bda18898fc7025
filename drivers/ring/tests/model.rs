//! Random operations on a ring and on queues that cannot go wrong.

#[path = "support/page.rs"]
mod page;

use page::{Count, Page, attach, connect};
use proptest::prelude::*;
use shared_ring::{Modes, Side};
use std::collections::VecDeque;

/// Operations of both ends; lengths, and where in a buffer, since that decides how bytes are copied.
#[derive(Clone, Debug)]
enum Step {
    Produce { length: usize, offset: usize },
    Consume { length: usize, offset: usize },
    ProducerSleeps(usize),
    ConsumerSleeps,
}

fn steps(longest: usize) -> impl Strategy<Value = Vec<Step>> {
    let length = prop_oneof![0..20usize, 0..longest];
    let step = prop_oneof![
        4 => (length.clone(), 0..9usize)
            .prop_map(|(length, offset)| Step::Produce { length, offset }),
        4 => (length.clone(), 0..9usize)
            .prop_map(|(length, offset)| Step::Consume { length, offset }),
        1 => (0..longest).prop_map(Step::ProducerSleeps),
        1 => Just(Step::ConsumerSleeps),
    ];
    prop::collection::vec(step, 1..300)
}

/// Bytes of which none is like its neighbours, at `offset` of an aligned buffer.
fn fill(buffer: &mut [u8], offset: usize, length: usize, seed: &mut u8) -> std::ops::Range<usize> {
    for byte in &mut buffer[offset..offset + length] {
        *seed = seed.wrapping_mul(5).wrapping_add(3);
        *byte = *seed;
    }
    offset..offset + length
}

proptest! {
    #[test]
    fn bytes(steps in steps(1200)) {
        let (page, bells) = (Page::new(), [Count::default(), Count::default()]);
        let mut first = attach(&page, Side::First, Modes::BYTES, &bells[0]);
        let mut second = attach(&page, Side::Second, Modes::BYTES, &bells[1]);
        connect(&mut first, &mut second);
        let mut model: VecDeque<u8> = VecDeque::new();
        let mut seed = 1;
        let mut buffer = vec![0; 1300];
        // Whether an end has asked to be rung for, and for how much.
        let (mut producer_wants, mut consumer_wants) = (None, false);
        for step in steps {
            bells.iter().for_each(|bell| { bell.take(); });
            match step {
                Step::Produce { length, offset } => {
                    let range = fill(&mut buffer, offset, length, &mut seed);
                    let written = first.0.write(&buffer[range.clone()]).unwrap();
                    model.extend(&buffer[range][..written]);
                    // What lies in the consumer's word is not free.
                    prop_assert!(written == length || model.len() > 1024 - 8);
                    prop_assert_eq!(bells[0].take() > 0, consumer_wants && written > 0);
                    producer_wants = None;
                    consumer_wants &= written == 0;
                }
                Step::Consume { length, offset } => {
                    let target = &mut buffer[offset..offset + length];
                    let count = second.1.read(target).unwrap();
                    prop_assert_eq!(count, length.min(model.len()));
                    prop_assert!(model.drain(..count).eq(target[..count].iter().copied()));
                    let enough = producer_wants.is_some_and(|wants| 1024 - model.len() >= wants);
                    prop_assert_eq!(bells[1].take() > 0, enough && count > 0);
                    consumer_wants = false;
                    if enough && count > 0 {
                        producer_wants = None;
                    }
                }
                Step::ProducerSleeps(length) => {
                    let wanted = length.clamp(1, 512);
                    let sleeps = first.0.sleep(length).unwrap();
                    let free = 1024 - model.len();
 prop_assert!(if sleeps {free < wanted + 8} else {free >= wanted}, "{} of {}", free, wanted);
                    producer_wants = sleeps.then_some(wanted);
                }
                Step::ConsumerSleeps => {
                    consumer_wants = second.1.sleep().unwrap();
                    prop_assert_eq!(consumer_wants, model.is_empty());
                }
            }
            prop_assert_eq!(second.1.unread().unwrap(), Some(model.len()));
            prop_assert_eq!(first.0.is_drained().unwrap(), model.is_empty());
        }
    }

    #[test]
    fn bytes_passed_on(
        steps in prop::collection::vec((0..5u8, prop_oneof![0..20usize, 0..1200usize], 0..9usize), 1..300)
    ) {
        let pages = [Page::new(), Page::new()];
        let bells = [(); 4].map(|()| Count::default());
        let mut sender = attach(&pages[0], Side::First, Modes::BYTES, &bells[0]);
        let mut input = attach(&pages[0], Side::Second, Modes::BYTES, &bells[1]);
        let mut output = attach(&pages[1], Side::First, Modes::BYTES, &bells[2]);
        let mut receiver = attach(&pages[1], Side::Second, Modes::BYTES, &bells[3]);
        connect(&mut sender, &mut input);
        connect(&mut output, &mut receiver);
        // What is in the ring before, and in the one behind.
        let (mut before, mut behind) = (VecDeque::<u8>::new(), VecDeque::<u8>::new());
        let mut seed = 1;
        let mut buffer = vec![0; 1300];
        let (mut sender_wants, mut receiver_wants) = (None, false);
        for (step, length, offset) in steps {
            bells.iter().for_each(|bell| { bell.take(); });
            match step {
                0 => {
                    let range = fill(&mut buffer, offset, length, &mut seed);
                    let written = sender.0.write(&buffer[range.clone()]).unwrap();
                    before.extend(&buffer[range][..written]);
                    sender_wants = None;
                }
                // Something of its own, so that bytes lie otherwise in the words behind than in those before.
                1 => {
                    let range = fill(&mut buffer, offset, length % 20, &mut seed);
                    let written = output.0.write(&buffer[range.clone()]).unwrap();
                    behind.extend(&buffer[range][..written]);
                    receiver_wants &= written == 0;
                }
                2 => {
                    let passed = input.1.forward(&mut output.0, length).unwrap();
                    let most = length.min(before.len());
                    // Nothing only if nothing can be; less where a word is used, or a data area ends.
                    prop_assert!(passed <= most && behind.len() + passed <= 1024);
                    prop_assert!(passed > 0 || most == 0 || behind.len() > 1024 - 8);
                    behind.extend(before.drain(..passed));
                    let enough = sender_wants.is_some_and(|wants| 1024 - before.len() >= wants);
                    prop_assert_eq!(bells[1].take() > 0, enough && passed > 0);
                    prop_assert_eq!(bells[2].take() > 0, receiver_wants && passed > 0);
                    if enough && passed > 0 {
                        sender_wants = None;
                    }
                    receiver_wants &= passed == 0;
                }
                3 => {
                    let target = &mut buffer[offset..offset + length];
                    let count = receiver.1.read(target).unwrap();
                    prop_assert_eq!(count, length.min(behind.len()));
                    prop_assert!(behind.drain(..count).eq(target[..count].iter().copied()));
                    receiver_wants = false;
                }
                _ => {
                    receiver_wants = receiver.1.sleep().unwrap();
                    let wanted = length.clamp(1, 512);
                    sender_wants = sender.0.sleep(length).unwrap().then_some(wanted);
                }
            }
            prop_assert_eq!(input.1.unread().unwrap(), Some(before.len()));
            prop_assert_eq!(receiver.1.unread().unwrap(), Some(behind.len()));
        }
    }

    #[test]
    fn messages(steps in steps(300)) {
        let (page, bells) = (Page::new(), [Count::default(), Count::default()]);
        let mut first = attach(&page, Side::First, Modes::MESSAGES, &bells[0]);
        let mut second = attach(&page, Side::Second, Modes::MESSAGES, &bells[1]);
        connect(&mut first, &mut second);
        let mut model: VecDeque<Vec<u8>> = VecDeque::new();
        let mut seed = 1;
        let mut buffer = vec![0; 400];
        for step in steps {
            let used: usize = model.iter().map(|message| message.len().next_multiple_of(8) + 8).sum();
            match step {
                Step::Produce { length, offset } => {
                    let range = fill(&mut buffer, offset, length, &mut seed);
                    let sent = first.0.try_send(&buffer[range.clone()]).unwrap();
                    prop_assert_eq!(sent, used + length.next_multiple_of(8) + 8 <= 1024);
                    if sent {
                        model.push_back(buffer[range].to_vec());
                    }
                }
                Step::Consume { offset, .. } => {
                    let target = &mut buffer[offset..];
                    let count = second.1.try_receive(target).unwrap();
                    let message = model.pop_front();
                    prop_assert_eq!(count.map(|count| &target[..count]), message.as_deref());
                }
                Step::ProducerSleeps(length) => {
                    let fits = used + length.next_multiple_of(8) + 8 <= 1024;
                    prop_assert_eq!(first.0.sleep(length).unwrap(), !fits);
                }
                Step::ConsumerSleeps => {
                    prop_assert_eq!(second.1.sleep().unwrap(), model.is_empty());
                }
            }
        }
    }
}
