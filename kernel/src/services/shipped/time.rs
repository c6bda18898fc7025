//! The time service: uptime, and wall-clock time where the machine has a clock.

mod pl031;

pub use pl031::Pl031;

use crate::services::{Answer, Reply, Service};
use billy_protocol::service::{
    self,
    time::{Reply as Now, Request},
};
use core::time::Duration;

/// A clock that knows the date.
pub trait WallClock {
    /// Seconds since 1 January 1970, UTC.
    fn seconds(&self) -> u64;
}

/// Tells the time.
pub struct Time<W: 'static> {
    /// Time since the counter started.
    pub uptime: fn() -> Duration,
    /// The clock, if the machine has one.
    pub wall_clock: Option<W>,
}

impl<W: WallClock> Service for Time<W> {
    type Request<'a> = Request;

    fn number(&self) -> u16 {
        service::TIME
    }

    fn name(&self) -> &'static str {
        "time"
    }

    async fn serve(&self, _request: Request, reply: Reply<'_>) -> Answer {
        let uptime = u64::try_from((self.uptime)().as_nanos()).unwrap_or(u64::MAX);
        let wall_clock = self.wall_clock.as_ref().map(WallClock::seconds);
        reply.send(&Now { uptime, wall_clock }).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::testing::{Bench, error};
    use billy_protocol::{ErrorCode, decode};

    struct Fixed;

    impl WallClock for Fixed {
        fn seconds(&self) -> u64 {
            1_700_000_000
        }
    }

    fn uptime() -> Duration {
        Duration::new(3, 5)
    }

    #[test]
    fn both_times_are_told() {
        let bench = Bench::new(&[&Time { uptime, wall_clock: Some(Fixed) }]);
        let reply = bench.ask(service::TIME, &Request {});
        let now = Now { uptime: 3_000_000_005, wall_clock: Some(1_700_000_000) };
        assert_eq!(decode(&reply), Ok(now));
    }

    #[test]
    fn without_a_clock_there_is_no_date() {
        let bench = Bench::new(&[&Time { uptime, wall_clock: None::<Fixed> }]);
        let reply = bench.ask(service::TIME, &Request {});
        assert_eq!(decode(&reply), Ok(Now { uptime: 3_000_000_005, wall_clock: None }));
    }

    #[test]
    fn what_is_asked_with_is_named() {
        let bench = Bench::new(&[&Time { uptime, wall_clock: None::<Fixed> }]);
        let refused = bench.refused(service::TIME, b"\0");
        let detail = "bytes follow behind the last field";
        assert_eq!(refused, error(ErrorCode::Malformed, "payload", detail));
    }
}
