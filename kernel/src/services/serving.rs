//! The task of each channel: its service, kept going, for as long as the channel is there.

use super::{BellService, Directory, Identity, Medium, QueuePair, echo::echo, keep, serve_channel};
use crate::{
    channels::{About, Queue, Use},
    names::name,
};
use core::{
    fmt::Display,
    future::{pending, poll_fn},
    pin::pin,
    task::Poll,
};
use gunyah::{
    hypercalls::Hypercalls,
    queue::{MessageReceiver, QueueError},
    rm::Timer,
};
use gunyah_abi::message_queue::MAX_MESSAGE_SIZE;

/// Serves a doorbell until it is closed.
pub async fn serve_bell<H: Hypercalls>(
    bell: &BellService<H>,
    name: &'static str,
    clock: &impl Timer,
) {
    let done = || bell.receiver.statistics().rings;
    let serve = || until_over("bell", keep(clock, name, || bell.serve(), |_| false, done));
    while_open(&bell.about, serve).await;
}

/// How services know a message queue; `None` for one that goes one way only.
pub fn identity<H>(queue: &Queue<H>) -> Option<Identity> {
    let (Some(_), Some(_)) = (&queue.sender, &queue.receiver) else { return None };
    let (label, peer) = (queue.about.label, queue.about.peer.get());
    Some(Identity { medium: Medium::Queue, label, peer, name: name("msgq", label).into() })
}

/// Serves a message queue until it is closed: with the services that claim it, else with an echo.
pub async fn serve_queue<H: Hypercalls>(
    queue: &Queue<H>,
    directory: &Directory,
    task: &'static str,
    clock: &impl Timer,
) {
    let Some(receiver) = &queue.receiver else { return };
    let done = || receiver.statistics().messages;
    let is_final = |error: &QueueError| matches!(error, QueueError::Broken { .. });
    let Some((sender, identity)) = queue.sender.as_ref().zip(identity(queue)) else {
        let serve = || listen(queue, receiver);
        let serve = || until_over("msgq", keep(clock, task, serve, is_final, done));
        return while_open(&queue.about, serve).await;
    };
    if directory.claims(&identity) {
        let transport = QueuePair { sender, receiver };
        let serve = async || {
            serve_channel(directory, identity.clone(), &transport, clock).await;
            pending().await
        };
        while_open(&queue.about, serve).await;
    } else {
        let serve = || echo(queue, sender, receiver);
        let serve = || until_over("msgq", keep(clock, task, serve, is_final, done));
        while_open(&queue.about, serve).await;
    }
}

/// Receives what nobody answers: it is counted, and makes room for more.
async fn listen<H: Hypercalls>(
    queue: &Queue<H>,
    receiver: &MessageReceiver<H>,
) -> Result<(), QueueError> {
    let mut buffer = [0; MAX_MESSAGE_SIZE as usize];
    loop {
        receiver.receive(&mut buffer).await?;
        queue.about.life.sign();
    }
}

/// Logs why a service ended. The channel is there all the same, and may be closed later.
async fn until_over<E: Display>(target: &str, service: impl Future<Output = E>) {
    let error = service.await;
    log::error!(target: target, "{error}");
    pending().await
}

/// Runs a service whenever nothing else has claimed the channel, until that is closed.
async fn while_open(about: &About, serve: impl AsyncFn()) {
    loop {
        let mut taken = pin!(about.gate.until(|now| now != Use::Service));
        let mut service = pin!(serve());
        let used = poll_fn(|cx| {
            // First what interrupts wake, unless somebody else has the channel now.
            if about.gate.now() == Use::Service && service.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Use::Service);
            }
            taken.as_mut().poll(cx)
        });
        if used.await == Use::Closed {
            return;
        }
        let given_back = about.gate.until(|now| !matches!(now, Use::Claimed(_)));
        if given_back.await == Use::Closed {
            return;
        }
    }
}
