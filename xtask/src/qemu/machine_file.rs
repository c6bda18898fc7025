//! The machine file for the shim, made from the tree that the guest gets.
//!
//! The tree is read by the same code as in the guest, so that shim and guest mean the same by
//! every capability, INTID and label.

use anyhow::{Context, Result, bail, ensure};
use billy_dt::{self as dt, AddressRange, MemoryAt, Platform};
use billy_shim::machine_file::{
    DoorbellSource, LabelledQueuePair, Load, MachineFile, QueuePair, ReceivedDoorbell, VmConfig,
};
use billy_shim::peer::script::Script;

use super::options::{GUEST_RAM, MachineOptions};

/// Room at the end of RAM for the trees.
const TREE_ROOM: u64 = 1 << 20;
/// Where the guest finds the trees, as the real Resource Manager has them: near the end of RAM.
const TREE: u64 = GUEST_RAM.end - TREE_ROOM;

/// Where QEMU put things: physical address and length.
pub struct Staging {
    /// The guest's flat image.
    pub image: (u64, u64),
    /// The device trees.
    pub trees: (u64, u64),
}

/// The machine file's text for the machine that `trees` describe, a merged tree or a base tree
/// with overlays behind it; `script` is the peer's.
///
/// # Errors
/// The trees are none that the guest could boot from, or the image does not fit into its memory.
pub fn write(
    options: &MachineOptions,
    trees: &[u8],
    script: &str,
    staging: &Staging,
) -> Result<String> {
    ensure!(staging.trees.1 <= TREE_ROOM, "device trees larger than 1 MiB");
    let source = MemoryAt { address: TREE, bytes: trees };
    let platform = dt::load(&source, None).context("reading the device trees")?.platform;
    let range = |start, size| AddressRange { start, size };
    platform
        .check_placement(range(options.load_address, staging.image.1), range(TREE, TREE_ROOM))
        .context("placing image and device trees")?;
    let mut vm = vm(&platform)?;
    vm.entry = options.load_address;
    vm.tree = TREE;
    vm.loads =
        vec![load("image", staging.image, options.load_address), load("tree", staging.trees, TREE)];
    vm.set_script(script);
    Script::parse(vm.script.iter().map(String::as_str)).context("reading the peer's script")?;
    let mut file = MachineFile::of(vm);
    file.options.no_reboot = options.no_reboot;
    file.options.seed = options.capabilities.seed;
    Ok(file.to_string())
}

fn load(what: &str, (from, length): (u64, u64), to: u64) -> Load {
    Load { what: what.to_owned(), from, length, to }
}

/// What the tree says about the VM.
fn vm(platform: &Platform) -> Result<VmConfig> {
    let identity = platform.identity.as_ref().context("no qcom,gunyah-vm node")?;
    let owner = identity.owner.context("no qcom,owner-vmid")?;
    let [memory] = platform.memory.as_slice() else {
        bail!("memory in {} ranges, not in one", platform.memory.len());
    };
    // A channel whose peer the tree does not name has `peer-default`: the owner.
    let pairs = platform.queue_pairs.iter().map(|pair| LabelledQueuePair {
        label: pair.label.unwrap_or_default(),
        peer: pair.peer_vmid.unwrap_or(owner),
        queues: queues(pair),
    });
    let bells = platform.doorbells.iter().map(|bell| ReceivedDoorbell {
        label: bell.label.unwrap_or_default(),
        peer: owner,
        cap: bell.capability.0,
        intid: bell.interrupt.intid,
    });
    let sources = platform.doorbell_sources.iter().map(|source| DoorbellSource {
        label: source.label.unwrap_or_default(),
        peer: owner,
        cap: source.capability.0,
        can_clear: false,
    });
    Ok(VmConfig {
        vmid: identity.vmid,
        owner,
        name: identity.image_name.clone().unwrap_or_default(),
        ram_base: memory.start,
        ram_size: memory.size,
        vcpus: u16::try_from(platform.cpus.len())?,
        resource_manager: platform.resource_manager.as_ref().map(queues),
        queue_pairs: pairs.collect(),
        doorbells: bells.collect(),
        sources: sources.collect(),
        ..VmConfig::default()
    })
}

fn queues(pair: &dt::QueuePair) -> QueuePair {
    QueuePair {
        tx_cap: pair.tx.capability.0,
        rx_cap: pair.rx.capability.0,
        tx_intid: pair.tx.interrupt.intid,
        rx_intid: pair.rx.interrupt.intid,
        depth: pair.tx.depth,
        size: pair.tx.message_size,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::trees::{Capabilities, Trees};

    const STAGING: Staging =
        Staging { image: (0x4400_0000, 0x2_0000), trees: (0x4300_0000, 0x3000) };

    fn machine(trees: &[u8]) -> MachineFile {
        let text = write(&MachineOptions::default(), trees, "# nothing\n", &STAGING).unwrap();
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
    fn a_script_with_a_mistake_is_refused() {
        let trees = Trees::compile(Capabilities::Linear).unwrap();
        let options = MachineOptions::default();
        let error = write(&options, &trees.merged, "ring 3 1\nsing 3 1\n", &STAGING).unwrap_err();
        assert!(format!("{error:#}").contains("line 2 `sing 3 1`"), "{error:#}");
    }

    #[test]
    fn a_misplaced_image_is_refused() {
        let trees = Trees::compile(Capabilities::Linear).unwrap();
        let high = MachineOptions { load_address: 0x83e0_0000, ..MachineOptions::default() };
        let staging = Staging { image: (0, 0x20_0000), ..STAGING };
        let error = write(&high, &trees.merged, "", &staging).unwrap_err();
        assert!(format!("{error:#}").contains("overlaps"), "{error:#}");
    }
}
