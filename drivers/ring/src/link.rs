//! What both ends of a direction do alike: handshake, sessions, sleep and wake.
//!
//! Each side writes one line of a direction and reads the other's. The position in it is one word, so an index is never
//! taken for one of another session.

use super::error::{Field, RingError};
use super::layout::{
    CAPACITY, IDENTITY, LINE_WORDS, LINES, MAGIC, MINIMUM_SIZE, Mode, POSITION, Position, SLEEP,
    VERSION, identity, pair, unpair,
};
use super::sync::{AtomicU64, Ordering, fence};

/// Where a direction is, from one side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lines {
    /// Number of the line we write.
    pub own: usize,
    /// Number of the line we read.
    pub peer: usize,
    /// First word of the data.
    pub data: usize,
}

/// The upper half of a position.
const fn tag(session: u16, seen: u16) -> u64 {
    session as u64 | (seen as u64) << 16
}

/// What no upper half of a position is.
const NOBODY: u64 = u64::MAX;

/// One side of one direction.
#[derive(Debug)]
pub(crate) struct Link {
    lines: Lines,
    pub capacity: u32,
    /// Words of the data without the last: numbers are taken modulo the words of it by this mask.
    last_word: usize,
    pub mode: Mode,
    session: u16,
    /// The peer's session as we have written it.
    seen: u16,
    /// The upper half of our position.
    tag: u64,
    /// The upper half of the peer's position while it is connected, else [`NOBODY`].
    expected: u64,
    /// The session whose end was told last, 0 for none.
    ended: u16,
    /// The peer has detached, and what it left behind is not dealt with yet.
    leaving: bool,
    /// Our index: head of a producer, tail of a consumer.
    pub index: u32,
    /// The peer's index, as last found valid.
    pub other: u32,
    asleep: bool,
    /// Number of our last sleep.
    sleeps: u32,
    /// The peer's sleep that it was woken from last.
    rung: u32,
    ring: bool,
    failure: Option<RingError>,
}

/// The memory of a direction, from one side.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    own: &'a [AtomicU64; LINE_WORDS],
    peer: &'a [AtomicU64; LINE_WORDS],
    words: &'a [AtomicU64],
}

#[inline(always)]
fn lines(words: &[AtomicU64]) -> Option<&[[AtomicU64; LINE_WORDS]; LINES]> {
    words.as_chunks().0.first_chunk()
}

#[cold]
fn too_small(words: &[AtomicU64]) -> RingError {
    RingError::BufferTooSmall { size: words.len() * 8, minimum: MINIMUM_SIZE }
}

/// Session and mode in the line of that number, if somebody has written them.
pub(crate) fn stated(words: &[AtomicU64], line: usize) -> Option<(u16, Mode)> {
    let line = &lines(words)?[line % LINES];
    let position = Position::from_word(line[POSITION].load(Ordering::Acquire));
    let (magic, rest) = unpair(line[IDENTITY].load(Ordering::Relaxed));
    if magic != MAGIC || position.session == 0 {
        return None;
    }
    let mode = [Mode::Bytes, Mode::Messages].into_iter().find(|mode| *mode as u32 == rest >> 16);
    mode.map(|mode| (position.session, mode))
}

/// A session that nobody in the memory has used last: not we in `directions`, and none the peer says it has seen.
pub(crate) fn fresh_session(words: &[AtomicU64], directions: [Lines; 2]) -> u16 {
    let position = |line: usize| {
        let word =
            lines(words).map_or(0, |lines| lines[line % LINES][POSITION].load(Ordering::Relaxed));
        Position::from_word(word)
    };
    let taken = [
        0,
        position(directions[0].own).session,
        position(directions[1].own).session,
        position(directions[0].peer).seen,
        position(directions[1].peer).seen,
    ];
    // Five numbers are taken, one of six is free.
    let next = |step: u16| taken[1].wrapping_add(step);
    (1..=6).map(next).find(|session| !taken.contains(session)).unwrap_or(1)
}

impl Link {
    pub fn new(lines: Lines, capacity: u32, mode: Mode, session: u16) -> Self {
        Self {
            lines,
            capacity,
            last_word: (capacity as usize / 8).wrapping_sub(1),
            mode,
            session,
            seen: 0,
            tag: session.into(),
            expected: NOBODY,
            ended: 0,
            leaving: false,
            index: 0,
            other: 0,
            asleep: false,
            sleeps: 0,
            rung: 0,
            ring: false,
            failure: None,
        }
    }

    /// The memory of this direction.
    #[inline(always)]
    pub fn view<'a>(&self, words: &'a [AtomicU64]) -> Result<View<'a>, RingError> {
        let Lines { own, peer, .. } = self.lines;
        let lines = lines(words).ok_or_else(|| too_small(words))?;
        Ok(View { own: &lines[own % LINES], peer: &lines[peer % LINES], words })
    }

    /// The words of the data.
    #[inline]
    pub fn data<'a>(&self, view: View<'a>) -> Result<&'a [AtomicU64], RingError> {
        let length = self.capacity as usize / 8;
        self.words(view, self.lines.data, length).ok_or_else(|| too_small(view.words))
    }

    /// Number of the word at our index, and how many there are from there on to the end of the data.
    #[inline(always)]
    pub fn run(&self) -> (usize, usize) {
        let at = (self.index as usize / 8) & self.last_word;
        (self.lines.data.wrapping_add(at), self.last_word.wrapping_sub(at).wrapping_add(1))
    }

    /// `count` words from number `first` on, if there are so many.
    #[inline(always)]
    pub fn words<'a>(&self, view: View<'a>, first: usize, count: usize) -> Option<&'a [AtomicU64]> {
        view.words.get(first..)?.get(..count)
    }

    /// The peer's index, unchecked, while it is connected; else its position.
    #[inline(always)]
    pub fn glance(&self, view: View<'_>) -> Result<u32, u64> {
        let word = view.peer[POSITION].load(Ordering::Acquire);
        if u64::from_le(word) >> 32 == self.expected {
            Ok(u64::from_le(word) as u32)
        } else {
            Err(word)
        }
    }

    /// Writes our line: from now on the peer can see us.
    pub fn announce(&mut self, view: View<'_>) {
        view.own[SLEEP].store(0, Ordering::Relaxed);
        view.own[IDENTITY].store(identity(self.mode), Ordering::Relaxed);
        view.own[CAPACITY].store(pair(self.capacity, 0), Ordering::Relaxed);
        self.store_position(view);
        self.ring = true;
    }

    /// Tells the peer that we are gone.
    pub fn withdraw(&mut self, view: View<'_>) {
        self.tag = self.session.into();
        self.expected = NOBODY;
        self.publish(view, u32::MAX);
    }

    /// Moves our index and shows it to the peer.
    #[inline(always)]
    pub fn step(&mut self, view: View<'_>, bytes: u32) {
        self.index = self.index.wrapping_add(bytes);
        self.store_position(view);
    }

    #[inline(always)]
    fn store_position(&self, view: View<'_>) {
        let word = u64::from(self.index) | self.tag << 32;
        view.own[POSITION].store(word.to_le(), Ordering::Release);
    }

    /// Shows our index to the peer, and notes whether it must be rung for: it sleeps, and for no more than the
    /// `available` bytes it finds.
    #[inline(always)]
    pub fn publish(&mut self, view: View<'_>, available: u32) {
        self.store_position(view);
        // Between our index and its sleep: either we see that it sleeps, or it sees our index before it does.
        fence(Ordering::SeqCst);
        self.look(view, available);
    }

    /// The second half of [`Self::publish`], to be behind a full fence.
    #[inline(always)]
    pub fn look(&mut self, view: View<'_>, available: u32) {
        let (number, wanted) = unpair(view.peer[SLEEP].load(Ordering::Relaxed));
        if number != 0 && number != self.rung && wanted <= available {
            self.rung = number;
            self.ring = true;
        }
    }

    /// Whether the peer is to be rung for since the last call.
    #[inline]
    pub fn take_ring(&mut self) -> bool {
        core::mem::take(&mut self.ring)
    }

    /// The peer's index, unchecked, or `None` while there is no peer; an error for good once the link has failed.
    #[inline(always)]
    pub fn poll(&mut self, view: View<'_>) -> Result<Option<u32>, RingError> {
        match self.glance(view) {
            Ok(index) => Ok(Some(index)),
            Err(word) => self.handshake(view, word),
        }
    }

    #[cold]
    fn handshake(&mut self, view: View<'_>, word: u64) -> Result<Option<u32>, RingError> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let peer = Position::from_word(word);
        let was_connected =
            core::mem::replace(&mut self.expected, NOBODY) != NOBODY || self.leaving;
        self.leaving = false;
        if peer.session == self.seen && self.seen != 0 {
            return match was_connected {
                true if peer.seen == 0 => {
                    self.leaving = true;
                    Ok(Some(peer.index))
                }
                true => Err(self.fail(Field::Seen, peer.seen.into())),
                false => self.connect(view, peer),
            };
        }
        let (magic, _) = unpair(view.peer[IDENTITY].load(Ordering::Relaxed));
        if peer.session == 0 || magic != MAGIC {
            return if was_connected { Err(self.peer_gone()) } else { Ok(None) };
        }
        if self.seen != 0 {
            // Not left behind: it came since. A peer in another mode is not to find us seeing it in ours.
            self.check_header(view)?;
        }
        self.seen = peer.session;
        self.tag = tag(self.session, self.seen);
        self.index = 0;
        self.other = 0;
        self.rung = 0;
        self.publish(view, u32::MAX);
        if was_connected {
            return Err(RingError::PeerReset { session: peer.session });
        }
        self.connect(view, peer)
    }

    /// The last step, once the peer has seen us: until then its line may be one left behind.
    fn connect(&mut self, view: View<'_>, peer: Position) -> Result<Option<u32>, RingError> {
        if peer.seen != self.session {
            return Ok(None);
        }
        self.check_header(view)?;
        self.expected = tag(peer.session, peer.seen);
        Ok(Some(peer.index))
    }

    /// Whether the peer was found to have detached; it is gone then.
    #[inline(always)]
    pub fn peer_left(&mut self) -> bool {
        core::mem::take(&mut self.leaving)
    }

    fn check_header(&mut self, view: View<'_>) -> Result<(), RingError> {
        let (_, rest) = unpair(view.peer[IDENTITY].load(Ordering::Relaxed));
        let (version, mode) = (rest & 0xFFFF, rest >> 16);
        if version != u32::from(VERSION) {
            return Err(self.fail(Field::Version, version));
        }
        if mode != self.mode as u32 {
            return Err(self.fail(Field::Mode, mode));
        }
        let (capacity, _) = unpair(view.peer[CAPACITY].load(Ordering::Relaxed));
        if capacity != self.capacity {
            return Err(self.fail(Field::Capacity, capacity));
        }
        Ok(())
    }

    /// Closes the link for good.
    #[cold]
    pub fn fail(&mut self, field: Field, value: u32) -> RingError {
        let failure = RingError::Corrupt { field, value };
        self.failure = Some(failure);
        self.expected = NOBODY;
        self.leaving = false;
        failure
    }

    /// Shows the peer that we sleep until it has `wanted` bytes for us. What we wait for must be looked at once more
    /// after this.
    pub fn sleep(&mut self, view: View<'_>, wanted: u32) {
        self.asleep = true;
        self.sleeps = self.sleeps.wrapping_add(1).max(1);
        view.own[SLEEP].store(pair(self.sleeps, wanted), Ordering::Relaxed);
        // Between our sleep and its index: the other half of the fence in `publish`.
        fence(Ordering::SeqCst);
    }

    /// Takes back what [`Self::sleep`] showed.
    #[inline]
    pub fn wake(&mut self, view: View<'_>) {
        if self.asleep {
            self.asleep = false;
            view.own[SLEEP].store(0, Ordering::Relaxed);
        }
    }

    /// Takes note of the end of the peer's session.
    pub fn peer_gone(&mut self) -> RingError {
        self.ended = self.seen;
        RingError::PeerGone
    }

    /// The session whose end was told last.
    pub fn ended_session(&self) -> Option<u16> {
        (self.ended != 0).then_some(self.ended)
    }

    /// The peer's session, while there is a peer.
    pub fn peer_session(&self) -> Option<u16> {
        (self.expected != NOBODY || self.leaving).then_some(self.seen)
    }
}
