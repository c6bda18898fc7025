//! The property names and compatible strings that mean something here.

use gunyah_abi::compatible;

macro_rules! properties {
    ($($variant:ident = $name:literal),* $(,)?) => {
        /// A property that the walk keeps.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(super) enum Name { $($variant),* }

        /// The names with the bytes they are spelled with.
        const SPELLED: [(&[u8], Name); [$($name),*].len()] =
            [$(($name.as_bytes(), Name::$variant)),*];

        impl Name {
            /// Returns how the name is spelled.
            pub(super) const fn spelled(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }
    };
}

properties! {
    AddressCells = "#address-cells",
    Bootargs = "bootargs",
    Buffer = "buffer",
    Capability = "qcom,gunyah-capability",
    Compatible = "compatible",
    DeviceType = "device_type",
    DmaBase = "dma_base",
    EnableMethod = "enable-method",
    GunyahLabel = "qcom,label",
    Image = "qcom,image-name",
    InitrdEnd = "linux,initrd-end",
    InitrdStart = "linux,initrd-start",
    InterruptCells = "#interrupt-cells",
    InterruptParent = "interrupt-parent",
    Interrupts = "interrupts",
    IsReceiver = "is-receiver",
    IsSender = "is-sender",
    KaslrSeed = "kaslr-seed",
    Label = "label",
    MemoryRegion = "memory-region",
    Method = "method",
    NoMap = "no-map",
    OwnerVmid = "qcom,owner-vmid",
    Peer = "peer",
    PeerVmid = "qcom,peer-vmid",
    Peers = "qcom,peers",
    Phandle = "phandle",
    OldPhandle = "linux,phandle",
    Ranges = "ranges",
    RedistributorRegions = "#redistributor-regions",
    RedistributorStride = "redistributor-stride",
    Reg = "reg",
    RmMemHandle = "qcom,rm-mem-handle",
    RegIoWidth = "reg-io-width",
    RegShift = "reg-shift",
    RxDoorbell = "rx-doorbell",
    RxMessageSize = "qcom,rx-message-size",
    RxQueueDepth = "qcom,rx-queue-depth",
    SizeCells = "#size-cells",
    Status = "status",
    StdoutPath = "stdout-path",
    TxDoorbell = "tx-doorbell",
    TxMessageSize = "qcom,tx-message-size",
    TxQueueDepth = "qcom,tx-queue-depth",
    SingleMessageSize = "tx_message_size",
    SingleQueueDepth = "tx_queue_depth",
    VmGuid = "qcom,vm-guid",
    VmUri = "qcom,vm-uri",
    Vendor = "qcom,vendor",
    Vmid = "qcom,vmid",
}

/// One more than the length of the longest name.
const LENGTHS: usize = {
    let (mut longest, mut i) = (0, 0);
    while i < SPELLED.len() {
        if SPELLED[i].0.len() > longest {
            longest = SPELLED[i].0.len();
        }
        i += 1;
    }
    longest + 1
};

/// The names by ascending length, and for each length where its names begin: a name then needs
/// few comparisons.
static BY_LENGTH: ([(&[u8], Name); SPELLED.len()], [u8; LENGTHS + 1]) = {
    let (mut sorted, mut starts) = (SPELLED, [0; LENGTHS + 1]);
    let (mut length, mut used) = (0, 0);
    while length < LENGTHS {
        let mut i = 0;
        while i < SPELLED.len() {
            if SPELLED[i].0.len() == length {
                sorted[used] = SPELLED[i];
                used += 1;
            }
            i += 1;
        }
        length += 1;
        starts[length] = used as u8;
    }
    (sorted, starts)
};

impl Name {
    /// Returns the name that is spelled `bytes`, if it means something here.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (names, starts) = &BY_LENGTH;
        let (start, end) = (starts.get(bytes.len())?, starts.get(bytes.len() + 1)?);
        let candidates = names.get(usize::from(*start)..usize::from(*end))?;
        candidates.iter().find(|(name, _)| *name == bytes).map(|&(_, name)| name)
    }
}

/// What a node describes. A node that could be several things is the greatest of them: the
/// resource manager's node also calls itself a message queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// `/chosen`.
    Chosen,
    /// A child of the root with `device_type = "memory"`.
    Memory,
    /// A child of `/reserved-memory`.
    Reserved,
    /// A child of `/cpus` with `device_type = "cpu"`.
    Cpu,
    /// GICv3.
    Gic,
    /// The generic timer.
    Timer,
    /// PSCI.
    Psci,
    /// The container of everything Gunyah.
    Hypervisor,
    /// Who this virtual machine is.
    VmIdentity,
    /// The receiving end of a doorbell.
    Doorbell,
    /// The sending end of a doorbell.
    DoorbellSource,
    /// A message queue or a pair of them.
    MessageQueue,
    /// The message queues to the resource manager.
    ResourceManager,
    /// Memory shared with another virtual machine.
    SharedBuffer,
    /// A UART in the manner of the 16550.
    Ns16550a,
    /// Arm's PL011.
    Pl011,
    /// Arm's PL031.
    Pl031,
}

/// Returns what a node with this compatible string describes.
pub(super) fn kind_of(text: &[u8]) -> Option<Kind> {
    const TABLE: &[(&str, Kind)] = &[
        ("arm,gic-v3", Kind::Gic),
        ("arm,armv8-timer", Kind::Timer),
        ("arm,psci-1.0", Kind::Psci),
        ("arm,psci-0.2", Kind::Psci),
        ("arm,pl011", Kind::Pl011),
        ("arm,pl031", Kind::Pl031),
        ("ns16550a", Kind::Ns16550a),
        (compatible::MESSAGE_QUEUE, Kind::MessageQueue),
        (compatible::DOORBELL, Kind::Doorbell),
        (compatible::DOORBELL_SOURCE, Kind::DoorbellSource),
        (compatible::SHARED_MEMORY, Kind::SharedBuffer),
        (compatible::SHARED_MEMORY_DOORBELL, Kind::SharedBuffer),
    ];
    let is = |known: &&str| known.as_bytes() == text;
    if let Some(&(_, kind)) = TABLE.iter().find(|(known, _)| is(known)) {
        return Some(kind);
    }
    if hypervisor(text).is_some() {
        return Some(Kind::Hypervisor);
    }
    if compatible::VM_ID.iter().any(is) {
        return Some(Kind::VmIdentity);
    }
    const MANAGER: &[u8] = compatible::RESOURCE_MANAGER_SUBSTRING.as_bytes();
    let is_manager = |part: &[u8]| part.first() == MANAGER.first() && part == MANAGER;
    text.windows(MANAGER.len()).any(is_manager).then_some(Kind::ResourceManager)
}

/// Returns the compatible string if it is one of those of the Gunyah hypervisor.
pub(super) fn hypervisor(text: &[u8]) -> Option<&'static str> {
    compatible::HYPERVISOR.iter().copied().find(|known| known.as_bytes() == text)
}
