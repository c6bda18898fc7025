//! `peers`, and the channels that there are: other VMs as this one knows them.

use super::page::Page;
use crate::{
    channels::{Origin, Use},
    system::System,
};
use gunyah::hypercalls::Hypercalls;

/// `peers`.
pub fn list<H: Hypercalls, C>(page: &mut Page, system: &System<H, C>) {
    let channels = system.channels.all();
    let to = |vmid| channels.iter().filter(|channel| channel.about().peer.get() == vmid).count();
    let peers = system.peers.list();
    for peer in &peers {
        page.line(format_args!(
            "VMID {:#x}: VM {}, OS {}, application {:#x}, told {} times, channels {}",
            peer.vmid,
            peer.status.vm,
            peer.status.os,
            peer.status.application,
            peer.told,
            to(Some(peer.vmid))
        ));
    }
    let mut others: heapless::Vec<u16, 64> = heapless::Vec::new();
    for vmid in channels.iter().filter_map(|channel| channel.about().peer.get()) {
        let known = peers.iter().any(|peer| peer.vmid == vmid) || others.contains(&vmid);
        if !known && others.push(vmid).is_ok() {
            let count = to(Some(vmid));
            page.line(format_args!("VMID {vmid:#x}: nothing told, channels {count}"));
        }
    }
    match to(None) {
        0 if peers.is_empty() && others.is_empty() => page.line(format_args!("no peers")),
        0 => {}
        count => page.line(format_args!("channels whose peer is not known: {count}")),
    }
}

/// The channels that there are, for `rm resources`.
pub fn channels<H: Hypercalls, C>(page: &mut Page, system: &System<H, C>) {
    let channels = system.channels.all();
    page.line(format_args!("channels here: {}", channels.len()));
    for channel in &channels {
        let origin = match channel.about().origin {
            Origin::Tree => "from the tree",
            Origin::ResourceManager => "from RM",
        };
        let (by, user) = match channel.about().gate.now() {
            Use::Service => ("", ""),
            Use::Claimed(user) => (", used by ", user),
            Use::Closed => (", closed", ""),
        };
        page.line(format_args!("  {channel}, {origin}{by}{user}"));
        for part in channel.parts() {
            match part.intid {
                Some(intid) => page.line(format_args!(
                    "    {} capability {}, INTID {intid}",
                    part.kind, part.capability
                )),
                None => page.line(format_args!("    {} capability {}", part.kind, part.capability)),
            }
        }
    }
}
