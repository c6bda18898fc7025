//! Builds guest, shim and device trees into `target/billy`.
//!
//! [`image`] makes the flat arm64 image and checks it; [`trees`] compiles the device trees.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use xshell::{Shell, cmd};

use crate::{host, setup};

pub mod image;
pub mod trees;
pub mod variation;

use trees::{Capabilities, Trees};

/// What the guest is compiled with beside the flags in `.cargo/config.toml`.
///
/// The target leaves no access unaligned, since it is meant for code that runs before the MMU is on
/// as well: each is made of loads of single bytes, and that is a tenth of the image. Billy's Rust
/// code runs with the MMU on, on normal memory; device registers are accessed by `safe-mmio`. The
/// compiler warns of every feature it has no name for, in every crate; clippy shows the warnings
/// that mean something.
///
/// The tiny code model is for images below 1 MiB: an address is one instruction, not two.
const GUEST_FLAGS: [&str; 3] =
    ["-Ctarget-feature=-strict-align", "-Awarnings", "-Ccode-model=tiny"];

/// What `cargo xtask build` takes.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    capabilities: CapabilityOptions,
}

/// How the capability ids in the trees are chosen.
#[derive(Args, Clone, Debug, Default)]
pub struct CapabilityOptions {
    /// Number capability ids from 0, as debug builds of the hypervisor do, not at random
    #[arg(long)]
    pub linear_caps: bool,
    /// Seed of the random capability ids
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "linear_caps")]
    pub seed: u64,
}

impl CapabilityOptions {
    /// The choice as one value.
    pub fn choice(&self) -> Capabilities {
        match self.linear_caps {
            true => Capabilities::Linear,
            false => Capabilities::Random(self.seed),
        }
    }
}

/// The files that a machine starts from.
pub struct Artefacts {
    /// The guest's flat image.
    pub image: PathBuf,
    /// The guest with symbols.
    pub guest_elf: PathBuf,
    /// The shim.
    pub shim_elf: PathBuf,
}

impl Artefacts {
    /// Where [`build`] puts them.
    pub fn paths() -> Self {
        let dir = host::artefacts();
        Self {
            image: dir.join("billy.img"),
            guest_elf: dir.join("billy.elf"),
            shim_elf: dir.join("shim.elf"),
        }
    }
}

/// `cargo xtask build`.
pub fn command(options: &Options) -> Result<()> {
    setup::ensure()?;
    let artefacts = build()?;
    let trees = Trees::compile(options.capabilities.choice())?;
    trees.save(&host::artefacts())?;
    let size = fs::metadata(&artefacts.image)?.len();
    println!("{}: {size} bytes", artefacts.image.display());
    Ok(())
}

/// Builds guest and shim in release form; cargo's own messages show the progress.
///
/// # Errors
/// Cargo failed, or the image is not one that could boot.
pub fn build() -> Result<Artefacts> {
    let shell = Shell::new()?;
    shell.change_dir(host::workspace());
    let (cargo, target, output) = (host::cargo(), host::TARGET, host::target_dir());
    let artefacts = Artefacts::paths();
    fs::create_dir_all(host::artefacts())?;
    let guest_flags = format!("target.{target}.rustflags={GUEST_FLAGS:?}");
    let no_flags = format!("target.{target}.rustflags=[]");
    for (package, binary, elf, flags) in [
        ("billy-kernel", "billy", &artefacts.guest_elf, guest_flags),
        ("billy-shim", "shim", &artefacts.shim_elf, no_flags),
    ] {
        // One at a time: what one of them enables in a shared crate must not reach the other.
        cmd!(
            shell,
            "{cargo} build --quiet --release --config {flags} --target {target} --target-dir {output} -p {package} --bin {binary}"
        )
        .quiet()
        .run()
        .map_err(|_| anyhow!("{package} does not build; cargo's messages are above"))?;
        let built = output.join(target).join("release").join(binary);
        fs::copy(&built, elf).with_context(|| format!("copying {}", built.display()))?;
    }
    let elf = fs::read(&artefacts.guest_elf)?;
    let image = image::flatten(&elf)
        .with_context(|| format!("making the image from {}", artefacts.guest_elf.display()))?;
    fs::write(&artefacts.image, image)?;
    Ok(artefacts)
}
