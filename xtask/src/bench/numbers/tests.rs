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

fn numbers<const N: usize>(values: [(&str, u64); N]) -> Numbers {
    Numbers(values.map(|(key, value)| (key.to_owned(), value)).into())
}

#[test]
fn json_comes_back_and_growth_fails() {
    let pair = |boot, bytes| numbers([("boot_merged", boot), ("console_bytes_per_send", bytes)]);
    let known = pair(1000, 220);
    assert_eq!(Numbers::from_json(&known.to_json()).unwrap(), known);
    assert!(Numbers::from_json("[]").is_err());
    let failures = |boot, bytes| pair(boot, bytes).failures(Some(&known), 0.03).join("; ");
    assert_eq!(failures(1030, 214), "");
    assert_eq!(failures(1031, 220), "boot_merged is worse than the baseline by more than 3 %");
    let less = "console_bytes_per_send is worse than the baseline by more than 3 %";
    assert_eq!(failures(900, 200), less);
    assert!(pair(1031, 200).failures(None, 0.03).is_empty(), "nothing to compare with");
}

#[test]
fn a_missed_target_fails_unless_it_is_known() {
    let measured = |ring, bytes, image| {
        let ring = ("ring_message", ring);
        numbers([ring, ("console_bytes_per_send", bytes), ("image_bytes", image)])
    };
    let well = measured(399, 200, 400_000);
    assert!(well.failures(Some(&well), 0.03).is_empty());
    let ill = measured(400, 199, 400_000);
    let expected = [
        "ring_message misses its target: 400, not < 400",
        "console_bytes_per_send misses its target: 199, not >= 200",
    ];
    assert_eq!(ill.failures(Some(&ill), 0.03), expected, "though nothing grew");
    assert_eq!(ill.failures(None, 0.03), expected);
    let table = ill.table(&well);
    let line = |start: &str| table.lines().find(|line| line.starts_with(start)).unwrap();
    assert!(line("flat image").ends_with("  missed, known"), "{table}");
    assert!(line("missed, known: flat image: ").contains("cargo xtask size"), "{table}");
    assert!(line("byte ring: ").ends_with("  missed"), "{table}");
    assert!(!well.table(&well).contains("missed\n"));
}

#[test]
fn in_a_storm_a_doorbell_may_cost_a_tenth_more() {
    let storm = |alone, among| {
        numbers([("doorbell_storm_1", alone), ("doorbell_storm_64", among)]).failures(None, 0.03)
    };
    assert!(storm(400, 440).is_empty());
    assert_eq!(storm(400, 441), ["a doorbell costs more, the more there are"]);
}

#[test]
fn a_part_costs_what_is_between_its_ends() {
    let exits = [event(100, What::Part("idle".into())), event(100, What::Wait), call(350, 1, None)];
    assert_eq!(instructions(&exits), 250);
    assert_eq!(instructions(&exits[..2]), 0);
}
