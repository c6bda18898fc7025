//! From the first line of Rust to a machine that tasks can run on.
//!
//! Each step takes what the one before found, and fails with an error that says what is wrong.

use crate::{
    console::serial,
    dt::{self, AddressRange, DtError, Form, Platform, PsciConduit, RawMemory},
    hardware::TIMERS,
    interrupts::gic,
    last_words,
    log::{LogRing, Logger},
    memory::{self, Inputs, Kind, PlanError, Region, heap::Heap, paging::AddressSpace},
    power::{self, Conduit, Failure},
    probe,
    trace::{BILLY_TRACE, Traced},
};
use aarch64_paging::MapError;
use alloc::{boxed::Box, vec::Vec};
use billy_boot::{BootInfo, Layout};
use core::{mem::MaybeUninit, ops::Range};
use gunyah::hypercalls::{
    Hvc, discover,
    discovery::{DiscoveryError, Identity},
};
use thiserror::Error;

/// What serves while the device tree is read.
const FIRST_HEAP: usize = 512 * 1024;
/// What at least is left of it when the device tree has been read; much more need not be mapped.
const SPARE_HEAP: usize = 32 * 1024;
/// Device trees lie in the first 512 GiB: the first page table reaches no further.
const TREE_LIMIT: u64 = 1 << 39;
/// The entry code maps the GiB that holds the tree's first byte.
const GIBIBYTE: u64 = 1 << 30;

/// The global allocator.
#[global_allocator]
pub static HEAP: Heap = Heap::empty();
/// What was logged; a debugger finds it by this name, a hypervisor by its magic number.
#[unsafe(no_mangle)]
pub static BILLY_LOG: LogRing = LogRing::new();

static LOGGER: Logger = Logger::new(&BILLY_LOG, || TIMERS.uptime());

#[unsafe(link_section = ".first_heap")]
static mut FIRST_HEAP_MEMORY: MaybeUninit<[u8; FIRST_HEAP]> = MaybeUninit::uninit();

/// Why the kernel cannot run.
#[derive(Debug, Error)]
pub enum StartError {
    /// The device tree cannot be used.
    #[error("device tree: {0}")]
    Tree(#[from] DtError),
    /// x0 at entry is no address of a device tree.
    #[error("device tree: x0 is {0:#x}, where none can be")]
    NoTree(u64),
    /// Image and tree are not where the tree says memory is.
    #[error("memory: {0}")]
    Placement(DtError),
    /// Memory cannot be used as described.
    #[error("memory: {0}")]
    Plan(#[from] PlanError),
    /// The page tables cannot be built.
    #[error("memory: cannot map: {0}")]
    Map(MapError),
    /// Entered at EL2.
    #[error("entered at EL2: there is no hypervisor below to be a guest of")]
    NotAGuest,
    /// No hypervisor of the right kind.
    #[error("hypervisor: {0}")]
    Hypervisor(#[from] DiscoveryError),
    /// Neither the tree nor an HVC tells of a hypervisor.
    #[error("hypervisor: the device tree names none, and HVC is undefined")]
    NoHypervisor,
    /// The GIC refused something.
    #[error("interrupts: {0}")]
    Interrupts(#[from] gic::Error),
    /// A queue that the device tree describes cannot exist.
    #[error("queue: {0}")]
    Queue(#[from] gunyah::queue::QueueError),
}

impl StartError {
    fn failure(&self) -> Failure {
        match self {
            Self::Tree(_) | Self::NoTree(_) => Failure::DeviceTree,
            Self::Placement(_) | Self::Plan(_) | Self::Map(_) => Failure::Memory,
            Self::NotAGuest => Failure::NotAGuest,
            Self::Hypervisor(_) | Self::NoHypervisor => Failure::Hypervisor,
            Self::Interrupts(_) => Failure::Interrupts,
            Self::Queue(_) => Failure::Queue,
        }
    }
}

/// What is known of the machine so far.
pub struct Found {
    /// What the device tree says.
    pub platform: Platform,
    /// The tree itself.
    pub tree: &'static [u8],
    /// How it was handed over.
    pub form: Form,
    /// Where the tree, with all overlays, lies.
    pub tree_range: Range<u64>,
    /// Where the entry code was entered.
    pub entry_level: u64,
    /// What is mapped how.
    pub memory: Vec<Region>,
}

/// The hypervisor below, its calls traced.
pub type Hypervisor = Traced<Hvc>;

/// What is known of the machine, the hypervisor included.
pub struct Guest {
    /// The machine.
    pub found: Found,
    /// How to call the hypervisor.
    pub hypervisor: Hypervisor,
    /// Who it is.
    pub identity: Identity,
}

/// Gives the first heap its memory and starts to log.
pub fn heap_and_log() {
    let start = &raw mut FIRST_HEAP_MEMORY as usize;
    last_words::init();
    // SAFETY: the memory belongs to nobody else, is mapped by the entry code and stays mapped as
    // a part of the image, as far as it is in use; this runs once, first of all.
    unsafe { HEAP.add(start, start + FIRST_HEAP) };
    // Fails only if a logger is set already.
    let _ = log::set_logger(&LOGGER);
    log::set_max_level(log::LevelFilter::Info);
}

/// Reads the device tree, with its overlays.
///
/// # Errors
///
/// [`StartError::NoTree`], [`StartError::Tree`].
pub fn read_tree(info: &BootInfo) -> Result<Found, StartError> {
    let start = info.tree;
    if start == 0 || start >= TREE_LIMIT {
        return Err(StartError::NoTree(start));
    }
    // Of the tree's memory no more than the entry code mapped, and no more than any tree may have.
    let mapped = (GIBIBYTE - start % GIBIBYTE) as usize;
    let len = mapped.min(2 * dt::MAX_TREE_BYTES);
    // SAFETY: whoever entered the kernel put a device tree at x0 and leaves it alone. What a
    // header lays claim to that is not there ends in a reported abort.
    let source = unsafe { RawMemory::new(start as *const u8, len) };
    // The bytes are needed for as long as the kernel runs, wherever they are.
    let source: &'static RawMemory = Box::leak(Box::new(source));
    let loaded = dt::load(source, Some(dt::builtin_base()))?;
    let tree_range = start..start + loaded.source_bytes as u64;
    let (form, platform, tree) = (loaded.form, loaded.platform, loaded.tree.leak());
    if let Some(conduit) = platform.psci {
        power::set_conduit(match conduit {
            PsciConduit::Hvc => Conduit::Hvc,
            PsciConduit::Smc => Conduit::Smc,
        });
    }
    Ok(Found {
        platform,
        tree,
        form,
        tree_range,
        entry_level: info.entry_level,
        memory: Vec::new(),
    })
}

/// Maps what exists, W^X, and makes what is left over heap.
///
/// # Errors
///
/// [`StartError::Placement`], [`StartError::Plan`], [`StartError::Map`].
pub fn map_memory(mut found: Found) -> Result<Found, StartError> {
    let platform = &found.platform;
    let range = |range: &AddressRange| range.start..range.end();
    let layout = Layout::current();
    let span = |range: Range<u64>| AddressRange {
        start: range.start,
        size: range.end.saturating_sub(range.start),
    };
    let image = layout.image();
    let image = span(image.start as u64..image.end as u64);
    let ram = platform
        .check_placement(image, span(found.tree_range.clone()))
        .map_err(StartError::Placement)?;
    let reserved: Vec<_> = platform.reserved.iter().map(|r| range(&r.range)).collect();
    let mut devices = alloc::vec![range(&platform.gic.distributor)];
    devices.extend(platform.gic.redistributors.iter().map(range));
    devices.extend(platform.uarts.iter().map(|uart| range(&uart.registers)));
    devices.extend(platform.clock.iter().map(range));
    let idle: Vec<_> = HEAP.give_up(SPARE_HEAP).iter().map(memory::wide).collect();
    let plan = memory::plan(&Inputs {
        ram: range(&ram),
        reserved: &reserved,
        devices: &devices,
        tree: found.tree_range.clone(),
        layout: &layout,
        idle: &idle,
    })?;
    let space = AddressSpace::new(&plan).map_err(StartError::Map)?;
    // SAFETY: the plan covers the image with its stacks and what is left of the first heap, which
    // is all that is in use.
    unsafe { space.activate() };
    for region in plan.iter().filter(|region| region.kind == Kind::Heap) {
        let (start, end) = (region.range.start as usize, region.range.end as usize);
        // SAFETY: RAM that nothing else lies in, mapped just now.
        unsafe { HEAP.add(start, end) };
    }
    serial::remember(&found.platform);
    found.memory = plan;
    Ok(found)
}

/// Finds out which hypervisor is below, and how to call it.
///
/// # Errors
///
/// [`StartError::NotAGuest`], [`StartError::NoHypervisor`], [`StartError::Hypervisor`].
pub fn find_hypervisor(found: Found) -> Result<Guest, StartError> {
    if found.entry_level != 1 {
        return Err(StartError::NotAGuest);
    }
    // SAFETY: an undefined HVC is survived.
    let (discovered, defined) = probe::hypercall(|| unsafe { discover() });
    let (hypervisor, identity) = match discovered {
        Ok(found) => found,
        Err(_) if !defined => return Err(StartError::NoHypervisor),
        Err(error) => return Err(error.into()),
    };
    let info = identity.identify.api_info;
    let version = info.version();
    log::info!(target: "hyp", "Gunyah, API version {version}, {} calls", identity.conduit);
    let hypervisor = Traced::new(hypervisor, &BILLY_TRACE);
    Ok(Guest { found, hypervisor, identity })
}

/// Brings up the GIC and the timer's interrupt.
///
/// # Errors
///
/// [`StartError::Interrupts`].
pub fn bring_up_interrupts(guest: Guest) -> Result<Guest, StartError> {
    let platform = &guest.found.platform;
    // SAFETY: the frames are those that the device tree names, mapped as device memory; once.
    unsafe { gic::init(&platform.gic)? };
    gic::enable(
        platform.virtual_timer,
        "timer",
        Box::new(|| {
            TIMERS.on_interrupt();
        }),
    )?;
    Ok(guest)
}

/// Logs why the kernel cannot run, says it on the tree's UART if that is known already, and ends
/// the machine.
pub fn give_up(error: &StartError) -> ! {
    log::error!(target: "start", "{error}");
    serial::say(format_args!("billy: {error}\n"));
    if matches!(error, StartError::NotAGuest) {
        power::off();
    }
    power::fail(error.failure())
}
