//! The Resource Manager as it behaves, and what the shell learns from it.

use anyhow::{Result, ensure};
use billy_shim::machine_file::MachineFile;

use super::{Lab, PROMPT, Scenario};
use crate::machine::Machine;
use crate::qemu::{MachineOptions, Script};

/// The scenarios of this theme.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("rm::tells_about_this_vm", information),
    Scenario::new("rm::tells_of_what_comes_and_goes", late),
    Scenario::new("rm::tells_how_other_vms_are", strangers),
    Scenario::new("rm::out_of_memory_is_waited_for", no_memory),
    Scenario::new("rm::writes_that_get_no_answer_are_told", no_answer),
    Scenario::new("rm::the_oldest_notifications_are_lost", notifications),
    Scenario::new("rm::replies_in_order_with_notifications", in_order),
    Scenario::new("rm::a_request_dropped_without_a_reply", dropped_request),
    Scenario::new("rm::queues_with_documented_errors", documented_errors),
    Scenario::new("rm::flags_that_clear_themselves_are_kicks", acknowledged),
];

/// Boots a machine whose peer plays `script` meanwhile.
fn booted(lab: &Lab, script: &'static str, options: MachineOptions) -> Result<Machine> {
    let mut billy = lab.scripted_on(script, options)?;
    billy.expect(PROMPT)?;
    Ok(billy)
}

/// Numbers lines and checks that none is missing.
fn count(billy: &mut Machine, last: u32) -> Result<()> {
    let answer = billy.ask(&format!("count {last}"), PROMPT)?;
    let lines: Vec<&str> = answer.lines().filter(|line| !line.is_empty()).collect();
    let expected: Vec<String> = (1..=last).map(|number| number.to_string()).collect();
    ensure!(lines == expected, billy.failure("the numbered lines are not whole"));
    Ok(())
}

fn information(lab: &Lab) -> Result<()> {
    let mut billy = lab.boot(MachineOptions::default())?;
    for (line, wanted) in [
        ("rm vm", &["billy, VMID 0x80", "VM RUNNING", "owner       VMID 0x3", "0x1000164"][..]),
        ("rm vm 3", &["rm: RM refused VM_GET_ID (target 3): ARGUMENT_INVALID (6)"]),
        ("rm lookup name billy", &["VMID 0x80"]),
        ("rm lookup name kettle", &["no VM"]),
        ("rm lookup uri vm:kettle", &["no VM"]),
        ("rm lookup guid 00000000000000000000000000000000", &["VMID 0x80"]),
        ("rm peers", &["VMID 0x3"]),
        ("rm resources", &["DOORBELL (1) label 3", "INTID 962", "MSGQUEUE_SEND (2) label 2"]),
        ("rm resources 0", &["ARGUMENT_INVALID (6)"]),
        ("rm stats", &["timeouts 0", "packets dropped 0", "interrupts lost 0"]),
    ] {
        billy.shows(line, wanted)?;
    }
    billy.power_off()
}

fn late(lab: &Lab) -> Result<()> {
    let script = "expect console \"billy> \"\nadd doorbell 20\nadd source 20\nadd queue-pair 30\n\
                  status 3 RUNNING\nexpect console \"MSGQUEUE_RECEIVE (3) label 30\"\n\
                  remove doorbell 20\nremove source 20\nremove queue-pair 30\nstatus 3 RUNNING\n";
    let mut billy = booted(lab, script, MachineOptions::default())?;
    // A log line in the middle of a command would be taken for its answer.
    billy.expect("msgq 30 of VMID 0x3: new")?;
    let made = ["DOORBELL (1) label 20", "INTID 965", "MSGQUEUE_SEND (2) label 30", "INTID 967"];
    billy.shows("rm resources", &made)?;
    billy.expect("msgq 30 of VMID 0x3: closed")?;
    let left = billy.ask("rm resources", PROMPT)?;
    let gone = !left.contains("label 20") && !left.contains("label 30");
    ensure!(gone && left.contains("label 3"), billy.failure("what was removed is still there"));
    billy.power_off()
}

fn strangers(lab: &Lab) -> Result<()> {
    let script = "expect console \"billy> \"\nadd doorbell 20 peer=69\nstatus 69 RUNNING RUN 7\n\
                  expect console \"label 20\"\nstatus 69 EXITED\nlog gone\n";
    let mut billy = booted(lab, script, MachineOptions::default())?;
    billy.expect("bell 20 of VMID 0x45: new")?;
    billy.shows("rm peers", &["VMID 0x3", "VMID 0x45"])?;
    billy.shows("rm resources 69", &["DOORBELL (1) label 20, with VMID 0x45"])?;
    billy.wait_for_log("gone")?;
    billy.power_off()
}

fn no_memory(lab: &Lab) -> Result<()> {
    let script = "expect console \"\\n10\\r\\n\"\nrm CONSOLE_WRITE refuse 1 5\n";
    let mut billy = booted(lab, script, MachineOptions::default())?;
    count(&mut billy, 3000)?;
    billy.shows("rm stats", &["put off 5", "output without an answer 0 bytes"])?;
    billy.power_off()
}

fn no_answer(lab: &Lab) -> Result<()> {
    let options = MachineOptions {
        tune: Some(|file| file.options.rm.longest_write = 500),
        ..MachineOptions::default()
    };
    let mut billy = booted(lab, "", options)?;
    billy.send("count 300\r");
    billy.expect("bytes of output may be lost: RM did not answer]")?;
    billy.expect(PROMPT)?;
    billy.shows("uptime", &["up "])?;
    billy.power_off()
}

fn notifications(lab: &Lab) -> Result<()> {
    // One byte each: eight in the queue, or seven and a reply, one on its way, 20 that wait. The others are lost.
    let script = "expect console \"billy> \"\nflood 300 1\ntype \"\\r\"\n";
    let mut billy = lab.start(MachineOptions {
        script: Some(Script::Text(script.into())),
        tune: Some(|file| file.options.rm.notifications = 20),
        ..MachineOptions::default()
    })?;
    billy.expect("unknown command '")?;
    let typed = billy.expect("'")?;
    let whole = typed.bytes().all(|byte| byte == b'a') && (28..=29).contains(&typed.len());
    let reason = format!("{} bytes came, not 28 or 29: `{typed}`", typed.len());
    ensure!(whole, billy.failure(&reason));
    billy.expect(PROMPT)?;
    billy.power_off()
}

fn in_order(lab: &Lab) -> Result<()> {
    // Replies that wait for the notifications before them leave none waiting when the output is that far; where replies
    // overtake, the second flood makes RM lose the oldest.
    let notifications = |in_order| -> Result<u64> {
        let tune: fn(&mut MachineFile) = match in_order {
            true => |file| (file.options.rm.in_order, file.options.rm.replies) = (true, 8),
            false => |file| file.options.rm.replies = 8,
        };
        let script = "expect console \"\\n10\\r\\n\"\nflood 200 1\n\
                      expect console \"\\n700\\r\\n\"\nflood 256 1\ntype \"\\x03\"\n";
        let options = MachineOptions { tune: Some(tune), ..MachineOptions::default() };
        let mut billy = booted(lab, script, options)?;
        count(&mut billy, 3000)?;
        billy.expect(PROMPT)?;
        billy.shows("rm stats", &["timeouts 0", "packets dropped 0"])?;
        let notifications = billy.count("rm stats", "notifications ", "notifications ")?;
        billy.power_off()?;
        Ok(notifications)
    };
    let (in_order, overtaking) = (notifications(true)?, notifications(false)?);
    ensure!(in_order >= 456, "{in_order} notifications came, though replies keep the order");
    ensure!(overtaking < 456, "{overtaking} notifications came, though replies overtake");
    Ok(())
}

fn dropped_request(lab: &Lab) -> Result<()> {
    let script = "expect console \"billy> \"\nrm VM_GET_PEERS drop\n";
    let mut billy = booted(lab, script, MachineOptions::default())?;
    billy.shows("rm peers", &["RM did not answer VM_GET_PEERS within 5000 ms"])?;
    billy.shows("rm peers", &["VMID 0x3"])?;
    billy.shows("rm stats", &["timeouts 1"])?;
    billy.power_off()
}

fn documented_errors(lab: &Lab) -> Result<()> {
    let options = MachineOptions {
        tune: Some(|file| file.options.documented_errors = true),
        ..MachineOptions::default()
    };
    let script = "expect console \"billy> \"\nsend 2 \"message {n}\" 100\n\
                  expect message 2 \"message {n}\" 100 within 60000\n\
                  expect console \"VMID 0x3\" within 60000\nbroken 2 on\nsend 2 hello\n";
    let mut billy = booted(lab, script, options)?;
    billy.expect("re:message 100")?;
    billy.expect(PROMPT)?;
    count(&mut billy, 3000)?;
    // What the running code calls success, the document calls an error.
    billy.send("rm peers\r");
    billy.expect("MSGQUEUE_RECEIVE (0x1c) on message queue")?;
    billy.expect("ADDR_OVERFLOW (20)")?;
    billy.expect(PROMPT)?;
    billy.power_off()
}

/// Flags that are acknowledged by themselves leave nothing to receive but the interrupt.
fn acknowledged(lab: &Lab) -> Result<()> {
    let script = "expect console \"clear themselves\"\nburst 3 0x1 1\nwait ms 200\n\
                  burst 3 0x100 1\nexpect bells 1\nlog answered\n";
    let mut billy = booted(lab, script, MachineOptions::default())?;
    let answer = "bell 3 interrupts for flags 0xffff, of which 0x1 clear themselves";
    billy.shows("bell mask 3 0xffff 0x1", &[answer])?;
    billy.wait_for_log("answered")?;
    billy.shows("bell list", &["kicks 1, answered 1", "flag 8: 1"])?;
    billy.power_off()
}
