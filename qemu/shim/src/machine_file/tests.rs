use alloc::string::ToString;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;

const SMALLEST: &str = "billy-machine 1\n\
    vm vmid=0x80 owner=3 name=billy ram-base=0x80000000 ram-size=0x4000000 entry=0x80000000 tree=0\n";

fn queue_pair() -> impl Strategy<Value = QueuePair> {
    let numbers = (any::<u64>(), any::<u64>(), any::<u32>(), any::<u32>());
    (numbers, any::<u16>(), any::<u16>()).prop_map(
        |((tx_cap, rx_cap, tx_intid, rx_intid), depth, size)| QueuePair {
            tx_cap,
            rx_cap,
            tx_intid,
            rx_intid,
            depth,
            size,
        },
    )
}

prop_compose! {
    fn objects()(
        resource_manager in option::of(queue_pair()),
        queue_pairs in vec((any::<u32>(), any::<u16>(), queue_pair()), 0..3),
        doorbells in vec((any::<u32>(), any::<u16>(), any::<u64>(), any::<u32>()), 0..3),
        sources in vec((any::<u32>(), any::<u16>(), any::<u64>(), any::<bool>()), 0..3),
    ) -> VmConfig {
        let pairs = queue_pairs.into_iter();
        let bells = doorbells.into_iter();
        let sources = sources.into_iter();
        VmConfig {
            resource_manager,
            queue_pairs: pairs
                .map(|(label, peer, queues)| LabelledQueuePair { label, peer, queues })
                .collect(),
            doorbells: bells
                .map(|(label, peer, cap, intid)| ReceivedDoorbell { label, peer, cap, intid })
                .collect(),
            sources: sources
                .map(|(label, peer, cap, can_clear)| DoorbellSource { label, peer, cap, can_clear })
                .collect(),
            ..VmConfig::default()
        }
    }
}

prop_compose! {
    fn shared()(
        ids in any::<(u32, u16, Option<u32>)>(),
        place in any::<(u64, u64)>(),
        source: Option<u64>,
        doorbell: Option<u64>,
    ) -> SharedBuffer {
        let ((label, peer, handle), (ipa, size)) = (ids, place);
        SharedBuffer { label, peer, ipa, size, handle, source, doorbell }
    }
}

prop_compose! {
    fn uart()(
        pl011 in any::<bool>(),
        place in any::<(u64, u64)>(),
        shift in 0..4_u32,
        intid in option::of(any::<u32>()),
    ) -> UartConfig {
        let kind = if pl011 { UartKind::Pl011 } else { UartKind::Ns16550a };
        UartConfig { kind, base: place.0, size: place.1, shift, intid }
    }
}

prop_compose! {
    fn rtc()(base in any::<u64>(), size in any::<u64>(), seconds in any::<u32>()) -> RtcConfig {
        RtcConfig { base, size, seconds }
    }
}

prop_compose! {
    fn vm()(
        objects in objects(),
        ids in any::<(u16, u16, u16, u16)>(),
        addresses in any::<(u64, u64, u64, u64)>(),
        name in any::<String>(),
        uri in option::of(any::<String>()),
        guid in any::<[u8; 16]>(),
        loads in vec(any::<(String, u64, u64, u64)>(), 0..3),
        shared in vec(shared(), 0..3),
        uarts in vec(uart(), 0..3),
        rtc in option::of(rtc()),
        gic in option::of(any::<(u64, u64, u16)>()),
    ) -> VmConfig {
        VmConfig {
            vmid: ids.0,
            owner: ids.1,
            vcpus: ids.2,
            boot_vcpu: ids.3,
            name,
            uri,
            guid,
            ram_base: addresses.0,
            ram_size: addresses.1,
            entry: addresses.2,
            tree: addresses.3,
            loads: loads
                .into_iter()
                .map(|(what, from, length, to)| Load { what, from, length, to })
                .collect(),
            shared,
            uarts,
            rtc,
            gic: gic.map(|(distributor, redistributors, count)| GicFrames {
                distributor,
                redistributors,
                count,
            }),
            script: alloc::vec!["type \"a  b\\n\"".into(), "ring 7 1".into()],
            ..objects
        }
    }
}

prop_compose! {
    fn behaviour()(
        (notifications, longest_write, replies) in any::<(u16, u16, u16)>(),
        memory in any::<u32>(),
        (silent_without_memory, in_order) in any::<(bool, bool)>(),
    ) -> Behaviour {
        Behaviour {
            notifications,
            memory,
            silent_without_memory,
            longest_write,
            replies,
            in_order,
        }
    }
}

prop_compose! {
    fn file()(
        vms in vec(vm(), 0..3),
        flags in any::<[bool; 6]>(),
        seed in any::<u64>(),
        identify in any::<[u64; 4]>(),
        rm in behaviour(),
    ) -> MachineFile {
        MachineFile {
            options: Options {
                documented_errors: flags[0],
                hide_rm_console: flags[1],
                no_reboot: flags[2],
                trace_exits: flags[3],
                no_trng: flags[4],
                no_psci: flags[5],
                log: log::LevelFilter::Debug,
                seed,
                identify,
                rm,
            },
            vms,
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_back(file in file()) {
        prop_assert_eq!(MachineFile::parse(&file.to_string()), Ok(file));
    }

    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = MachineFile::parse(&text);
        let _ = MachineFile::parse(&alloc::format!("billy-machine 1\n{text}"));
    }
}

#[test]
fn the_smallest_file_has_the_defaults() {
    let file = MachineFile::parse(SMALLEST).unwrap();
    assert_eq!(file.options, Options::default());
    assert_eq!(file.vms[0].vcpus, 1);
    assert_eq!(file.vms[0].resource_manager, None);
}

#[test]
fn errors_name_line_and_key() {
    for (line, message) in [
        ("doorbell label=7 peer=3 cap=2", "key `intid` is missing"),
        ("doorbell label=x peer=3 cap=2 intid=1", "key `label`: `x` is not a number that fits"),
        (
            "doorbell label=1 peer=65536 cap=2 intid=1",
            "key `peer`: `65536` is not a number that fits",
        ),
        ("doorbell label=7 peer=3 cap=2 intid=1 colour=red", "unknown key `colour`"),
        ("doorbell label=7 label=8 peer=3 cap=2 intid=1", "key `label` is given twice"),
        ("bell label=7", "unknown kind `bell`"),
        ("load what=\"image", "a quote is not closed"),
        ("uart base=0 size=8", "key `kind` is missing"),
        ("uart kind=8250 base=0 size=8", "key `kind`: `8250` is not `ns16550a` or `pl011`"),
        ("uart kind=pl011 base=0 size=8 shift=4", "key `shift`: `4` is not a number up to 3"),
        (
            "options identify=1,2,3",
            "key `identify`: `1,2,3` is not four numbers with commas between",
        ),
        (
            "rtc base=0 size=8 seconds=0x100000000",
            "key `seconds`: `0x100000000` is not a number that fits",
        ),
        ("options rm-replies=no", "key `rm-replies`: `no` is not a number that fits"),
        ("vm vmid=1 owner=3 name=x guid=12", "key `guid`: `12` is not a GUID"),
        ("options no-reboot=1", "key `no-reboot`: `1` is not expected: the key stands alone"),
    ] {
        let error = MachineFile::parse(&alloc::format!("{SMALLEST}# a comment\n{line}\n"));
        let message = alloc::format!("machine file line 4: {message}");
        assert_eq!(error.unwrap_err().to_string(), message);
    }
    let early = MachineFile::parse("billy-machine 1\nscript ring 7 1").unwrap_err();
    assert_eq!(early.to_string(), "machine file line 2: `script` comes before the first `vm`");
    let rtc = "rtc base=0 size=8 seconds=1";
    let second = MachineFile::parse(&alloc::format!("{SMALLEST}{rtc}\n{rtc}")).unwrap_err();
    assert_eq!(second.problem, Problem::SecondRtc);
    let empty = MachineFile::parse("").unwrap_err();
    assert_eq!(empty.problem, Problem::Version);
}

#[test]
fn scripts_lose_blank_lines_and_comments() {
    let mut vm = VmConfig::default();
    vm.set_script("\n  ring 7 1\n\n# nothing\n  silent on\n");
    assert_eq!(vm.script, ["ring 7 1", "silent on"]);
}
