//! The numbers: how each is found, and how it compares with what it was.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Context, Result, ensure};

use super::exits::{Exit, Trace, What};
use super::storm;
use super::targets::{TARGETS, Verdict};

/// Hypercall numbers.
const DOORBELL_SEND: u16 = 0x12;
const MSGQUEUE_SEND: u16 = 0x1b;
const MSGQUEUE_RECEIVE: u16 = 0x1c;
/// Resource Manager messages.
const CONSOLE_WRITE: u32 = 0x5600_0083;
/// INTIDs of the machine that is measured: RX of the message queue, the doorbell.
const QUEUE_RX: u32 = 964;
const DOORBELL: u32 = 962;
/// Those of the rings, made while the machine runs: of messages, of bytes.
const MESSAGES: u32 = 965;
const BYTES: u32 = 966;
/// Bytes of a packet that are not the console's: header of each, and of the first the request's.
const PACKET_HEADER: u64 = 8;
const WRITE_HEADER: u64 = 4;

/// What was measured, by key.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Numbers(BTreeMap<String, u64>);

impl Numbers {
    /// Finds the numbers in the traces of a machine with a merged tree, one with an overlay, one that has services on
    /// its message queue, one with rings, and one with 64 doorbells.
    ///
    /// # Errors
    /// Something that is measured did not happen.
    pub fn measure(
        merged: &Trace,
        overlay: &Trace,
        services: &Trace,
        ring: &Trace,
        storm: &Trace,
        image_bytes: u64,
    ) -> Result<Self> {
        let boot = merged.part(None, "prompt")?;
        let hypercalls = boot.iter().filter(|exit| matches!(exit.what, What::Hypercall { .. }));
        let traps = boot.iter().filter(|exit| exit.what == What::Trap);
        let messages = merged.part(Some("messages"), "bells")?;
        let bells = merged.part(Some("bells"), "requests")?;
        let served = services.part(Some("requests"), "end")?;
        let console = merged.part(Some("console"), "end")?;
        let values = [
            ("boot_merged", first_console_byte(boot)?),
            ("boot_overlay", first_console_byte(overlay.part(None, "prompt")?)?),
            ("image_bytes", image_bytes),
            ("ram_bytes", merged.memory),
            ("rx_irq_to_task", mean_from(messages, QUEUE_RX, MSGQUEUE_RECEIVE)?),
            ("rm_round_trip", round_trip(merged.part(Some("requests"), "console")?)?),
            ("service_reply", mean_from(served, QUEUE_RX, MSGQUEUE_SEND)?),
            ("ring_message", mean_from(ring.part(Some("bytes"), "stream")?, BYTES, DOORBELL_SEND)?),
            (
                "ring_service_reply",
                mean_from(ring.part(Some("messages"), "bytes")?, MESSAGES, DOORBELL_SEND)?,
            ),
            ("ring_stream_per_kib", instructions(ring.part(Some("stream"), "end")?) / 1024),
            ("doorbell_round", mean_from(bells, DOORBELL, DOORBELL_SEND)?),
            ("doorbell_storm_1", instructions(storm.part(Some("alone"), "storm")?) / storm::ALONE),
            (
                "doorbell_storm_64",
                instructions(storm.part(Some("storm"), "look")?) / storm::TOGETHER,
            ),
            ("idle_64_channels", instructions(storm.part(Some("idle"), "end")?)),
            ("console_bytes_per_send", bytes_per_send(console)?),
            ("boot_hypercalls", hypercalls.count() as u64),
            ("boot_traps", traps.count() as u64),
        ];
        Ok(Self(values.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()))
    }

    /// One JSON object.
    #[must_use]
    pub fn to_json(&self) -> String {
        let fields = TARGETS.iter().filter_map(|target| {
            let value = self.0.get(target.key)?;
            Some(format!("  \"{}\": {value}", target.key))
        });
        format!("{{\n{}\n}}", fields.collect::<Vec<_>>().join(",\n"))
    }

    /// Reads what [`Self::to_json`] wrote.
    ///
    /// # Errors
    /// It is not such an object.
    pub fn from_json(text: &str) -> Result<Self> {
        let inner = text.trim().strip_prefix('{').and_then(|text| text.strip_suffix('}'));
        let fields = inner.context("no object")?.split(',').map(|field| {
            let (key, value) = field.split_once(':').context("no value")?;
            Ok((key.trim().trim_matches('"').to_owned(), value.trim().parse()?))
        });
        Ok(Self(fields.collect::<Result<_>>()?))
    }

    /// The numbers beside their targets and what they were.
    #[must_use]
    pub fn table(&self, baseline: &Self) -> String {
        let mut table = format!(
            "{:<46} {:>9} {:>11} {:>9}\n",
            "what (guest instructions, or bytes)", "measured", "target", "baseline"
        );
        let mut reasons = String::new();
        for target in &TARGETS {
            let Some(&value) = self.0.get(target.key) else { continue };
            let (what, limit) = (target.what, target.limit());
            let known = baseline.0.get(target.key).map_or(String::from("-"), u64::to_string);
            let verdict = match target.verdict(value) {
                Verdict::Met => "",
                Verdict::Missed => "  missed",
                Verdict::Known(why) => {
                    let _ = writeln!(reasons, "missed, known: {what}: {why}");
                    "  missed, known"
                }
            };
            let _ = writeln!(table, "{what:<46} {value:>9} {limit:>11} {known:>9}{verdict}");
        }
        table + &reasons
    }

    /// What is wrong with the numbers, a line each: targets that are missed and not known to be, numbers worse than the
    /// baseline, if there is one to compare with, by more than `tolerance` of it, and doorbells that cost more in a
    /// storm.
    #[must_use]
    pub fn failures(&self, baseline: Option<&Self>, tolerance: f64) -> Vec<String> {
        let mut failures = Vec::new();
        for target in &TARGETS {
            let Some(&value) = self.0.get(target.key) else { continue };
            let key = target.key;
            if target.verdict(value) == Verdict::Missed {
                failures.push(format!("{key} misses its target: {value}, not {}", target.limit()));
            }
            let then = baseline.and_then(|baseline| baseline.0.get(key));
            if then.is_some_and(|&then| target.worse(value, then, tolerance)) {
                let percent = tolerance * 100.0;
                failures.push(format!("{key} is worse than the baseline by more than {percent} %"));
            }
        }
        if self.storm_swells() {
            failures.push(String::from("a doorbell costs more, the more there are"));
        }
        failures
    }

    /// Whether a doorbell among 64 costs more than one alone, by more than a tenth.
    fn storm_swells(&self) -> bool {
        let cost = |key: &str| self.0.get(key).copied().unwrap_or_default();
        cost("doorbell_storm_64") * 10 > cost("doorbell_storm_1") * 11
    }
}

/// All that the guest did.
fn instructions(exits: &[Exit]) -> u64 {
    match exits {
        [first, .., last] => last.count - first.count,
        _ => 0,
    }
}

fn is_call(exit: &Exit, wanted: u16) -> bool {
    matches!(exit.what, What::Hypercall { number, .. } if number == wanted)
}

fn first_console_byte(boot: &[Exit]) -> Result<u64> {
    let write = boot.iter().find(|exit| {
        matches!(exit.what, What::Hypercall { message: Some((CONSOLE_WRITE, _)), .. })
    });
    Ok(write.context("nothing was written to the console")?.count)
}

/// The mean from the end of a wait by `intid` alone to the next call of `number`.
fn mean_from(exits: &[Exit], intid: u32, number: u16) -> Result<u64> {
    let mut costs = Vec::new();
    for (n, window) in exits.windows(3).enumerate() {
        let [wait, wake, next] = window else { continue };
        let alone = wait.what == What::Wait
            && wake.what == What::Wake(intid)
            && !matches!(next.what, What::Wake(_));
        if !alone {
            continue;
        }
        let rest = exits.get(n + 2..).unwrap_or_default();
        let call = rest.iter().take_while(|exit| exit.what != What::Wait);
        if let Some(call) = call.into_iter().find(|exit| is_call(exit, number)) {
            costs.push(call.count - wake.count);
        }
    }
    ensure!(!costs.is_empty(), "INTID {intid} never led to hypercall {number:#x}");
    Ok(costs.iter().sum::<u64>() / costs.len() as u64)
}

/// The mean between two sends to the Resource Manager that are of the same kind and follow each
/// other: the requests of `rm ping`.
fn round_trip(exits: &[Exit]) -> Result<u64> {
    let sends: Vec<(u64, u32)> = exits
        .iter()
        .filter_map(|exit| match exit.what {
            What::Hypercall { number: MSGQUEUE_SEND, message: Some((id, _)) } => {
                Some((exit.count, id))
            }
            _ => None,
        })
        .collect();
    let pairs = sends.windows(2).filter(|pair| {
        let [(_, first), (_, second)] = pair else { return false };
        first == second && *first != CONSOLE_WRITE
    });
    let costs: Vec<u64> = pairs.map(|pair| pair[1].0 - pair[0].0).collect();
    ensure!(costs.len() >= 50, "only {} round trips of one kind", costs.len());
    Ok(costs.iter().sum::<u64>() / costs.len() as u64)
}

/// Bytes of text that a packet of a console write carries, on average.
fn bytes_per_send(exits: &[Exit]) -> Result<u64> {
    let (mut bytes, mut sends, mut continues) = (0, 0, false);
    for exit in exits {
        let What::Hypercall { number: MSGQUEUE_SEND, message: Some((CONSOLE_WRITE, size)) } =
            exit.what
        else {
            continues = false;
            continue;
        };
        sends += 1;
        let header = PACKET_HEADER + if continues { 0 } else { WRITE_HEADER };
        bytes += size.saturating_sub(header);
        continues = true;
    }
    ensure!(sends > 0, "nothing was written to the console");
    Ok(bytes / sends)
}

#[cfg(test)]
mod tests;
