//! One ring, from the first header of its peer to its end.

use super::{
    kicks::Kicks,
    link::{Echo, Link},
    memory::{RingMemory, Ringer, Unfit},
};
use crate::{
    channels::Gate,
    memory::shared::Lease,
    services::{Channel, ChannelError, Directory, Identity, Medium, TransportError},
    task::yield_now,
};
use alloc::{boxed::Box, rc::Rc, string::String};
use core::{
    cell::{Cell, RefCell},
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};
use embassy_futures::select::{Either, select};
use gunyah::{
    doorbell::{Doorbell, DoorbellSource},
    hypercalls::Hypercalls,
    rm::Timer,
};
use shared_ring::{Bell, Field, Memory, Mode, Modes, Ring, RingError, Side};
use thiserror::Error;

/// How often in a row a peer may come back with another mode before anything goes through.
const MAX_MODE_CHANGES: u32 = 3;
/// The first pause before the peer is rung again; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What goes on at a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingState {
    /// The peer has not attached yet.
    Waiting,
    /// In use, for messages or bytes.
    Open(Mode),
    /// Closed for good.
    Closed(RingEnd),
}

/// Why a ring is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RingEnd {
    /// The memory does not serve.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The ring says why.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// The services say why.
    #[error(transparent)]
    Services(#[from] ChannelError),
    /// Bytes one way and messages the other.
    #[error("the peer's modes differ: a service needs messages both ways, echo bytes both ways")]
    Mixed,
    /// The peer cannot make up its mind.
    #[error("the peer came with another mode {MAX_MODE_CHANGES} times in a row")]
    ModeChanges,
    /// The memory is wanted back.
    #[error("its memory is recalled")]
    Recalled,
    /// The hypervisor took the memory away without a word.
    #[error("its memory was taken away")]
    Gone,
    /// This VM ends, or the doorbells are gone.
    #[error("ended on this side")]
    Ended,
}

impl RingEnd {
    /// Whether the peer, or whoever is above it, broke the rules.
    fn is_misuse(&self) -> bool {
        !matches!(self, Self::Recalled | Self::Ended)
    }
}

/// What went through a ring. A message counts as one operation, and so does each piece of a stream.
#[derive(Debug, Default)]
pub struct Counts {
    /// Receiving operations.
    pub received: Cell<u64>,
    /// Bytes received.
    pub received_bytes: Cell<u64>,
    /// Sending operations.
    pub sent: Cell<u64>,
    /// Bytes sent.
    pub sent_bytes: Cell<u64>,
    /// How often the peer was rung.
    pub rung: Cell<u64>,
    /// How often the hypervisor refused to ring it.
    pub unheard: Cell<u64>,
    /// How often the peer came anew, or went.
    pub restarts: Cell<u64>,
}

impl Counts {
    /// Operations that moved an index of ours without a ring: the peer was awake.
    pub fn saved(&self) -> u64 {
        (self.received.get() + self.sent.get()).saturating_sub(self.rung.get())
    }
}

pub(super) fn bump(count: &Cell<u64>, by: u64) {
    count.set(count.get().wrapping_add(by));
}

/// A ring, as lists show it.
pub struct RingChannel {
    /// What it is for.
    pub label: Option<u32>,
    /// The VM at the other end.
    pub peer: u16,
    /// What went through it.
    pub counts: Counts,
    side: Side,
    name: String,
    state: Cell<RingState>,
    /// The peer sleeps, and could not be told.
    owes: Cell<bool>,
    /// What the shell wants sent.
    text: RefCell<Option<String>>,
    waker: RefCell<Option<Waker>>,
}

impl RingChannel {
    /// A ring of this VM, `own`, with the VM `peer`.
    pub fn new(label: Option<u32>, own: u16, peer: u16) -> Self {
        let name = match label {
            Some(label) => alloc::format!("ring {label}"),
            None => String::from("ring"),
        };
        Self {
            label,
            peer,
            counts: Counts::default(),
            side: Side::of(own, peer),
            name,
            state: Cell::new(RingState::Waiting),
            owes: Cell::new(false),
            text: RefCell::new(None),
            waker: RefCell::new(None),
        }
    }

    /// What goes on.
    pub fn state(&self) -> RingState {
        self.state.get()
    }

    /// Has a text sent, as one message or as bytes; false if the one before is not sent yet, or
    /// there is no peer.
    pub fn say(&self, text: &str) -> bool {
        let open = matches!(self.state.get(), RingState::Open(_));
        let free = open && self.text.borrow().is_none();
        if free {
            self.text.replace(Some(text.into()));
            if let Some(waker) = &*self.waker.borrow() {
                waker.wake_by_ref();
            }
        }
        free
    }

    /// Serves the ring until it is closed, its memory recalled, or one of `gates` closed: those of
    /// its doorbells. The memory goes back before this returns.
    pub async fn run<H: Hypercalls>(
        &self,
        lease: Lease,
        bell: &Doorbell<H>,
        source: &DoorbellSource<H>,
        directory: &Directory,
        gates: [&Gate; 2],
        clock: &impl Timer,
    ) -> RingEnd {
        let end = match RingMemory::new(lease) {
            Ok(memory) => {
                let copy = memory.clone();
                let lease = copy.lease();
                let kicks = Kicks::only(bell);
                let [one, other] = gates;
                let mut stop = pin!(select(lease.recalled(), select(one.closed(), other.closed())));
                let echo = Echo::default();
                let mut serve = pin!(self.serve(&memory, bell, source, directory, &echo));
                let mut again = pin!(None);
                let mut waits = false;
                let end = poll_fn(|cx| {
                    // Who tells of the end wakes the task, so after the first time a look is enough.
                    let told = one.is_closed() || other.is_closed() || lease.is_recalled();
                    if told || !waits {
                        waits = true;
                        if let Poll::Ready(why) = poll_apart(stop.as_mut(), cx) {
                            return Poll::Ready(match why {
                                Either::First(()) => RingEnd::Recalled,
                                Either::Second(_) => RingEnd::Ended,
                            });
                        }
                    }
                    let served = match echo.poll(cx, |link| self.poll_talk(cx, link, false)) {
                        Poll::Pending => Poll::Pending,
                        Poll::Ready(()) => poll_apart(serve.as_mut(), cx),
                    };
                    if self.owes.get() {
                        if again.is_none() {
                            again.set(Some(self.ring_again(source, clock)));
                        }
                        let again_now = again.as_mut().as_pin_mut();
                        if again_now.is_some_and(|ring| poll_apart(ring, cx).is_ready()) {
                            again.set(None);
                        }
                    }
                    served
                })
                .await;
                drop(kicks);
                end
            }
            Err(unfit) => unfit.into(),
        };
        self.close(end);
        end
    }

    #[inline(never)]
    fn close(&self, end: RingEnd) {
        self.state.set(RingState::Closed(end));
        let level = if end.is_misuse() { log::Level::Warn } else { log::Level::Info };
        log::log!(target: "ring", level, "{} of VM {}: {end}: closed", self.name, self.peer);
    }

    fn ringer<'a, H>(&'a self, source: &'a DoorbellSource<H>) -> Ringer<'a, H> {
        Ringer { source, counts: &self.counts, owes: &self.owes }
    }

    /// Rings the peer until it is heard: it sleeps, so nothing else would wake either side.
    async fn ring_again<H: Hypercalls>(&self, source: &DoorbellSource<H>, clock: &impl Timer) {
        let mut pause = FIRST_PAUSE;
        while self.owes.get() {
            clock.sleep(pause).await;
            self.owes.set(false);
            self.ringer(source).ring();
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn serve<'a, H: Hypercalls>(
        &'a self,
        memory: &'a RingMemory,
        bell: &'a Doorbell<H>,
        source: &'a DoorbellSource<H>,
        directory: &Directory,
        echo: &Echo<'a, H>,
    ) -> RingEnd {
        let ringer = self.ringer(source);
        let (mut changes, mut over) = (0, [None; 2]);
        loop {
            self.state.set(RingState::Waiting);
            let modes = poll_fn(|cx| {
                self.remember(cx.waker());
                bell.register(cx);
                let peer = Ring::peer(memory, self.side);
                match peer.filter(|(session, _)| !over.contains(&Some(*session))) {
                    _ if memory.is_gone() => Poll::Ready(Err(RingEnd::Gone)),
                    Some((_, modes)) => Poll::Ready(Ok(modes)),
                    None => Poll::Pending,
                }
            });
            let modes = match modes.await {
                Ok(modes) => modes,
                Err(end) => return end,
            };
            if modes.send != modes.receive {
                return RingEnd::Mixed;
            }
            let halves = Ring::attach(memory.clone(), self.side, modes, ringer);
            let (producer, consumer) = match halves {
                Ok((producer, consumer)) => (RefCell::new(producer), RefCell::new(consumer)),
                Err(error) => return error.into(),
            };
            let (counts, waits_for_room) = (&self.counts, Cell::new(false));
            let link = Link { bell, counts, memory, producer, consumer, waits_for_room };
            self.state.set(RingState::Open(modes.receive));
            let before = self.counts.received.get();
            match self.serve_link(Box::new(link), modes, directory, echo, &mut over).await {
                RingEnd::Ring(RingError::Corrupt { field: Field::Mode, value: 1 | 2 }) => {
                    changes = if self.counts.received.get() == before { changes + 1 } else { 1 };
                    if changes == MAX_MODE_CHANGES {
                        return RingEnd::ModeChanges;
                    }
                }
                RingEnd::Ring(RingError::PeerGone) => {}
                end => return end,
            }
            // A peer that comes again and again must not keep others from their turn.
            yield_now().await;
        }
    }

    /// Serves one session after the other, until the peer is gone or the ring cannot be used. `over` tells which are gone.
    async fn serve_link<'a, H: Hypercalls>(
        &self,
        mut link: Box<Link<'a, H>>,
        modes: Modes,
        directory: &Directory,
        echo: &Echo<'a, H>,
        over: &mut [Option<u16>; 2],
    ) -> RingEnd {
        loop {
            let error = match modes.receive {
                Mode::Bytes => {
                    let (back, error) = echo.run(link).await;
                    link = back;
                    error
                }
                Mode::Messages => {
                    let offered = Offered::new(directory, self.identity());
                    let served = offered.channel.serve(&*link);
                    match select(served, poll_fn(|cx| self.poll_talk(cx, &link, true))).await {
                        Either::First(Ok(())) => return RingEnd::Ended,
                        Either::First(Err(ChannelError::Transport(error))) => error,
                        Either::First(Err(error)) => return error.into(),
                        Either::Second(error) => error,
                    }
                }
            };
            match error {
                TransportError::Ring(error @ RingError::PeerGone) => {
                    self.note_restart();
                    // Not what the memory says now: that may be the next one.
                    *over = link.ended_sessions();
                    return error.into();
                }
                TransportError::Ring(RingError::PeerReset { .. }) => {
                    self.note_restart();
                    if let Err(error) = link.note_restart() {
                        return end_of(error);
                    }
                }
                error => return end_of(error),
            }
            yield_now().await;
        }
    }

    /// Counts a peer that came anew, or went. One that does nothing else does not fill the log.
    fn note_restart(&self) {
        bump(&self.counts.restarts, 1);
        let restarts = self.counts.restarts.get();
        if restarts.is_power_of_two() {
            log::info!(target: "ring", "{} of VM {}: restart {restarts} of the peer", self.name, self.peer);
        }
    }

    /// Sends what the shell wants sent; ends only with an error. The task's waker is known since it waited for the peer.
    #[inline(never)]
    fn poll_talk<H: Hypercalls>(
        &self,
        cx: &Context<'_>,
        link: &Link<'_, H>,
        whole: bool,
    ) -> Poll<TransportError> {
        if let Err(error) = link.greet(cx) {
            return Poll::Ready(error);
        }
        let mut text = self.text.borrow_mut();
        let Some(words) = &*text else { return Poll::Pending };
        let sent = link.try_say(cx, words.as_bytes(), whole);
        if sent != Ok(false) {
            *text = None;
        }
        sent.map_or_else(Poll::Ready, |_| Poll::Pending)
    }

    fn identity(&self) -> Identity {
        let (peer, name) = (Rc::new(Cell::new(Some(self.peer))), self.name.clone());
        Identity { medium: Medium::Ring, label: self.label, peer, name }
    }

    fn remember(&self, waker: &Waker) {
        let known = &mut *self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }
}

/// Polls what is seldom polled, as a call: no part of the code that runs each time.
#[inline(never)]
fn poll_apart<F: Future>(future: Pin<&mut F>, cx: &mut Context<'_>) -> Poll<F::Output> {
    future.poll(cx)
}

fn end_of(error: TransportError) -> RingEnd {
    match error {
        TransportError::Ring(error) => error.into(),
        TransportError::Broken(_) => RingEnd::Gone,
        error => RingEnd::Services(error.into()),
    }
}

/// A channel in the directory, for as long as it is served.
struct Offered<'d> {
    directory: &'d Directory,
    channel: Rc<Channel>,
}

impl<'d> Offered<'d> {
    fn new(directory: &'d Directory, identity: Identity) -> Self {
        Self { directory, channel: directory.open(identity) }
    }
}

impl Drop for Offered<'_> {
    fn drop(&mut self) {
        self.directory.close(&self.channel);
    }
}

#[cfg(test)]
mod tests;
