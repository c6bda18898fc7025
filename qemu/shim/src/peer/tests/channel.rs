//! What a script makes and takes away while the guest runs.

use gunyah_abi::rm::payload::HypResource;
use zerocopy::FromBytes;

use super::*;

/// What RM tells of the resources shared with a VM: kind, label, capability, INTID.
fn resources(rig: &mut Rig, vmid: u8) -> Vec<(u8, u32, u64, u32)> {
    rig.request(gunyah_abi::rm::MessageId::VM_GET_HYP_RESOURCES, 1, &[vmid, 0, 0, 0]);
    rig.run();
    let packets = rig.drain();
    let mut content = Vec::new();
    for packet in packets.iter().filter(|packet| packet[4..8] == [0x20, 0, 0, 0x56]) {
        content.extend_from_slice(&packet[8..]);
    }
    assert_eq!(content[..4], [0; 4]);
    let entries = content[8..].chunks_exact(44).map(|bytes| {
        let entry = HypResource::read_from_bytes(bytes).unwrap();
        assert_eq!(entry.partner_vmid.get(), u16::from(vmid));
        (entry.kind, entry.label.get(), entry.capability().0, entry.virq.get())
    });
    entries.collect()
}

#[test]
fn late_doorbells_ring_until_they_are_removed() {
    let mut rig = Rig::scripted(
        "wait bells 1\nadd doorbell 20 peer=9\nadd source 20 peer=9 can-clear\nstatus 9 RUNNING RUN 7\n\
         ring 20 4\nwait bells 1\nremove doorbell 20\nremove source 20\nstatus 9 EXITED",
    );
    rig.run();
    let reply = rig.call(0x5600_0020, 1, &[9, 0, 0, 0]);
    assert_eq!(reply[8], 6, "nobody knows that VM");
    let before = resources(&mut rig, 3);
    rig.signals.take();
    assert_eq!(rig.native(0x12, &[3, 1, 0]), [0, 0]);
    rig.run();
    let told = rig.drain();
    assert_eq!(told[0][4..], [8, 0, 0x10, 0x56, 9, 0, 0, 0, 3, 4, 7, 0]);
    assert_eq!(rig.call(0x5600_0017, 1, &[9, 0, 0, 0])[12..], [3, 4, 7, 0]);
    assert_eq!(resources(&mut rig, 3), before);
    assert_eq!(resources(&mut rig, 9), [(1, 20, 6, 965), (0, 20, 7, u32::MAX)]);
    assert_eq!(rig.call(0x5600_0025, 1, &[])[12..], [2, 0, 0, 0, 3, 0, 0, 0, 9, 0, 0, 0]);
    assert!(rig.signals.take().contains(&Signal::Assert(965)));
    assert_eq!(rig.native(0x13, &[6, ALL, 0]), [0, 4]);
    assert_eq!(rig.native(0x13, &[7, ALL, 0]), [0, 0], "it may clear");
    assert_eq!(rig.native(0x12, &[7, 2, 0]), [0, 0]);
    rig.run();
    assert!(rig.signals.take().ends_with(&[Signal::Clear(965), Signal::Assert(961)]));
    assert_eq!(rig.drain()[0][8..], [9, 0, 0, 0, 9, 0, 0, 0]);
    for cap in [6, 7] {
        assert_eq!(rig.native(0x12, &[cap, 1, 0]), [51, 0]);
    }
    assert_eq!(rig.call(0x5600_0020, 1, &[9, 0, 0, 0])[8..], [0; 8]);
}

#[test]
fn late_queues_carry_messages() {
    let mut rig = Rig::scripted(
        "add queue-pair 30 depth=2 size=16\nsend 30 \"m {n}\" 3\nexpect message 30 hello\n\
         remove queue-pair 30\nadd queue-pair 30\nwait bells 1\nadd queue-pair 31 depth=0",
    );
    rig.run();
    let made = resources(&mut rig, 3);
    let expected = [(2, 30, 6, 965), (3, 30, 7, 966)];
    assert!(made.ends_with(&expected), "{made:?}");
    assert_eq!(rig.receive(7), Some(b"m 1".to_vec()));
    rig.run();
    assert_eq!([rig.receive(7), rig.receive(7)], [b"m 2", b"m 3"].map(|text| Some(text.to_vec())));
    assert_eq!(rig.send(6, b"hello"), 0);
    rig.run();
    assert_eq!(rig.send(6, b"hello"), 51);
    let again = resources(&mut rig, 3);
    assert!(again.ends_with(&[(2, 30, 8, 965), (3, 30, 9, 966)]), "{again:?}");
    assert_eq!(again.len(), made.len());
    assert_eq!(rig.native(0x12, &[3, 1, 0]), [0, 0]);
    let reason = "there are no queues of 0 messages of 240 bytes";
    assert!(failure(&mut rig).ends_with(reason));
}

#[test]
fn a_ring_is_made_and_taken_away() {
    let mut rig = Rig::scripted(
        "add ring 40 0x4000\nexpect accepted 40\nremove ring 40\nexpect released 40\nreclaim 40\nstop",
    );
    rig.run();
    assert_eq!(rig.drain()[0][20], 40);
    let made = resources(&mut rig, 3);
    assert!(made.ends_with(&[(1, 40, 6, 965), (0, 40, 7, u32::MAX)]), "{made:?}");
    let accept = [0, 0, 0, 0, 0, 2, 0x80, 0];
    let accept = [&accept[..], &[0; 16]].concat();
    assert_eq!(rig.call(0x5100_0011, 1, &accept)[8], 0);
    rig.run();
    assert_eq!(rig.drain()[0][4], 0x14, "recalled");
    assert_eq!(rig.native(0x12, &[7, 1, 0]), [51, 0]);
    rig.request(gunyah_abi::rm::MessageId::MEM_RELEASE, 1, &[0; 8]);
    assert_eq!(rig.pump(), Some(Event::Finished(Outcome::Success)));
}

#[test]
fn there_is_an_end_to_what_can_be_made() {
    let bells: String = (0..1000).map(|label| format!("add doorbell {label}\n")).collect();
    let mut rig = Rig::scripted(&bells);
    // Five of the 988 SPIs are taken from the start.
    let reason = "script line 984 `add doorbell 983`: the guest has no INTID left";
    assert_eq!(failure(&mut rig), reason);
    let mut vm = config();
    vm.resource_manager = None;
    vm.set_script("add doorbell 1");
    let mut rig = Rig::new(&MachineFile::of(vm));
    assert!(failure(&mut rig).ends_with("RM refused: ARGUMENT_INVALID (6)"));
    assert_eq!(rig.machine.vms()[0].intids.len(), 3);
}

#[test]
fn making_and_removing_for_ever_leaves_nothing() {
    let turn = "add doorbell 1\nadd source 1\nadd queue-pair 2\nshare 3 4096\nremove doorbell 1\n\
        remove source 1\nremove queue-pair 2\nreclaim 3\n";
    let mut rig = Rig::scripted(&turn.repeat(300));
    let before = resources(&mut rig, 3);
    for _ in 0..300 {
        rig.drain();
    }
    assert_eq!(rig.pump(), None);
    assert_eq!(resources(&mut rig, 3), before);
    assert_eq!(rig.machine.vms()[0].intids.len(), 5);
    assert!(rig.machine.objects.len() <= 6 + 4);
    // A label can be used again, by something that has been rung less often.
    let mut rig = Rig::scripted("wait bells 2\nremove source 7\nadd source 7\nwait bells 1\nstop");
    for cap in [3, 3] {
        rig.native::<2>(0x12, &[cap, 1, 0]);
        rig.run();
    }
    rig.native::<2>(0x12, &[6, 1, 0]);
    assert_eq!(rig.pump(), Some(Event::Finished(Outcome::Success)));
}

#[test]
fn the_guest_is_asked_to_shut_down() {
    let mut rig = Rig::scripted("shutdown 7");
    rig.run();
    assert_eq!(rig.drain()[0][4..], [2, 0, 0x10, 0x56, 7, 0, 0, 0]);
}

#[test]
fn mistakes_in_steps_with_channels_are_named() {
    for (line, problem) in [
        ("add", "`doorbell`, `source`, `queue-pair` or `ring` is missing"),
        ("add sun 1", "`sun` is no `doorbell`, `source`, `queue-pair` or `ring`"),
        ("add doorbell 1 can-clear", "`can-clear` is no option of the step"),
        ("add ring 1", "bytes is missing"),
        ("remove source 1 now", "`now` is too much"),
        ("status 3 WELL", "`WELL` is no state"),
        ("status 3 RUNNING TIRED", "`TIRED` is no OS state"),
        ("shutdown soon", "`soon` is no reason"),
    ] {
        let error = Script::parse([line]).unwrap_err();
        assert_eq!(error.to_string(), format!("script line 1 `{line}`: {problem}"));
    }
    let mut rig = Rig::scripted("remove ring 1");
    assert!(failure(&mut rig).ends_with("the guest has nothing of that kind at 1"));
}
