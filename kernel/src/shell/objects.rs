//! `bell` and `msgq`: the hypervisor's objects at the console.

use super::page::Page;
use crate::{channels::About, system::System, task::yield_now};
use core::fmt;
use core::str::SplitWhitespace;
use embassy_futures::select::{Either, select};
use gunyah::{hypercalls::Hypercalls, queue::QueueStatistics};

/// The most rings one command makes.
const MAX_RINGS: u64 = 1_000_000;
/// Rings after which other tasks get their turn.
const BURST: u64 = 64;

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

/// Which channel is meant: `<label>`, or `<label>@<vmid>` where several peers have the same.
#[derive(Clone, Copy)]
struct Choice {
    label: u32,
    peer: Option<u16>,
}

impl Choice {
    fn parse(word: &str) -> Option<Self> {
        let (label, peer) = match word.split_once('@') {
            Some((label, peer)) => (label, Some(number(peer)?.try_into().ok()?)),
            None => (word, None),
        };
        Some(Self { label: number(label)?.try_into().ok()?, peer })
    }

    fn means(self, about: &About) -> bool {
        about.label == Some(self.label) && (self.peer.is_none() || about.peer.get() == self.peer)
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.label)?;
        self.peer.map_or(Ok(()), |peer| write!(f, "@{peer:#x}"))
    }
}

/// `bell list`.
pub fn list_bells<H: Hypercalls, C>(page: &mut Page, system: &System<H, C>) {
    let (bells, sources) = (system.channels.bells(), system.channels.sources());
    for bell in &bells {
        let counts = bell.receiver.statistics();
        page.line(format_args!(
            "bell {} in: interrupts {}, rings {}, kicks {}, answered {}",
            Label(bell.about.label),
            counts.interrupts,
            counts.rings,
            counts.kicks,
            bell.answered()
        ));
        for (flag, count) in bell.flags() {
            page.line(format_args!("  flag {flag}: {count}"));
        }
        match bell.source() {
            Some(source) => {
                page.line(format_args!("  answers on bell {}", Label(source.about.label)));
            }
            None => page.line(format_args!("  answers on no bell")),
        }
    }
    for source in &sources {
        let rings = source.source.rings();
        page.line(format_args!("bell {} out: rings {rings}", Label(source.about.label)));
    }
    if bells.is_empty() && sources.is_empty() {
        page.line(format_args!("no doorbells"));
    }
}

/// `bell ring <label> [flags] [count]`.
pub async fn ring<H: Hypercalls, C>(
    page: &mut Page,
    system: &System<H, C>,
    mut words: SplitWhitespace<'_>,
) {
    let Some(choice) = words.next().and_then(Choice::parse) else {
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
    let sources = system.channels.sources();
    let Some(bell) = sources.iter().find(|bell| choice.means(&bell.about)) else {
        return page.line(format_args!("bell ring: no doorbell to ring has label {choice}"));
    };
    let mut old = 0;
    for ring in 1..=count {
        match bell.source.ring(flags) {
            Ok(flags) => old = flags,
            Err(error) => return page.line(format_args!("bell ring: {error}")),
        }
        if ring.is_multiple_of(BURST) {
            yield_now().await;
        }
    }
    page.line(format_args!(
        "rang bell {choice} with flags {flags:#x} {count} times, {old:#x} still set"
    ));
}

/// `bell mask <label> <enable> [ack]`.
pub fn mask<H: Hypercalls, C>(
    page: &mut Page,
    system: &System<H, C>,
    mut words: SplitWhitespace<'_>,
) {
    let Some(choice) = words.next().and_then(Choice::parse) else {
        return page.line(format_args!("bell mask: say which label"));
    };
    let Some(enable) = words.next().and_then(number) else {
        return page.line(format_args!("bell mask: say which flags, such as 0xff"));
    };
    let Some(ack) = words.next().map_or(Some(0), number) else {
        return page.line(format_args!("bell mask: flags are a number, such as 0x1"));
    };
    let bells = system.channels.bells();
    let Some(bell) = bells.iter().find(|bell| choice.means(&bell.about)) else {
        return page.line(format_args!("bell mask: no doorbell received has label {choice}"));
    };
    match bell.receiver.mask(enable, ack) {
        Ok(()) => page.line(format_args!(
            "bell {choice} interrupts for flags {enable:#x}, of which {ack:#x} clear themselves"
        )),
        Err(error) => page.line(format_args!("bell mask: {error}")),
    }
}

/// `msgq list`.
pub fn list_queues<H: Hypercalls, C>(page: &mut Page, system: &System<H, C>) {
    let queues = system.channels.queues();
    for queue in &queues {
        let sent = queue.sender.as_ref().map(|s| s.statistics()).unwrap_or_default();
        let received = queue.receiver.as_ref().map(|r| r.statistics()).unwrap_or_default();
        page.line(format_args!(
            "msgq {}: sent {} ({} bytes, waited {}), received {} ({} bytes), echoed {}, answers {}",
            Label(queue.about.label),
            sent.messages,
            sent.bytes,
            sent.waits,
            received.messages,
            received.bytes,
            queue.echoed.get(),
            queue.answers.get()
        ));
        let direction = match (&queue.sender, &queue.receiver) {
            (Some(_), Some(_)) => "",
            (Some(_), None) => ", to send only",
            (None, _) => ", to receive only",
        };
        let sender = queue.sender.as_ref().map(|s| (s.max_message_size(), s.depth()));
        let receiver = queue.receiver.as_ref().map(|r| (r.max_message_size(), r.depth()));
        let (size, depth) = sender.or(receiver).unwrap_or_default();
        let broken = queue.receiver.as_ref().is_some_and(|receiver| receiver.is_broken());
        page.line(format_args!(
            "  messages of up to {size} bytes, {depth} at a time{direction}{}",
            if broken { ", receiving broken" } else { "" }
        ));
    }
    if queues.is_empty() {
        page.line(format_args!("no message queues"));
    }
}

/// `msgq stats`.
pub fn queue_statistics<H: Hypercalls, C>(page: &mut Page, system: &System<H, C>) {
    let queues = system.channels.queues();
    for queue in &queues {
        page.line(format_args!("msgq {}", Label(queue.about.label)));
        if let Some(sender) = &queue.sender {
            statistics(page, "out", &sender.statistics());
        }
        if let Some(receiver) = &queue.receiver {
            statistics(page, "in", &receiver.statistics());
            if receiver.is_broken() {
                page.line(format_args!("  receiving is broken: a message of size 0 came"));
            }
        }
    }
    if queues.is_empty() {
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
    let choice = line.split_whitespace().nth(2).and_then(Choice::parse);
    let (Some(choice), Some(text)) = (choice, text.map(str::trim).filter(|text| !text.is_empty()))
    else {
        return page.line(format_args!("msgq send: say a label and a text"));
    };
    let queues = system.channels.queues();
    let Some(queue) = queues.iter().find(|queue| choice.means(&queue.about)) else {
        return page.line(format_args!("msgq send: no message queue has label {choice}"));
    };
    let Some(sender) = &queue.sender else {
        return page.line(format_args!("msgq send: message queue {choice} is to receive only"));
    };
    let sent = select(sender.send(text.as_bytes(), true), queue.about.gate.closed());
    match sent.await {
        Either::First(Ok(())) => {
            page.line(format_args!("sent {} bytes on queue {choice}", text.len()));
        }
        Either::First(Err(error)) => page.line(format_args!("msgq send: {error}")),
        Either::Second(()) => page.line(format_args!("msgq send: the queue was closed")),
    }
}

/// A number, decimal or with `0x` in front.
pub fn number(word: &str) -> Option<u64> {
    match word.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    }
}
