//! `mem parcels` and `ring`: shared memory, and the channels through it.

use super::{objects::number, page::Page};
use crate::{
    memory::shared::SharedBuffer,
    rings::{RingChannel, RingState},
    system::System,
};
use core::fmt;
use gunyah::{hypercalls::Hypercalls, rm::Timer};
use shared_ring::Mode;

/// A number that is not always known.
struct Known(Option<u32>);

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(number) => number.fmt(f),
            None => f.pad("-"),
        }
    }
}

/// Where shared memory is, range by range.
struct Ranges<'a>(&'a SharedBuffer);

impl fmt::Display for Ranges<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, range) in self.0.ranges.iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            write!(f, "{comma}{:#x}..{:#x}", range.start, range.end)?;
        }
        Ok(())
    }
}

/// `mem parcels`: what other VMs share with this one.
pub fn parcels<H: Hypercalls, C: Timer>(page: &mut Page, system: &System<H, C>) {
    let parcels = system.parcels.as_ref().map(|parcels| parcels.list()).unwrap_or_default();
    for parcel in &parcels {
        let (owner, label) = (Known(parcel.owner.map(u32::from)), Known(parcel.label));
        let (handle, size, state) = (parcel.handle, parcel.size, parcel.state);
        page.line(format_args!("{handle} of VM {owner}: label {label}, {size} bytes, {state}"));
        if let Some(buffer) = &parcel.buffer {
            let used = if buffer.is_leased() { "in use" } else { "not in use" };
            page.line(format_args!("  {} {}, {used}", Ranges(buffer), buffer.source));
        }
    }
    let others = system.rings.buffers();
    let others = others.iter().filter(|buffer| buffer.source.handle().is_none());
    let mut any = !parcels.is_empty();
    for buffer in others {
        any = true;
        let (peer, label) = (Known(buffer.peer.map(u32::from)), Known(buffer.label));
        let size = buffer.size();
        page.line(format_args!("no parcel, with VM {peer}: label {label}, {size} bytes"));
        page.line(format_args!("  {} {}", Ranges(buffer), buffer.source));
    }
    if !any {
        page.line(format_args!("nobody shares memory with this VM"));
    }
}

/// `ring list`.
pub fn rings<H, C>(page: &mut Page, system: &System<H, C>) {
    let rings = system.rings.all();
    for ring in &rings {
        let RingChannel { label, peer, counts, .. } = &**ring;
        page.line(format_args!("ring {} with VM {peer}: {}", Known(*label), State(ring.state())));
        page.line(format_args!(
            "  in {} ({} bytes), out {} ({} bytes), bells rung {}, saved {}, peer restarts {}",
            counts.received.get(),
            counts.received_bytes.get(),
            counts.sent.get(),
            counts.sent_bytes.get(),
            counts.rung.get(),
            counts.saved(),
            counts.restarts.get()
        ));
    }
    if rings.is_empty() {
        page.line(format_args!("no rings"));
    }
}

/// A state in a list.
struct State(RingState);

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            RingState::Waiting => f.write_str("waits for its peer"),
            RingState::Open(Mode::Bytes) => f.write_str("open, bytes"),
            RingState::Open(Mode::Messages) => f.write_str("open, messages"),
            RingState::Closed(end) => write!(f, "closed: {end}"),
        }
    }
}

/// `ring send <label> <text>`: the text is everything behind the label.
pub fn send<H, C>(page: &mut Page, system: &System<H, C>, line: &str) {
    let text = [(); 3].iter().try_fold(line, |rest, ()| {
        rest.trim_start().split_once(char::is_whitespace).map(|(_, rest)| rest)
    });
    let label = line.split_whitespace().nth(2).and_then(number);
    let (Some(label), Some(text)) = (label, text.map(str::trim).filter(|text| !text.is_empty()))
    else {
        return page.line(format_args!("ring send: say a label and a text"));
    };
    let rings = system.rings.all();
    match rings.iter().find(|ring| ring.label.map(u64::from) == Some(label)) {
        None => page.line(format_args!("ring send: no ring has label {label}")),
        Some(ring) if ring.say(text) => {
            page.line(format_args!("{} bytes go out on ring {label}", text.len()));
        }
        Some(ring) => match ring.state() {
            RingState::Open(_) => {
                page.line(format_args!("ring send: the one before waits for room"))
            }
            state => page.line(format_args!("ring send: ring {label} {}", State(state))),
        },
    }
}
