//! `rm`: what the Resource Manager says, and how well one hears it.

use super::{apart::apart, objects, page::Page, peers};
use crate::system::{Machine, System};
use alloc::vec::Vec;
use core::fmt;
use core::str::SplitWhitespace;
use gunyah::{
    hypercalls::Hypercalls,
    rm::{RequestError, Resource, ResourceManager, Timer},
};
use gunyah_abi::rm::SELF_VMID;

/// What `rm lookup` is to look for.
const LOOKUP: &str = "rm lookup: say 'uri', 'guid' or 'name', and which";

/// The most requests one `rm ping` makes.
const MAX_PINGS: u64 = 1_000_000;

/// Runs `rm` with what follows it.
pub async fn execute<H, C>(
    page: &mut Page,
    manager: &'static ResourceManager<H, C>,
    system: &System<H, C>,
    machine: &impl Machine,
    mut words: SplitWhitespace<'_>,
) where
    H: Hypercalls + Clone + Send + Sync + 'static,
    C: Timer + Clone + 'static,
{
    let result = match words.next() {
        Some("vm") => match words.next().map(vmid) {
            None => identity(page, manager, SELF_VMID).await,
            Some(Some(vmid)) => identity(page, manager, vmid).await,
            Some(None) => say(page, format_args!("rm vm: a VMID is a number, such as 0x80")),
        },
        Some("lookup") => lookup(page, manager, words).await,
        Some("peers") => manager.peers().await.map(|peers| vmids(page, &peers)),
        Some("resources") => match words.next().map(vmid) {
            None => shared_with_owner(page, manager, system).await,
            Some(Some(vmid)) => resources(page, manager, system, vmid).await,
            Some(None) => say(page, format_args!("rm resources: a VMID is a number, such as 0x3")),
        },
        Some("stats") => {
            statistics(page, manager);
            Ok(())
        }
        Some("ping") => match words.next().map_or(Some(1), objects::number) {
            Some(count) => ping(page, manager, machine, count.min(MAX_PINGS)).await,
            None => say(page, format_args!("rm ping: the count is a number")),
        },
        _ => say(
            page,
            format_args!(
                "rm: say 'rm vm', 'rm lookup', 'rm peers', 'rm resources', 'rm stats' or 'rm ping'"
            ),
        ),
    };
    if let Err(error) = result {
        page.line(format_args!("rm: {error}"));
    }
}

/// Says why there is nothing to ask the Resource Manager.
fn say(page: &mut Page, text: fmt::Arguments<'_>) -> Result<(), RequestError> {
    page.line(text);
    Ok(())
}

fn vmid(word: &str) -> Option<u16> {
    objects::number(word)?.try_into().ok()
}

/// `rm vm`.
async fn identity<H: Hypercalls, C: Timer>(
    page: &mut Page,
    manager: &ResourceManager<H, C>,
    target: u16,
) -> Result<(), RequestError> {
    let identity = manager.identity(target).await?;
    let state = manager.state(target).await?;
    let vmid = if target == SELF_VMID { manager.vmid().await? } else { target };
    let name = identity.name.as_deref().unwrap_or("(no name)");
    page.line(format_args!("{name}, VMID {vmid:#x}"));
    page.line(format_args!(
        "  state       VM {}, OS {}, application {:#x}",
        state.vm, state.os, state.application
    ));
    if let Some(guid) = identity.guid.filter(|guid| *guid != [0; 16]) {
        page.line(format_args!("  GUID        {}", Guid(guid)));
    }
    if let Some(uri) = &identity.uri {
        page.line(format_args!("  URI         {uri}"));
    }
    if let Some(authority) = &identity.signing_authority {
        page.line(format_args!("  signed by   {authority}"));
    }
    if target == SELF_VMID {
        let (owner, host) = (manager.owner().await?, manager.host_type().await?);
        page.line(format_args!("  owner       VMID {owner:#x}"));
        page.line(format_args!("  host type   {host:#x}"));
    }
    Ok(())
}

/// `rm ping`: the smallest request there is, so many times.
async fn ping<H: Hypercalls, C: Timer>(
    page: &mut Page,
    manager: &'static ResourceManager<H, C>,
    machine: &impl Machine,
    count: u64,
) -> Result<(), RequestError> {
    let requests = async move {
        for _ in 0..count {
            manager.vmid().await?;
        }
        Ok(())
    };
    apart(machine, "ping", requests).await?;
    page.line(format_args!("{count} requests, {count} replies"));
    Ok(())
}

/// `rm lookup`.
async fn lookup<H: Hypercalls, C: Timer>(
    page: &mut Page,
    manager: &ResourceManager<H, C>,
    mut words: SplitWhitespace<'_>,
) -> Result<(), RequestError> {
    let what = words.next();
    let wanted = words.collect::<Vec<_>>().join(" ");
    let found = match what {
        _ if wanted.is_empty() => return say(page, format_args!("{LOOKUP}")),
        Some("uri") => manager.lookup_uri(&wanted).await?,
        Some("name") => manager.lookup_name(&wanted).await?,
        Some("guid") => match guid(&wanted) {
            Some(guid) => manager.lookup_guid(guid).await?,
            None => {
                let form = "32 hexadecimal digits, with or without hyphens";
                return say(page, format_args!("rm lookup: a GUID is {form}"));
            }
        },
        _ => return say(page, format_args!("{LOOKUP}")),
    };
    vmids(page, &found);
    Ok(())
}

fn vmids(page: &mut Page, vmids: &[u16]) {
    for vmid in vmids {
        page.line(format_args!("VMID {vmid:#x}"));
    }
    if vmids.is_empty() {
        page.line(format_args!("no VM"));
    }
}

fn guid(text: &str) -> Option<[u8; 16]> {
    let mut digits = text.bytes().filter(|byte| *byte != b'-');
    let mut guid = [0; 16];
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    for byte in &mut guid {
        *byte = digit(digits.next()?)? << 4 | digit(digits.next()?)?;
    }
    digits.next().is_none().then_some(guid)
}

/// A GUID in the form 8-4-4-4-12.
struct Guid([u8; 16]);

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(index, byte)| {
            let hyphen = if matches!(index, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{hyphen}{byte:02x}")
        })
    }
}

/// `rm resources` without a VMID: a VM shares nothing with itself, so its owner is meant.
async fn shared_with_owner<H, C>(
    page: &mut Page,
    manager: &ResourceManager<H, C>,
    system: &System<H, C>,
) -> Result<(), RequestError>
where
    H: Hypercalls + Clone + Send + Sync + 'static,
    C: Timer + Clone + 'static,
{
    let owner = manager.owner().await?;
    resources(page, manager, system, owner).await
}

/// What the Resource Manager lists, and the channels that there are once that is taken note of.
async fn resources<H, C>(
    page: &mut Page,
    manager: &ResourceManager<H, C>,
    system: &System<H, C>,
    partner: u16,
) -> Result<(), RequestError>
where
    H: Hypercalls + Clone + Send + Sync + 'static,
    C: Timer + Clone + 'static,
{
    let resources = manager.resources(partner).await?;
    for resource in &resources {
        show_resource(page, resource);
    }
    if resources.is_empty() {
        page.line(format_args!("nothing shared with VMID {partner:#x}"));
    }
    system.channels.learn(partner, &resources);
    peers::channels(page, system);
    Ok(())
}

fn show_resource(page: &mut Page, resource: &Resource) {
    let Resource { kind, partner, label, .. } = resource;
    page.line(format_args!("{kind} label {label}, with VMID {partner:#x}"));
    if let Some(capability) = resource.capability {
        page.line(format_args!("  capability {capability}"));
    }
    if let Some(intid) = resource.intid {
        page.line(format_args!("  INTID {intid}"));
    }
    if let Some((base, size)) = resource.memory {
        page.line(format_args!("  memory {base:#x}, {size:#x} bytes"));
    }
}

/// `rm stats`.
fn statistics<H: Hypercalls, C: Timer>(page: &mut Page, manager: &ResourceManager<H, C>) {
    let counts = manager.statistics();
    let drops = counts.drops;
    page.line(format_args!(
        "requests {}, replies {}, timeouts {}, put off {}",
        counts.requests, counts.replies, counts.timeouts, counts.nomem_waits
    ));
    page.line(format_args!(
        "replies to nobody {}, replies to another request {}, requests received {}",
        counts.late_replies, counts.mismatched_replies, counts.requests_received
    ));
    page.line(format_args!(
        "notifications {}, unknown {}, malformed {}",
        counts.notifications, counts.unclaimed_notifications, counts.malformed_notifications
    ));
    page.line(format_args!("packets dropped {}:", drops.total()));
    for (count, why) in [
        (drops.short, "short"),
        (drops.version, "of another version"),
        (drops.header_size, "of another header size"),
        (drops.orphan, "fragments of nothing"),
        (drops.out_of_sequence, "fragments of something else"),
        (drops.interrupted, "messages left incomplete"),
        (drops.too_long, "too long"),
        (drops.no_memory, "without memory for them"),
    ] {
        page.line(format_args!("  {count:>6}  {why}"));
    }
    page.line(format_args!(
        "interrupts lost {}, receives that found nothing {}",
        counts.lost_interrupts,
        manager.receiver().statistics().waits
    ));
    page.line(format_args!("output without an answer {} bytes", counts.unanswered_output));
    objects::statistics(page, "out", &manager.sender().statistics());
    objects::statistics(page, "in", &manager.receiver().statistics());
    if manager.receiver().is_broken() {
        page.line(format_args!("  receiving is broken: a message of size 0 came"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn guids_are_read_and_shown() {
        let text = "00112233-4455-6677-8899-aabbccddeeff";
        let bytes = guid(text).unwrap();
        assert_eq!(bytes[..3], [0, 0x11, 0x22]);
        assert_eq!(Guid(bytes).to_string(), text);
        assert_eq!(guid(&text.replace('-', "")), Some(bytes));
        for wrong in ["", "00", &text[1..], "g0112233445566778899aabbccddeeff", "é"] {
            assert_eq!(guid(wrong), None, "{wrong}");
        }
    }
}
