//! Numbers from a trace written by hand.

use super::*;

fn call(count: u64, number: u16, message: Option<(u32, u64)>) -> Exit {
    Exit { count, what: What::Hypercall { number, message } }
}

fn event(count: u64, what: What) -> Exit {
    Exit { count, what }
}

#[test]
fn an_interrupt_is_followed_to_the_call_it_leads_to() {
    let exits = [
        event(100, What::Wait),
        event(100, What::Wake(QUEUE_RX)),
        call(300, MSGQUEUE_RECEIVE, None),
        event(400, What::Wait),
        event(400, What::Wake(QUEUE_RX)),
        call(640, MSGQUEUE_RECEIVE, None),
        // Not alone: two interrupts at once.
        event(700, What::Wait),
        event(700, What::Wake(QUEUE_RX)),
        event(700, What::Wake(961)),
        call(5000, MSGQUEUE_RECEIVE, None),
    ];
    assert_eq!(mean_from(&exits, QUEUE_RX, MSGQUEUE_RECEIVE).unwrap(), 220);
    assert!(mean_from(&exits, DOORBELL, DOORBELL_SEND).is_err());
}

#[test]
fn round_trips_are_between_requests_of_one_kind() {
    let mut exits: Vec<_> =
        (0..60).map(|n| call(n * 700, MSGQUEUE_SEND, Some((0x5600_0024, 8)))).collect();
    exits.push(call(100_000, MSGQUEUE_SEND, Some((CONSOLE_WRITE, 20))));
    exits.push(call(200_000, MSGQUEUE_SEND, Some((CONSOLE_WRITE, 20))));
    assert_eq!(round_trip(&exits).unwrap(), 700);
    assert!(round_trip(&exits[..10]).is_err());
}

#[test]
fn headers_are_not_console_bytes() {
    let write = |size| call(0, MSGQUEUE_SEND, Some((CONSOLE_WRITE, size)));
    let exits = [write(240), write(240), event(0, What::Wait), write(112)];
    assert_eq!(bytes_per_send(&exits).unwrap(), (228 + 232 + 100) / 3);
}

#[test]
fn json_comes_back_and_growth_is_found() {
    let numbers = |boot, bytes| {
        Numbers(
            [("boot_merged", boot), ("console_bytes_per_send", bytes)]
                .map(|(key, value)| (key.to_owned(), value))
                .into(),
        )
    };
    let known = numbers(1000, 220);
    assert_eq!(Numbers::from_json(&known.to_json()).unwrap(), known);
    assert!(Numbers::from_json("[]").is_err());
    assert!(numbers(1030, 214).grown(&known, 0.03).is_empty());
    assert_eq!(numbers(1031, 220).grown(&known, 0.03), ["boot_merged"]);
    assert_eq!(numbers(900, 200).grown(&known, 0.03), ["console_bytes_per_send"]);
}

#[test]
fn in_a_storm_a_doorbell_may_cost_a_tenth_more() {
    let numbers = |alone, among| {
        let values = [("doorbell_storm_1", alone), ("doorbell_storm_64", among)];
        Numbers(values.map(|(key, value)| (key.to_owned(), value)).into())
    };
    assert!(!numbers(400, 440).storm_swells());
    assert!(numbers(400, 441).storm_swells());
}

#[test]
fn a_part_costs_what_is_between_its_ends() {
    let exits = [event(100, What::Part("idle".into())), event(100, What::Wait), call(350, 1, None)];
    assert_eq!(instructions(&exits), 250);
    assert_eq!(instructions(&exits[..2]), 0);
}
