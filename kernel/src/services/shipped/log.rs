//! The log service: reads the log, and follows it.

use crate::{
    log::{LogRing, MAX_READERS},
    services::{Answer, Refusal, Reply, Service},
};
use billy_protocol::{
    ErrorCode,
    service::{
        self,
        log::{Piece, Request},
    },
};
use core::cell::Cell;
use embassy_futures::select::{Either, select};

/// Bytes of the largest piece.
const PIECE: usize = 192;
/// Bytes around the text of a piece, at most.
const AROUND: usize = 12;
/// Requests that may follow the log at a time: the shell reads it as well.
const FOLLOWERS: usize = MAX_READERS - 1;

/// Reads the log.
pub struct LogReader {
    ring: &'static LogRing,
    followers: Cell<usize>,
}

impl LogReader {
    /// Reads this log.
    pub const fn new(ring: &'static LogRing) -> Self {
        Self { ring, followers: Cell::new(0) }
    }
}

/// One of those that follow.
struct Follower<'a>(&'a Cell<usize>);

impl<'a> Follower<'a> {
    fn new(followers: &'a Cell<usize>) -> Result<Self, Refusal> {
        if followers.get() >= FOLLOWERS {
            let (code, field) = (ErrorCode::Busy, "follow");
            return Err(Refusal { code, field, detail: "too many follow the log" });
        }
        followers.set(followers.get() + 1);
        Ok(Self(followers))
    }
}

impl Drop for Follower<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

impl Service for LogReader {
    type Request<'a> = Request;

    fn number(&self) -> u16 {
        service::LOG
    }

    fn name(&self) -> &'static str {
        "log"
    }

    async fn serve(&self, request: Request, reply: Reply<'_>) -> Answer {
        let _follower = request.follow.then(|| Follower::new(&self.followers)).transpose()?;
        let room = reply.room().saturating_sub(AROUND).min(PIECE);
        if room == 0 {
            return Err(Refusal::new(ErrorCode::TooLarge, "for a message of this channel"));
        }
        let mut reader = self.ring.tail(request.bytes as usize);
        let end = self.ring.written();
        loop {
            let mut buffer = [0; PIECE];
            let text = buffer.get_mut(..room).unwrap_or_default();
            let read = self.ring.read(&mut reader, text);
            let piece = Piece { lost: read.lost, text: text.get(..read.bytes).unwrap_or_default() };
            if !request.follow && reader.position() >= end {
                return reply.send(&piece).await;
            }
            if read.bytes > 0 {
                reply.part(&piece).await?;
                continue;
            }
            let news = select(self.ring.wait(reader), reply.ending()).await;
            if let Either::Second(()) = news {
                return reply.send(&Piece { lost: 0, text: &[] }).await;
            }
        }
    }
}

#[cfg(test)]
mod tests;
