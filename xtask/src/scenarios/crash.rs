//! Crashes: each kind reported by name, whoever is left to be told.

use anyhow::{Result, ensure};

use super::{Lab, PROMPT, Scenario};
use crate::build::trees::{Capabilities, Trees};
use crate::machine::Machine;
use crate::qemu::{MachineOptions, Outcome};

/// The scenarios of this theme.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("crash::a_panic_is_reported", |lab| provoke(lab, &HERE)),
    Scenario::new("crash::a_full_stack_is_named", |lab| provoke(lab, &STACK)),
    Scenario::new("crash::a_full_exception_stack_is_named", |lab| provoke(lab, &IRQ_STACK)),
    Scenario::new("crash::an_empty_heap_is_no_obstacle", |lab| provoke(lab, &HEAP)),
    Scenario::new("crash::a_panic_in_a_handler_names_both", |lab| provoke(lab, &IRQ)),
    Scenario::new("crash::a_null_pointer_is_named", |lab| provoke(lab, &NULL)),
    Scenario::new("crash::a_crash_while_reporting_is_reported_too", |lab| provoke(lab, &NESTED)),
    Scenario::new("crash::an_unknown_way_to_crash_crashes_nothing", unknown),
    Scenario::new("crash::without_an_answer_to_vm_exit", silent),
    Scenario::new("crash::with_a_queue_that_stays_full", full),
    Scenario::new("crash::before_there_is_a_console", early),
    Scenario::new("crash::a_broken_tree_is_told_in_the_shims_log", broken_tree),
];

/// A way to crash, and what its report says.
struct Crash {
    how: &'static str,
    says: &'static [&'static str],
    /// Functions among the code addresses.
    functions: &'static [&'static str],
}

const HERE: Crash = Crash {
    how: "here",
    says: &["panicked at kernel/src/", "asked for at the console", "in task shell"],
    // Not the function that panics: a call that never returns may leave no frame.
    functions: &[
        "billy_kernel::shell::commands::execute",
        "billy_kernel::run::for_ever",
        "kernel_main",
    ],
};
const STACK: Crash = Crash {
    how: "stack",
    says: &["stack overflow: data abort: write", "the guard page below the stack", "in task shell"],
    functions: &["billy_kernel::provoke::recurse", "billy_kernel::run::for_ever", "kernel_main"],
};
const IRQ_STACK: Crash = Crash {
    how: "irq-stack",
    says: &[
        "exception stack overflow: data abort: write",
        "in the handler of interrupt 15, which interrupted task shell",
    ],
    functions: &["billy_kernel::provoke::recurse", "interrupt_entry", "kernel_main"],
};
const HEAP: Crash = Crash {
    how: "heap",
    says: &["panicked at", "memory allocation of 128 bytes failed", "in task shell"],
    functions: &["billy_kernel::provoke::exhaust_heap", "kernel_main"],
};
const IRQ: Crash = Crash {
    how: "irq",
    says: &[
        "asked for in an interrupt handler",
        "in the handler of interrupt 15, which interrupted task shell",
        "interrupt 15\n",
        "interrupted at billy+0x",
    ],
    functions: &["billy_kernel::interrupts::gic::dispatch", "interrupt_entry", "kernel_main"],
};
const NULL: Crash = Crash {
    how: "null",
    says: &["data abort: read, translation fault", "at address 0x0, near the null pointer"],
    functions: &["billy_kernel::provoke::read_null", "billy_kernel::provoke::crash", "kernel_main"],
};
const NESTED: Crash = Crash {
    how: "nested",
    says: &[
        "asked for with a broken message",
        "*** and then, while that was reported: data abort: read",
    ],
    functions: &["billy_kernel::provoke::read_null", "rust_begin_unwind", "kernel_main"],
};
/// What every report has.
const ALWAYS: [&str; 5] = ["backtrace:\n", "  #0 billy+0x", "last events", "woken ", ", build "];

/// Crashes as told, and compares the report.
fn provoke(lab: &Lab, crash: &Crash) -> Result<()> {
    let mut billy = lab.boot(MachineOptions::default())?;
    // So much happens in between that the trace is full.
    for _ in 0..4 {
        billy.ask("uptime", PROMPT)?;
    }
    billy.send(format!("panic {}\r", crash.how));
    billy.expect("\n*** ")?;
    let report = billy.expect_exit(Outcome::Failure)?;
    check(&billy, &report, crash.says)?;
    check(&billy, &report, &ALWAYS)?;
    check(&billy, &lab.resolve(&report), crash.functions)?;
    let events = report.lines().skip_while(|line| !line.starts_with("last events")).skip(1);
    ensure!(events.take(32).count() == 32, billy.failure("fewer than 32 events in the report"));
    billy.wait_for_log("after the crash message \"")
}

fn check(billy: &Machine, text: &str, wanted: &[&str]) -> Result<()> {
    for words in wanted {
        ensure!(text.contains(words), billy.failure(&format!("no `{words}` in the report")));
    }
    Ok(())
}

fn unknown(lab: &Lab) -> Result<()> {
    let mut billy = lab.boot(MachineOptions::default())?;
    billy.shows("panic gently", &["here, stack, heap, irq, irq-stack, null, nested"])?;
    billy.power_off()
}

/// The end that stands for a panic that the Resource Manager did not end.
const BY_PSCI: &str = "SYSTEM_RESET2 (type 0x80000007";

/// Runs a script in which the guest panics, to the end that PSCI brings.
fn abandoned(lab: &Lab, script: &'static str) -> Result<Machine> {
    let mut billy = lab.scripted(script)?;
    billy.expect_exit(Outcome::Failure)?;
    billy.wait_for_log(BY_PSCI)?;
    billy.wait_for_log("guest: *** panicked at ")?;
    billy.wait_for_log("guest: backtrace:")?;
    billy.wait_for_log("guest: last events")?;
    Ok(billy)
}

fn silent(lab: &Lab) -> Result<()> {
    abandoned(
        lab,
        "wait console \"billy> \"\n\
         rm VM_EXIT drop 1000\n\
         type \"panic\\r\"\n",
    )?;
    Ok(())
}

fn full(lab: &Lab) -> Result<()> {
    // The shell needs the queue for the echo of the line, before it executes it; then the queue is
    // full for ever.
    abandoned(
        lab,
        "wait console \"billy> \"\n\
         type \"panic\\r\"\n\
         wait console \"panic\\r\\n\"\n\
         hypercall msgqueue_send 61 every\n\
         wait exit off\n",
    )?;
    Ok(())
}

/// A GIC where there is nothing: its driver's first access is an abort, before any console.
fn early(lab: &Lab) -> Result<()> {
    const GIC: &[u8] = &[0x3f, 0xff, 0, 0];
    const NOTHING: &[u8] = &[0x2f, 0xff, 0, 0];
    let mut tree = Trees::compile(Capabilities::Random(1))?.merged;
    let at = tree.windows(GIC.len()).position(|window| window == GIC);
    let at = at.ok_or_else(|| anyhow::anyhow!("the GIC is not at 0x3fff0000 any more"))?;
    tree[at..at + GIC.len()].copy_from_slice(NOTHING);
    let mut billy = lab.refused(tree)?;
    billy.wait_for_log(BY_PSCI)?;
    billy.wait_for_log("guest: *** data abort: read, external abort at address 0x2fff")?;
    billy.wait_for_log("guest: in no task")?;
    billy.wait_for_log("guest:   pc billy+0x")
}

fn broken_tree(lab: &Lab) -> Result<()> {
    let mut billy = lab.refused(b"This is no device tree, whatever the register says.".to_vec())?;
    billy.wait_for_log("start: error: device tree: ")
}
