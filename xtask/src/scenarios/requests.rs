//! Services over a message queue; a peer that asks well, badly, too much.

use anyhow::{Result, ensure};
use log::LevelFilter;

use super::{Lab, PROMPT, Scenario};
use crate::build::variation::Variation;
use crate::machine::Machine;
use crate::qemu::{MachineOptions, Outcome};

/// The scenarios of this theme.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("requests::every_service_answers", every_service),
    Scenario::new("requests::what_cannot_be_read_is_refused_by_field", refusals),
    Scenario::new("requests::sixteen_messages_of_nonsense_close_the_channel", nonsense),
    Scenario::new("requests::four_are_outstanding_and_no_more", outstanding),
    Scenario::new("requests::a_thousand_at_once_are_answered", flood),
    Scenario::new("requests::entropy_waits_and_nothing_waits_for_it", entropy),
    Scenario::new("requests::without_a_trng_the_hypervisor_gives_entropy", hypervisors_entropy),
    Scenario::new("requests::without_a_generator_there_is_no_entropy", no_entropy),
    Scenario::new("requests::the_time_has_a_date_if_there_is_a_clock", date),
    Scenario::new("requests::the_log_is_followed", log),
    Scenario::new("requests::a_queue_that_appears_has_services_until_it_goes", late),
];

/// A machine whose message queue 2 has services.
fn with_services() -> MachineOptions {
    let bootargs = Some("services=2".into());
    let variation = Variation { bootargs, ..Variation::default() };
    MachineOptions { variation, ..MachineOptions::default() }
}

fn scripted(lab: &Lab, script: &'static str) -> Result<Machine> {
    lab.scripted_on(script, with_services())
}

/// Runs a script to its end.
fn plays(lab: &Lab, script: &'static str) -> Result<()> {
    scripted(lab, script)?.expect_exit(Outcome::End)?;
    Ok(())
}

fn every_service(lab: &Lab) -> Result<()> {
    // The names in the directory; 64 bytes of entropy; the three lists; 256 bytes of the log.
    let mut billy = scripted(
        lab,
        "expect console \"billy> \"\n\
         request 2 directory 1\n\
         expect reply 2 directory 1 0009646972656374\
         6f727901046563686f020474696d650307656e74726f70790405737461747305036c6f67\n\
         request 2 echo 2 text=hello\n\
         expect reply 2 echo 2 text=hello\n\
         request 2 time 3\n\
         expect reply 2 time 3 date=none\n\
         request 2 entropy 4 40\n\
         expect reply 2 entropy 4 random=64:trng\n\
         request 2 stats 5 00\n\
         expect reply 2 stats 5\n\
         request 2 stats 6 01\n\
         expect reply 2 stats 6\n\
         request 2 stats 7 02\n\
         expect reply 2 stats 7 066d7367712032070001\n\
         request 2 log 8 800200\n\
         expect reply 2 log 8\n\
         type \"services\\r\"\n\
         expect console \"outstanding 0\"\n\
         type \"poweroff\\r\"\n",
    )?;
    billy.expect("services")?;
    let list = billy.expect(PROMPT)?;
    for name in ["echo", "time", "entropy", "stats", "log"] {
        ensure!(list.contains(name), billy.failure(&format!("`services` lists no {name}")));
    }
    ensure!(list.contains("requests 8, errors 0"), billy.failure("not 8 requests without error"));
    billy.expect_exit(Outcome::End)?;
    Ok(())
}

fn refusals(lab: &Lab) -> Result<()> {
    // Wrong version, wrong kind, no such service, and payloads that end too early, go on too long,
    // or have values that there are not.
    plays(
        lab,
        "expect console \"billy> \"\n\
         frame 2 0201010001000000\n\
         expect refusal 2 echo 1 malformed version\n\
         frame 2 0109010002000000\n\
         expect refusal 2 echo 2 malformed kind\n\
         request 2 77 3\n\
         expect refusal 2 77 3 unknown_service service\n\
         request 2 echo 4 0561\n\
         expect refusal 2 echo 4 malformed data\n\
         request 2 time 5 00\n\
         expect refusal 2 time 5 malformed payload\n\
         request 2 entropy 6 41\n\
         expect refusal 2 entropy 6 out_of_range bytes\n\
         request 2 stats 7 03\n\
         expect refusal 2 stats 7 malformed subject\n\
         request 2 log 8 01\n\
         expect refusal 2 log 8 malformed follow\n\
         request 2 echo 9 text=still\n\
         expect reply 2 echo 9 text=still\n\
         type \"poweroff\\r\"\n",
    )
}

fn nonsense(lab: &Lab) -> Result<()> {
    plays(
        lab,
        "expect console \"billy> \"\n\
         frame 2 010203 15\n\
         request 2 echo 1 text=yet\n\
         expect reply 2 echo 1 text=yet\n\
         frame 2 ff 16\n\
         expect console \"msgq 2 (VM 3): closed: 16 messages in a row were no requests\"\n\
         frame 2 ff 1\n\
         ring 3 0x1 10\n\
         expect bells 10\n\
         type \"poweroff\\r\"\n\
         expect console \"all that came is answered\"\n",
    )
}

fn outstanding(lab: &Lab) -> Result<()> {
    // Four that follow the log do not end by themselves.
    plays(
        lab,
        "expect console \"billy> \"\n\
         request 2 log 1 0001 times=4\n\
         request 2 echo 5 text=more\n\
         expect refusal 2 echo 5 busy\n\
         request 2 log 1 0001\n\
         expect refusal 2 log 1 request_in_use request\n\
         cancel 2 log 3\n\
         expect refusal 2 log 3 cancelled\n\
         request 2 echo 6 text=again\n\
         expect reply 2 echo 6 text=again\n\
         type \"services\\r\"\n\
         expect console \"outstanding 3\"\n\
         type \"poweroff\\r\"\n",
    )
}

fn flood(lab: &Lab) -> Result<()> {
    plays(
        lab,
        "expect console \"billy> \"\n\
         request 2 echo 1 text=flood times=1000\n\
         expect answers 2 1000 within 120000\n\
         frame 2 0201010001000000 15\n\
         ring 3 0x1 100\n\
         expect bells 100 within 60000\n\
         type \"services\\r\"\n\
         expect console \"requests 1000, errors 15\"\n\
         type \"poweroff\\r\"\n",
    )
}

fn entropy(lab: &Lab) -> Result<()> {
    // Each asks four times of firmware, which fills the time in which that may be done.
    plays(
        lab,
        "expect console \"billy> \"\n\
         request 2 entropy 1 40 times=3\n\
         request 2 echo 9 text=meanwhile\n\
         expect reply 2 echo 9 text=meanwhile\n\
         expect reply 2 entropy 1 random=64:trng\n\
         expect reply 2 entropy 2 random=64:trng\n\
         expect reply 2 entropy 3 random=64:trng\n\
         type \"poweroff\\r\"\n",
    )
}

fn without_trng(lab: &Lab, script: &'static str) -> Result<Machine> {
    let mut options = with_services();
    options.tune =
        Some(|file| (file.options.no_trng, file.options.log) = (true, LevelFilter::Debug));
    // How many calls come in 33 ms is the same in every run.
    options.icount = true;
    lab.scripted_on(script, options)
}

fn hypervisors_entropy(lab: &Lab) -> Result<()> {
    // It may be asked four times in any 33 ms, for 16 bytes each. The guest counts from its first call on, so three late in
    // its 34 ms and four right after them are too many.
    let mut billy = without_trng(
        lab,
        "expect console \"billy> \"\n\
         request 2 entropy 1 40 times=4\n\
         expect reply 2 entropy 1 random=64:hypervisor\n\
         expect reply 2 entropy 2 random=64:hypervisor\n\
         expect reply 2 entropy 3 random=64:hypervisor\n\
         expect reply 2 entropy 4 random=64:hypervisor\n\
         wait ms 100\n\
         request 2 entropy 5 10\n\
         expect reply 2 entropy 5 random=16:hypervisor\n\
         wait ms 25\n\
         request 2 entropy 6 40 times=2\n\
         request 2 echo 9 text=meanwhile\n\
         expect reply 2 echo 9 text=meanwhile\n\
         expect reply 2 entropy 6 random=64:hypervisor\n\
         expect reply 2 entropy 7 random=64:hypervisor\n\
         hypercall prng_get_entropy 31 7\n\
         request 2 entropy 8 11\n\
         expect reply 2 entropy 8 random=17:hypervisor\n\
         type \"poweroff\\r\"\n",
    )?;
    billy.wait_for_log("random numbers are asked for too often")?;
    billy.expect_exit(Outcome::End)?;
    Ok(())
}

fn no_entropy(lab: &Lab) -> Result<()> {
    // Busy whenever it is asked; not there; there after all.
    without_trng(
        lab,
        "expect console \"billy> \"\n\
         hypercall prng_get_entropy 31 every\n\
         request 2 entropy 1 01\n\
         expect refusal 2 entropy 1 failed\n\
         hypercall prng_get_entropy off\n\
         hypercall prng_get_entropy -1\n\
         request 2 entropy 2 01\n\
         expect refusal 2 entropy 2 unavailable\n\
         request 2 entropy 3 40\n\
         expect reply 2 entropy 3 random=64:hypervisor\n\
         type \"poweroff\\r\"\n",
    )?
    .expect_exit(Outcome::End)?;
    Ok(())
}

fn date(lab: &Lab) -> Result<()> {
    // An hour is more than any run takes.
    let script = "expect console \"billy> \"\n\
                  request 2 time 1\n\
                  expect reply 2 time 1 date=1700000000..1700003600\n\
                  wait ms 2000\n\
                  request 2 time 2\n\
                  expect reply 2 time 2 date=1700000002..1700003600\n\
                  type \"poweroff\\r\"\n";
    let mut options = with_services();
    options.variation.rtc = Some(Some(1_700_000_000));
    lab.scripted_on(script, options)?.expect_exit(Outcome::End)?;
    Ok(())
}

fn log(lab: &Lab) -> Result<()> {
    // A queue that goes is told by the log.
    plays(
        lab,
        "expect console \"billy> \"\n\
         request 2 log 1 4001\n\
         expect part 2 log 1\n\
         add queue-pair 30\n\
         status 3 RUNNING\n\
         wait ms 200\n\
         remove queue-pair 30\n\
         status 3 RUNNING\n\
         expect console \"closed\"\n\
         expect part 2 log 1\n\
         type \"poweroff\\r\"\n",
    )
}

fn late(lab: &Lab) -> Result<()> {
    // By its label, which is the one for services; it goes with requests outstanding.
    let mut billy = scripted(
        lab,
        "expect console \"billy> \"\n\
         add queue-pair 256\n\
         status 3 RUNNING\n\
         request 256 echo 1 text=late\n\
         expect reply 256 echo 1 text=late\n\
         request 256 log 2 0001 times=3\n\
         request 256 stats 9 02\n\
         expect reply 256 stats 9\n\
         remove queue-pair 256\n\
         status 3 RUNNING\n\
         expect console \"closed\"\n\
         request 2 echo 1 text=still\n\
         expect reply 2 echo 1 text=still\n\
         type \"services\\r\"\n\
         expect console \"outstanding 0\"\n\
         type \"poweroff\\r\"\n",
    )?;
    billy.expect("bound to")?;
    let list = billy.expect(PROMPT)?;
    ensure!(!list.contains("msgq 256"), billy.failure("a queue that is gone has services"));
    ensure!(list.contains("on msgq 2"), billy.failure("the queue that stays has none"));
    billy.expect_exit(Outcome::End)?;
    Ok(())
}
