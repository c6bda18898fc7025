//! Two minutes with everything at once, which must leave nothing behind.
//!
//! Time is counted in instructions, and nothing costs any while all are idle, so the two minutes of the guest are the same
//! in every run, and shorter outside. Each neighbour is a block of the script that is played beside the others, and takes
//! every answer it is owed before it goes on. All do some rounds first, so that what is made once is there; after that, what
//! the heap holds, and which tasks and interrupts there are, must be the same at the end as at the beginning.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{Lab, PROMPT, Scenario};
use crate::machine::Machine;
use crate::qemu::{MachineOptions, Outcome};

mod script;

use script::{BELL_ROUNDS, LATE_ROUNDS, MESSAGES, RAW_ROUNDS, RINGS, WILD_ROUNDS, script, warm};

/// The scenarios of this theme.
pub const SCENARIOS: &[Scenario] =
    &[Scenario::new("soak::two_minutes_of_everything_lose_nothing", soak)];

/// A busy computer takes this long at most.
const LONG: Duration = Duration::from_secs(500);

/// Bytes by which a list may have become longer for good, since more tasks than ever before waited for something at the same time.
/// What loses 16 bytes, the least there is, in each of its rounds loses more.
const LIST: u64 = 128;

/// What the guest holds while nothing is going on.
#[derive(Debug)]
struct Held {
    heap: u64,
    tasks: Vec<String>,
    interrupts: Vec<String>,
}

impl Held {
    /// Reads the answers to the commands at which the script looks, and what was printed before them.
    fn read(billy: &mut Machine) -> Result<(String, Self)> {
        let before = billy.expect("heap: ")?;
        let heap = billy.expect(" bytes in use")?.trim().parse().context("the heap's bytes")?;
        billy.expect("polls")?;
        let tasks = billy.expect(PROMPT)?;
        billy.expect("irq")?;
        let interrupts = billy.expect("spurious")?;
        // Counts come behind the name of a task, and before that of an interrupt.
        let column = |text: &str, parts: &dyn Fn(&str) -> Option<String>| {
            let mut lines: Vec<String> = text.lines().filter_map(parts).collect();
            lines.sort_unstable();
            lines
        };
        let task = |line: &str| Some(line.get(..18)?.trim().to_owned());
        let interrupt =
            |line: &str| Some(line.split_whitespace().skip(3).collect::<Vec<_>>().join(" "));
        let (tasks, interrupts) = (column(&tasks, &task), column(&interrupts, &interrupt));
        Ok((before, Self { heap, tasks, interrupts }))
    }
}

fn soak(lab: &Lab) -> Result<()> {
    let options = MachineOptions { icount: true, ..MachineOptions::default() };
    let mut billy = lab.scripted_on(script(), options)?;
    billy.set_patience(LONG);
    Held::read(&mut billy)?;
    let (_, before) = Held::read(&mut billy)?;
    let (during, after) = Held::read(&mut billy)?;
    billy.expect("msgq list")?;
    let queues = billy.expect(PROMPT)?;
    billy.expect("bell list")?;
    let bells = billy.expect(PROMPT)?;
    billy.expect("services")?;
    let services = billy.expect(PROMPT)?;
    billy.expect_exit(Outcome::End)?;
    let growth = after.heap.abs_diff(before.heap);
    let same = (&after.tasks, &after.interrupts) == (&before.tasks, &before.interrupts);
    ensure!(same && growth <= LIST, billy.failure(&format!("{before:?} became {after:?}")));
    let echoed = format!("echoed {}", MESSAGES * RAW_ROUNDS);
    ensure!(queues.contains(&echoed), billy.failure(&format!("`msgq list` does not say {echoed}")));
    let answered = format!("answered {}", RINGS * (BELL_ROUNDS + warm(BELL_ROUNDS)));
    ensure!(
        bells.contains(&answered),
        billy.failure(&format!("`bell list` does not say {answered}"))
    );
    for (what, least) in [
        ("the peer's head is invalid: 0xdeadbeef", WILD_ROUNDS),
        ("msgq 21 of VMID 0x85: closed", LATE_ROUNDS),
        ("an interrupt was lost", 4),
        ("RM did not answer", 4),
    ] {
        let count = during.matches(what).count();
        let reason = format!("`{what}` {count} times, not {least}");
        ensure!(count >= least as usize, billy.failure(&reason));
    }
    let path = lab.dir.join("shim.log");
    let log = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    for (fault, least) in [
        ("INTID 961: Lose", 15),
        ("INTID 962: Lose", 15),
        ("INTID 964: Lose", 15),
        ("INTID 961: Double", 100),
        ("INTID 964: Double", 100),
        ("MSGQUEUE_SEND (0x1b): BUSY (31)", 45),
        ("MSGQUEUE_RECEIVE (0x1c): BUSY (31)", 45),
        ("DOORBELL_SEND (0x12): BUSY (31)", 45),
        ("DOORBELL_RECEIVE (0x13): BUSY (31)", 45),
    ] {
        let count = log.matches(&format!("fault with {fault}")).count();
        let reason = format!("the fault {fault} came {count} times, not {least}");
        ensure!(count >= least, billy.failure(&reason));
    }
    for line in services.lines().filter(|line| line.contains(", outstanding ")) {
        ensure!(line.ends_with("outstanding 0"), billy.failure(&format!("not answered: {line}")));
    }
    Ok(())
}
