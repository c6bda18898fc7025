//! `bell` and `msgq`: the hypervisor's objects at the console.

use super::page::Page;
use crate::system::System;
use core::fmt;
use core::str::SplitWhitespace;
use gunyah::{hypercalls::Hypercalls, queue::QueueStatistics};

/// The most rings one command makes.
const MAX_RINGS: u64 = 1_000_000;

/// A label in a list.
struct Label(Option<u32>);

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(label) => fmt::Display::fmt(&label, f),
            None => f.pad("-"),
        }
    }
}

/// `bell list`.
pub fn list_bells<H: Hypercalls, C>(page: &mut Page, system: &System<H, C>) {
    for bell in &system.bells {
        let counts = bell.receiver.statistics();
        page.line(format_args!(
            "bell {} in: interrupts {}, rings {}, kicks {}, answered {}",
            Label(bell.label),
            counts.interrupts,
            counts.rings,
            counts.kicks,
            bell.answered()
        ));
        for (flag, count) in bell.flags() {
            page.line(format_args!("  flag {flag}: {count}"));
        }
        match bell.answers_to {
            Some(source) => page.line(format_args!("  answers on bell {}", Label(source.label))),
            None => page.line(format_args!("  answers on no bell")),
        }
    }
    for source in &system.sources {
        let rings = source.source.rings();
        page.line(format_args!("bell {} out: rings {rings}", Label(source.label)));
    }
    if system.bells.is_empty() && system.sources.is_empty() {
        page.line(format_args!("no doorbells"));
    }
}

/// `bell ring <label> [flags] [count]`.
pub fn ring<H: Hypercalls, C>(
    page: &mut Page,
    system: &System<H, C>,
    mut words: SplitWhitespace<'_>,
) {
    let Some(label) = words.next().and_then(number) else {
        return page.line(format_args!("bell ring: say which label"));
    };
    let Some(flags) = words.next().map_or(Some(1), number) else {
        return page.line(format_args!("bell ring: flags are a number, such as 0x1"));
    };
    let Some(count) = words.next().map_or(Some(1), number) else {
        return page.line(format_args!("bell ring: the count is a number"));
    };
    if count > MAX_RINGS {
        return page.line(format_args!("bell ring: at most {MAX_RINGS} times"));
    }
    let Some(bell) = system.sources.iter().find(|bell| bell.label.map(u64::from) == Some(label))
    else {
        return page.line(format_args!("bell ring: no doorbell to ring has label {label}"));
    };
    let mut old = 0;
    for _ in 0..count {
        match bell.source.ring(flags) {
            Ok(flags) => old = flags,
            Err(error) => return page.line(format_args!("bell ring: {error}")),
        }
    }
    page.line(format_args!(
        "rang bell {label} with flags {flags:#x} {count} times, {old:#x} still set"
    ));
}

/// `bell mask <label> <enable> [ack]`.
pub fn mask<H: Hypercalls, C>(
    page: &mut Page,
    system: &System<H, C>,
    mut words: SplitWhitespace<'_>,
) {
    let Some(label) = words.next().and_then(number) else {
        return page.line(format_args!("bell mask: say which label"));
    };
    let Some(enable) = words.next().and_then(number) else {
        return page.line(format_args!("bell mask: say which flags, such as 0xff"));
    };
    let Some(ack) = words.next().map_or(Some(0), number) else {
        return page.line(format_args!("bell mask: flags are a number, such as 0x1"));
    };
    let Some(bell) = system.bells.iter().find(|bell| bell.label.map(u64::from) == Some(label))
    else {
        return page.line(format_args!("bell mask: no doorbell received has label {label}"));
    };
    match bell.receiver.mask(enable, ack) {
        Ok(()) => page.line(format_args!(
            "bell {label} interrupts for flags {enable:#x}, of which {ack:#x} clear themselves"
        )),
        Err(error) => page.line(format_args!("bell mask: {error}")),
    }
}

/// `msgq list`.
pub fn list_queues<H: Hypercalls, C>(page: &mut Page, system: &System<H, C>) {
    for queue in &system.queues {
        let (sent, received) = (queue.sender.statistics(), queue.receiver.statistics());
        page.line(format_args!(
            "msgq {}: sent {} ({} bytes, waited {}), received {} ({} bytes), echoed {}, answers {}",
            Label(queue.label),
            sent.messages,
            sent.bytes,
            sent.waits,
            received.messages,
            received.bytes,
            queue.echoed(),
            queue.answers()
        ));
        page.line(format_args!(
            "  messages of up to {} bytes, {} at a time{}",
            queue.sender.max_message_size(),
            queue.sender.depth(),
            if queue.receiver.is_broken() { ", receiving broken" } else { "" }
        ));
    }
    if system.queues.is_empty() {
        page.line(format_args!("no message queues"));
    }
}

/// `msgq stats`.
pub fn queue_statistics<H: Hypercalls, C>(page: &mut Page, system: &System<H, C>) {
    for queue in &system.queues {
        page.line(format_args!("msgq {}", Label(queue.label)));
        statistics(page, "out", &queue.sender.statistics());
        statistics(page, "in", &queue.receiver.statistics());
        if queue.receiver.is_broken() {
            page.line(format_args!("  receiving is broken: a message of size 0 came"));
        }
    }
    if system.queues.is_empty() {
        page.line(format_args!("no message queues"));
    }
}

/// One direction of a queue.
pub fn statistics(page: &mut Page, direction: &str, counts: &QueueStatistics) {
    page.line(format_args!(
        "  {direction:3}  messages {}, bytes {}, interrupts {}, waits {}, errors {}",
        counts.messages, counts.bytes, counts.interrupts, counts.waits, counts.errors
    ));
}

/// `msgq send <label> <text>`: the text is everything behind the label.
pub async fn send<H: Hypercalls, C>(page: &mut Page, system: &System<H, C>, line: &str) {
    let text = [(); 3].iter().try_fold(line, |rest, ()| {
        rest.trim_start().split_once(char::is_whitespace).map(|(_, rest)| rest)
    });
    let label = line.split_whitespace().nth(2).and_then(number);
    let (Some(label), Some(text)) = (label, text.map(str::trim).filter(|text| !text.is_empty()))
    else {
        return page.line(format_args!("msgq send: say a label and a text"));
    };
    let Some(queue) = system.queues.iter().find(|q| q.label.map(u64::from) == Some(label)) else {
        return page.line(format_args!("msgq send: no message queue has label {label}"));
    };
    match queue.sender.send(text.as_bytes(), true).await {
        Ok(()) => page.line(format_args!("sent {} bytes on queue {label}", text.len())),
        Err(error) => page.line(format_args!("msgq send: {error}")),
    }
}

/// A number, decimal or with `0x` in front.
pub fn number(word: &str) -> Option<u64> {
    match word.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    }
}
