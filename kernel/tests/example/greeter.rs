//! A service of its own: greets whoever asks, by name, as often as wanted.

use billy_kernel::services::{Answer, Binding, Refusal, Reply, Service};
use serde::{Deserialize, Serialize};

/// Asks for greetings.
#[derive(Deserialize, Serialize)]
pub struct Request<'a> {
    /// Who is to be greeted.
    pub name: &'a str,
    /// How often.
    pub times: u8,
}

/// A greeting: each part of the reply, and the reply.
#[derive(Debug, PartialEq, Deserialize, Serialize)]
pub struct Greeting<'a> {
    pub word: &'a str,
    pub name: &'a str,
}

pub struct Greeter;

impl Service for Greeter {
    type Request<'a> = Request<'a>;

    fn number(&self) -> u16 {
        0x100
    }

    fn name(&self) -> &'static str {
        "greeter"
    }

    /// Offered where the label is 9, and to VM 3 wherever it asks.
    fn bindings(&self) -> &[Binding] {
        &[Binding::Label(9), Binding::Peer(3)]
    }

    async fn serve<'a>(&self, request: Request<'a>, reply: Reply<'a>) -> Answer {
        if request.times == 0 {
            return Err(Refusal::out_of_range("times", "1 or more"));
        }
        let greeting = Greeting { word: "hello", name: request.name };
        for _ in 1..request.times {
            reply.part(&greeting).await?;
        }
        reply.send(&greeting).await
    }
}
