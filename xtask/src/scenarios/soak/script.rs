//! The script of the soak: the blocks that are played beside each other.

use std::fmt::Write as _;
use std::ops::Range;

/// Messages of a round on the raw queue, and rings of a round.
pub const MESSAGES: u32 = 40;
pub const RINGS: u32 = 20;
/// Rounds of those whose counts are compared.
pub const RAW_ROUNDS: u32 = 530;
const RAW_WARM: u32 = 130;
pub const BELL_ROUNDS: u32 = 300;
pub const LATE_ROUNDS: u32 = 90;
pub const WILD_ROUNDS: u32 = 140;

/// What is there from the beginning: services on a queue, rings for messages, for bytes and for the log.
const START: &str = "\
    expect console \"billy> \" within 60000
    silent on
    add queue-pair 256 peer=0x87
    status 0x87 RUNNING RUN
    add ring 7 131072
    expect accepted 7
    attach 7
    expect attached 7
    add ring 8 131072
    expect accepted 8
    attach 8 bytes
    expect attached 8
    add ring 10 16384
    expect accepted 10
    attach 10
    expect attached 10
";

/// Each service over a message queue.
const SERVICES: &str = "\
    request 256 echo 1 text=soak times=3
    expect reply 256 echo 1 text=soak within 30000
    expect reply 256 echo 2 text=soak within 30000
    expect reply 256 echo 3 text=soak within 30000
    request 256 time 4
    request 256 entropy 5 10
    request 256 stats 6 00
    request 256 log 7 4000
    expect reply 256 time 4 within 30000
    expect reply 256 entropy 5 within 30000
    expect reply 256 stats 6 within 30000
    expect reply 256 log 7 within 30000
    request 256 echo 8 0561
    expect refusal 256 echo 8 malformed data within 30000
    expect nothing 256
    wait ms 300
";

/// Requests over a ring of messages, more than are answered at a time.
const RING_MESSAGES: &str = "\
    request 7 echo 100 text=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa times=40
    expect answers 7 40 within 30000
    request 7 entropy 1 20
    request 7 echo 2 text=meanwhile
    expect reply 7 echo 2 text=meanwhile within 30000
    expect reply 7 entropy 1 within 30000
    expect nothing 7
    wait ms 300
";

/// Bytes that come back through a ring, each compared.
const RING_BYTES: &str = "\
    stream 8 100000
    expect streamed 8 100000 within 30000
    wait ms 300
";

/// The log, followed until it tells of a channel that comes.
const LOG: &str = "\
    request 10 log 1 4001
    add doorbell 30 peer=0x89
    status 0x89 RUNNING RUN
    expect part 10 log 1 within 30000
    cancel 10 log 1
    expect refusal 10 log 1 cancelled within 30000
    remove doorbell 30
    status 0x89 EXITED
    wait ms 1000
";

/// The console, and requests to the Resource Manager, some of whose replies are lost or doubled.
const CONSOLE: &str = "\
    repeat 4
    type \"count 300\\r\"
    expect console \"\\n299\" within 60000
    rm VM_GET_PEERS twice
    type \"rm peers\\r\"
    expect console \"VMID 0x3\" within 60000
    type \"rm ping 50\\r\"
    expect console \"50 requests, 50 replies\" within 60000
    type \"rm stats\\r\"
    expect console \"timeouts\" within 60000
    wait ms 1500
    end
    rm VM_GET_PEERS lose
    type \"rm peers\\r\"
    expect console \"did not answer\" within 60000
    wait ms 500
";

/// A VM that comes with channels, uses them and goes.
const LATE: &str = "\
    add doorbell 20 peer=0x85
    add source 20 peer=0x85
    add queue-pair 21 peer=0x85
    status 0x85 RUNNING RUN
    send 21 \"late {n}\" 20
    expect message 21 \"late {n}\" 20 within 30000
    ring 20 0x1 5
    expect bells 5 20 within 30000
    expect nothing 21
    status 0x85 EXITED
    wait ms 100
    remove doorbell 20
    remove source 20
    remove queue-pair 21
    wait ms 600
";

/// Memory that comes and goes.
const PARCELS: &str = "\
    share 40 0x3000 tag=4
    expect accepted 40 within 30000
    expect told 40 accepted 4 within 30000
    recall 40
    expect released 40 within 30000
    expect told 40 released 4 within 30000
    reclaim 40
    wait ms 300
";

/// A ring that works until its indices go wild; then it is replaced.
const WILD: &str = "\
    add ring 9 16384
    expect accepted 9 within 30000
    expect told 9 accepted within 30000
    attach 9
    expect attached 9 within 30000
    request 9 echo 1 text=tame
    expect reply 9 echo 1 text=tame within 30000
    poke 9 0x10 0xdeadbeef
    ring 9 1
    wait ms 100
    detach 9
    remove ring 9
    status 3 RUNNING RUN
    expect released 9 within 30000
    expect told 9 released within 30000
    reclaim 9
    wait ms 300
";

/// A VM of which nothing is known but how it is.
const STATUS: &str = "\
    status 0x86 RUNNING RUN
    wait ms 100
    status 0x86 EXITED
    wait ms 1000
";

/// What goes wrong, some seconds apart: what is lost is found by looking.
const FAULTS: &str = "\
    irq 962 lose
    irq 964 double 20
    wait ms 1500
    irq 970 raise 3
    irq 962 raise 3
    hypercall msgqueue_send off
    hypercall msgqueue_send 31 3
    hypercall msgqueue_receive off
    hypercall msgqueue_receive 31 3
    wait ms 1500
    irq 964 lose
    hypercall doorbell_receive off
    hypercall doorbell_receive 31 3
    hypercall doorbell_send off
    hypercall doorbell_send 31 3
    wait ms 1500
    hold 2 on
    wait ms 700
    hold 2 off
    hold 256 on
    wait ms 700
    hold 256 off
    irq 961 double 20
    irq 960 double 20
    wait ms 1500
    irq 961 lose
    status 0x88 RUNNING RUN
    wait ms 100
    status 0x88 EXITED
    wait ms 3000
";

/// Messages that come back as they are; each is another, lest they be taken for an echo's.
fn raw(rounds: Range<u32>) -> String {
    rounds.fold(String::new(), |mut script, round| {
        let _ = write!(
            script,
            "send 2 \"{round}: {{n}}\" {MESSAGES}\n\
             expect message 2 \"{round}: {{n}}\" {MESSAGES} within 30000\nwait ms 250\n"
        );
        script
    }) + "expect nothing 2\n"
}

fn bells() -> String {
    format!("ring 3 0x1 {RINGS}\nexpect bells {RINGS} 3 within 30000\nwait ms 300\n")
}

/// All at once: `rounds` of one that waits for `ms` after each.
fn everything(rounds: impl Fn(u32) -> u32, messages: Range<u32>) -> String {
    let mut script = format!("begin\n{}end\n", raw(messages));
    for (steps, times) in [
        (bells().as_str(), BELL_ROUNDS),
        (SERVICES, 300),
        (RING_MESSAGES, 300),
        (RING_BYTES, 300),
        (LOG, 80),
        (CONSOLE, 9),
        (LATE, LATE_ROUNDS),
        (PARCELS, 200),
        (WILD, WILD_ROUNDS),
        (STATUS, 100),
        (FAULTS, 11),
    ] {
        let _ = write!(script, "begin\nrepeat {}\n{steps}end\nend\n", rounds(times));
    }
    script
}

/// Fills the history of the console with lines as long as any that follow, since their memory is used again.
const HISTORY: &str = "\
    expect idle within 120000
    repeat 20
    type \"mem      parcels\\r\"
    wait ms 50
    type \"ring        list\\r\"
    wait ms 50
    end
";

/// The commands whose output must be the same before and after, once nobody looks for lost interrupts any more.
const LOOK: &str = "\
    expect idle within 120000
    wait ms 12000
    type \"mem\\r\"
    expect console \"with rounding\"
    type \"tasks\\r\"
    expect console \"polls\"
    wait ms 100
    type \"irq\\r\"
    expect console \"spurious\"
    wait ms 100
";

/// Rounds that make whatever is made once: lists grow to the length that they need, buffers are kept.
pub fn warm(rounds: u32) -> u32 {
    rounds.div_ceil(3)
}

/// The whole script.
pub fn script() -> String {
    let mut script = START.to_owned();
    script += &everything(warm, 0..RAW_WARM);
    script += HISTORY;
    // Once more, since what the first one allocates may be kept.
    script += LOOK;
    script += LOOK;
    script += &everything(|times| times, RAW_WARM..RAW_ROUNDS);
    script += "wait ms 120000\n";
    script += LOOK;
    for line in ["msgq list", "bell list", "services"] {
        let _ = write!(script, "type \"{line}\\r\"\nwait ms 100\n");
    }
    script += "type \"poweroff\\r\"\n";
    script
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_script_makes_sense() {
        billy_shim::peer::script::Script::parse(super::script().lines()).unwrap();
    }
}
