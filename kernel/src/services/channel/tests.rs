//! A channel with a peer that asks too much, too fast, or nonsense.

use super::*;
use crate::services::{
    Answer, Service,
    shipped::Echo,
    testing::{Wire, directory, error, identity},
};
use billy_protocol::service::{DIRECTORY, ECHO, FIRST_OWN, directory as list, echo};
use billy_protocol::{Entries, payload};
use gunyah::fake::Tasks;
use proptest::prelude::*;
use serde::Deserialize;
use std::collections::BTreeMap;

const WAIT: u16 = FIRST_OWN;

/// Answers each request when the test says so.
#[derive(Default)]
struct Waiting {
    free: RefCell<Vec<u32>>,
    wakers: RefCell<Vec<Waker>>,
}

#[derive(Deserialize)]
struct Ticket {
    number: u32,
}

impl Service for Waiting {
    type Request<'a> = Ticket;

    fn number(&self) -> u16 {
        WAIT
    }

    fn name(&self) -> &'static str {
        "wait"
    }

    async fn serve(&self, request: Ticket, reply: Reply<'_>) -> Answer {
        poll_fn(|cx| {
            if self.free.borrow().contains(&request.number) {
                return Poll::Ready(());
            }
            self.wakers.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
        .await;
        reply.send(&request.number).await
    }
}

impl Waiting {
    fn free(&self, number: u32) {
        self.free.borrow_mut().push(number);
        self.wakers.take().into_iter().for_each(Waker::wake);
    }
}

/// Replies with more than fits.
struct Wordy;

impl Service for Wordy {
    type Request<'a> = list::Request;

    fn number(&self) -> u16 {
        FIRST_OWN + 1
    }

    fn name(&self) -> &'static str {
        "wordy"
    }

    async fn serve(&self, _: list::Request, reply: Reply<'_>) -> Answer {
        reply.part("first").await?;
        reply.send([7_u8; 1000].as_slice()).await
    }
}

struct Rig {
    wire: Wire,
    channel: Rc<Channel>,
    waiting: &'static Waiting,
}

fn rig(depth: usize) -> Rig {
    let waiting: &Waiting = Box::leak(Box::default());
    let directory = directory(&[&Echo, waiting, &Wordy]);
    Rig { wire: Wire::new(240, depth), channel: directory.open(identity()), waiting }
}

impl Rig {
    fn serving(&self) -> Tasks<'_> {
        let mut tasks = Tasks::new();
        tasks.spawn(async { panic!("{:?}", self.channel.serve(&self.wire).await) });
        tasks.run_until_idle();
        tasks
    }

    fn echo(&self, request: u32) {
        self.wire.request(ECHO, request, b"\x02hi");
    }

    fn wait(&self, request: u32) {
        self.wire.request(WAIT, request, &[request as u8]);
    }

    /// Runs the service on these messages; how it ended.
    fn ended_by(&self, messages: impl Iterator<Item = Vec<u8>>) -> Option<ChannelError> {
        let result = RefCell::new(None);
        let mut tasks = Tasks::new();
        tasks.spawn(async { *result.borrow_mut() = self.channel.serve(&self.wire).await.err() });
        for message in messages {
            self.wire.send(&message);
            tasks.run_until_idle();
        }
        drop(tasks);
        result.into_inner()
    }
}

#[test]
fn a_request_is_answered() {
    let rig = rig(8);
    let mut tasks = rig.serving();
    rig.echo(0xdead_beef);
    tasks.run_until_idle();
    assert_eq!(rig.wire.take().unwrap(), b"\x01\x02\x01\x00\xef\xbe\xad\xde\x02hi");
    assert_eq!((rig.channel.requests(), rig.channel.errors()), (1, 0));
}

#[test]
fn the_directory_lists_what_the_channel_offers() {
    let rig = rig(8);
    let mut tasks = rig.serving();
    rig.wire.request(DIRECTORY, 1, &[]);
    rig.wire.request(DIRECTORY, 2, &[0]);
    tasks.run_until_idle();
    let (kind, _, payload) = rig.wire.reply().unwrap();
    let entries: Vec<_> = Entries::<list::Entry<'_>>::new(&payload).map(Result::unwrap).collect();
    let names: Vec<_> = entries.iter().map(|entry| (entry.number, entry.name)).collect();
    assert_eq!(names, [(0, "directory"), (1, "echo"), (256, "wait"), (257, "wordy")]);
    assert_eq!(kind, Kind::Reply);
    let detail = "bytes follow behind the last field";
    assert_eq!(rig.wire.error(), (2, error(ErrorCode::Malformed, "payload", detail)));
}

#[test]
fn four_requests_are_outstanding_and_no_more() {
    let rig = rig(16);
    let mut tasks = rig.serving();
    (1..=6).for_each(|request| rig.wait(request));
    tasks.run_until_idle();
    let busy = || error(ErrorCode::Busy, "", "4 at most");
    assert_eq!((rig.wire.error(), rig.wire.error()), ((5, busy()), (6, busy())));
    assert_eq!(rig.channel.outstanding(), 4);
    for request in [3, 1] {
        rig.waiting.free(request);
        tasks.run_until_idle();
        assert_eq!(rig.wire.reply(), Some((Kind::Reply, request, vec![request as u8])));
    }
    rig.echo(9);
    tasks.run_until_idle();
    assert_eq!(rig.wire.reply(), Some((Kind::Reply, 9, b"\x02hi".to_vec())));
    assert_eq!((rig.channel.outstanding(), rig.channel.errors()), (2, 2));
}

#[test]
fn requests_that_are_answered_at_once_are_never_too_many() {
    let rig = rig(64);
    let mut tasks = rig.serving();
    (0..50).for_each(|request| rig.echo(request));
    tasks.run_until_idle();
    for request in 0..50 {
        assert_eq!(rig.wire.reply(), Some((Kind::Reply, request, b"\x02hi".to_vec())));
    }
    assert_eq!(rig.channel.errors(), 0);
}

#[test]
fn a_request_id_in_use_is_refused() {
    let rig = rig(8);
    let mut tasks = rig.serving();
    rig.wait(1);
    rig.echo(1);
    tasks.run_until_idle();
    let in_use = error(ErrorCode::RequestInUse, "request", "still outstanding");
    assert_eq!(rig.wire.error(), (1, in_use));
    rig.waiting.free(1);
    tasks.run_until_idle();
    assert_eq!(rig.wire.reply(), Some((Kind::Reply, 1, vec![1])));
}

#[test]
fn a_cancelled_request_makes_room() {
    let rig = rig(8);
    let mut tasks = rig.serving();
    (1..=4).for_each(|request| rig.wait(request));
    rig.wire.frame(Kind::Cancel, WAIT, 2, &[]);
    rig.wait(5);
    tasks.run_until_idle();
    assert_eq!(rig.wire.error(), (2, error(ErrorCode::Cancelled, "", "")));
    assert_eq!(rig.channel.outstanding(), 4);
    // Of another service, of no request, and with something behind it.
    rig.wire.frame(Kind::Cancel, ECHO, 1, &[]);
    rig.wire.frame(Kind::Cancel, WAIT, 99, &[]);
    rig.wire.frame(Kind::Cancel, WAIT, 1, &[1]);
    tasks.run_until_idle();
    assert_eq!(rig.wire.error(), (1, error(ErrorCode::Malformed, "payload", "none here")));
    assert_eq!((rig.wire.take(), rig.channel.outstanding()), (None, 4));
}

#[test]
fn a_service_that_is_not_there_is_named() {
    let rig = rig(8);
    let mut tasks = rig.serving();
    rig.wire.request(77, 1, &[]);
    tasks.run_until_idle();
    let unknown = error(ErrorCode::UnknownService, "service", "none has this number");
    assert_eq!(rig.wire.error(), (1, unknown));
}

#[test]
fn a_frame_with_a_wrong_header_is_refused_by_field() {
    let rig = rig(8);
    let mut tasks = rig.serving();
    rig.wire.send(&[2, 1, 1, 0, 5, 0, 0, 0, 0]);
    rig.wire.send(&[1, 9, 1, 0, 6, 0, 0, 0, 0]);
    rig.wire.send(&[1, 1, 1]);
    tasks.run_until_idle();
    let wrong = |field| error(ErrorCode::Malformed, field, "no such value");
    assert_eq!(rig.wire.error(), (5, wrong("version")));
    assert_eq!(rig.wire.error(), (6, wrong("kind")));
    assert_eq!((rig.wire.take(), rig.channel.errors()), (None, 3));
}

#[test]
fn sixteen_messages_in_a_row_that_are_no_requests_close_the_channel() {
    let rig = rig(64);
    let nonsense = || (0..15).map(|_| vec![1, 2, 3]);
    let request = || core::iter::once(vec![1, 1, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(rig.ended_by(nonsense().chain(request()).chain(nonsense())), None);
    let error = rig.ended_by(nonsense().chain(core::iter::once(vec![7; 8]))).unwrap();
    assert_eq!(
        error.to_string(),
        "closed: 16 messages in a row were no requests, the last: version 7 is not 1"
    );
    assert!(error.is_final());
    assert_eq!(rig.channel.outstanding(), 0);
}

#[test]
fn a_request_that_is_too_large_is_refused_by_what_it_begins_with() {
    let rig = rig(8);
    let mut tasks = rig.serving();
    rig.wait(1);
    for (kind, size) in [(Kind::Request, 233), (Kind::Cancel, 500), (Kind::Reply, 500)] {
        rig.wire.frame(kind, ECHO, 2, &vec![0; size]);
    }
    tasks.run_until_idle();
    let large = error(ErrorCode::TooLarge, "payload", "for a message of this channel");
    assert_eq!(rig.wire.error(), (2, large));
    assert_eq!(rig.wire.error().1, error(ErrorCode::Malformed, "payload", "none here"));
    rig.waiting.free(1);
    tasks.run_until_idle();
    assert_eq!(rig.wire.reply(), Some((Kind::Reply, 1, vec![1])));
    let text = [vec![230, 1], vec![7; 230]].concat();
    rig.wire.request(ECHO, 3, &text);
    tasks.run_until_idle();
    assert_eq!(rig.wire.reply(), Some((Kind::Reply, 3, text)));
    assert_eq!((rig.channel.requests(), rig.channel.errors()), (2, 3));
}

#[test]
fn requests_that_are_too_large_close_the_channel_in_the_end() {
    let rig = rig(64);
    let mut large = vec![0; 241];
    Frame { kind: Kind::Request, service: ECHO, request: 1, payload: &[0; 233] }
        .write(&mut large)
        .unwrap();
    let end = rig.ended_by((0..16).map(|_| large.clone()));
    assert_eq!(end, Some(ChannelError::Defects(Defect::TooLarge { size: 241, max: 240 })));
}

#[test]
fn answers_are_never_answered() {
    let rig = rig(8);
    for kind in [Kind::Reply, Kind::Error, Kind::Part] {
        let message = vec![1, kind as u8, 1, 0, 0, 0, 0, 0];
        let error = rig.ended_by(core::iter::repeat_n(message, 16)).unwrap();
        assert!(rig.wire.take().is_none());
        assert!(error.to_string().contains("to a request that was never made"), "{error}");
    }
}

#[test]
fn a_reply_that_does_not_fit_becomes_an_error() {
    let rig = rig(8);
    let mut tasks = rig.serving();
    rig.wire.request(FIRST_OWN + 1, 1, &[]);
    tasks.run_until_idle();
    assert_eq!(rig.wire.reply(), Some((Kind::Part, 1, b"\x05first".to_vec())));
    let large = error(ErrorCode::TooLarge, "", "for a message of this channel");
    assert_eq!(rig.wire.error(), (1, large));
}

#[test]
fn an_error_is_cut_to_what_fits() {
    for (size, field, detail) in
        [(10, "", ""), (11, "", ""), (18, "service", ""), (40, "service", "none has this number")]
    {
        let rig = Rig { wire: Wire::new(size, 8), ..rig(0) };
        if size < SMALLEST {
            assert_eq!(rig.ended_by([].into_iter()), None);
        }
        let mut tasks = Tasks::new();
        let task = tasks.spawn(async {
            let narrow = ChannelError::Narrow { size };
            assert_eq!(rig.channel.serve(&rig.wire).await, Err(narrow));
        });
        rig.wire.request(77, 1, &[]);
        tasks.run_until_idle();
        assert_eq!(tasks.is_done(task), size < SMALLEST);
        if size >= SMALLEST {
            assert_eq!(rig.wire.error(), (1, error(ErrorCode::UnknownService, field, detail)));
        }
    }
}

#[test]
fn a_peer_that_takes_no_replies_is_not_heard_and_costs_nothing() {
    let (silent, other) = (rig(2), rig(2));
    let mut tasks = silent.serving();
    tasks.spawn(async { panic!("{:?}", other.channel.serve(&other.wire).await) });
    (0..100).for_each(|request| silent.echo(request));
    tasks.run_until_idle();
    // Two on the wire, four in the slots, one refused that has no room either.
    assert_eq!((silent.wire.unread(), silent.channel.outstanding()), (93, 4));
    other.echo(1);
    tasks.run_until_idle();
    assert_eq!(other.wire.reply(), Some((Kind::Reply, 1, b"\x02hi".to_vec())));
    let mut answered = BTreeMap::new();
    while let Some((_, request, _)) = silent.wire.reply() {
        *answered.entry(request).or_insert(0) += 1;
        tasks.run_until_idle();
    }
    assert_eq!(answered.len(), 100);
    assert!(answered.values().all(|count| *count == 1));
}

#[test]
fn it_ends_when_what_is_outstanding_was_answered() {
    let rig = rig(8);
    let mut tasks = Tasks::new();
    let task = tasks
        .spawn(async { assert_eq!(rig.channel.serve(&rig.wire).await, Err(ChannelError::Ended)) });
    rig.wait(1);
    tasks.run_until_idle();
    rig.channel.end();
    rig.echo(2);
    tasks.run_until_idle();
    assert!(!tasks.is_done(task));
    assert_eq!(rig.wire.error(), (2, error(ErrorCode::Ending, "", "")));
    rig.waiting.free(1);
    tasks.run_until_idle();
    assert!(tasks.is_done(task));
    assert_eq!(rig.wire.reply(), Some((Kind::Reply, 1, vec![1])));
}

#[test]
fn a_transport_that_is_gone_ends_it_with_all_that_is_outstanding() {
    let rig = rig(8);
    let mut tasks = Tasks::new();
    let task = tasks.spawn(async {
        let closed = ChannelError::Transport(TransportError::Closed);
        assert_eq!(rig.channel.serve(&rig.wire).await, Err(closed));
    });
    rig.wait(1);
    tasks.run_until_idle();
    assert_eq!(rig.channel.outstanding(), 1);
    rig.wire.close();
    tasks.run_until_idle();
    assert!(tasks.is_done(task));
    assert_eq!(rig.channel.outstanding(), 0);
}

fn messages() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let likely = (0..8_u8, prop_oneof![Just(0), Just(1), Just(256), Just(257), any::<u16>()])
        .prop_flat_map(|(kind, service)| {
            (0..6_u8, prop::collection::vec(any::<u8>(), 0..6)).prop_map(move |(id, payload)| {
                let [low, high] = service.to_le_bytes();
                [&[1, kind, low, high, id, 0, 0, 0], &payload[..]].concat()
            })
        });
    let any = prop::collection::vec(any::<u8>(), 0..40);
    prop::collection::vec(prop_oneof![4 => likely, 1 => any], 0..60)
}

proptest! {
    #[test]
    fn whatever_comes_nothing_breaks(messages in messages()) {
        let rig = rig(1000);
        let is_request = |message: &&Vec<u8>| message.starts_with(&[1, 1]) && message.len() >= 8;
        let requests = messages.iter().filter(is_request).count();
        let ended = rig.ended_by(messages.iter().cloned());
        let mut replies = 0;
        while let Some((kind, _, _)) = rig.wire.reply() {
            prop_assert!(matches!(kind, Kind::Reply | Kind::Error | Kind::Part));
            replies += usize::from(kind == Kind::Reply);
        }
        prop_assert!(replies <= requests);
        prop_assert_eq!(rig.channel.outstanding(), 0);
        if let Some(error) = ended {
            prop_assert!(matches!(error, ChannelError::Defects(_)), "{}", error);
        } else {
            prop_assert_eq!(rig.channel.requests(), requests as u64);
        }
    }

    #[test]
    fn echoes_come_back_whole(data in prop::collection::vec(any::<u8>(), 0..220)) {
        let rig = rig(8);
        let mut tasks = rig.serving();
        let mut buffer = [0; 240];
        let size = payload::encode(&echo::Echo { data: &data }, &mut buffer).unwrap();
        rig.wire.request(ECHO, 1, &buffer[..size]);
        tasks.run_until_idle();
        prop_assert_eq!(rig.wire.reply(), Some((Kind::Reply, 1, buffer[..size].to_vec())));
    }
}
