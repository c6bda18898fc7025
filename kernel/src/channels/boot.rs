//! The channels that the device tree names.

use super::{About, ChannelError, Channels, End};
use crate::dt::{self, Platform, QueueDirection, QueueEnd, Trigger};
use gunyah::{hypercalls::Hypercalls, queue::QueueConfig, rm::Timer};

/// A queue's limits, as the tree has them.
pub fn queue_config(end: &QueueEnd) -> QueueConfig {
    QueueConfig { capability: end.capability, max_message_size: end.message_size, depth: end.depth }
}

impl<H, C> Channels<H, C>
where
    H: Hypercalls + Clone + Send + Sync + 'static,
    C: Timer + Clone + 'static,
{
    /// Makes the channels that the device tree names. One that cannot be is refused in the log.
    pub fn fill(&self, platform: &Platform) {
        if let Some(pair) = &platform.resource_manager {
            self.set_foreign(pair.tx.capability);
            self.set_foreign(pair.rx.capability);
        }
        let made = |path: &str, error: Result<(), ChannelError>| {
            if let Err(error) = error {
                log::error!(target: "channel", "{path}: {error}");
            }
        };
        let sources = platform.doorbell_sources.iter().map(|source| {
            let added =
                self.add_source(About::tree(source.label, None, &source.path), source.capability);
            added.map_err(|error| made(&source.path, Err(error))).ok()
        });
        let sources: alloc::vec::Vec<_> = sources.collect();
        let pairs = dt::pair_doorbells(&platform.doorbells, &platform.doorbell_sources);
        for (bell, pair) in platform.doorbells.iter().zip(pairs) {
            let intid = bell.interrupt.intid;
            let is_of_uart = |uart: &dt::Uart| uart.interrupt.is_some_and(|its| its.intid == intid);
            if platform.uarts.iter().any(is_of_uart) {
                // It is the UART's interrupt, and its driver's business.
                self.set_foreign(bell.capability);
                continue;
            }
            let about = About::tree(bell.label, None, &bell.path);
            let added = self.add_bell(about, bell.capability, bell.interrupt);
            let source = pair.and_then(|index| sources.get(index)?.clone());
            made(
                &bell.path,
                added.map(|added| {
                    if let Some(source) = source {
                        added.answer_on(source);
                    }
                }),
            );
        }
        for pair in &platform.queue_pairs {
            let about = About::tree(pair.label, pair.peer_vmid, &pair.path);
            let (tx, rx) = (end(&pair.path, &pair.tx), end(&pair.path, &pair.rx));
            made(&pair.path, self.add_queue(about, Some(tx), Some(rx)).map(drop));
        }
        for queue in &platform.queues {
            let about = About::tree(queue.label, queue.peer_vmid, &queue.path);
            let end = Some(end(&queue.path, &queue.end));
            let (tx, rx) = match queue.direction {
                QueueDirection::Sender => (end, None),
                QueueDirection::Receiver => (None, end),
            };
            made(&queue.path, self.add_queue(about, tx, rx).map(drop));
        }
        for buffer in platform.shared_buffers.iter().filter(|buffer| !buffer.ranges.is_empty()) {
            let about = About::tree(buffer.label, buffer.peer, &buffer.path);
            made(&buffer.path, self.add_buffer(about).map(drop));
        }
    }
}

fn end(path: &str, end: &QueueEnd) -> End {
    let intid = end.interrupt.intid;
    if end.interrupt.trigger == Trigger::Level {
        log::warn!(target: "irq", "INTID {intid} ({path}): level in the tree, taken for an edge");
    }
    End { config: queue_config(end), intid }
}
