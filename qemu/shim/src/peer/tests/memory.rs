//! Memory that the script shares, tells of, and takes back.

use super::*;
use crate::vm::VmIndex;

const DONE: [u8; 4] = [0, 2, 0x80, 0];
const FIRST: u64 = 0x1_0000_0000;

/// Content of `MEM_ACCEPT`, place left to RM.
fn accept(handle: u32) -> Vec<u8> {
    [&handle.to_le_bytes()[..], &DONE, &[0; 16]].concat()
}

fn ask(rig: &mut Rig, id: u32, content: &[u8]) -> u8 {
    let reply = rig.call(id, 1, content);
    reply[8]
}

#[test]
fn a_parcel_is_shared_used_recalled_and_reclaimed() {
    let mut rig = Rig::scripted(
        "share 5 0x2000 tag=4\npoke 5 0x1ffc 0x64636261\nexpect accepted 5\nreclaim 5 refused\n\
         write 5 1 \"01 02.03\"\nexpect word 5 8 7\nrecall 5 4\nexpect released 5\n\
         expect told 5 released 4\nreclaim 5\nstop",
    );
    rig.run();
    let told = rig.drain();
    assert_eq!(told[0][4..8], [0x11, 0, 0x10, 0x51]);
    assert_eq!((told[0][20], told[0][24]), (5, 4));
    assert_eq!(ask(&mut rig, 0x5100_0011, &accept(0)), 0);
    assert_eq!(rig.mappings.load(FIRST + 0x1fff), Some(b'd'));
    assert_eq!(
        [0, 1, 2, 3].map(|offset| rig.mappings.load(FIRST + offset)),
        [Some(0), Some(1), Some(2), Some(3)]
    );
    rig.mappings.store(FIRST + 8, 7).unwrap();
    rig.run();
    assert_eq!(rig.drain()[0][4..], [0x14, 0, 0x10, 0x51, 0, 0, 0, 0, 4, 0, 0, 0]);
    assert_eq!(ask(&mut rig, 0x5100_0014, &[0; 8]), 0);
    rig.request(gunyah_abi::rm::MessageId::MEM_NOTIFY, 1, &[0, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0]);
    assert_eq!(rig.pump(), Some(Event::Finished(Outcome::Success)));
    assert_eq!(rig.machine.rm.parcel_handle(VmIndex(0), 5), None);
}

#[test]
fn a_parcel_is_taken_away_by_force() {
    let mut rig = Rig::scripted("share 5 0x2000\nexpect accepted 5\nseize 5\nlog gone");
    rig.run();
    rig.drain();
    assert_eq!(ask(&mut rig, 0x5100_0011, &accept(0)), 0);
    rig.run();
    assert_eq!((rig.mappings.load(FIRST), rig.mappings.all().len()), (None, 0));
    assert_eq!(ask(&mut rig, 0x5100_0014, &[0; 8]), 7, "the handle is gone");
    assert_eq!(rig.machine.peers[0].unfinished(), None);
}

#[test]
fn a_script_lies() {
    let truth = "share 5 0x3000 quiet ranges=3 rights=rwx attribute=cached sanitized owner=9\n";
    let lies = "announce 5 label=6 handle=7 size=8 owner=10 vmid=11 tag=12 type=io transaction=lend \
        rights=r attribute=device";
    let mut rig = Rig::scripted(&format!("{truth}announce 5\n{lies}"));
    rig.run();
    let told = rig.drain();
    let content = |packet: &[u8]| {
        let (told, lists) = gunyah_abi::rm::notification::MemShared::parse(&packet[8..]).unwrap();
        let [access, ..] = lists.access else { panic!() };
        let sizes: Vec<u64> = lists.sizes.iter().map(|size| size.get()).collect();
        let fixed = [told.handle, told.label, told.tag].map(|word| word.get());
        let [memory, transaction] = [told.memory_type, told.transaction];
        let attribute = lists.attributes[0].attribute.get();
        let rights = (access.vmid.get(), access.rights);
        (fixed, told.owner.get(), memory, transaction, told.flags, rights, sizes, attribute)
    };
    let (fixed, sizes) = ([0, 5, 0], vec![0x1000; 3]);
    assert_eq!(content(&told[0]), (fixed, 9, 0, 2, 1, (0x80, 7), sizes, 3));
    assert_eq!(content(&told[1]), ([7, 6, 12], 10, 1, 1, 1, (11, 4), vec![8; 3], 1));
}

#[test]
fn steps_with_memory_that_cannot_work_fail_by_name() {
    for (script, reason) in [
        ("reclaim 5", "there is no memory parcel 5"),
        ("poke 5 0 1", "there is no memory parcel 5, or it is the guest's alone"),
        ("share 5 0x1001", "RM refused: ARGUMENT_INVALID (6)"),
    ] {
        let mut rig = Rig::scripted(script);
        assert_eq!(failure(&mut rig), format!("script line 1 `{script}`: {reason}"));
    }
    for (step, reason) in [
        ("reclaim 5 refused", "RM did not refuse it"),
        ("poke 5 0x1000 1", "the parcel has 0x1000 bytes"),
        ("expect word 5 0x1000 1", "the parcel has 0x1000 bytes"),
    ] {
        let mut rig = Rig::scripted(&format!("share 5 4096 quiet\n{step}"));
        assert_eq!(failure(&mut rig), format!("script line 2 `{step}`: {reason}"));
    }
    let mut rig = Rig::scripted("share 5 4096\nexpect bytes 5 0 0102 within 5");
    rig.run();
    rig.clock.0.set(5_000_000);
    assert!(failure(&mut rig).ends_with("not within 5 ms: there is [00, 00]"));
    let mut rig = Rig::scripted("lend 5 4096\nexpect accepted 5\npoke 5 0 1");
    rig.run();
    rig.drain();
    let mut content = accept(0);
    content[5] = 1;
    rig.request(gunyah_abi::rm::MessageId::MEM_ACCEPT, 1, &content);
    assert!(failure(&mut rig).ends_with("or it is the guest's alone"));
}

#[test]
fn mistakes_in_steps_with_memory_are_named() {
    for (line, problem) in [
        ("share 5", "bytes is missing"),
        ("share 5 4096 loud", "`loud` is no option of the step"),
        ("share 5 4096 rights=rq", "`rq` is no row of the letters `rwx`"),
        ("share 5 4096 ranges=0", "`0` is no number of ranges"),
        ("share 5 4096 label=6", "`label=6` is no option of the step"),
        ("announce 5 quiet", "`quiet` is no option of the step"),
        ("reclaim 5 please", "`please` is too much"),
        ("expect told 5 gone", "`gone` is no `accepted` or `released`"),
        ("expect told 5 released 0x100000000", "`0x100000000` is no number"),
        ("write 5 0 abc", "`abc` is no row of bytes"),
    ] {
        let error = Script::parse([line]).unwrap_err();
        assert_eq!(error.to_string(), format!("script line 1 `{line}`: {problem}"));
    }
}
