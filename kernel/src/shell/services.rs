//! `services`: what is offered to other VMs, where, and how much it was used.

use super::page::Page;
use crate::services::Directory;
use alloc::string::{String, ToString};

/// `services`.
pub fn list(page: &mut Page, directory: &Directory) {
    page.line(format_args!(
        "  {:12} {:>6} {:>9} {:>7} {:>11}  bound to",
        "name", "number", "requests", "errors", "outstanding"
    ));
    for offer in directory.offers() {
        let (service, counts) = (offer.service, &offer.counts);
        let mut bound = String::new();
        for binding in service.bindings() {
            if !bound.is_empty() {
                bound.push_str(", ");
            }
            bound.push_str(&binding.to_string());
        }
        page.line(format_args!(
            "  {:12} {:>6} {:>9} {:>7} {:>11}  {bound}",
            service.name(),
            service.number(),
            counts.requests.get(),
            counts.errors.get(),
            counts.outstanding.get()
        ));
    }
    for channel in directory.channels() {
        page.line(format_args!(
            "  on {}: requests {}, errors {}, outstanding {}",
            channel.identity(),
            channel.requests(),
            channel.errors(),
            channel.outstanding()
        ));
    }
}
