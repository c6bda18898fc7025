//! Memory that other VMs share: parcels and rings come and go, lies are found.
//!
//! The peer's script writes a ring's control lines word by word, as ARCHITECTURE.md has them. Its VM, the owner, has the lower
//! VMID, so lines 0 and 3 are its own. The guest's session on memory full of zeros is 1.

use anyhow::{Result, ensure};

use super::{Lab, PROMPT, Scenario};
use crate::build::variation::Variation;
use crate::qemu::MachineOptions;

/// The scenarios of this theme.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("sharing::a_parcel_comes_and_goes", parcel),
    Scenario::new("sharing::a_parcel_shared_before_the_vm_ran", early),
    Scenario::new("sharing::parcels_that_are_not_what_they_must_be", lies),
    Scenario::new("sharing::a_ring_of_bytes_until_it_is_recalled", ring),
    Scenario::new("sharing::rings_recalled_in_the_middle_of_use", recalled),
    Scenario::new("sharing::the_shell_sends_on_rings", said),
    Scenario::new("sharing::a_ring_whose_indices_go_wild", wild),
    Scenario::new("sharing::rings_that_the_tree_names", named),
    Scenario::new("sharing::memory_taken_away_by_force", seized),
    Scenario::new("sharing::a_peer_that_ends_and_comes_back", peer_gone),
];

/// Announces the peer on a ring of 16 KiB in byte mode, session 5, and has the guest find it.
const ATTACH: &str = "poke 7 0x00 0x474e5242\npoke 7 0x04 0x10001\npoke 7 0x08 4096\npoke 7 0x14 5\n\
     poke 7 0xc0 0x474e5242\npoke 7 0xc4 0x10001\npoke 7 0xc8 4096\npoke 7 0xd4 5\nring 7 1\n\
     expect word 7 0x54 0x50001\nexpect word 7 0x80 0x474e5242\n";

fn parcel(lab: &Lab) -> Result<()> {
    let mut billy =
        lab.played("share 7 0x3000 tag=4\nexpect accepted 7\nexpect told 7 accepted 4")?;
    billy.shows("mem parcels", &["of VM 3: label 7, 12288 bytes, mapped", "not in use"])?;
    billy.shows("ring list", &["no rings"])?;
    billy.power_off()?;

    let script = "share 7 0x3000 tag=4\nexpect accepted 7\nexpect told 7 accepted 4\nrecall 7\n\
         expect released 7\nexpect told 7 released 4\nreclaim 7\nshare 8 0x1000\nexpect accepted 8";
    let mut billy = lab.played(script)?;
    billy.shows("mem parcels", &["label 8, 4096 bytes, mapped"])?;
    billy.shows("log", &["recalled", "unmapped and released"])?;
    billy.power_off()
}

fn early(lab: &Lab) -> Result<()> {
    let script = "share 7 0x3000 tag=4\nshare 8 0x1000\nexpect accepted 7\nexpect told 7 accepted 4\n\
         expect accepted 8\nlog played\n";
    let mut billy = lab.scripted(script)?;
    billy.expect(PROMPT)?;
    billy.wait_for_log("played")?;
    let wanted = ["label 7, 12288 bytes, mapped", "label 8, 4096 bytes, mapped"];
    billy.shows("mem parcels", &wanted)?;
    billy.power_off()
}

fn lies(lab: &Lab) -> Result<()> {
    let script = "share 7 0x2000 quiet\nannounce 7 label=9\nwait ms 20\nshare 8 0x2000 at=0x80000000\n\
         share 9 0x2000 type=io\nlend 10 0x2000\nshare 11 0x2000 attribute=uncached\n\
         share 12 0x2000 rights=w quiet\nannounce 12\nshare 13 0x1000 quiet\nannounce 13 size=0x2000000\n\
         lend 15 0x2000 quiet\nannounce 15 transaction=share\nshare 16 0x2000 quiet\nannounce 16 handle=99\n\
         share 14 0x2000\nexpect accepted 14";
    let mut billy = lab.played(script)?;
    billy.shows(
        "log",
        &[
            "(parcel 0): VALIDATE_FAILED (8)",
            "(parcel 7): ARGUMENT_INVALID (6)",
            "(parcel 99): HANDLE_INVALID (7)",
            "ranges: 0x80000000..0x80002000 overlaps the image",
            "type: IO (1), not NORMAL",
            "transaction: LEND (1), not SHARE",
            "attributes: UNCACHED (2), not NORMAL or CACHED",
            "sizes: 0x2000000 bytes in all",
        ],
    )?;
    billy.shows("mem parcels", &["label 14, 8192 bytes, mapped"])?;
    billy.power_off()
}

fn ring(lab: &Lab) -> Result<()> {
    let script = format!(
        "add ring 7 16384\nexpect accepted 7\nwait ms 20\n{ATTACH}\
         poke 7 0x14 0x10005\npoke 7 0xd4 0x10005\nwrite 7 0x100 68656c6c6f\npoke 7 0x10 5\nring 7 1\n\
         expect bytes 7 0x1100 68656c6c6f\nexpect word 7 0x90 5\nexpect word 7 0x50 5"
    );
    let mut billy = lab.played(&script)?;
    billy.shows(
        "ring list",
        &["ring 7 with VM 3: open, bytes", "in 1 (5 bytes), out 1 (5 bytes)"],
    )?;
    billy.shows("mem parcels", &["label 7, 16384 bytes, mapped", "in use"])?;
    billy.power_off()?;

    // The guest waits for room for what it echoes: nobody reads.
    let script = format!(
        "add ring 7 16384\nexpect accepted 7\nwait ms 20\n{ATTACH}\
         poke 7 0x14 0x10005\npoke 7 0xd4 0x10005\npoke 7 0x10 4096\nring 7 1\n\
         expect word 7 0x50 4096\nexpect word 7 0x90 4096\npoke 7 0x10 8192\nring 7 1\nwait ms 20\n\
         recall 7\nexpect released 7\nexpect word 7 0x90 4096\nreclaim 7"
    );
    let mut billy = lab.played(&script)?;
    billy.shows(
        "log",
        &["ring 7 of VM 3: its memory is recalled: closed", "unmapped and released"],
    )?;
    billy.shows("mem parcels", &["nobody shares memory with this VM"])?;
    billy.power_off()
}

fn recalled(lab: &Lab) -> Result<()> {
    // What is on its way beside can end only on new memory.
    let script = "silent on\nadd ring 7 16384\nadd ring 8 16384\nexpect accepted 7\nexpect accepted 8\n\
         attach 7 bytes\nattach 8\nexpect attached 7\nexpect attached 8\n\
         begin\nstream 7 4000000\nend\nbegin\nrequest 8 echo 1 text=hello times=20000\nend\n\
         expect streamed 7 100000\nexpect answers 8 100\nrecall 7\nrecall 8\n\
         expect released 7\nexpect released 8\nreclaim 7\nreclaim 8\n\
         log recalled\nshare 7 16384\nshare 8 16384\nexpect accepted 7\nexpect accepted 8\n\
         attach 7 bytes\nattach 8\nexpect streamed 7 100000\nexpect answers 8 100\n\
         expect idle within 120000";
    let mut billy = lab.played(script)?;
    let closed = |ring| format!("ring {ring} of VM 3: its memory is recalled: closed");
    billy.shows("log", &[&closed(7), &closed(8), "unmapped and released"])?;
    let rings = billy.ask("ring list", PROMPT)?;
    for open in ["ring 7 with VM 3: open, bytes", "ring 8 with VM 3: open, messages"] {
        ensure!(rings.contains(open), billy.failure(&format!("`{open}` is not shown")));
    }
    ensure!(!rings.contains("in 0 "), billy.failure("all was through before the recall"));
    billy.power_off()
}

fn said(lab: &Lab) -> Result<()> {
    let script = format!(
        "add ring 7 16384\nadd ring 8 16384\nexpect accepted 7\nexpect accepted 8\nwait ms 20\n{ATTACH}\
         poke 7 0x14 0x10005\npoke 7 0xd4 0x10005\nattach 8\nexpect attached 8\n\
         type \"ring send 7 hello\\r\"\nexpect console \"5 bytes go out on ring 7\"\n\
         expect bytes 7 0x1100 68656c6c6f\nexpect word 7 0x90 5\n\
         type \"ring send 8 hello there\\r\"\nexpect console \"11 bytes go out on ring 8\"\n\
         expect message 8 \"hello there\"\nexpect nothing 8"
    );
    let mut billy = lab.played(&script)?;
    billy.shows("ring list", &["in 0 (0 bytes), out 1 (5 bytes)", "out 1 (11 bytes)"])?;
    billy.power_off()
}

fn wild(lab: &Lab) -> Result<()> {
    let script = format!(
        "add ring 7 16384\nexpect accepted 7\nwait ms 20\n{ATTACH}\
         poke 7 0x14 0x10005\npoke 7 0x10 0xdeadbeef\nring 7 1\n\
         add ring 8 16384\nexpect accepted 8"
    );
    let mut billy = lab.played(&script)?;
    billy.shows(
        "ring list",
        &[
            "ring 7 with VM 3: closed: the peer's head is invalid: 0xdeadbeef",
            "ring 8 with VM 3: waits",
        ],
    )?;
    billy.power_off()
}

fn named(lab: &Lab) -> Result<()> {
    let script = "attach 16\nexpect attached 16\nrequest 16 echo 1 text=hello\nexpect reply 16 echo 1 text=hello\n\
         detach 16\nattach 16 bytes\nexpect attached 16\nstream 16 300000\nexpect streamed 16 300000";
    let variation = Variation { shared_memory: true, ..Variation::default() };
    let options = MachineOptions { variation, ..MachineOptions::default() };
    let mut billy = lab.played_on(script, options.clone())?;
    billy.shows("ring list", &["ring 16 with VM 3: open, bytes"])?;
    billy.shows(
        "mem parcels",
        &[
            "parcel 0 of VM 3: label 16, 131072 bytes, mapped",
            "parcel 1 of VM 3: label 17, 16384 bytes",
        ],
    )?;
    billy.power_off()?;

    let script = "attach 16\nexpect attached 16\nrecall 16 9\nexpect released 16\nexpect told 16 released 9\n\
         recall 17\nexpect released 17\nexpect told 17 released 0";
    let mut billy = lab.played_on(script, options)?;
    billy.shows("mem parcels", &["nobody shares memory with this VM"])?;
    billy.power_off()
}

fn seized(lab: &Lab) -> Result<()> {
    let script = "add ring 7 16384\nadd ring 8 16384\nexpect accepted 7\nexpect accepted 8\nattach 7\nattach 8\n\
         expect attached 7\nexpect attached 8\nseize 7\nring 7 1\nwait ms 20\n\
         request 8 echo 1 text=alive\nexpect reply 8 echo 1 text=alive";
    let mut billy = lab.played(script)?;
    let wanted =
        ["ring 7 with VM 3: closed: its memory was taken away", "ring 8 with VM 3: open, messages"];
    billy.shows("ring list", &wanted)?;
    billy.power_off()
}

fn peer_gone(lab: &Lab) -> Result<()> {
    let script = "add ring 7 16384 peer=69\nstatus 69 RUNNING RUN\nexpect accepted 7\nattach 7\nexpect attached 7\n\
         request 7 echo 1 text=one\nexpect reply 7 echo 1 text=one\nstatus 69 EXITED\nexpect released 7";
    let mut billy = lab.played(script)?;
    billy.shows("mem parcels", &["nobody shares memory with this VM"])?;
    billy.power_off()
}
