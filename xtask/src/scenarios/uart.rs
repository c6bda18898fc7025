//! The console where RM gives none: a UART, or nothing; and a late owner.

use anyhow::{Result, ensure};

use super::{Lab, PROMPT, Scenario};
use crate::build::variation::{UartChoice, Variation};
use crate::machine::Machine;
use crate::qemu::{MachineOptions, Outcome};

/// The scenarios of this theme.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("uart::ns16550a_by_interrupt", |lab| {
        same_shell(lab, UartChoice::Ns16550a, "Ns16550a, ByInterrupt", Some("32 edge"))
    }),
    Scenario::new("uart::ns16550a_polled", |lab| {
        same_shell(lab, UartChoice::Ns16550aPolled, "Ns16550a, ByPolling", None)
    }),
    Scenario::new("uart::ns16550a_by_a_level_doorbell", |lab| {
        same_shell(lab, UartChoice::Ns16550aDoorbell, "Ns16550a, ByInterrupt", Some("37 level"))
    }),
    Scenario::new("uart::pl011_by_interrupt", |lab| {
        same_shell(lab, UartChoice::Pl011, "Pl011, ByInterrupt", Some("33 level"))
    }),
    Scenario::new("uart::an_input_flood_does_no_harm", flood),
    Scenario::new("uart::a_panic_is_told", panic),
    Scenario::new("uart::a_failed_start_is_told", failed_start),
    Scenario::new("uart::serves_when_rm_refuses_the_console", refused),
    Scenario::new("uart::one_that_is_not_there_is_survived", absent),
    Scenario::new("uart::serves_when_asked_for", asked_for),
    Scenario::new("uart::the_doorbell_that_interrupts_is_no_bell", no_bell),
    Scenario::new("uart::the_resource_manager_comes_first", manager_first),
    Scenario::new("uart::without_any_console_services_run", no_console),
    Scenario::new("uart::console_none_is_silent", silent),
    Scenario::new("uart::a_late_owner_sees_the_end_of_the_log", late_owner),
];

fn variation(uart: Option<UartChoice>) -> Variation {
    Variation { no_rm: true, uart, ..Variation::default() }
}

fn options(variation: Variation) -> MachineOptions {
    MachineOptions { variation, ..MachineOptions::default() }
}

fn contains(billy: &Machine, answer: &str, word: &str) -> Result<()> {
    ensure!(answer.contains(word), billy.failure(&format!("`{word}` is not shown")));
    Ok(())
}

fn same_shell(lab: &Lab, uart: UartChoice, line: &str, interrupt: Option<&str>) -> Result<()> {
    let mut billy = lab.boot(options(variation(Some(uart))))?;
    for (command, words) in [
        ("help", &["poweroff", "bell", "msgq"][..]),
        ("vm", &["VMID 0x80", "UART"]),
        ("tasks", &["shell", "polls"]),
        ("bell list", &["3"]),
        ("log", &[line]),
    ] {
        billy.shows(command, words)?;
    }
    let answer = billy.ask("irq", PROMPT)?;
    contains(&billy, &answer, "console input dropped: 0 bytes")?;
    contains(&billy, &answer, "unexpected 0")?;
    match interrupt {
        Some(interrupt) => contains(&billy, &answer, interrupt)?,
        None => ensure!(!answer.contains("uart"), billy.failure("a polled UART interrupts")),
    }
    // Keys that the terminal makes three bytes of: "noxkettle".
    billy.send("nott\x7f\x7fkettle\x1b[D\x1b[D\x1b[D\x1b[D\x1b[D\x1b[Dx\r");
    billy.expect("noxkettle")?;
    billy.expect(PROMPT)?;
    let output = billy.ask("count 3000", PROMPT)?;
    let numbers: Vec<u32> = output.lines().filter_map(|line| line.trim().parse().ok()).collect();
    ensure!(numbers == (1..=3000).collect::<Vec<_>>(), billy.failure("output is not whole"));
    billy.power_off()
}

fn flood(lab: &Lab) -> Result<()> {
    for uart in [UartChoice::Ns16550a, UartChoice::Ns16550aPolled, UartChoice::Pl011] {
        let mut billy = lab.boot(options(variation(Some(uart))))?;
        billy.send(vec![b'x'; 16 << 10]);
        billy.send("\x03\r");
        billy.send("flood-is-over\r");
        billy.expect("flood-is-over")?;
        billy.expect(PROMPT)?;
        // The line holds back what the UART cannot take.
        let answer = billy.ask("irq", PROMPT)?;
        contains(&billy, &answer, "console input dropped: 0 bytes")?;
        billy.power_off()?;
    }
    Ok(())
}

fn panic(lab: &Lab) -> Result<()> {
    let mut billy = lab.boot(options(variation(Some(UartChoice::Ns16550a))))?;
    billy.send("panic\r");
    billy.expect("*** panicked at")?;
    billy.expect_exit(Outcome::Failure)?;
    Ok(())
}

fn failed_start(lab: &Lab) -> Result<()> {
    // A hypervisor of an API version that does not exist.
    let machine = MachineOptions {
        tune: Some(|file| file.options.identify[0] = 0x5100_0000_0000_8002),
        ..options(variation(Some(UartChoice::Pl011)))
    };
    let mut billy = lab.start(machine)?;
    billy.expect("billy: hypervisor: ")?;
    billy.expect_exit(Outcome::Failure)?;
    Ok(())
}

fn refused(lab: &Lab) -> Result<()> {
    let variation = Variation { uart: Some(UartChoice::Pl011), ..Variation::default() };
    let hidden = MachineOptions { hide_rm_console: true, ..options(variation) };
    let mut billy = lab.boot(hidden)?;
    let log = billy.ask("log", PROMPT)?;
    contains(&billy, &log, "RM refused CONSOLE_OPEN (target 0): ARGUMENT_INVALID (6)")?;
    contains(&billy, &log, "Pl011, ByInterrupt")?;
    billy.power_off()
}

/// The tree of a VM may be made from the host's, with the host's UART in it.
fn absent(lab: &Lab) -> Result<()> {
    let vanish = |machine: MachineOptions| MachineOptions {
        tune: Some(|file| file.vms.iter_mut().for_each(|vm| vm.uarts.clear())),
        ..machine
    };
    for uart in [UartChoice::Ns16550a, UartChoice::Pl011] {
        let asked = Some("console=uart".to_owned());
        let variation = Variation { uart: Some(uart), bootargs: asked, ..Variation::default() };
        let mut billy = lab.boot(vanish(options(variation.clone())))?;
        let log = billy.ask("log", PROMPT)?;
        contains(&billy, &log, "there is no UART at 0x")?;
        contains(&billy, &log, "console: open (backlog")?;
        billy.power_off()?;
        // Nobody hears the reason, but the way it ends.
        let mut early = vanish(options(variation));
        early.tune = Some(|file| {
            file.vms.iter_mut().for_each(|vm| vm.uarts.clear());
            file.options.identify[0] = 0x5100_0000_0000_8002;
        });
        let mut billy = lab.start(early)?;
        billy.expect_exit(Outcome::Failure)?;
        billy.wait_for_log("SYSTEM_RESET2 (type 0x80000003")?;
    }
    Ok(())
}

fn asked_for(lab: &Lab) -> Result<()> {
    for (bootargs, uart, line) in [
        ("quiet console=ttyS0,115200", UartChoice::Ns16550a, "Ns16550a, ByInterrupt"),
        ("console=pl011", UartChoice::Pl011, "Pl011, ByInterrupt"),
    ] {
        let bootargs = Some(bootargs.to_owned());
        let variation = Variation { bootargs, uart: Some(uart), ..Variation::default() };
        let mut billy = lab.boot(options(variation))?;
        let log = billy.ask("log", PROMPT)?;
        contains(&billy, &log, line)?;
        let irq = billy.ask("irq", PROMPT)?;
        contains(&billy, &irq, "uart")?;
        billy.power_off()?;
    }
    Ok(())
}

fn no_bell(lab: &Lab) -> Result<()> {
    for (bootargs, line) in
        [("console=ttyS0", "Ns16550a, ByInterrupt"), ("console=rm", "console: open (backlog")]
    {
        let (bootargs, uart) = (Some(bootargs.to_owned()), Some(UartChoice::Ns16550aDoorbell));
        let mut billy = lab.boot(options(Variation { bootargs, uart, ..Variation::default() }))?;
        billy.shows("rm resources", &["DOORBELL (1) label 8, with VMID 0x3", "INTID 37"])?;
        let log = billy.ask("log", PROMPT)?;
        contains(&billy, &log, line)?;
        ensure!(!log.contains("label 8"), billy.failure("the UART's doorbell is news"));
        let bells = billy.ask("bell list", PROMPT)?;
        contains(&billy, &bells, "bell 3")?;
        ensure!(!bells.contains("bell 8"), billy.failure("the UART's doorbell is a bell"));
        billy.power_off()?;
    }
    Ok(())
}

fn manager_first(lab: &Lab) -> Result<()> {
    // One kind of UART is there, the other is asked for.
    let bootargs = Some("console=ttyAMA0".to_owned());
    let uart = Some(UartChoice::Ns16550a);
    let mut billy = lab.boot(options(Variation { bootargs, uart, ..Variation::default() }))?;
    let log = billy.ask("log", PROMPT)?;
    contains(&billy, &log, "none like console= asks for")?;
    contains(&billy, &log, "console: open (backlog")?;
    let irq = billy.ask("irq", PROMPT)?;
    ensure!(!irq.contains("uart"), billy.failure("a UART that nobody uses interrupts"));
    billy.power_off()
}

/// Rings and sends, then ends the run.
const SERVICES: &str = "ring 3 0x1 20\nexpect bells 20\n\
                        send 2 hello\nexpect message 2 hello\nstop\n";

fn no_console(lab: &Lab) -> Result<()> {
    let no_rm = options(variation(None));
    let hidden = MachineOptions { hide_rm_console: true, ..MachineOptions::default() };
    for machine in [no_rm, hidden] {
        let mut billy = lab.scripted_on(SERVICES, machine)?;
        billy.expect_exit(Outcome::End)?;
    }
    Ok(())
}

fn silent(lab: &Lab) -> Result<()> {
    let bootargs = Some("console=none".to_owned());
    let uart = Some(UartChoice::Ns16550a);
    let machine = options(Variation { bootargs, uart, ..Variation::default() });
    let mut billy = lab.scripted_on(SERVICES, machine)?;
    let said = billy.expect_exit(Outcome::End)?;
    ensure!(said.is_empty(), billy.failure("something was said"));
    Ok(())
}

fn late_owner(lab: &Lab) -> Result<()> {
    let mut billy = lab.scripted(
        "expect open\n\
         expect ms 500\n\
         late-open\n\
         type \"\\r\"\n\
         expect console \"Gunyah, API version\"\n\
         expect console \"billy> \"\n\
         type \"uptime\\r\"\n\
         expect console \"up 0:\"\n\
         type \"poweroff\\r\"\n",
    )?;
    let before = billy.expect("Gunyah, API version")?;
    ensure!(
        before.contains("for who came late"),
        billy.failure("the owner's console was open before")
    );
    let after = billy.expect_exit(Outcome::End)?;
    ensure!(!after.contains("API version"), billy.failure("the log is shown more than once"));
    Ok(())
}
