//! The machine file: text that tells which VMs, objects and options to make.
//!
//! The host tool writes it ([`MachineFile`] displays as text) and places it in memory; the shim parses it. One item a
//! line, `kind key=value …`, values quoted where they need it; the objects of a VM follow its line:
//!
//! ```text
//! billy-machine 1
//! options seed=0x1 log=info no-reboot
//! vm vmid=0x80 owner=0x3 name=billy ram-base=0x80000000 ram-size=0x4000000 vcpus=0x1 entry=0x80000000 tree=0x83f00000
//! gic distributor=0x3fff0000 redistributors=0x3ffd0000 count=1
//! load what=image from=0x48000000 length=0x10000 to=0x80000000
//! rm tx-cap=0x0 rx-cap=0x1 tx-intid=0x3c0 rx-intid=0x3c1 depth=0x8 size=0xf0
//! doorbell label=0x7 peer=0x3 cap=0x2 intid=0x3c2
//! doorbell-source label=0x7 peer=0x3 cap=0x3
//! queue-pair label=0x9 peer=0x3 tx-cap=0x4 rx-cap=0x5 tx-intid=0x3c3 rx-intid=0x3c4 depth=0x8 size=0xf0
//! shared label=0x10 peer=0x3 ipa=0x40010000 size=0x10000 handle=0x0 source=0x3 doorbell=0x2
//! uart kind=ns16550a base=0x3f8 size=0x8 shift=0 intid=36
//! rtc base=0x9010000 size=0x1000 seconds=1700000000
//! script expect console "billy> "
//! ```

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use crate::rm::Behaviour;

mod parse;
pub mod words;
mod write;

pub use parse::{MachineFileError, Problem};

/// A whole machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineFile {
    /// What holds for all VMs.
    pub options: Options,
    /// The VMs, in order.
    pub vms: Vec<VmConfig>,
}

/// What holds for all VMs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `documented-errors`: message queues answer as the document says, not as the 12/2023 code does.
    pub documented_errors: bool,
    /// `hide-rm-console`: the Resource Manager has no console for its VMs and answers `ARGUMENT_INVALID`.
    pub hide_rm_console: bool,
    /// `no-psci`: VMs have no virtual power manager; each PSCI call is answered -1.
    pub no_psci: bool,
    /// `no-reboot`: a VM's reset ends the run.
    pub no_reboot: bool,
    /// `trace-exits`: each exit of the guest goes to the log, with the EL1 instructions before it.
    pub trace_exits: bool,
    /// `log`: the shim's own messages, from `off` to `trace`.
    pub log: log::LevelFilter,
    /// `no-trng`: firmware does not know the TRNG's functions, as where there is none.
    pub no_trng: bool,
    /// `seed`: start of the random numbers that guests get.
    pub seed: u64,
    /// `identify`: the four words that `hyp_identify` answers.
    pub identify: [u64; 4],
    /// `rm-…`: how the Resource Manager behaves under load.
    pub rm: Behaviour,
}

/// What `hyp_identify` answers on the open-source QEMU platform: API version 1, 64-bit, variant 0x51; partition and
/// cspace, doorbell, message queue, virtual interrupt controller, vPM, vCPU, memory extent, trace control, virtio-mmio,
/// prng and vcpu_run; the round-robin scheduler.
pub const IDENTIFY: [u64; 4] = [0x5100_0000_0000_8001, 0x1000_0eff, 0, 0];

impl Default for Options {
    fn default() -> Self {
        Self {
            documented_errors: false,
            hide_rm_console: false,
            no_psci: false,
            no_reboot: false,
            trace_exits: false,
            no_trng: false,
            log: log::LevelFilter::Info,
            seed: 1,
            identify: IDENTIFY,
            rm: Behaviour::default(),
        }
    }
}

/// A VM and what it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VmConfig {
    /// VMID.
    pub vmid: u16,
    /// VMID of the owner.
    pub owner: u16,
    /// Image name.
    pub name: String,
    /// URI, if it has one.
    pub uri: Option<String>,
    /// GUID; all zeros is the GUID of a VM without one.
    pub guid: [u8; 16],
    /// First IPA of its memory.
    pub ram_base: u64,
    /// Bytes of its memory.
    pub ram_size: u64,
    /// Number of vCPUs.
    pub vcpus: u16,
    /// `boot-vcpu`: the one that runs at start.
    pub boot_vcpu: u16,
    /// IPA of the first instruction.
    pub entry: u64,
    /// x0 at entry: IPA of the device tree.
    pub tree: u64,
    /// Where its interrupt controller is; none: where Gunyah has it by default.
    pub gic: Option<GicFrames>,
    /// What to copy into its memory before it starts.
    pub loads: Vec<Load>,
    /// Its queue pair to the Resource Manager; none: the VM has no Resource Manager.
    pub resource_manager: Option<QueuePair>,
    /// Message queue pairs.
    pub queue_pairs: Vec<LabelledQueuePair>,
    /// Doorbells that it receives.
    pub doorbells: Vec<ReceivedDoorbell>,
    /// Doorbells that it rings.
    pub sources: Vec<DoorbellSource>,
    /// Memory that it shares with others from the start.
    pub shared: Vec<SharedBuffer>,
    /// UARTs that it sees.
    pub uarts: Vec<UartConfig>,
    /// Its real-time clock, if it has one.
    pub rtc: Option<RtcConfig>,
    /// Lines for its scripted peer; see [`crate::peer::script`].
    pub script: Vec<String>,
}

/// Where a VM finds its interrupt controller, a GICv3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GicFrames {
    /// IPA of the distributor.
    pub distributor: u64,
    /// IPA of the first redistributor; the others follow at 128 KiB each.
    pub redistributors: u64,
    /// How many redistributors there are. More than vCPUs: the others belong to vCPUs that never start.
    pub count: u16,
}

/// Bytes staged in the machine's memory, to be copied into the VM's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// What it is, for the log.
    pub what: String,
    /// Physical address.
    pub from: u64,
    /// Bytes.
    pub length: u64,
    /// IPA.
    pub to: u64,
}

/// Two message queues, named from the VM's side: it sends on TX and receives on RX.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuePair {
    /// Capability id of the send side.
    pub tx_cap: u64,
    /// Capability id of the receive side.
    pub rx_cap: u64,
    /// INTID of "not full".
    pub tx_intid: u32,
    /// INTID of "not empty".
    pub rx_intid: u32,
    /// Messages each queue holds.
    pub depth: u16,
    /// Bytes of the longest message.
    pub size: u16,
}

/// A queue pair between the VM and a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelledQueuePair {
    /// Label, by which both ends know it.
    pub label: u32,
    /// VMID of the other end.
    pub peer: u16,
    /// The queues.
    pub queues: QueuePair,
}

/// A doorbell that the VM receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedDoorbell {
    /// Label, by which both ends know it.
    pub label: u32,
    /// VMID of the other end.
    pub peer: u16,
    /// Capability id.
    pub cap: u64,
    /// INTID.
    pub intid: u32,
}

/// A doorbell that the VM rings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoorbellSource {
    /// Label, by which both ends know it.
    pub label: u32,
    /// VMID of the other end.
    pub peer: u16,
    /// Capability id.
    pub cap: u64,
    /// Whether the capability allows to receive as well (`source-can-clear`).
    pub can_clear: bool,
}

/// Memory that the VM shares with a peer from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedBuffer {
    /// Label, by which both ends know it.
    pub label: u32,
    /// VMID of the other end.
    pub peer: u16,
    /// Where the VM has it.
    pub ipa: u64,
    /// Bytes.
    pub size: u64,
    /// The Resource Manager's handle; none: the lowest free one.
    pub handle: Option<u32>,
    /// Capability id of the doorbell by which the VM tells the other end; none: the one with the same label, if any.
    pub source: Option<u64>,
    /// Capability id of the doorbell by which the other end tells the VM; none: the one with the same label, if any.
    pub doorbell: Option<u64>,
}

/// Which UART.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UartKind {
    /// `ns16550a`.
    Ns16550a,
    /// `pl011`.
    Pl011,
}

/// A UART that the VM sees, with the peer at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UartConfig {
    /// Which UART.
    pub kind: UartKind,
    /// IPA of its first register.
    pub base: u64,
    /// Bytes that its registers take.
    pub size: u64,
    /// Registers are `1 << shift` bytes apart; those of a PL011 are numbered by their offset, with 0 here.
    pub shift: u32,
    /// INTID of its interrupt line, or of the doorbell that is rung in its place; none: the guest has to look.
    pub intid: Option<u32>,
}

/// A real-time clock that the VM sees, a PL031.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtcConfig {
    /// IPA of its first register.
    pub base: u64,
    /// Bytes that its registers take.
    pub size: u64,
    /// What it reads when the machine starts: seconds since 1 January 1970, UTC.
    pub seconds: u32,
}

impl MachineFile {
    /// Reads a machine file.
    ///
    /// # Errors
    ///
    /// Names the line and the key.
    pub fn parse(text: &str) -> Result<Self, MachineFileError> {
        parse::parse(text)
    }

    /// A machine of one VM with default options.
    #[must_use]
    pub fn of(vm: VmConfig) -> Self {
        Self { options: Options::default(), vms: alloc::vec![vm] }
    }
}

impl VmConfig {
    /// Takes the lines of `script` for the VM's peer, one step a line; blank ones and comments (`#`) are left out.
    pub fn set_script(&mut self, script: &str) {
        let lines = script.lines().map(str::trim);
        self.script = lines
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(ToOwned::to_owned)
            .collect();
    }
}

#[cfg(test)]
mod tests;
