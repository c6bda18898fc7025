//! A channel from its opening to its end, served over any transport.

use super::{Channel, ChannelError, Directory, Identity, Transport, keep};
use alloc::rc::Rc;
use gunyah::rm::Timer;

/// A channel that is listed while this value lives.
struct Open<'d> {
    directory: &'d Directory,
    channel: Rc<Channel>,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.directory.close(&self.channel);
    }
}

/// Offers services to a peer, until the channel ends in order, fails for good, or this future is
/// dropped. A failure that may pass is waited for. How it ended is logged, with who is to blame.
pub async fn serve_channel<T: Transport>(
    directory: &Directory,
    identity: Identity,
    transport: &T,
    clock: &impl Timer,
) {
    let open = Open { directory, channel: directory.open(identity) };
    let channel = &open.channel;
    let identity = channel.identity();
    let serve = || channel.serve(transport);
    let done = || channel.requests();
    match keep(clock, &identity.name, serve, ChannelError::is_final, done).await {
        ChannelError::Ended => {}
        error => log::error!(target: "services", "{identity}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::{
        shipped::Echo,
        testing::{Wire, directory, identity},
    };
    use billy_protocol::service::ECHO;
    use gunyah::fake::{FakeTimer, Tasks};

    #[test]
    fn a_channel_is_listed_until_it_ends() {
        let directory = directory(&[&Echo]);
        let (wire, clock) = (Wire::new(240, 8), FakeTimer::default());
        let mut tasks = Tasks::new();
        let task = tasks.spawn(serve_channel(directory, identity(), &wire, &clock));
        wire.request(ECHO, 1, b"\0");
        tasks.run_until_idle();
        assert_eq!(directory.channels().len(), 1);
        assert!(wire.take().is_some());
        directory.end();
        tasks.run_until_idle();
        assert!(tasks.is_done(task));
        assert!(directory.channels().is_empty());
    }

    #[test]
    fn a_channel_that_is_dropped_is_listed_no_more() {
        let directory = directory(&[&Echo]);
        let (wire, clock) = (Wire::new(240, 8), FakeTimer::default());
        let mut tasks = Tasks::new();
        let task = tasks.spawn(serve_channel(directory, identity(), &wire, &clock));
        tasks.run_until_idle();
        assert_eq!(directory.channels().len(), 1);
        tasks.cancel(task);
        assert!(directory.channels().is_empty());
    }

    #[test]
    fn nonsense_ends_it_for_good() {
        let directory = directory(&[&Echo]);
        let (wire, clock) = (Wire::new(240, 64), FakeTimer::default());
        let mut tasks = Tasks::new();
        let task = tasks.spawn(serve_channel(directory, identity(), &wire, &clock));
        (0..16).for_each(|_| wire.send(&[0]));
        tasks.run_until_idle();
        assert!(tasks.is_done(task) && directory.channels().is_empty());
    }
}
