//! The machine file for the shim, made from the tree that the guest gets.
//!
//! The tree is read by the same code as in the guest, so that shim and guest mean the same by
//! every capability, INTID and label.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use billy_dt::AddressRange;
use billy_shim::machine::Machine;
use billy_shim::machine_file::{Load, MachineFile};
use billy_shim::peer::script::Script;

use super::options::{IMAGE_ALIGNMENT, MachineOptions};
use super::vm::{has_no_console, vm};
use crate::handover;

/// Room for the trees; other files follow where they are staged.
const MOST_TREES: u64 = 16 << 20;

/// Where QEMU put things: physical address and length.
pub struct Staging {
    /// The guest's flat image.
    pub image: (u64, u64),
    /// Bytes that the image takes in memory, its BSS included.
    pub image_in_memory: u64,
    /// The device trees.
    pub trees: (u64, u64),
}

/// The machine file's text for the machine that `trees` describe, a merged tree or a base tree
/// with overlays behind it, and the bytes of memory that its VM has; `script` is the peer's.
///
/// # Errors
/// The trees are none that the guest could boot from, they describe what the shim does not have,
/// or the image does not fit into its memory.
pub fn write(
    options: &MachineOptions,
    trees: &[u8],
    script: &str,
    staging: &Staging,
) -> Result<(String, u64)> {
    ensure!(staging.trees.1 <= MOST_TREES, "device trees larger than 16 MiB");
    let longest = trees.len().max(staging.trees.1 as usize);
    let found = handover::load(trees, longest, options.tree_address, options.load_address)
        .context("reading the device trees")?;
    let entry =
        options.load_address.unwrap_or_else(|| found.ram.start.next_multiple_of(IMAGE_ALIGNMENT));
    let image = AddressRange { start: entry, size: staging.image_in_memory };
    let tree = AddressRange { start: found.address, size: longest as u64 };
    let placed = found.platform.check_placement(image, tree);
    placed.context("placing image and device trees")?;
    let seconds = options.variation.rtc.flatten().unwrap_or_else(seconds_since_1970);
    let mut vm =
        vm(&found.platform, found.ram, seconds).context("making the machine of the tree")?;
    vm.entry = entry;
    vm.tree = found.address;
    vm.loads =
        vec![load("image", staging.image, entry), load("tree", staging.trees, found.address)];
    vm.set_script(script);
    Script::parse(vm.script.iter().map(String::as_str)).context("reading the peer's script")?;
    let mut file = MachineFile::of(vm);
    file.options.no_reboot = options.no_reboot;
    file.options.trace_exits = options.trace_exits;
    file.options.seed = options.capabilities.seed;
    file.options.hide_rm_console = options.hide_rm_console || has_no_console(&found.platform);
    if let Some(tune) = options.tune {
        tune(&mut file);
    }
    Machine::new(&file).context("making the machine of the tree")?;
    Ok((file.to_string(), found.ram.size))
}

/// What a real-time clock counts.
fn seconds_since_1970() -> u32 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() as u32)
}

fn load(what: &str, (from, length): (u64, u64), to: u64) -> Load {
    Load { what: what.to_owned(), from, length, to }
}

#[cfg(test)]
mod tests {
    use billy_shim::machine_file::{
        DoorbellSource, LabelledQueuePair, QueuePair, ReceivedDoorbell, RtcConfig, SharedBuffer,
        UartKind,
    };

    use super::*;
    use crate::build::trees::{Capabilities, Trees};
    use crate::build::variation::{UartChoice, Variation};

    const STAGING: Staging = Staging {
        image: (0x4400_0000, 0x2_0000),
        image_in_memory: 0x14_0000,
        trees: (0x4300_0000, 0x3000),
    };

    fn machine(trees: &[u8]) -> MachineFile {
        let written = write(&MachineOptions::default(), trees, "# nothing\n", &STAGING);
        let (text, memory) = written.unwrap();
        assert_eq!(memory, 0x400_0000);
        MachineFile::parse(&text).unwrap()
    }

    #[test]
    fn both_forms_of_the_tree_make_the_same_machine() {
        let trees = Trees::compile(Capabilities::Random(5)).unwrap();
        assert_eq!(machine(&trees.merged), machine(&trees.concatenated()));
    }

    #[test]
    fn the_machine_is_what_the_trees_say() {
        let trees = Trees::compile(Capabilities::Linear).unwrap();
        let file = machine(&trees.concatenated());
        let [vm] = file.vms.as_slice() else { panic!("{file}") };
        assert_eq!((vm.vmid, vm.owner, vm.name.as_str()), (0x80, 3, "billy"));
        assert_eq!((vm.ram_base, vm.ram_size, vm.vcpus), (0x8000_0000, 0x400_0000, 1));
        assert_eq!((vm.entry, vm.tree), (0x8000_0000, 0x83f0_0000));
        let queues = |first_cap, first_intid| QueuePair {
            tx_cap: first_cap,
            rx_cap: first_cap + 1,
            tx_intid: first_intid,
            rx_intid: first_intid + 1,
            depth: 8,
            size: 240,
        };
        assert_eq!(vm.resource_manager, Some(queues(0, 960)));
        let bell = ReceivedDoorbell { label: 3, peer: 3, cap: 2, intid: 962 };
        assert_eq!(vm.doorbells, [bell]);
        let source = DoorbellSource { label: 3, peer: 3, cap: 3, can_clear: false };
        assert_eq!(vm.sources, [source]);
        let pair = LabelledQueuePair { label: 2, peer: 3, queues: queues(4, 963) };
        assert_eq!(vm.queue_pairs, [pair]);
    }

    #[test]
    fn uarts_and_what_is_left_out_are_as_chosen() {
        for (choice, expected) in [
            (UartChoice::Ns16550a, (UartKind::Ns16550a, 0x3f8, 0, Some(32))),
            (UartChoice::Ns16550aPolled, (UartKind::Ns16550a, 0x1000_0000, 2, None)),
            (UartChoice::Ns16550aDoorbell, (UartKind::Ns16550a, 0x3f8, 0, Some(37))),
            (UartChoice::Pl011, (UartKind::Pl011, 0x900_0000, 0, Some(33))),
        ] {
            let variation = Variation {
                no_rm: true,
                uart: Some(choice),
                shared_memory: false,
                rtc: None,
                bootargs: Some("console=uart".into()),
            };
            let trees = Trees::varied(Capabilities::Random(7), &variation).unwrap();
            let file = machine(&trees.concatenated());
            assert_eq!(file, machine(&trees.merged));
            let [vm] = file.vms.as_slice() else { panic!("{file}") };
            let [uart] = vm.uarts.as_slice() else { panic!("{file}") };
            assert_eq!((uart.kind, uart.base, uart.shift, uart.intid), expected);
            assert_eq!(vm.resource_manager, None);
            assert_eq!(vm.queue_pairs.len(), 1);
        }
    }

    #[test]
    fn a_clock_starts_when_it_should() {
        for (rtc, seconds) in [(None, None), (Some(Some(1_700_000_000)), Some(1_700_000_000))] {
            let variation = Variation { rtc, ..Variation::default() };
            let trees = Trees::varied(Capabilities::Linear, &variation).unwrap();
            let options = MachineOptions { variation, ..MachineOptions::default() };
            for tree in [trees.concatenated(), trees.merged] {
                let (text, _) = write(&options, &tree, "", &STAGING).unwrap();
                let file = MachineFile::parse(&text).unwrap();
                let clock =
                    seconds.map(|seconds| RtcConfig { base: 0x901_0000, size: 0x1000, seconds });
                assert_eq!(file.vms[0].rtc, clock);
            }
        }
    }

    #[test]
    fn shared_buffers_are_those_of_the_tree() {
        let variation = Variation { shared_memory: true, ..Variation::default() };
        let trees = Trees::varied(Capabilities::Linear, &variation).unwrap();
        let file = machine(&trees.concatenated());
        assert_eq!(file, machine(&trees.merged));
        let [vm] = file.vms.as_slice() else { panic!("{file}") };
        assert_eq!((vm.ram_base, vm.ram_size), (0x8000_0000, 0x400_0000));
        let ring = SharedBuffer {
            label: 16,
            peer: 3,
            ipa: 0x4000_2000,
            size: 0x2_0000,
            handle: Some(0),
            source: Some(7),
            doorbell: Some(6),
        };
        let plain = SharedBuffer {
            label: 17,
            ipa: 0x4002_2000,
            size: 0x4000,
            handle: Some(1),
            source: None,
            doorbell: None,
            ..ring
        };
        assert_eq!(vm.shared, [ring, plain]);
    }

    #[test]
    fn a_script_with_a_mistake_is_refused() {
        let trees = Trees::compile(Capabilities::Linear).unwrap();
        let options = MachineOptions::default();
        let error = write(&options, &trees.merged, "ring 3 1\nsing 3 1\n", &STAGING).unwrap_err();
        assert!(format!("{error:#}").contains("line 2 `sing 3 1`"), "{error:#}");
    }

    #[test]
    fn a_misplaced_image_is_refused() {
        let trees = Trees::compile(Capabilities::Linear).unwrap();
        let high = MachineOptions { load_address: Some(0x83e0_0000), ..MachineOptions::default() };
        let staging = Staging { image_in_memory: 0x20_0000, ..STAGING };
        let error = write(&high, &trees.merged, "", &staging).unwrap_err();
        assert!(format!("{error:#}").contains("overlaps"), "{error:#}");
    }
}
