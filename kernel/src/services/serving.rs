//! The task of each channel: its service, kept going while there is one.

use super::{BellService, Directory, Identity, Medium, QueuePair, echo::echo, keep, serve_channel};
use crate::{channels::Queue, names::name};
use alloc::{boxed::Box, rc::Rc};
use core::pin::{Pin, pin};
use gunyah::{hypercalls::Hypercalls, queue::QueueError, rm::Timer};

/// A channel's task: its service, until the channel is closed.
pub type Serving = Pin<Box<dyn Future<Output = ()>>>;

/// Serves a doorbell until it is closed.
pub fn serve_bell<H: Hypercalls + 'static>(
    bell: Rc<BellService<H>>,
    task: &'static str,
    clock: impl Timer + 'static,
) -> Serving {
    Box::pin(async move {
        let (gate, done) = (&bell.about.gate, || bell.receiver.statistics().rings);
        while gate.turn().await {
            let service = pin!(keep(&clock, task, || bell.serve(), |_| false, done));
            if let Some(error) = gate.while_service(service).await {
                log::error!(target: "bell", "{error}");
            }
        }
    })
}

/// How services know a message queue; `None` for one that goes one way only.
pub fn identity<H>(queue: &Queue<H>) -> Option<Identity> {
    let (Some(_), Some(_)) = (&queue.sender, &queue.receiver) else { return None };
    let (label, peer) = (queue.about.label, queue.about.peer.clone());
    Some(Identity { medium: Medium::Queue, label, peer, name: name("msgq", label).into() })
}

/// Serves a message queue until it is closed: with the services that claim it, else with an echo. `None` for a queue
/// that is only for sending.
pub fn serve_queue<H: Hypercalls + 'static>(
    queue: Rc<Queue<H>>,
    directory: &'static Directory,
    task: &'static str,
    clock: impl Timer + 'static,
) -> Option<Serving> {
    let receiver = queue.receiver.clone()?;
    if let Some((sender, identity)) = queue.sender.clone().zip(identity(&queue))
        && directory.claims(&identity)
    {
        return Some(Box::pin(async move {
            let (gate, transport) =
                (&queue.about.gate, QueuePair { sender: &*sender, receiver: &*receiver });
            while gate.turn().await {
                let service = pin!(serve_channel(directory, identity.clone(), &transport, &clock));
                gate.while_service(service).await;
            }
        }));
    }
    Some(Box::pin(async move {
        let (gate, done) = (&queue.about.gate, || receiver.statistics().messages);
        let is_final = |error: &QueueError| matches!(error, QueueError::Broken { .. });
        while gate.turn().await {
            let service = pin!(keep(&clock, task, || echo(&queue, &receiver), is_final, done));
            if let Some(error) = gate.while_service(service).await {
                log::error!(target: "msgq", "{error}");
            }
        }
    }))
}
