//! The echo service: sends back the data of a request.

use crate::services::{Answer, Reply, Service};
use billy_protocol::service::{self, echo};

/// Sends back what it gets.
pub struct Echo;

impl Service for Echo {
    type Request<'a> = echo::Echo<'a>;

    fn number(&self) -> u16 {
        service::ECHO
    }

    fn name(&self) -> &'static str {
        "echo"
    }

    async fn serve<'a>(&self, request: echo::Echo<'a>, reply: Reply<'a>) -> Answer {
        reply.send(&request).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::testing::{Bench, error};
    use billy_protocol::{ErrorCode, decode};

    #[test]
    fn data_comes_back() {
        let bench = Bench::new(&[&Echo]);
        for data in [&b"hello"[..], b"", &[0xff; 64]] {
            let reply = bench.ask(service::ECHO, &echo::Echo { data });
            assert_eq!(decode(&reply), Ok(echo::Echo { data }));
        }
    }

    #[test]
    fn data_that_is_shorter_than_it_says_is_named() {
        let bench = Bench::new(&[&Echo]);
        let refused = bench.refused(service::ECHO, b"\x05abc");
        assert_eq!(refused, error(ErrorCode::Malformed, "data", "the payload ends in it"));
    }
}
